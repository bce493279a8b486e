"""Fixtures of the command's tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.image import Image
from relume.media.write import write


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
