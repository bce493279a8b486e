"""Mattes from a known background: what the clean plate does not explain is the subject."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.compositing.inpaint import fill
from relume.encoding import encode
from relume.matting.planes import around

F32 = NDArray[np.float32]

_NOISE = 3e-3
"""Least noise of a difference, in encoded units: 8-bit steps, resampling."""

_LIKE, _UNLIKE = 1.6, 4.0
"""Distances, in noise, below which a pixel is like the clean plate, and above which it is not."""

_PRIOR = 0.3
"""How far the network's alpha is trusted to lie from the truth, where both may speak."""

_DARKEST = 0.3
"""Share of the light that the deepest shadow leaves which still counts as one."""

_ROUNDS = 4

_MIXED = 0.05
"""What a mixed pixel's own colour is worth beside one of the sure foreground."""

_SOLID = 0.3
"""Alpha below which a pixel says too little of the subject's colour to learn it from."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """What the difference of plate and clean plate says of each pixel.

    Attributes:
        distance: H×W, root mean square of the difference over the noise: about 1 on background.
        unshaded: H×W, the same once the best shadow is cast on the clean plate.
        texture: H×W, contrast of the clean plate near a pixel, over the noise.
        noise: H×W×3 standard deviation of the plate in scene-linear units, after the anchor.
    """

    distance: F32
    unshaded: F32
    texture: F32
    noise: F32


def difference_key(plate: F32, clean: F32, background: NDArray[np.bool_]) -> Key:
    """Compare a plate with its aligned clean plate, in units of their noise.

    Args:
        plate: H×W×3 scene-linear, after the exposure anchor.
        clean: H×W×3 likewise.
        background: H×W, where the plate presumably shows background; noise is measured there.
    """
    seen, behind = encode(plate), encode(clean)
    level = behind.mean(-1)
    spread = _noise(seen - behind, level, background)
    steep = 16.0 / (np.log(65.0) * (1.0 + 16.0 * np.abs(clean)))
    noise = np.asarray(spread / steep, np.float32)
    # A shadow darkens all colours by one factor, about the same over a few pixels.
    inverse = 1.0 / np.maximum(noise, 1e-4) ** 2
    shade = _near((plate * clean * inverse).sum(-1)) / np.maximum(
        _near((clean * clean * inverse).sum(-1)), 1e-9
    )
    shade = np.clip(shade, _DARKEST, 1.0).astype(np.float32)
    shaded = encode(np.asarray(clean * shade[..., None], np.float32))
    return Key(
        # Judged over a few pixels: noise averages out, a subject does not.
        distance=np.sqrt(_near((((seen - behind) / spread) ** 2).mean(-1))),
        unshaded=np.sqrt(_near((((seen - shaded) / spread) ** 2).mean(-1))),
        texture=_contrast(level) / spread.mean(-1),
        noise=noise,
    )


def _near(plane: F32, size: int = 5) -> F32:
    """Return the mean over a few pixels around each."""
    out: F32 = ndimage.uniform_filter(plane, size, mode="nearest")
    return out


def _contrast(level: F32) -> F32:
    """Return the standard deviation around each pixel, more widely than differences are judged."""
    mean = _near(level, 11)
    return np.asarray(np.sqrt(np.maximum(_near(level * level, 11) - mean * mean, 0.0)), np.float32)


def _noise(apart: F32, level: F32, background: NDArray[np.bool_]) -> F32:
    """Return H×W×3 noise of a difference by its level, robustly measured on background."""
    shown = level[background] if background.any() else level
    edges = np.quantile(shown, np.linspace(0.0, 1.0, 9))
    at, values = [], []
    for low, high in pairwise(edges):
        inside = background & (level >= low) & (level <= high)
        if inside.sum() < 200:
            continue
        at.append((low + high) / 2)
        values.append(1.4826 * np.median(np.abs(apart[inside]), 0))
    if not at:
        return np.full(apart.shape, 3 * _NOISE, np.float32)
    found = np.stack([np.interp(level, at, [v[c] for v in values]) for c in range(3)], -1)
    return np.asarray(np.hypot(found, _NOISE), np.float32)


def solve_matte(plate: F32, clean: F32, alpha: F32) -> F32:
    """Return a matte that fits plate and clean plate, near the network's where they say little.

    Known background B leaves four unknowns a pixel. The foreground F is smooth, so it is carried
    from where it is seen unmixed; then alpha has the closed form
    α = (p·((I − B)·(F − B)/|F − B|²) + q·α₀)/(p + q) with p = |F − B|²/σ², q = 1/0.3², the most
    probable value under Gaussian noise σ and a Gaussian prior at the network's α₀; and
    F = (I − (1 − α)B)/α in turn, a few times over.

    Source: Qian and Sezan 1992, Video background replacement without a blue screen (difference
    keying); Chuang et al. 2001, A Bayesian approach to digital matting, section 3 (alternating F
    and alpha). Deviations: F by push-pull rather than clusters, the network as the prior.

    Args:
        plate: H×W×3 scene-linear, after the exposure anchor.
        clean: H×W×3, aligned and at its exposure.
        alpha: H×W from the network.
    """
    key = difference_key(plate, clean, alpha < 0.02)
    background, foreground = _certain(key, alpha)
    found = np.where(foreground, 1.0, np.where(background, 0.0, alpha)).astype(np.float32)
    unknown = ~(background | foreground) & ((alpha > 0) | (key.distance > _UNLIKE))
    box = around(unknown | foreground, 8)
    if box is None:
        return found
    found[box] = _solved(
        plate[box], clean[box], alpha[box], found[box], unknown[box], key.noise[box]
    )
    return found


def _solved(
    plate: F32, clean: F32, alpha: F32, found: F32, unknown: NDArray[np.bool_], noise: F32
) -> F32:
    """Alternate between the foreground's colour and alpha in the unknown region."""
    weight = 1.0 / np.maximum(noise, 1e-4) ** 2
    prior = np.float32(1.0 / _PRIOR**2)
    difference = plate - clean
    for _ in range(_ROUNDS):
        # What is mixed knows its own colour only as well as alpha is known.
        trust = np.where(unknown, _MIXED * found**4 * (found > _SOLID), found).astype(np.float32)
        straight = clean + difference / np.maximum(found, np.float32(_SOLID))[..., None]
        across = push_pull(np.asarray(straight, np.float32), trust) - clean
        power = (across * across * weight).sum(-1)
        along = (difference * across * weight).sum(-1)
        solved = np.clip((along + prior * alpha) / (power + prior), 0.0, 1.0)
        found = np.where(unknown, solved, found).astype(np.float32)
    return found


def _certain(key: Key, alpha: F32) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what is surely background and surely foreground."""
    size = max(alpha.shape)
    same = key.distance < _LIKE
    # No subject repeats a texture by chance; of a plain patch the network is asked.
    like = same & ((alpha < 0.9) | (key.texture > 3.0))
    like |= (key.unshaded < _LIKE) & (alpha < 0.5)
    like = ndimage.binary_opening(like, iterations=max(1, round(size / 250)))
    unlike = key.distance > _UNLIKE
    person = (alpha > 0.5) & ~like
    # Mixed pixels differ from the clean plate as well: where the network wavers only depth tells
    # what is solid.
    deep = _eroded(person & unlike, size / 64)
    core = deep | _eroded((alpha > 0.8) & person & (unlike | (alpha > 0.98)), size / 128)
    return like & ~core, core


def _eroded(mask: NDArray[np.bool_], steps: float) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = ndimage.binary_erosion(
        mask, iterations=max(2, round(steps)), border_value=1
    )
    return out


def push_pull(values: F32, weight: F32) -> F32:
    """Return H×W×C values spread from where they are weighty to everywhere else; 0 without any.

    Args:
        values: H×W×C.
        weight: H×W, 0 to 1.
    """
    return fill(values * (weight > 0)[..., None], weight)
