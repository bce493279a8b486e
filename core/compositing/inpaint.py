"""Filling what a picture does not show from what is around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def fill(pixels: F32, known: F32) -> F32:
    """Fill a picture where it is not known, smoothly and from as near as possible.

    Source: Gortler et al. 1996, The Lumigraph, section 3.4.2: averages of the known pixels are
    pulled up a pyramid, and what is missing is pushed down from level to level.

    Args:
        pixels: H×W×C, unbounded.
        known: H×W, from 0 (of no use) to 1 (kept as it is).

    Returns:
        H×W×C; the picture itself where nothing is known at all.
    """
    if not known.any():
        return pixels
    return _filled(pixels, known[:, :, None])


def _filled(pixels: F32, known: F32) -> F32:
    height, width = known.shape[:2]
    if height == width == 1 or bool((known >= 1).all()):
        return pixels
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    weight: F32 = np.pad(known, odd)
    total = _quarter(weight)
    mean: F32 = _quarter(np.pad(pixels, odd) * weight)
    mean /= np.where(total > 0, total, np.float32(1))
    share: F32 = np.minimum(total, np.float32(1))
    coarse = _filled(mean, share)
    return np.asarray(known * pixels + (1 - known) * _doubled(coarse)[:height, :width])


def _quarter(x: F32) -> F32:
    """Return the sums of 2×2 pixels."""
    return np.asarray(x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2])


def _doubled(x: F32) -> F32:
    """Return twice the size, bilinear between pixel centres."""
    for axis in (0, 1):
        moved = np.moveaxis(x, axis, 0)
        before, after = (
            np.concatenate((moved[:1], moved[:-1])),
            np.concatenate((moved[1:], moved[-1:])),
        )
        out = np.empty((2 * len(moved), *moved.shape[1:]), np.float32)
        out[::2] = np.float32(0.75) * moved + np.float32(0.25) * before
        out[1::2] = np.float32(0.75) * moved + np.float32(0.25) * after
        x = np.moveaxis(out, 0, axis)
    return x
