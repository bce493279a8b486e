"""What is around the pixels of a picture: means from near by, or from farther where need be."""

from __future__ import annotations

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
    squares = np.stack([plate[..., i] * plate[..., j] for i, j in PAIRS], -1)
    moments = spread_around(np.concatenate((plate, squares), -1), weight, wide)[where]
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
    height, width = weight.shape
    planes = np.concatenate((values * weight[..., None], weight[..., None]), -1)
    small = _small(planes, wide)
    total = small[..., -1]
    usual = float(total.max(initial=0.0))
    known = np.clip(total / max(0.02 * usual, 1e-12), 0.0, 1.0) * (total > 1e-4 * usual)
    mean = small[..., :-1] / np.maximum(total, 1e-12)[..., None]
    filled = push_pull(np.asarray(mean, np.float32), np.asarray(known, np.float32))
    return _enlarged(filled, height, width)


def blurred(planes: F32, wide: float) -> F32:
    """Return means of H×W×C around every pixel.

    Args:
        planes: H×W×C.
        wide: standard deviation of the surroundings, in units of what is near.
    """
    return _enlarged(_small(planes, wide), *planes.shape[:2])


def _small(planes: F32, wide: float) -> F32:
    """Return H×W×C made small and blurred."""
    step = _step(planes.shape[:2])
    padded = np.pad(planes, ((0, -len(planes) % step), (0, -planes.shape[1] % step), (0, 0)))
    rows, columns = padded.shape[0] // step, padded.shape[1] // step
    small = padded.reshape(rows, step, columns, step, -1).mean((1, 3))
    out: F32 = ndimage.gaussian_filter(small, (wide, wide, 0))
    return out


def _enlarged(small: F32, height: int, width: int) -> F32:
    """Return what `_small` made small at full size."""
    step = _step((height, width))
    large = resized(planar(small), small.shape[0] * step, small.shape[1] * step)[0]
    return np.ascontiguousarray(large.permute(1, 2, 0).numpy()[:height, :width])


def _step(shape: tuple[int, ...]) -> int:
    return max(1, round(max(shape) * NEAR / 1.5))


def push_pull(values: F32, weight: F32) -> F32:
    """Return H×W×C values spread from where they are weighty to everywhere else; 0 without any.

    Args:
        values: H×W×C.
        weight: H×W, 0 to 1.
    """
    return fill(values * (weight > 0)[..., None], weight)
