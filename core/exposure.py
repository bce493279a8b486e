"""The exposure anchor: one gain a shot, so that networks always see about the same brightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relume.image import Image

GREY = 0.18
"""Scene-linear value the geometric mean is moved to."""

LUMINANCE = (0.2722287, 0.6740818, 0.0536895)
"""Weights of R, G, B in ACEScg (AP1), the second row of its matrix to XYZ."""

_FLOOR = 1e-3
"""Pixels below this share of the bright ones are lens caps and letterboxes, not exposure."""


def measure_anchor(image: Image) -> float:
    """Return the gain in stops that brings a plate's geometric mean luminance to 18 % grey.

    Args:
        image: the whole plate, R, G, B in the working space, scene-linear.

    Returns:
        Stops; 0 for a plate that has no light in it.
    """
    return anchor_of(image.rgb)


def anchor_of(rgb: NDArray[np.float32]) -> float:
    """Return the anchor of H×W×3 scene-linear ACEScg pixels, see `measure_anchor`."""
    luminance = rgb.reshape(-1, 3).astype(np.float64) @ np.array(LUMINANCE)
    luminance = luminance[np.isfinite(luminance)]
    if not luminance.size:
        return 0.0
    lit = luminance[luminance > max(_FLOOR * float(np.percentile(luminance, 99.0)), 1e-8)]
    if not lit.size:
        return 0.0
    return float(np.log2(GREY) - np.mean(np.log2(lit)))
