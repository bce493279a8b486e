"""Small delivered sequences for the tests of the farm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.image import DATA, Image
from relume.media.sequence import path_at
from relume.media.write import write

FIRST = 1001
LAST = 1008


def timecode(frame: int, rate: int = 24) -> tuple[int, int]:
    """Pack the time code of a frame whose sequence begins at 01:00:00:20."""
    count = 3600 * rate + 20 + frame - FIRST
    fields = (count // rate // 3600, count // rate // 60 % 60, count // rate % 60, count % rate)
    word = 0
    for field in fields:
        word = word << 8 | (field // 10) << 4 | field % 10
    return word, 0


def layers_at(frame: int, width: int = 20, height: int = 12) -> dict[str, Image]:
    """Return a disc over nothing that grows slowly brighter, and its passes."""
    y, x = np.mgrid[:height, :width]
    inside = (x - 6.0) ** 2 + (y - 6.0) ** 2 < 16.0
    matte = inside.astype(np.float32)[:, :, None]
    gain = np.float32(1.0 + 0.01 * (frame - FIRST))
    colour = matte * gain * np.array([0.5, 0.4, 1.5], np.float32)
    return {
        "rgba": Image(np.concatenate([colour, matte], 2), tuple("RGBA"), alpha="premultiplied"),
        "relit": Image(colour, tuple("RGB")),
        "matte": Image(matte, ("A",), colour=DATA),
    }


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[..., str]:
    """Write frames of a sequence and return its name.

    Keywords: `folder`, `frames`, `change` (frame, layers → layers), `meta` (frame → attributes),
    and whatever `relume.media.write.write` takes.
    """

    def make(
        folder: str = "renders",
        frames: range = range(FIRST, LAST + 1),
        change: Callable[[int, dict[str, Image]], dict[str, Image]] | None = None,
        meta: Callable[[int], dict[str, Any]] = lambda frame: {},
        **kwargs: Any,
    ) -> str:
        pattern = str(tmp_path / folder / "relit.####.exr")
        for frame in frames:
            layers = layers_at(frame)
            if change:
                layers = change(frame, layers)
            attributes = {
                "smpte:TimeCode": ("timecode", timecode(frame)),
                "FramesPerSecond": ("rational", (24, 1)),
            } | meta(frame)
            kept = {name: value for name, value in attributes.items() if value is not None}
            options = {"fingerprint": f"{frame:040x}", "overwrite": True} | kwargs
            write(path_at(pattern, frame), layers, metadata=kept, **options)
        return pattern

    return make
