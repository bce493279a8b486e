"""A small subject with every kind of coefficient, lights to shade it with, and its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relume.image import DATA, Image
from relume.media.write import write
from relume.shading.phong import phong_transport
from relume.shading.transport_file import pack
from relume.shading.types import EXPONENTS, HARMONICS, Transport

RGB = ("R", "G", "B")
SIZE = 72, 96


def ball(seed: int = 3) -> Transport:
    """Return a ball off the middle, its weights smooth and everywhere different."""
    height, width = SIZE
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:height, 0:width]
    x, y = (column - 40.0) / 30, (34.0 - row) / 30
    inside = x * x + y * y < 0.98
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    alpha = np.clip((0.99 - np.hypot(x, y)) * 12, 0, 1) * inside
    normals = np.where(inside[..., None], np.dstack((x, y, z)), 0)
    colour = 0.15 + 0.5 * rng.random((9, 12, 3)).repeat(8, 0).repeat(8, 1)
    base = phong_transport(
        foreground=Image(np.float32(0.6 * colour + 0.05), RGB),
        matte=Image(np.float32(alpha), ("A",), colour=DATA),
        normals=Image(np.float32(normals), ("X", "Y", "Z"), colour=DATA),
        albedo=Image(np.float32(colour), RGB),
    )
    count = len(base.index)
    wave = np.linspace(0, 9, count)
    return replace(
        base,
        diffuse=np.float32(0.7 + 0.2 * np.sin(wave)),
        specular=np.float32([0.05 + 0.04 * np.sin(wave + k) for k in range(len(EXPONENTS))]),
        residual=np.float32([0.05 * np.cos(wave * (1 + k / 9)) for k in range(HARMONICS)]),
    )


@pytest.fixture(scope="session")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transport and its background, a sequence, and an environment elsewhere."""
    folder = tmp_path_factory.mktemp("show")
    write(folder / "still.exr", pack(ball()))
    for frame in (1001, 1002, 1004):
        write(folder / f"shot.{frame}.exr", pack(ball(frame)))
    height, width = SIZE
    ramp = np.linspace(0.02, 0.9, width, dtype=np.float32)
    rows = np.stack(np.broadcast_arrays(ramp, ramp[::-1], np.float32(0.2)), -1)
    behind = np.tile(rows, (height, 1, 1))
    write(folder / "behind.exr", {"rgba": Image(behind, RGB)})
    (folder / "hdri").mkdir()
    write(folder / "hdri" / "sun.exr", {"rgba": environment()}, depth="float")
    return folder


def environment() -> Image:
    """Return a lat-long environment with a small sun, a sky and a ground."""
    pixels = np.full((64, 128, 3), 0.05, np.float32)
    pixels[:32] = (0.25, 0.35, 0.55)
    pixels[20:24, 30:34] = (90.0, 70.0, 45.0)
    return Image(pixels, RGB)
