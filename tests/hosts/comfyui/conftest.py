"""The pack in a stand-in of ComfyUI, and a worker in this process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relume.hosts.comfyui.install import source
from relume.hosts.worker.server import Server
from relume.nodes.registry import REGISTRY


def _stand_in() -> Any:
    spec = importlib.util.spec_from_file_location(
        "comfy_stand_in", Path(__file__).with_name("stand_in.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(serving: Any) -> Iterator[Server]:
    with serving(REGISTRY) as server:
        yield server


@pytest.fixture
def comfy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Iterator[Any]:
    """Return a ComfyUI with the pack in it; `load` makes one with other nodes."""
    stand_in = _stand_in()
    progress = stand_in.Progress()
    for name, module in stand_in.modules(progress).items():
        monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    loaded = []

    def load(registry: Any = REGISTRY) -> Any:
        folder = tmp_path / "custom_nodes" / f"relume{len(loaded)}"
        folder.mkdir(parents=True)
        for name, content in source(registry).items():
            (folder / name).write_bytes(content)
        loaded.append(stand_in.Comfy(folder))
        return loaded[-1]

    made = load()
    yield SimpleNamespace(
        run=made.run, nodes=made.nodes, part=made.part, progress=progress, load=load,
        Interrupted=stand_in.Interrupted,
    )  # fmt: skip
    for each in loaded:
        each.part("rendering").worker.close()
    for name in set(sys.modules) - before:
        if "custom_nodes" in name:
            del sys.modules[name]
