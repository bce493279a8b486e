"""What a network is told of a picture in order to guess the light that the picture does not show.

No picture but numbers: how colours lie in it on a coarse grid, how its brightness is distributed,
how much is clipped, and how the camera looked. So few numbers are needed because so few
environments exist to learn from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.exposure import LUMINANCE, anchor_of
from relume.light.seen import View, is_burnt

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ROWS, COLUMNS = 4, 6
"""Cells of the grid on which colours are told."""

FINE = 8
"""A cell's samples along each side, over which brightness is counted."""

FLOOR = 2.0**-8
"""Added before logarithms, in units of the exposure anchor: five stops under middle grey."""

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)

COUNT = ROWS * COLUMNS * 4 + len(PERCENTILES) + 10
"""How many clues there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Clues:
    """What a network is told.

    Attributes:
        values: `COUNT` numbers, float32.
        gain: factor that brings the picture to middle grey.
        mean: log₂ of the mean R, G, B after that gain: the network answers relative to it.
    """

    values: F32
    gain: float
    mean: F32


def shrink(pixels: F32, rows: int, columns: int) -> F32:
    """Return H×W×C pixels averaged by area onto a grid of any shape."""
    across = np.einsum("xw,hwc->hxc", _shares(pixels.shape[1], columns), pixels, optimize=True)
    down = np.einsum("yh,hxc->yxc", _shares(pixels.shape[0], rows), across, optimize=True)
    return np.asarray(down, np.float32)


def clues_of(pixels: F32, view: View, pitch: float, clip: float = math.inf) -> Clues | None:
    """Return what a picture tells, or None for one without light.

    Args:
        pixels: H×W×3 scene-linear ACEScg.
        view: how it was taken.
        pitch: degrees that the camera looks above the horizon.
        clip: value from which pixels count as clipped.
    """
    fine = (ROWS * FINE, COLUMNS * FINE)
    small = np.maximum(shrink(pixels, *fine), 0.0)
    burnt = shrink(is_burnt(pixels, clip)[..., None].astype(np.float32), *fine)[..., 0]
    lit = small.astype(np.float64) @ np.asarray(LUMINANCE)
    if not lit.max() > 0:
        return None
    gain = 2.0 ** anchor_of(small)
    small, lit = small * np.float32(gain), np.log2(lit * gain + FLOOR)
    mean = np.log2(small.mean(axis=(0, 1), dtype=np.float64) + FLOOR)
    grey = mean.mean()
    cells = np.log2(shrink(small, ROWS, COLUMNS).astype(np.float64) + FLOOR) - mean
    left, right, bottom, top = (math.degrees(math.atan(side)) for side in view.sides)
    share = float(burnt.mean())
    values = (
        *cells.ravel(),
        *shrink(burnt[..., None], ROWS, COLUMNS).ravel(),
        *(np.percentile(lit, PERCENTILES) - grey),
        lit.std(),
        share,
        math.sqrt(max(share, 0.0)),
        (right - left) / 60.0,
        (top - bottom) / 35.0,
        pitch / 10.0,
        *(mean - grey),
        grey,
    )
    return Clues(np.asarray(values, np.float32), gain, mean.astype(np.float32))


def mirrored(pixels: F32) -> F32:
    """Return a picture as it is seen in a mirror."""
    return np.ascontiguousarray(pixels[:, ::-1])


def _shares(old: int, new: int) -> F32:
    """Return the share of each of `old` samples in the mean over each of `new` cells, new×old."""
    ends = np.linspace(0.0, old, new + 1)
    at = np.arange(old)
    inside = np.minimum(ends[1:, None], at + 1.0) - np.maximum(ends[:-1, None], at)
    return np.asarray(np.clip(inside, 0.0, None) * (new / old), np.float32)
