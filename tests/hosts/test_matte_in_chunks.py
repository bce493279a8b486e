"""Temporal mattes are those of the shot, however it is cut into chunks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from relume.hosts.cli import main

FRAMES = range(1001, 1007)
CUTS = {"chunks of 3": 3, "chunks of 1": 1}


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six noisy frames of a portrait that drifts; its matte is pulled, so it must look like one."""
    from skimage import data

    folder = tmp_path_factory.mktemp("plates")
    photograph = (data.astronaut().astype(np.float32) / 255.0) ** 2.2
    small = photograph.reshape(128, 4, 128, 4, 3).mean((1, 3))
    rng = np.random.default_rng(3)
    for frame in FRAMES:
        shift = frame - 1001
        pixels = small[:120, shift : 120 + shift]
        pixels = pixels + rng.normal(0.0, 0.01, pixels.shape)
        spec = oiio.ImageSpec(120, 120, 3, "float")
        image = oiio.ImageBuf(spec)
        image.set_pixels(oiio.ROI(), pixels.astype(np.float32))
        assert image.write(str(folder / f"plate.{frame}.exr"))
    return folder


def rendered(plates: Path, out: Path, chunk: int) -> list[str]:
    """Return the digests of the mattes, rendered `chunk` frames a run, the last run first."""
    for first in reversed(range(FRAMES[0], FRAMES[-1] + 1, chunk)):
        frames = f"{first}-{first + chunk - 1}"
        given = ["matte", str(plates / "plate.####.exr"), "--out", str(out / "matte.####.exr")]
        given += ["--steady", "--shot", "1001-1006", "--frames", frames]
        code = main([*given, "--passes", "matte", "--depth", "float"])
        assert code == 0
    digests = []
    for frame in FRAMES:
        pixels = oiio.ImageBuf(str(out / f"matte.{frame}.exr")).get_pixels(oiio.FLOAT)
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
    return digests


@pytest.fixture(scope="module")
def whole(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return rendered(plates, tmp_path_factory.mktemp("whole"), len(FRAMES))


@pytest.mark.parametrize("cut", CUTS)
def test_chunks_and_order_change_no_bit(
    plates: Path, whole: list[str], tmp_path: Path, cut: str
) -> None:
    assert len(set(whole)) == len(FRAMES), "every frame has its own matte"
    assert rendered(plates, tmp_path, CUTS[cut]) == whole
