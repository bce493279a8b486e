"""The bundle, built once, in an application of our own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relume.hosts.ofx.build import LIBRARY, TABLE, build, missing_tools
from relume.hosts.ofx.generate import text
from relume.hosts.worker.server import Server

PROBES = Path(__file__).parent / "probes.py"
_spec = importlib.util.spec_from_file_location("ofx_probes", PROBES)
assert _spec and _spec.loader
probes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(probes)

Pixels = NDArray[np.float32]

COMPONENTS = {1: "OfxImageComponentAlpha", 3: "OfxImageComponentRGB", 4: "OfxImageComponentRGBA"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bundle and the test host, both with address and undefined sanitizers.

    Named in RELUME_OFX_BUILD, it is kept, and only what changed is built again.
    """
    if missing := missing_tools():
        pytest.skip(f"the OpenFX bundle is not built: there is no {' and no '.join(missing)}")
    kept = os.environ.get("RELUME_OFX_BUILD")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("ofx")
    build(folder, probes.REGISTRY, ["-DRELUME_TEST_HOST=ON", "-DRELUME_SANITIZE=ON"])
    return folder


class Application:
    """Runs scripts in the test host.

    Attributes:
        folder: for files of the test.
        bundle: the bundle it loads.
    """

    def __init__(self, built: Path, folder: Path) -> None:
        self.host = built / "test_host"
        self.bundle = built
        self.folder = folder
        self.clips: dict[str, Any] = {}
        self.says: dict[str, Any] = {}
        self.context = "OfxImageEffectContextGeneral"

    def clip(self, name: str, pixels: Pixels | dict[int, Pixels], **says: Any) -> None:
        """Connect a clip: one picture for every frame, or pictures by frame; rows downwards."""
        frames = pixels if isinstance(pixels, dict) else {0: pixels}
        files = {}
        for frame, picture in frames.items():
            path = self.folder / f"{name}.{frame}.raw"
            np.ascontiguousarray(picture, np.float32).tofile(path)
            files[str(frame)] = str(path)
        height, width, channels = next(iter(frames.values())).shape
        self.clips[name] = {
            "bounds": [0, 0, width, height],
            "components": COMPONENTS[channels],
            "files": files,
            **says,
        }

    def run(self, instances: dict[str, str], *steps: dict[str, Any]) -> list[Any]:
        """Carry out a script and return what came of each step."""
        script = {
            "context": self.context,
            "host": self.says,
            "instances": {name: f"org.relume.{effect}" for name, effect in instances.items()},
            "clips": self.clips,
            "steps": list(steps),
        }
        path = self.folder / "script.json"
        path.write_text(json.dumps(script))
        command = [str(self.host), str(self.bundle / LIBRARY), str(path)]
        # Sanitizers end the program with another code, and say why.
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        results: list[Any] = json.loads(done.stdout)["steps"]
        return results

    def describe(self, effect: str) -> dict[str, Any]:
        """Return what the application is told about an effect."""
        (result,) = self.run({}, {"do": "describe", "effect": f"org.relume.{effect}"})
        description: dict[str, Any] = result
        return description

    def render(self, effect: str, *steps: dict[str, Any], **render: Any) -> Pixels:
        """Render an effect, after steps that set it up, and return the pixels, rows downwards."""
        *_, result = self.run(
            {"a": effect}, *({**step, "on": "a"} for step in steps), self.order("a", **render)
        )
        assert result["status"] == 0, result["messages"]
        assert result["unreleased"] == 0
        assert result["padding"]
        return self.pixels("a", **render)

    def order(self, on: str, **render: Any) -> dict[str, Any]:
        """Return the step that renders an instance to a file of its name."""
        return {
            "do": "render",
            "on": on,
            "time": 1001,
            "file": str(self.folder / f"{on}.raw"),
            **render,
        }

    def pixels(self, on: str, **render: Any) -> Pixels:
        """Return what an instance rendered."""
        output = render.get("output", {})
        x1, y1, x2, y2 = output.get("bounds") or self.clips["Source"]["bounds"]
        return np.fromfile(self.folder / f"{on}.raw", np.float32).reshape(y2 - y1, x2 - x1, -1)

    def tabled(self, registry: Any) -> None:
        """Load the bundle with the effects of another registry."""
        bundle = self.folder / "other"
        (bundle / LIBRARY).parent.mkdir(parents=True)
        (bundle / TABLE).parent.mkdir(parents=True)
        shutil.copy(self.bundle / LIBRARY, bundle / LIBRARY)
        (bundle / TABLE).write_text(text(registry))
        self.bundle = bundle


@pytest.fixture
def own_worker(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the bundle start a worker with the probes by itself; return its folder."""
    monkeypatch.setenv("RELUME_COMMAND", f"'{sys.executable}' '{PROBES}'")
    yield place
    from relume.hosts.worker.client import Worker

    if (place / "worker-1.json").exists():
        Worker("test").shut_down()


@pytest.fixture
def server(serving: Any) -> Iterator[Server]:
    """A worker in this process."""
    with serving(probes.REGISTRY, threads=1) as server:
        yield server


@pytest.fixture
def application(built: Path, tmp_path: Path, place: Path) -> Application:
    """An application; it has no worker unless a test asks for one."""
    return Application(built, tmp_path)


@pytest.fixture
def counts() -> dict[str, int]:
    """How often probes were worked out."""
    probes.COUNTS["twice"] = 0
    found: dict[str, int] = probes.COUNTS
    return found


@pytest.fixture
def stopped() -> threading.Event:
    """Set when the slow probe is cancelled."""
    probes.STOPPED.clear()
    event: threading.Event = probes.STOPPED
    return event


@pytest.fixture
def registry() -> Any:
    """The nodes, and the probes."""
    return probes.REGISTRY
