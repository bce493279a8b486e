"""Bring a clean plate to a plate's exposure, and say how well the two then agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import eye_array
from scipy.sparse.linalg import spsolve

from relume.encoding import encode
from relume.matting.planes import planar
from relume.matting.robust import F32, F64, biweight, shrink
from relume.matting.warp import basis, stiffness

if TYPE_CHECKING:
    from torch import Tensor

FIELD = 6
"""Cells of the field of gains along the long side, for light that has drifted."""

_ROUNDS = 8


def explained(plate: F32, clean_plate: F32, anchor: float, seen: Tensor) -> float:
    """Return the share of the background that a clean plate shows, to within noise and a shadow.

    Args:
        plate: H×W×3 scene-linear.
        clean_plate: H×W×3, in register with it.
        anchor: stops to add before pictures are compared.
        seen: 1×1×H×W, 0 where the plate shows the subject; a close-up is no worse a match.
    """
    import torch

    gain = 2.0**anchor
    small = [
        shrink(planar(picture) * gain, 256)[0].permute(1, 2, 0).numpy()
        for picture in (plate, clean_plate)
    ]
    with torch.inference_mode():
        distance = np.abs(encode(small[0]) - encode(small[1])).max(-1)
        behind = shrink(seen, 256)[0, 0].numpy() > 0.5
    alike = distance < 0.04
    return float(alike[behind].mean() if behind.any() else alike.mean())


def match_clean_plate(plate: F32, clean: F32, anchor: float, seen: Tensor) -> tuple[F32, F64]:
    """Return the clean plate at the plate's exposure, and its mean gains.

    A gain and a bias per channel over the whole picture, then a smooth field of gains, for light
    that has drifted and for soft shadows.

    Args:
        plate: H×W×3 scene-linear.
        clean: H×W×3, in register with it.
        anchor: stops to add before pictures are compared.
        seen: 1×1×H×W, 0 where the plate shows the subject.
    """
    height, width = plate.shape[:2]
    exposure = 2.0**anchor
    goal, now = (
        shrink(planar(picture) * exposure, 192)[0].permute(1, 2, 0).numpy().astype(np.float64)
        for picture in (plate, clean)
    )
    may = shrink(seen, 192)[0, 0].numpy().astype(np.float64)
    slopes, biases = _lines(goal, now, may)
    now = now * slopes + biases
    rows, columns = (
        max(2, round(FIELD * side / max(height, width)) + 1) for side in plate.shape[:2]
    )
    weights = basis(goal.shape[0], goal.shape[1], rows, columns)
    stiff = stiffness(rows, columns) + 0.02 * eye_array(rows * columns)
    # Ratios mean nothing where it is dark.
    lit = (np.clip(now.mean(-1) / 0.02, 0.0, 1.0) * may).ravel()
    ratio = np.log(np.maximum(goal, 1e-4) / np.maximum(now, 1e-4)).mean(-1).ravel()
    field = np.zeros(rows * columns)
    for _ in range(_ROUNDS):
        # A relative change r moves the encoding by about r / 6 at middle grey and above.
        weight, _ = biweight((ratio - weights @ field) / 6.0, lit)
        system = weights.T @ (weights * weight[:, None])
        held = float(system.trace()) / len(field) * stiff + 1e-6 * eye_array(len(field))
        field = spsolve((system + held).tocsc(), weights.T @ (weight * ratio))
    smooth = np.exp(basis(height, width, rows, columns) @ field).reshape(height, width, 1)
    pixels = (clean * slopes + biases / exposure) * smooth
    return pixels.astype(np.float32), slopes * float(smooth.mean())


def _lines(goal: F64, now: F64, may: F64) -> tuple[F64, F64]:
    """Return slope and bias of each channel, by robust regression, near 1 and 0 if in doubt."""
    slopes, biases = np.ones(3), np.zeros(3)
    for _ in range(_ROUNDS):
        fitted = now * slopes + biases
        apart = (_encoded(goal) - _encoded(fitted)).reshape(-1, 3)
        # One channel that disagrees is enough to show that something else is there.
        worst = np.take_along_axis(apart, np.abs(apart).argmax(-1)[:, None], 1)[:, 0]
        weight = biweight(worst, may.ravel())[0]
        # Noise grows about as the encoding flattens.
        steep = 1.0 / (1.0 + 16.0 * np.abs(fitted.reshape(-1, 3)))
        for channel in range(3):
            w = weight * steep[:, channel] ** 2
            x, y = now[..., channel].ravel(), goal[..., channel].ravel()
            prior = 1e-4 * max(float(w.sum()), 1e-9)
            square, sum_x = float((w * x * x).sum()) + prior, float((w * x).sum())
            matrix = np.array([[square, sum_x], [sum_x, float(w.sum()) * 1.1 + prior]])
            right = np.array([float((w * x * y).sum()) + prior, float((w * y).sum())])
            slopes[channel], biases[channel] = np.linalg.solve(matrix, right)
    return np.clip(slopes, 0.5, 2.0), np.clip(biases, -0.02, 0.02)


def _encoded(values: F64) -> F64:
    return np.asarray(encode(values.astype(np.float32)), np.float64)
