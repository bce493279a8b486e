"""What aligning and matching pictures share: robust weights and pictures made small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.matting.planes import resized

if TYPE_CHECKING:
    from torch import Tensor

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_TUKEY = 4.685
"""Residuals beyond this many standard deviations are given no weight at all."""

_FLOOR = 2e-3
"""Least spread of residuals in encoded units: a noiseless picture must not reject rounding."""

_SCALE = 0.05
"""Encoded difference at which a residual counts as unexplained in the cost."""


def biweight(residual: F64, seen: F64) -> tuple[F64, float]:
    """Return Tukey's weights of residuals, and their robust cost.

    Source: Beaton and Tukey 1974. The cost is judged at a fixed scale, as at its own scale a wrong
    move with large residuals would look well.

    Args:
        residual: N, in the networks' encoding; infinite where nothing is known.
        seen: N, 0 to 1: how much each may count.
    """
    known = np.isfinite(residual)
    weight = np.zeros_like(residual)
    counted = known & (seen > 0.5)
    if not counted.any():
        return weight, 1.0
    # Something unseen may fill half the picture, so the spread is that of the best third.
    spread = max(float(np.quantile(np.abs(residual[counted]), 0.33)) / 0.426, _FLOOR)
    u = np.minimum(np.abs(residual[known]) / (_TUKEY * spread), 1.0)
    weight[known] = (1.0 - u * u) ** 2 * seen[known]
    v = np.minimum(np.where(known, np.abs(residual), np.inf) / _SCALE, 1.0)
    return weight, float(((1.0 - (1.0 - v * v) ** 3) * seen).sum() / seen.sum())


def shrink(picture: Tensor, long: int) -> Tensor:
    """Return 1×C×H×W with a long side of at most `long`, averaged by area."""
    height, width = picture.shape[2:]
    scale = min(1.0, long / max(height, width))
    if scale == 1.0:
        return picture
    return resized(picture, max(2, round(height * scale)), max(2, round(width * scale)))
