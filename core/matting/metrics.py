"""How far a matte is from the truth, as the matting literature measures it.

Source: Rhemann et al. 2009, A Perceptually Motivated Online Benchmark for Image Matting (Grad and
Conn), in the scales that papers print. Grad does not stretch either matte to [0, 1] first, as some
scripts do: that would hide a matte at half gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MatteError:
    """Differences of one matte from the truth.

    Attributes:
        sad: Σ|α − α*| / 1000; grows with the picture.
        mad: mean |α − α*| × 1000.
        mse: mean (α − α*)² × 1000.
        grad: Σ(|∇α| − |∇α*|)² / 1000; grows with the picture.
        conn: Σ|φ − φ*| / 1000; grows with the picture.
    """

    sad: float
    mad: float
    mse: float
    grad: float
    conn: float


def matte_error(
    alpha: NDArray[np.floating],
    truth: NDArray[np.floating],
    region: NDArray[np.bool_] | None = None,
) -> MatteError:
    """Measure a matte.

    Args:
        alpha: H×W, 0 to 1.
        truth: H×W, 0 to 1.
        region: pixels that count, such as the unknown ones of a trimap; all by default.

    Raises:
        UsageError: the sizes differ or the region is empty.
    """
    if alpha.shape != truth.shape or alpha.ndim != 2:
        raise UsageError(
            f"a matte of shape {alpha.shape} cannot be compared with one of {truth.shape}"
        )
    a, t = alpha.astype(np.float64), truth.astype(np.float64)
    where = np.ones(a.shape, bool) if region is None else region
    count = int(np.count_nonzero(where))
    if not count:
        raise UsageError("the region to measure a matte in is empty")
    size = np.abs(a - t)[where]
    slope = (gradient_magnitude(a) - gradient_magnitude(t))[where]
    joined = np.abs(connectedness(a, t) - connectedness(t, a))[where]
    total = float(size.sum())
    return MatteError(
        sad=total / 1e3,
        mad=total / count * 1e3,
        mse=float((size**2).sum()) / count * 1e3,
        grad=float((slope**2).sum()) / 1e3,
        conn=float(joined.sum()) / 1e3,
    )


def gradient_magnitude(alpha: F64, sigma: float = 1.4) -> F64:
    """Return |∇α|: first derivatives of a Gaussian, kernels of unit L2 norm, edges replicated."""
    from scipy import ndimage

    cut = 1e-2
    half = math.ceil(sigma * math.sqrt(-2.0 * math.log(math.sqrt(2.0 * math.pi) * sigma * cut)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (x / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
    slope = -x * smooth / sigma**2
    # The kernel is an outer product, so its norm is the product of the two norms.
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)

    def along(axis: int) -> F64:
        out: F64 = ndimage.convolve1d(alpha, slope, axis=axis, mode="nearest")
        out = ndimage.convolve1d(out, smooth, axis=1 - axis, mode="nearest")
        return out

    return np.hypot(along(0), along(1))


def connectedness(alpha: F64, other: F64) -> F64:
    """Return φ(α): how far each pixel hangs together with the body that both mattes share.

    The body at a threshold is the largest 4-connected component of the pixels at or above it in
    both; a pixel's level is the highest threshold at which it is still in the body.

    Args:
        alpha: H×W, the matte to describe.
        other: H×W, the matte it is compared with.
    """
    from scipy import ndimage

    both = np.minimum(alpha, other)
    level = np.full(alpha.shape, -1.0)
    steps = np.arange(11) / 10.0
    for previous, threshold in pairwise(steps):
        parts, count = ndimage.label(both >= threshold)
        body = np.zeros(alpha.shape, bool)
        if count:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            body = parts == int(np.argmax(sizes))
        level[(level == -1.0) & ~body] = previous
    level[level == -1.0] = 1.0
    distance = alpha - level
    phi: F64 = 1.0 - distance * (distance >= 0.15)
    return phi


def change_error(
    alpha: NDArray[np.floating],
    truth: NDArray[np.floating],
    alpha_before: NDArray[np.floating],
    truth_before: NDArray[np.floating],
    region: NDArray[np.bool_] | None = None,
) -> float:
    """Return dtSSD × 100 of a pair of frames: how differently a matte changes than the truth.

    Source: Erofeev et al. 2015, Perceptually Motivated Benchmark for Video Matting, in the form
    papers print: √mean((α_t − α_t₋₁) − (α*_t − α*_t₋₁))².

    Args:
        alpha: H×W, a frame of the matte.
        truth: H×W, the same frame of the truth.
        alpha_before: H×W, the frame before.
        truth_before: H×W.
        region: pixels that count; all by default.

    Raises:
        UsageError: the sizes differ or the region is empty.
    """
    shapes = {matte.shape for matte in (alpha, truth, alpha_before, truth_before)}
    if len(shapes) > 1 or alpha.ndim != 2:
        raise UsageError("two frames of mattes of different sizes cannot be compared")
    wanted = truth.astype(np.float64) - truth_before
    change = alpha.astype(np.float64) - alpha_before - wanted
    if region is not None:
        change = change[region]
    if not change.size:
        raise UsageError("the region to measure a matte in is empty")
    return math.sqrt(float(np.square(change).mean())) * 100.0


def temporal_error(mattes: NDArray[np.floating], truths: NDArray[np.floating]) -> float:
    """Return dtSSD × 100 of a shot: that of every pair, averaged with 0 for the first frame.

    Args:
        mattes: T×H×W.
        truths: T×H×W.

    Raises:
        UsageError: the shapes differ.
    """
    if mattes.shape != truths.shape or mattes.ndim != 3:
        raise UsageError(f"mattes of shape {mattes.shape} cannot be compared with {truths.shape}")
    pairs = zip(pairwise(mattes), pairwise(truths), strict=True)
    return sum(change_error(a, t, b, s) for (b, a), (s, t) in pairs) / len(mattes)
