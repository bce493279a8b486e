"""Files for the command, and a worker in this process for the hosts."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.hosts.worker.server import Options, Place, Server
from relume.image import Image
from relume.media.write import write
from relume.node import Registry

Serving = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plates(here: Path) -> Callable[..., None]:
    """Return what writes small plates `plate.####.exr` for frames."""

    def make(*frames: int, size: tuple[int, int] = (12, 16)) -> None:
        for frame in frames:
            pixels = np.random.default_rng(frame).uniform(0.0, 4.0, (*size, 3))
            image = Image(np.float32(pixels), ("R", "G", "B"))
            write(here / f"plate.{frame:04d}.exr", {"rgba": image}, depth="float")

    return make


@pytest.fixture
def graded(here: Path) -> Path:
    """Write a graph that grades `plate.####.exr` to `out/graded.####.exr`."""
    nodes: dict[str, Any] = {
        "plate": {"type": "read", "knobs": {"file": "plate.####.exr"}},
        "graded": {"type": "grade", "inputs": {"image": "plate"}},
        "out": {
            "type": "write",
            "knobs": {"file": "out/graded.####.exr", "depth": "float"},
            "inputs": {"layers": {"rgba": "graded"}},
        },
    }
    path = here / "graph.json"
    path.write_text(json.dumps({"relume": 1, "nodes": nodes}), encoding="utf-8")
    return path


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the worker's socket; pytest's own are too long for one."""
    folder = Path(tempfile.mkdtemp(prefix="relume-"))
    monkeypatch.setenv("RELUME_WORKER_DIR", str(folder))
    # Whatever a test starts, it is not a relume that happens to be on the PATH.
    monkeypatch.setenv("RELUME_COMMAND", "/nowhere/relume")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def serving(place: Path) -> Serving:
    """Return what starts a worker in this process with the nodes of a registry, and options."""

    @contextmanager
    def serve(registry: Registry, **options: Any) -> Iterator[Server]:
        server = Server(Place.find(), registry, Options(**options))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            # A client that came before the file would start a worker of its own.
            while not server.place.file("json").exists():
                assert thread.is_alive()
            yield server
        finally:
            server.stop()
            thread.join(30)
            server.renders.join(30)
            assert not thread.is_alive()

    return serve
