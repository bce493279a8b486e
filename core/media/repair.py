"""Not-finite pixels: mend a few, refuse a frame of nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relume.image import Pixels

HALF_MAX = 65504.0
"""The largest finite half float; stands for an infinite sun."""

_AROUND = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))


def not_finite(pixels: Pixels) -> NDArray[np.bool_] | None:
    """Return where values are NaN or infinite, H×W×C, or None where none is."""
    # A sum is not finite if any term is not; testing it costs half of testing every value.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(pixels.sum(dtype=np.float32)):
            return None
    bad = ~np.isfinite(pixels)
    return bad if bad.any() else None


def repair(pixels: Pixels, bad: NDArray[np.bool_]) -> tuple[Pixels, int]:
    """Fill values that are not finite with the mean of their finite neighbours.

    Each value takes the mean over the 3×3 pixels around it in its own channel; larger holes fill
    inwards ring by ring. The result depends on nothing but the picture.

    Args:
        pixels: H×W×C float32.
        bad: where to fill, H×W×C; in every channel something must remain to fill from, or the
            channel becomes 0.

    Returns:
        New pixels, every value finite, and how many pixels were touched.
    """
    mended = np.where(bad, np.float32(0.0), pixels)
    for channel in range(pixels.shape[2]):
        hole = bad[:, :, channel]
        if hole.any() and not hole.all():
            _fill(mended[:, :, channel], hole)
    return mended, int(bad.any(axis=2).sum())


def _fill(plane: NDArray[np.float32], hole: NDArray[np.bool_]) -> None:
    """Fill a plane in place, one ring of the holes at a time."""
    height, width = plane.shape
    # One pixel of margin, so that neighbours need no test against the border.
    known = np.zeros((height + 2, width + 2), bool)
    known[1:-1, 1:-1] = ~hole
    padded = np.zeros((height + 2, width + 2), np.float64)
    padded[1:-1, 1:-1] = plane
    steps = np.array([dy * (width + 2) + dx for dy, dx in _AROUND])
    inside = np.zeros_like(known)
    inside[1:-1, 1:-1] = True
    flat_known, flat_value, flat_inside = known.ravel(), padded.ravel(), inside.ravel()
    todo = np.flatnonzero(flat_inside & ~flat_known)
    ring = todo[flat_known[todo[:, None] + steps].any(axis=1)]
    while ring.size:
        around = ring[:, None] + steps
        weight = flat_known[around]
        flat_value[ring] = (flat_value[around] * weight).sum(axis=1) / weight.sum(axis=1)
        flat_known[ring] = True
        nearby = np.unique(around)
        ring = nearby[flat_inside[nearby] & ~flat_known[nearby]]
    plane[...] = padded[1:-1, 1:-1]
