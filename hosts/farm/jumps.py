"""Frames that do not belong between their neighbours, and how much a pass flickers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_WINDOW = 5
_TIMES = 6.0
"""How many times the usual step from frame to frame is a jump."""

_LEAST = 0.004
"""The least that is a jump, in encoded light: about 2 % of the brightness of a grey."""


def jumps(pictures: Sequence[F32]) -> list[tuple[int, float]]:
    """Return the frames that stand out from their neighbours.

    Each frame is compared with the median of the five around it, so that one or two wrong frames
    stand out whatever their mean, and a cut, a lamp that is switched or steady motion does not.
    The measure is the step from frame to frame that is usual around it, its own two left out.

    Args:
        pictures: small encoded pictures of one shape, in the order of their frames.

    Returns:
        Position in the sequence, and how many times the limit it is off.
    """
    count = len(pictures)
    if count < 4:
        return []  # nothing says which of three is the odd one
    stack = np.stack(pictures).astype(np.float64)
    steps = _size(stack[1:] - stack[:-1])
    found = []
    for at in range(count):
        begin = min(max(at - _WINDOW // 2, 0), max(count - _WINDOW, 0))
        off = float(_size(stack[at] - np.median(stack[begin : begin + _WINDOW], axis=0)))
        near = np.arange(max(at - _WINDOW, 0), min(at + _WINDOW, count - 1))
        others = steps[near[(near != at - 1) & (near != at)]]
        limit = max(_TIMES * float(np.median(others)), _LEAST)
        if off > limit:
            found.append((at, off / limit))
    return found


def flicker(means: Sequence[Sequence[float]]) -> float:
    """Return how much the mean of a pass changes back and forth, as a share of its level.

    It is the root mean square of m[t] − (m[t−1] + m[t+1])/2, which a steady rise leaves at 0.

    Args:
        means: mean of each channel, frame by frame.
    """
    values = np.asarray(means, np.float64).mean(axis=1)
    level = float(np.abs(values).mean())
    if len(values) < 3 or level == 0.0 or not np.isfinite(values).all():
        return 0.0
    bends = values[1:-1] - (values[:-2] + values[2:]) / 2.0
    return float(np.sqrt(np.mean(bends**2)) / level)


def _size(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean square over rows, columns and channels."""
    return np.asarray(np.sqrt(np.mean(difference**2, axis=(-3, -2, -1))))
