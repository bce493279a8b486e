"""Edges of a matte that follow the picture: a network knows where, the picture knows exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.matting.cascade import DOUBT
from relume.matting.planes import around

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
T = TypeVar("T")
R = TypeVar("R")

WIDE = 0.006
"""Of the long side: half the window. On the validation split it does better than 1 % and 3 %, which
carry mistakes far."""

LEAST = 5
"""Pixels that half the window is at least, however small the picture."""

NEAR = 0.25
"""Of that: how far beyond doubtful pixels alpha may change."""

SMOOTH = 1e-5
"""Variance of the encoded picture below which a window is too plain to tell the edge from."""

_ROWS = 128
"""Rows whose models are worked out at a time: what they need fits a processor's cache."""

SNAP = 0.03
"""What comes out this near 0 or 1 is 0 or 1: a local model leaves a haze otherwise."""


def guided_edges(picture: F32, alpha: F32, encoded: Callable[[F32], F32] = np.asarray) -> F32:
    """Return a matte whose edges lie where the picture's do.

    In every window alpha is fitted as a linear function of colour, by least squares in which a
    sure pixel counts far more than a doubtful one; each pixel then averages the windows that hold
    it. That finds the edge; what is finer than a window is for `nearby_alpha`.

    Source: He, Sun and Tang 2013, Guided image filtering, section 3.5 (colour guide), equations 18
    to 20. Deviations: weights |2α − 1| + 0.02, so that the network's blur does not vote; only near
    doubtful pixels; values near 0 and 1 are snapped.

    Args:
        picture: H×W×3.
        alpha: H×W, 0 to 1.
        encoded: takes a part of the picture to the networks' encoding; the whole of it is seldom
            looked at.

    Returns:
        H×W, 0 to 1, equal to `alpha` away from its doubtful pixels.
    """
    radius = max(LEAST, round(WIDE * max(alpha.shape)))
    doubtful = (alpha > DOUBT[0]) & (alpha < DOUBT[1])
    near = ndimage.maximum_filter(doubtful, 2 * max(1, round(NEAR * radius)) + 1)
    box = around(near, 2 * radius)
    if box is None:
        return alpha
    low, high = SNAP, 1.0 - SNAP
    found = fitted(encoded(picture[box]), alpha[box], radius)
    snapped = np.clip((found - low) / (high - low), 0.0, 1.0)
    out = alpha.copy()
    out[box] = np.where(near[box], snapped, alpha[box])
    return out


def fitted(picture: F32, alpha: F32, radius: int) -> F32:
    """Return alpha as windows' linear models of colour see it, averaged; see `guided_edges`.

    Args:
        picture: H×W×3, in the networks' encoding.
        alpha: H×W, 0 to 1.
        radius: windows are 2·radius + 1 pixels wide.
    """
    # Variances are small differences of large sums.
    matte = alpha.astype(np.float64)
    weight = np.abs(2.0 * matte - 1.0) + 0.02
    colour = [picture[..., c].astype(np.float64) for c in range(3)]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    # Products of planes whose means are wanted.
    wanted: list[tuple[F64, ...]] = [(weight,), *((weight, c) for c in colour), (weight, matte)]
    wanted += [(weight, matte, c) for c in colour]
    wanted += [(weight, colour[i], colour[j]) for i, j in pairs]
    found = _means(wanted, radius)
    models = [np.empty(matte.shape) for _ in range(4)]

    def model(start: int) -> None:
        part = slice(start, start + _ROWS)
        total, *means = (each[part] for each in found)
        means = [each / total for each in means]
        middle, cover, mixed, squares = means[:3], means[3], means[4:7], means[7:]
        along = [each - m * cover for each, m in zip(mixed, middle, strict=True)]
        spread = {
            (i, j): each - middle[i] * middle[j]
            for (i, j), each in zip(pairs, squares, strict=True)
        }
        slopes = _solved(spread, along)
        offset = cover - np.sum([s * m for s, m in zip(slopes, middle, strict=True)], 0)
        for plane, each in zip(models, (*slopes, offset), strict=True):
            plane[part] = each

    _each(model, range(0, len(matte), _ROWS))
    *lines, rest = _means([(each,) for each in models], radius)
    picked = np.sum([s * c for s, c in zip(lines, colour, strict=True)], 0)
    return np.asarray(np.clip(picked + rest, 0.0, 1.0), np.float32)


def _means(products: list[tuple[F64, ...]], radius: int) -> list[F64]:
    """Return windows' means of products of planes."""

    def mean(factors: tuple[F64, ...]) -> F64:
        plane = factors[0]
        for factor in factors[1:]:
            plane = plane * factor
        out: F64 = ndimage.uniform_filter(plane, 2 * radius + 1, mode="nearest")
        return out

    return _each(mean, products)


def _each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what becomes of each item, on as many threads as torch may use."""
    import torch

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, items))


def _solved(spread: dict[tuple[int, int], F64], along: list[F64]) -> list[F64]:
    """Return the solution of the symmetric 3×3 systems by cofactors."""
    xx, yy, zz = (spread[i, i] + SMOOTH for i in range(3))
    xy, xz, yz = spread[0, 1], spread[0, 2], spread[1, 2]
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    scale = 1.0 / (xx * a + xy * b + xz * c)
    u, v, w = along
    return [
        (a * u + b * v + c * w) * scale,
        (b * u + d * v + e * w) * scale,
        (c * u + e * v + f * w) * scale,
    ]
