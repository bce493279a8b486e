"""Frames that do not belong between their neighbours, and how much a pass flickers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_WINDOW = 5
_TIMES_USUAL = 6.0
"""How many times further than its neighbours a frame must be from what is expected of it."""

_TIMES_STEP = 3.0
"""And how many times the step from frame to frame, so that quick action is no fault."""

_LEAST = 0.004
"""The least that is a jump, in encoded light: about 2 % of the brightness of a grey."""


def jumps(pictures: Sequence[F32]) -> list[tuple[int, float]]:
    """Return the frames that stand out from their neighbours.

    What is expected of a frame is the median of the five around it: one or two wrong frames are
    far from it whatever their mean, and a cut, a lamp that is switched or steady motion is not. At
    the ends it may go on from the next two as well. How far is far is measured on the frames
    around, by their own distances and by their steps, the frame's own two steps left out.

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
    off = np.array([_distance(stack, at) for at in range(count)])
    found = []
    for at in range(count):
        near = np.arange(max(at - _WINDOW, 0), min(at + _WINDOW, count - 1))
        others = steps[near[(near != at - 1) & (near != at)]]
        around = off[max(at - _WINDOW, 0) : at + _WINDOW + 1]
        limit = max(
            _TIMES_USUAL * float(np.median(around)),
            _TIMES_STEP * float(np.median(others)),
            _LEAST,
        )
        if off[at] > limit:
            found.append((at, float(off[at] / limit)))
    return found


def _distance(stack: NDArray[np.float64], at: int) -> float:
    """Return how far a frame is from what its neighbours let expect."""
    count = len(stack)
    begin = min(max(at - _WINDOW // 2, 0), max(count - _WINDOW, 0))
    far = float(_size(stack[at] - np.median(stack[begin : begin + _WINDOW], axis=0)))
    for one, two in ((at + 1, at + 2), (at - 1, at - 2)):
        is_end = not _WINDOW // 2 <= at < count - _WINDOW // 2
        if is_end and 0 <= min(one, two) and max(one, two) < count:
            far = min(far, float(_size(stack[at] - (2.0 * stack[one] - stack[two]))))
    return far


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
