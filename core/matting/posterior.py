"""Alpha of single pixels from the colours on both sides, as the median of what is probable."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

PAIRS = tuple(combinations_with_replacement(range(3), 2))
"""Channels of the six numbers of a symmetric 3×3 matrix: rr, rg, rb, gg, gb, bb."""

_DOUBTED = 0.15
"""Least probability that such a pixel is what the network says it is not."""

PRIOR = 0.3
"""How far alpha of the others is believed to lie from the network's, unless told otherwise."""

_STRANGE = 0.01
"""Probability that a subject's pixel looks like nothing near it."""


class Probable(NamedTuple):
    """What is probable of N pixels.

    Attributes:
        alpha: N, 0 to 1: the median.
        ends: 2×N: how probable it is that a pixel is wholly background, and wholly the subject.
    """

    alpha: F32
    ends: F32


def probable_alpha(
    plate: F32,
    clean: F32,
    mean: F32,
    spread: F32,
    noise: F32,
    prior: F32,
    ends: F32,
    *,
    behind: F32 | None = None,
    doubt: float = PRIOR,
    steps: int = 17,
) -> Probable:
    """Return the alpha that is too much as probably as too little.

    Of alpha, I = αF + (1 − α)B + noise with F normally distributed around what the subject looks
    like nearby, so that I is normal with mean αF̄ + (1 − α)B and covariance α²Σ + σ²; a strange F
    has a covariance as wide as the picture is bright. A background that is not known but guessed
    from what is near adds (1 − α)² of its own covariance. The prior has points at 0 and 1 and a
    normal distribution around the network's alpha. The posterior is summed up on a grid; its
    median has the least expected absolute error.

    Source: Chuang et al. 2001, A Bayesian approach to digital matting, section 3: F as a normal
    distribution from near pixels. Deviations: B is known; F is integrated out rather than
    estimated, which keeps the texture of hair from passing for transparency; the median.

    Args:
        plate: N×3 scene-linear.
        clean: N×3 likewise, B.
        mean: N×3, F̄.
        spread: N×6, Σ in the order of `PAIRS`.
        noise: N×3 standard deviations.
        prior: N, the network's alpha.
        ends: 2×N, how probable alphas of 0 and of 1 are before the pixel is looked at.
        behind: N×6, covariance of B; None where it is known.
        doubt: standard deviation of alpha around the prior.
        steps: of the grid.
    """
    # Highlights squared and multiplied would leave the range of float32.
    scale = levels(plate, clean)
    near, back, front = (x / scale[:, None] for x in (plate, clean, mean))
    square = (scale * scale)[:, None]
    between, strange = spread / square, np.array([[np.float32(i == j) for i, j in PAIRS]])
    # One row where it is the same for all pixels.
    beyond = np.zeros((1, len(PAIRS)), np.float32) if behind is None else behind / square
    floor = (noise / scale[:, None]) ** 2 + np.float32(1e-7)
    grid = np.linspace(0.0, 1.0, steps, dtype=np.float32)
    found = np.empty((steps, len(plate)), np.float32)
    for k, alpha in enumerate(grid):
        away = near - alpha * front - (1 - alpha) * back
        other = (1 - alpha) ** 2 * beyond
        found[k] = np.logaddexp(
            np.float32(np.log(1 - _STRANGE)) + _log_normal(away, alpha**2 * between + other, floor),
            np.float32(np.log(_STRANGE)) + _log_normal(away, alpha**2 * strange + other, floor),
        )
    found += np.log(_prior(prior, ends, grid, doubt))
    found -= found.max(0)
    np.exp(found, out=found)
    return Probable(_median(found, grid), found[[0, -1]] / found.sum(0))


def levels(plate: F32, clean: F32) -> F32:
    """Return N: how bright N×3 pixels are, of the plate or of what is behind."""
    brighter = np.maximum(np.abs(plate).mean(-1), np.abs(clean).mean(-1))
    return np.asarray(brighter + np.float32(1e-3), np.float32)


def likely_ends(alpha: F32, sure: float) -> F32:
    """Return 2×N: how probable it is by the network that a pixel's alpha is 0, and that it is 1.

    Args:
        alpha: N, the network's.
        sure: share of the pixels that are wholly one or the other, even among hair.
    """
    whole = np.float32(_DOUBTED) + np.float32(1 - 2 * _DOUBTED) * np.clip(alpha, 0, 1)
    return np.asarray(sure * np.stack((1 - whole, whole)), np.float32)


def _log_normal(away: F32, spread: F32, floor: F32) -> F32:
    """Return the log density, but for a constant, of N×3 under covariances N×6 plus a diagonal.

    By factors LDLᵀ in float64: the subject may be far brighter than the noise, of one colour.
    """
    xx, xy, xz, yy, yz, zz = (spread[:, k].astype(np.float64) for k in range(6))
    first = xx + floor[:, 0]
    by, bz = xy / first, xz / first
    second = yy - by * xy + floor[:, 1]
    between = yz - by * xz
    c = between / second
    third = zz - bz * xz - c * between + floor[:, 2]
    # A covariance summed up in float32 may fall short of one by its rounding.
    second, third = np.maximum(second, floor[:, 1]), np.maximum(third, floor[:, 2])
    x, y, z = away.T.astype(np.float64)
    y = y - by * x
    z = z - bz * x - c * y
    square = x * x / first + y * y / second + z * z / third
    return np.asarray(-0.5 * (square + np.log(first * second * third)), np.float32)


def _prior(alpha: F32, ends: F32, grid: F32, doubt: float) -> F32:
    """Return K×N probabilities of the grid's values."""
    out = np.exp(-0.5 * ((grid[:, None] - alpha) / np.float32(doubt)) ** 2)
    out[[0, -1]] = 0
    out *= (1 - ends.sum(0)) / out.sum(0)
    out[[0, -1]] = ends
    return np.asarray(np.maximum(out, 1e-12), np.float32)


def _median(weight: F32, grid: F32) -> F32:
    """Return the median of K×N weights: points at the ends of the grid, cells between."""
    total = np.cumsum(weight, 0)
    half = 0.5 * total[-1]
    k = (total < half).sum(0).clip(0, len(grid) - 1)
    inside = np.take_along_axis(weight, k[None], 0)[0]
    before = np.take_along_axis(total, k[None], 0)[0] - inside
    part = (half - before) / np.maximum(inside, 1e-9) - 0.5
    end = (k == 0) | (k == len(grid) - 1)
    out = grid[k] + np.where(end, 0, part / (len(grid) - 1))
    return np.asarray(np.clip(out, 0.0, 1.0), np.float32)
