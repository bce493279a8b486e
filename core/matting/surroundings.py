"""What is around the pixels of a picture: means from near by, or from farther where need be."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from relume.compositing.inpaint import fill
from relume.matting.planes import planar, resized
from relume.matting.posterior import PAIRS

F32 = NDArray[np.float32]

NEAR = 1.0 / 320.0
"""Of the long side: how far a subject's colours are those of its neighbours."""


def looks_around(plate: F32, weight: F32, wide: float, where: NDArray[np.bool_]) -> tuple[F32, F32]:
    """Return mean N×3 and covariance N×6 of a subject's colours around pixels.

    Args:
        plate: H×W×3.
        weight: H×W, how surely a pixel is the subject alone.
        wide: as in `spread_around`.
        where: H×W, the N pixels.
    """
    colours = [plate[..., c] for c in range(3)]
    firsts = (weight * c for c in colours)
    seconds = (weight * colours[i] * colours[j] for i, j in PAIRS)
    moments = _sampled(_filled(_cells(chain([weight], firsts, seconds)), wide), where)
    mean = moments[:, :3]
    spread = moments[:, 3:] - np.stack([mean[:, i] * mean[:, j] for i, j in PAIRS], -1)
    # However even it looks, it is not.
    least = (0.02 * np.abs(mean) + 1e-3) ** 2
    for channel, place in enumerate((0, 3, 5)):
        spread[:, place] = np.maximum(spread[:, place], least[:, channel])
    return mean, spread


def spread_around(values: F32, weight: F32, wide: float) -> F32:
    """Return weighted means of H×W×C around every pixel, from farther away where there are none.

    Args:
        values: H×W×C.
        weight: H×W, not negative.
        wide: standard deviation of the surroundings, in units of what is near.
    """
    weighted = (weight * values[..., c] for c in range(values.shape[2]))
    return _enlarged(_filled(_cells(chain([weight], weighted)), wide), *weight.shape)


def blurred(planes: F32, wide: float) -> F32:
    """Return means of H×W×C around every pixel.

    Args:
        planes: H×W×C.
        wide: standard deviation of the surroundings, in units of what is near.
    """
    small = _cells(planes[..., c] for c in range(planes.shape[2]))
    return _enlarged(ndimage.gaussian_filter(small, (wide, wide, 0)), *planes.shape[:2])


def _cells(planes: Iterable[F32]) -> F32:
    """Return the means of cells of H×W planes, h×w×C; the last ones are filled up with zeros."""

    def means(plane: F32) -> F32:
        step = _step(plane.shape)
        height, width = plane.shape
        padded = np.pad(plane, ((0, -height % step), (0, -width % step)))
        cells = padded.reshape(padded.shape[0] // step, step, -1, step)
        return np.asarray(cells.mean(3).mean(1), np.float32)

    # One plane at a time is at full size.
    return np.stack([means(plane) for plane in planes], -1)


def _filled(small: F32, wide: float) -> F32:
    """Return h×w×C means around every cell of what h×w×(1 + C) cells hold, their weight first."""
    small = ndimage.gaussian_filter(small, (wide, wide, 0))
    total = small[..., 0]
    usual = float(total.max(initial=0.0))
    known = np.clip(total / max(0.02 * usual, 1e-12), 0.0, 1.0) * (total > 1e-4 * usual)
    mean = small[..., 1:] / np.maximum(total, 1e-12)[..., None]
    return push_pull(np.asarray(mean, np.float32), np.asarray(known, np.float32))


def _enlarged(small: F32, height: int, width: int) -> F32:
    """Return cells at full size, H×W×C."""
    step = _step((height, width))
    large = resized(planar(small), small.shape[0] * step, small.shape[1] * step)[0]
    return np.ascontiguousarray(large.permute(1, 2, 0).numpy()[:height, :width])


def _sampled(small: F32, where: NDArray[np.bool_]) -> F32:
    """Return N×C: cells as `_enlarged` gives them, at some pixels alone."""
    step = _step(where.shape)
    rows, columns = np.nonzero(where)
    (low, high, y), (left, right, x) = (
        _between(place, step, count)
        for place, count in ((rows, small.shape[0]), (columns, small.shape[1]))
    )
    above = small[low, left] + x * (small[low, right] - small[low, left])
    below = small[high, left] + x * (small[high, right] - small[high, left])
    return np.asarray(above + y * (below - above), np.float32)


def _between(
    place: NDArray[np.intp], step: int, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], F32]:
    """Return the two cells between whose centres pixels lie, and how far on the way, N×1."""
    at = np.maximum((place + np.float32(0.5)) / np.float32(step) - np.float32(0.5), 0)
    first = np.minimum(at.astype(np.intp), count - 1)
    share = np.asarray(at - first, np.float32)[:, None]
    return first, np.minimum(first + 1, count - 1), share


def _step(shape: tuple[int, ...]) -> int:
    return max(1, round(max(shape) * NEAR / 1.5))


def push_pull(values: F32, weight: F32) -> F32:
    """Return H×W×C values spread from where they are weighty to everywhere else; 0 without any.

    Args:
        values: H×W×C.
        weight: H×W, 0 to 1.
    """
    return fill(values * (weight > 0)[..., None], weight)
