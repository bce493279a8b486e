"""Grain: how strong it is at each level, how coarse, and how alike in the three channels.

Measured where a picture is flat, and made again from a seed and the frame alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relume.compositing.alpha import premultiply, unpremultiply
from relume.image import Image

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

BLOCK = 16
"""Side of the blocks that are looked at."""

MOST = 1536
"""Blocks that are looked at; of a larger picture every second, third …."""

LEVELS = 12
"""Groups of blocks by brightness."""

FEWEST = 16
"""Blocks in a group, and flat blocks in all, below which nothing is measured."""

FLAT = 1.6
"""A block whose variance exceeds the flat ones' by this factor shows more than grain."""

REACH = 4
"""Pixels across which grain may be alike."""

COARSEST = 0.35
"""Likeness of pixels at that distance from which on it is no grain, but detail all over."""

WINDOW = 5
"""Side of the window in which a picture's own grain is told from its detail."""


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """The grain of a picture.

    Attributes:
        variance: 3×3, a row a channel: a, b, c of the variance a + b·x + c·x² at level x.
        top: 3 levels beyond which it stays as it is there.
        spatial: 3×(2·REACH + 1)² autocorrelation, 1 in the middle.
        channels: 3×3 correlation of R, G, B.
    """

    variance: F64
    top: F64
    spatial: F64
    channels: F64

    def strength(self, rgb: F32) -> F32:
        """Return the standard deviation of the grain at each value of …×3 straight pixels."""
        x = np.clip(rgb, 0, self.top.astype(np.float32))
        a, b, c = self.variance.T.astype(np.float32)
        return np.asarray(np.sqrt(a + x * (b + x * c)))


def measure_grain(image: Image) -> Grain | None:
    """Measure the grain of a picture in its flat parts.

    A quadratic surface is taken out of each block. Among blocks of like brightness the flat ones
    are those that vary about as little as the flattest; the others show detail.

    Args:
        image: R, G, B, scene-linear; with A, only what it covers wholly is measured.

    Returns:
        The grain, or None where there is none or too little of the picture is flat.
    """
    blocks = _blocks(image)
    if len(blocks) < FEWEST:
        return None
    level = blocks.mean(axis=1)
    surface = _surface()
    rest = blocks - surface @ (surface.T @ blocks)
    variance = (rest**2).sum(axis=1) / (len(surface) - surface.shape[1])
    usable = (variance > 0).all(axis=1)
    level, rest, variance = level[usable], rest[usable], variance[usable]
    if len(level) < FEWEST:
        return None
    groups = _groups(level, variance)
    flat = np.concatenate(groups)
    at = np.array([level[group].mean(axis=0) for group in groups])
    seen = np.array([variance[group].mean(axis=0) for group in groups])
    count = np.array([len(group) for group in groups])
    fits = np.array([_fit(at[:, c], seen[:, c], count) for c in range(3)])
    unit = rest[flat] / np.sqrt(variance[flat])[:, None]
    channels = np.einsum("npi,npj->ij", unit, unit)
    scale = np.sqrt(np.diag(channels))
    spatial = np.array([_autocovariance(unit[:, :, c]) for c in range(3)])
    # The surfaces took the slow part of coarse grain with them.
    whole = spatial[:, REACH, REACH]
    ends = spatial[:, [REACH, 0], [0, REACH]] / whole[:, None]
    if (whole <= 0).any() or ends.mean() > COARSEST:
        return None
    return Grain(
        variance=fits * whole[:, None],
        top=at.max(axis=0),
        spatial=spatial / whole[:, None, None],
        channels=channels / np.outer(scale, scale),
    )


def make_grain(grain: Grain, height: int, width: int, seed: int, frame: int) -> F32:
    """Return H×W×3 grain of unit strength; the same bits for the same seed and frame.

    Args:
        grain: whose correlations it has.
        height: rows.
        width: columns.
        seed: any whole number from 0.
        frame: the frame.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = (next_fast_len(height, True), next_fast_len(width, True))
    source = np.random.Generator(np.random.Philox([seed, frame % (1 << 32)]))
    white = source.standard_normal((3, *shape), np.float32)
    values, vectors = np.linalg.eigh(grain.channels)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = np.tensordot(root.astype(np.float32), white, axes=1)
    out = np.empty((height, width, 3), np.float32)
    for channel, plane in enumerate(mixed):
        response = _response(grain.spatial[channel], shape)
        out[:, :, channel] = irfft2(rfft2(plane) * response, shape)[:height, :width]
    return out


def add_grain(image: Image, grain: Grain, seed: int, frame: int, amount: float = 1.0) -> Image:
    """Lay grain over a picture, as strong as its levels ask for.

    Where the picture is half covered the grain is as strong as it must be to make up, with the
    background's own grain behind, what either has where it is seen alone.

    Args:
        image: R, G, B with or without A, scene-linear.
        grain: as measured.
        seed: any whole number from 0.
        frame: the frame.
        amount: factor on its strength.

    Returns:
        The same channels and windows, premultiplied where there is an A.
    """
    source = premultiply(image)
    made = make_grain(grain, source.height, source.width, seed, frame)
    made *= np.float32(amount) * grain.strength(unpremultiply(source).rgb)
    if source.has("A"):
        cover = np.clip(source.take("A"), 0, 1)
        made *= np.sqrt(cover * (2 - cover))
    return _with_rgb(source, source.rgb + made)


def remove_grain(image: Image, grain: Grain) -> Image:
    """Take a picture's own grain away, and leave the detail that exceeds it.

    Source: Lee 1980, Digital Image Enhancement and Noise Filtering by Use of Local Statistics,
    section II, with the variance measured at each level.

    Args:
        image: R, G, B with or without A, scene-linear.
        grain: its own.
    """
    from scipy import ndimage

    source = premultiply(image)
    straight = unpremultiply(source).rgb
    cover = np.ones((*straight.shape[:2], 1), np.float32)
    if source.has("A"):
        cover = source.take("A")
    inside = (cover > 0).astype(np.float32)

    def local(values: F32) -> F32:
        found: F32 = ndimage.uniform_filter(values, (WINDOW, WINDOW, 1), mode="nearest")
        return found

    share: F32 = np.maximum(local(inside), np.float32(1e-6))
    mean: F32 = local(straight * inside) / share
    detail: F32 = (straight - mean) * inside
    power = local(detail * detail) / share
    own = grain.strength(mean) ** 2
    kept = np.maximum(power - own, 0) / np.where(power > 0, power, np.float32(1))
    cleaned = (mean + kept * detail) * cover
    return _with_rgb(source, np.where(inside > 0, cleaned, source.rgb))


def _with_rgb(image: Image, rgb: F32) -> Image:
    pixels = image.pixels.copy()
    pixels[:, :, [image.channels.index(c) for c in ("R", "G", "B")]] = rgb
    return image.like(pixels)


def _blocks(image: Image) -> F64:
    """Return straight blocks, n × pixels × 3, that are wholly covered and not clipped."""
    source = unpremultiply(image)
    rows, columns = source.height // BLOCK, source.width // BLOCK
    if not rows or not columns:
        return np.zeros((0, BLOCK * BLOCK, 3))

    def cut(pixels: F32) -> F32:
        kept = pixels[: rows * BLOCK, : columns * BLOCK]
        shaped = kept.reshape(rows, BLOCK, columns, BLOCK, -1).swapaxes(1, 2)
        return shaped.reshape(rows * columns, BLOCK * BLOCK, -1)

    blocks = cut(source.rgb)
    if source.has("A"):
        blocks = blocks[(cut(source.take("A")) >= 1).all(axis=(1, 2))]
    blocks = blocks[:: max(1, -(-len(blocks) // MOST))].astype(np.float64)
    highest = (blocks == blocks.max(axis=1, keepdims=True)).mean(axis=1)
    return np.asarray(blocks[np.isfinite(blocks).all(axis=(1, 2)) & (highest < 0.5).all(axis=1)])


@lru_cache(maxsize=1)
def _surface() -> F64:
    """Return an orthonormal basis of the quadratic surfaces over a block, pixels × 6."""
    y, x = np.mgrid[0:BLOCK, 0:BLOCK].reshape(2, -1) / (BLOCK - 1.0) - 0.5
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return np.asarray(basis)


def _groups(level: F64, variance: F64) -> list[NDArray[np.int_]]:
    """Return the flat blocks of each group of like brightness."""
    order = np.argsort(level.mean(axis=1), kind="stable")
    number = max(1, min(LEVELS, len(order) // FEWEST))
    found = []
    for group in np.array_split(order, number):
        total = variance[group].sum(axis=1)
        flat = float(np.quantile(total, 0.1))
        for _ in range(8):
            flat = float(np.median(total[total <= FLAT * flat]))
        found.append(group[total <= FLAT * flat])
    return found


def _fit(level: F64, variance: F64, count: NDArray[np.int_]) -> F64:
    """Return a, b, c, none of them negative, of variance = a + b·x + c·x².

    Groups without a flat part lie above the curve, and lose their say.
    """
    from scipy.optimize import nnls

    scale = max(float(np.abs(level).max()), 1e-12)
    x = np.maximum(level, 0) / scale
    terms = np.stack((np.ones_like(x), x, x * x), axis=1)
    weight = np.sqrt(count) / variance
    for _ in range(4):
        fit, _ = nnls(terms * weight[:, None], variance * weight)
        above = variance / np.maximum(terms @ fit, 1e-300)
        weight = np.sqrt(count) / variance / np.maximum(1.0, above / 1.2) ** 2
    return np.asarray(fit / scale ** np.arange(3))


def _autocovariance(rest: F64) -> F64:
    """Return the autocovariance of the grain that left n × pixels residuals, (2·REACH + 1)²."""
    blocks = rest.reshape(-1, BLOCK, BLOCK)
    seen = np.array([_product(blocks, *lag) for lag in _lags()])
    true = np.linalg.solve(_bias(), seen)
    side = 2 * REACH + 1
    out = np.zeros((side, side))
    for (down, right), value in zip(_lags(), true, strict=True):
        out[REACH + down, REACH + right] = out[REACH - down, REACH - right] = value
    return out


def _lags() -> list[tuple[int, int]]:
    """Return (down, right), one of each pair of opposite lags, (0, 0) first."""
    right = range(-REACH, REACH + 1)
    return [(y, x) for y in range(REACH + 1) for x in right if y or x >= 0]


def _product(blocks: F64, down: int, right: int) -> float:
    """Return the mean product of pixels at a lag."""
    left, wide = max(0, -right), BLOCK - abs(right)
    here = blocks[:, : BLOCK - down, left : left + wide]
    there = blocks[:, down:, left + right : left + right + wide]
    return float((here * there).mean())


@lru_cache(maxsize=1)
def _bias() -> F64:
    """Return what taking out a surface does to an autocorrelation: seen = matrix · true.

    White noise would else come out with correlations below 0, and coarse grain too fine.
    """
    surface, lags = _surface(), _lags()
    y, x = np.mgrid[0:BLOCK, 0:BLOCK].reshape(2, -1)
    down, right = y[:, None] - y, x[:, None] - x
    near = np.maximum(abs(down), abs(right)) <= REACH
    # Opposite lags are one; a pair of pixels without one of the lags goes to a bin of its own.
    turn = np.where((down < 0) | ((down == 0) & (right < 0)), -1, 1)
    number = np.full((REACH + 1, 2 * REACH + 1), len(lags))
    for place, (dy, dx) in enumerate(lags):
        number[dy, dx + REACH] = place
    which = np.full(down.shape, len(lags))
    which[near] = number[(turn * down)[near], (turn * right)[near] + REACH]
    pairs = np.bincount(which.reshape(-1))[:-1]
    columns = []
    for place in range(len(lags)):
        cover = (which == place).astype(np.float64)
        once = cover - surface @ (surface.T @ cover)
        seen = once - (once @ surface) @ surface.T
        columns.append(np.bincount(which.reshape(-1), seen.reshape(-1))[:-1] / pairs)
    return np.array(columns).T


def _response(spatial: F64, shape: tuple[int, int]) -> F32:
    """Return the amplitude at each frequency that gives noise an autocorrelation and variance 1."""
    from scipy.fft import fft2

    plane = np.zeros(shape)
    lags = np.arange(-REACH, REACH + 1)
    np.add.at(plane, (lags[:, None] % shape[0], lags % shape[1]), spatial)
    power = np.maximum(fft2(plane).real, 0)
    power /= power.mean()
    return np.asarray(np.sqrt(power[:, : shape[1] // 2 + 1]), np.float32)
