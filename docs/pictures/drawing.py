"""What the pictures share: linear colours on a screen, and JPEGs of a limited size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

F32 = NDArray[np.float32]

TO_SCREEN = np.array(
    [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]],
    np.float32,
)
"""ACEScg to linear Rec. 709."""


def srgb(light: F32) -> F32:
    """Return linear Rec. 709 as sRGB encodes it."""
    return np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def write_jpeg(image: oiio.ImageBuf, path: Path, most: int) -> None:
    """Write a JPEG at the best quality that keeps it below a size; end the script where none does.

    Args:
        image: R, G, B, encoded.
        path: where to.
        most: bytes.
    """
    for quality in range(92, 40, -4):
        image.specmod().attribute("Compression", f"jpeg:{quality}")
        if not image.write(str(path)):
            raise SystemExit(image.geterror() or oiio.geterror())
        if path.stat().st_size <= most:
            return
    raise SystemExit(f"{path} is larger than {most} bytes at any quality.")
