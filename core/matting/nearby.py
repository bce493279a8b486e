"""Edges of a matte from the colours on both sides of them, where no clean plate shows any."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.matting.planes import around
from relume.matting.posterior import levels, likely_ends, probable_alpha
from relume.matting.surroundings import looks_around

F32 = NDArray[np.float32]

_DOUBTFUL = (0.03, 0.97)
"""Alphas between which a pixel is looked at again."""

_SURE = 0.9
"""Alpha from which a pixel shows the subject alone, and below 1 less that, the background."""

_FRONT, _BEHIND = 0.5, 2.0
"""How wide the surroundings are that tell of the subject and of the background; hair differs from
strand to strand. See `spread_around`."""

_BRIGHTEST = 64.0
"""Up to which colours are told apart: a highlight must not stand for all that is near."""

_NOISE = 0.02
"""Least noise of the plate, as a share of its level: nothing is of one colour."""

_SOFT = 0.5
"""Pixels that single answers are smoothed by, as they may be strange."""

_SPARSE = 3
"""Every so many rows and columns grain is measured."""

_DOUBT = 0.2
"""How far alpha is believed to lie from what is known of it."""

_WHOLE = 0.1
"""Share of these pixels that are wholly the subject or the background."""

_STEPS = 17
"""Of the grid on which probabilities are summed up."""

_MARGIN = 0.03
"""Of the long side: how far beyond doubtful pixels colours are looked for."""

_PIECE = 1 << 14
"""Pixels worked at a time. Fixed, so that results do not depend on the number of threads."""


def nearby_alpha(plate: F32, alpha: F32, *, gain: float = 1.0, threads: int = 1) -> F32:
    """Return a matte whose doubtful pixels agree with the sure colours around them.

    A pixel between the colour of the subject and that of the background says what its alpha is as
    far as the two differ; `posterior` weighs that against what is known already.

    Source: Chuang et al. 2001, A Bayesian approach to digital matting, section 3. Deviations: as
    in `probable_alpha`; once, from a matte that is nearly right; the plate's grain is measured, so
    that it does not flicker in the matte.

    Args:
        plate: H×W×3 scene-linear.
        alpha: H×W, 0 to 1.
        gain: of the exposure anchor.
        threads: to compute with; the result does not depend on it.

    Returns:
        H×W, 0 to 1, equal to `alpha` where that is sure, and everywhere if one side never is.
    """
    low, high = _DOUBTFUL
    doubtful = (alpha > low) & (alpha < high)
    box = around(doubtful, round(_MARGIN * max(alpha.shape)))
    if box is None:
        return alpha
    where, known = doubtful[box], alpha[box]
    sides = ((known > _SURE, _FRONT), (known < 1 - _SURE, _BEHIND))
    if not all(shown.any() for shown, _ in sides):
        return alpha
    colour = np.nan_to_num(plate[box] * np.float32(gain))
    np.clip(colour, -_BRIGHTEST, _BRIGHTEST, out=colour)

    def look(side: tuple[NDArray[np.bool_], float]) -> tuple[F32, F32]:
        shown, wide = side
        return looks_around(colour, shown.astype(np.float32), wide, where)

    with ThreadPoolExecutor(threads) as pool:
        (mean, spread), (clean, beyond) = pool.map(look, sides)
    near, prior = colour[where], known[where]
    grain = np.float32(np.hypot(_NOISE, _grain(colour, ~where)))
    noise = np.broadcast_to(grain * levels(near, clean)[:, None], near.shape)
    ends = likely_ends(prior, _WHOLE)

    def work(start: int) -> F32:
        part = slice(start, start + _PIECE)
        return probable_alpha(
            near[part],
            clean[part],
            mean[part],
            spread[part],
            noise[part],
            prior[part],
            ends[:, part],
            behind=beyond[part],
            doubt=_DOUBT,
            steps=_STEPS,
        ).alpha

    with ThreadPoolExecutor(threads) as pool:
        found = np.concatenate(list(pool.map(work, range(0, len(near), _PIECE))))
    known = known.copy()
    known[where] = found
    out = alpha.copy()
    out[box][where] = ndimage.gaussian_filter(known, _SOFT)[where]
    return out


def _grain(colour: F32, sure: NDArray[np.bool_]) -> float:
    """Return the standard deviation of grain as a share of the level, by the median where sure.

    Source: Immerkær 1996, Fast Noise Variance Estimation, equation 2, whose mean edges enter.
    """
    if min(sure.shape) < 3:
        return 0.0
    rows, columns = (range(size - 2) for size in sure.shape)
    nine = [
        [colour[y : y + len(rows) : _SPARSE, x : x + len(columns) : _SPARSE] for x in range(3)]
        for y in range(3)
    ]
    weights = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))
    pairs = [
        (weight, part)
        for line, parts in zip(weights, nine, strict=True)
        for weight, part in zip(line, parts, strict=True)
    ]
    rough = np.abs(sum(weight * part for weight, part in pairs)) / 6.0
    level = np.abs(sum(part for _, part in pairs)) / 9.0 + 1e-3
    shown = (rough / level)[sure[1:-1:_SPARSE, 1:-1:_SPARSE]]
    return 1.4826 * float(np.median(shown)) if len(shown) else 0.0
