"""Mattes from a known background: what the clean plate does not explain is the subject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.encoding import encode
from relume.matting.planes import around, grown, shrunk
from relume.matting.posterior import PAIRS, likely_ends, probable_alpha
from relume.matting.surroundings import NEAR, blurred, looks_around, spread_around

F32 = NDArray[np.float32]

_NOISE = 3e-3
"""Least noise of a difference, in encoded units: 8-bit steps, resampling."""

_LIKE, _UNLIKE = 1.6, 4.0
"""Distances, in noise, below which a pixel is like the clean plate, and above which it is not."""

_DARKEST = 0.3
"""Share of the light that the deepest shadow leaves which still counts as one."""

_ROUNDS = 6
"""From the inside of the subject outwards: what was found solid tells what solid looks like."""

_BEFORE, _LAST = (0.7, 9), (0.3, 17)
"""Share of sure pixels and steps of the grid, in the rounds before the last and in it."""

_NEIGHBOURS = 0.8
"""So much of how solid or open a pixel is likely to be is what is found around it; the rest is the
network's word."""

_LONELY = 0.05
"""Weight of a solid pixel beside ones that are not: a mixed one may pass for it."""

_GLARING = 4.0
"""As often as `_UNLIKE` what is around an opening differs from the clean plate."""

_DEPTH = 1.0 / 128.0
"""Of the long side: how deep in what does not look like the clean plate the subject is solid."""

_REACH = 0.04
"""Of the long side: how far beyond the network's matte the subject may go on."""

_AROUND, _LIKENESS = 3.0, 1.5
"""How wide the surroundings are that say how solid a pixel is, and what the subject looks like; see
`spread_around`."""

_OTHER = 3.0
"""Standard deviations from which the subject's colour nearby is not the clean plate's."""

_ASKEW = (0.05, 1.0)
"""Pixels by which clean plates are out of register, from the best to the worst."""

_STEEP = 0.02
"""Slope of the encoded clean plate per pixel from which it shows how far it is out of register."""


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
        distance=_rms((seen - behind) / spread),
        unshaded=_rms((seen - shaded) / spread),
        texture=_contrast(level) / spread.mean(-1),
        noise=noise,
    )


def _near(plane: F32, size: int = 5) -> F32:
    """Return the mean over a few pixels around each."""
    out: F32 = ndimage.uniform_filter(plane, size, mode="nearest")
    return out


def _rms(apart: F32) -> F32:
    """Return the root of the mean square over colours and a few pixels around each."""
    # The filter's running sums may end a little below zero.
    return np.asarray(np.sqrt(np.maximum(_near((apart**2).mean(-1)), 0.0)), np.float32)


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

    What looks like the clean plate is background, what is deep inside of what does not is the
    subject. Between, the subject's colours nearby and the known background say how probable each
    alpha is, a few times over, as what is found solid tells of the colours around it.

    Source: Qian and Sezan 1992, Video background replacement without a blue screen (difference
    keying); `posterior` for alpha.

    Args:
        plate: H×W×3 scene-linear, after the exposure anchor.
        clean: H×W×3, aligned and at its exposure.
        alpha: H×W from the network.
    """
    key = _registered(difference_key(plate, clean, alpha < 0.02), plate, clean, alpha)
    clean, key = _relit(plate, clean, key, alpha)
    background, foreground = _certain(key, alpha)
    gaps = _gaps(plate, clean, key, foreground, alpha)
    if gaps.any():
        # They show what shadow there is among parts of the subject.
        clean, key = _relit(plate, clean, key, np.where(gaps, np.float32(0), alpha))
        gaps |= _gaps(plate, clean, key, foreground, alpha)
        # How far exactly a gap goes is to be found out as at any other edge.
        rim = grown(gaps, max(2, round(max(alpha.shape) / 128)))
        background, foreground = background | gaps, foreground & ~rim
    foreground = _without_openings(plate, clean, key, foreground)
    unknown = _belonging(alpha, key, foreground) & ~(background | foreground)
    found = foreground.astype(np.float32)
    box = around(unknown | foreground, 8)
    if box is None:
        return found
    sure = (alpha > 0.9) & (key.distance > _UNLIKE) & ~background
    sure = foreground | _eroded(sure, max(alpha.shape) * NEAR)
    found[box] = _solved(
        plate[box], clean[box], alpha[box], foreground[box], sure[box], unknown[box], key.noise[box]
    )
    return found


def _registered(key: Key, plate: F32, clean: F32, alpha: F32) -> Key:
    """Return a key that expects differences where the clean plate is steep and out of register."""
    size = max(alpha.shape)
    seen, behind = encode(plate).mean(-1), encode(clean).mean(-1)
    steep = np.hypot(*np.gradient(behind)) if min(alpha.shape) > 1 else np.zeros_like(behind)
    far = ndimage.maximum_filter(alpha, 2 * round(size / 100) + 1) < 0.02
    shown = far & (steep > _STEEP)
    least, most = _ASKEW
    askew = least
    if shown.sum() > 200:
        askew = 1.4826 * float(np.median(np.abs(seen - behind)[shown] / steep[shown]))
    slope = np.float32(np.clip(askew, least, most)) * steep[..., None]
    # Slopes of the encoding are wanted in the units of the picture.
    slope = slope * np.log(np.float32(65.0)) / 16.0 * (1.0 + 16.0 * np.abs(clean))
    square = key.noise * key.noise
    ratio = np.sqrt(_near(square.mean(-1)) / _near((square + slope * slope).mean(-1)))
    return replace(
        key,
        distance=key.distance * ratio,
        unshaded=key.unshaded * ratio,
        texture=key.texture * ratio,
        noise=np.asarray(np.sqrt(square + slope * slope), np.float32),
    )


def _gaps(
    plate: F32, clean: F32, key: Key, foreground: NDArray[np.bool_], alpha: F32
) -> NDArray[np.bool_]:
    """Return what the network took for the subject, and the clean plate shows, where they differ.

    A plain patch that is like the clean plate may be a subject of that colour, unless the subject
    looks otherwise all around it: then it is a gap between arm and body.
    """
    size = max(alpha.shape)
    alike = (key.distance < _LIKE) | ((key.unshaded < _LIKE) & (key.distance < _UNLIKE))
    same = _opened(alike & (alpha > 0.5), size)
    box = around(same, round(size / 32))
    if box is None:
        return same
    # The gap's own rim says nothing of the subject.
    rim = grown(same[box], 3 * round(size / 250) + 3)
    body = foreground[box] & ~rim
    if not body.any():
        return np.zeros_like(same)
    where = same[box]
    mean, spread = looks_around(plate[box], body.astype(np.float32), 3.0, where)
    apart = (mean - clean[box][where]).astype(np.float64)
    matrix = np.empty((len(apart), 3, 3))
    for k, (i, j) in enumerate(PAIRS):
        matrix[:, i, j] = matrix[:, j, i] = spread[:, k]
    matrix[:, range(3), range(3)] += key.noise[box][where] ** 2
    square = (apart * np.linalg.solve(matrix, apart[..., None])[..., 0]).sum(-1)
    gaps = np.zeros_like(same)
    gaps[box][where] = square > _OTHER**2
    return _opened(gaps, size)


def _without_openings(
    plate: F32, clean: F32, key: Key, foreground: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the foreground without what is near openings in its rim, as hair has them.

    Single pixels that are the clean plate's among ones that are nothing like it: it shows through,
    and nothing around is surely solid. A subject of the background's own colour has no such
    contrast. What is left has a new rim, so that is looked at again.
    """
    steps = max(2, round(max(foreground.shape) * _DEPTH))
    box = around(foreground, steps)
    if box is None:
        return foreground
    square = (((plate[box] - clean[box]) / key.noise[box]) ** 2).mean(-1)
    most = np.float32((_GLARING * _UNLIKE) ** 2)
    # One highlight must not stand for all that is around.
    glaring = _near(np.minimum(square, 40 * most), steps) > most
    openings = (square < _LIKE**2) & glaring
    left = foreground[box]
    for _ in range(3):
        left = left & ~grown(openings & grown(~left, steps), steps)
    out = np.zeros_like(foreground)
    out[box] = left
    return out


def _opened(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return a mask without what is too small to be told from chance."""
    steps = max(1, round(size / 250))
    return grown(shrunk(mask, steps, border=False), steps)


def _belonging(alpha: F32, key: Key, foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what may be the subject's: what hangs together with it, and is not far away."""
    size = max(alpha.shape)
    body = grown(alpha > 0.02, max(1, round(_REACH * size)))
    maybe = body & ((alpha > 0.02) | (key.distance > _UNLIKE))
    # Strands come and go by a pixel or two.
    parts, count = ndimage.label(grown(maybe, 2))
    kept = np.zeros(count + 1, bool)
    kept[np.unique(parts[foreground])] = True
    kept[0] = False
    # Without anything sure the network's word is all there is.
    found: NDArray[np.bool_] = maybe & (kept[parts] if foreground.any() else alpha > 0.02)
    return found


def _relit(plate: F32, clean: F32, key: Key, alpha: F32) -> tuple[F32, Key]:
    """Return the clean plate in the shadow of the subject, and a key that knows it."""
    clean = np.asarray(clean * _shade(plate, clean, key, alpha), np.float32)
    distance = np.minimum(key.distance, _rms((plate - clean) / key.noise))
    return clean, replace(key, distance=distance)


def _shade(plate: F32, clean: F32, key: Key, alpha: F32) -> F32:
    """Return H×W×1: by what the background around the subject is darker than the clean plate."""
    open_ = (key.unshaded < _LIKE) & (alpha < 0.1)
    weight = open_ / (key.noise**2).mean(-1)
    pair = np.stack(((plate * clean).sum(-1), (clean * clean).sum(-1)), -1)
    both = spread_around(pair, np.asarray(weight, np.float32), 2.0)
    shade = np.where(both[..., 1] > 1e-6, both[..., 0] / np.maximum(both[..., 1], 1e-6), 1.0)
    return np.asarray(np.clip(shade, _DARKEST, 1.5), np.float32)[..., None]


def _solved(
    plate: F32,
    clean: F32,
    alpha: F32,
    foreground: NDArray[np.bool_],
    solid: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    noise: F32,
) -> F32:
    """Alternate between what the subject looks like and alpha in the unknown region.

    What is found around a pixel also says how probable it is to be solid or open. Dark hair among
    lighter hair may look just like the background, and is hair nevertheless; between strands that
    let most of the background through, what is bright is a strand and not a solid.
    """
    found = np.where(unknown, alpha, foreground).astype(np.float32)
    given = [each[unknown] for each in (plate, clean, noise, alpha)]
    weight = solid.astype(np.float32)
    ends = np.stack((~(foreground | unknown), foreground), -1).astype(np.float32)
    for turn in range(_ROUNDS):
        mean, spread = looks_around(plate, weight, _LIKENESS, unknown)
        near, behind, sigma, prior = given
        # Until the last round it matters what is solid, and little what exactly the rest is.
        sure, steps = _LAST if turn == _ROUNDS - 1 else _BEFORE
        likely = likely_ends(prior, sure)
        if turn:
            nearby = blurred(ends, _AROUND)[unknown].T
            likely += np.float32(_NEIGHBOURS) * (nearby - likely)
        found[unknown], probable = probable_alpha(
            near, behind, mean, spread, sigma, prior, likely, steps=steps
        )
        ends[unknown] = probable.T
        whole = ends[..., 1]
        weight = np.where(shrunk(whole > 0.5, 1), whole, np.float32(_LONELY) * whole * whole)
    return found


def _certain(key: Key, alpha: F32) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what is surely background and surely foreground."""
    size = max(alpha.shape)
    same = key.distance < _LIKE
    # No subject repeats a texture by chance; of a plain patch the network is asked.
    like = same & ((alpha < 0.9) | (key.texture > 3.0))
    like |= (key.unshaded < _LIKE) & (alpha < 0.5)
    like = _opened(like, size)
    unlike = key.distance > _UNLIKE
    person = (alpha > 0.5) & ~like
    # Mixed pixels differ from the clean plate as well: where the network wavers only depth tells
    # what is solid.
    deep = _eroded(person & unlike, 2 * size * _DEPTH)
    core = deep | _eroded((alpha > 0.8) & person & (unlike | (alpha > 0.98)), size * _DEPTH)
    return like & ~core, core


def _eroded(mask: NDArray[np.bool_], steps: float) -> NDArray[np.bool_]:
    return shrunk(mask, max(2, round(steps)))
