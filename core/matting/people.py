"""Tell the people in a coarse matte from its speckles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = 0.003
"""Share of the frame below which a blob is no person: a head about 5 % of the frame's height."""

BESIDE = 0.02
"""Share of the largest person below which another blob is a speckle."""

SURE = 0.9
"""A person's matte exceeds this somewhere well inside; a guess never quite does."""

HOLE = 0.04
"""Share of a person's area up to which a hole is an oversight."""

DEEP = 0.12
"""Share of the root of that area: how far from the outline it must lie."""

FAINT = 0.03
"""Alpha from which a pixel can belong to a person it is connected with."""


def people(
    alpha: NDArray[np.float32], chosen: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return the pixels that hang together with a person.

    A person is a connected body of alpha above one half that is large enough, in the frame and
    beside the largest, and sure of itself; hair and other soft parts belong to it if a path of
    faint alpha leads there.

    Args:
        alpha: H×W coarse matte, 0 to 1.
        chosen: H×W drawn mask; when given, exactly the bodies it touches are people, whatever
            their size.

    Returns:
        H×W, empty where there is nobody.
    """
    from scipy import ndimage

    bodies, count = ndimage.label(alpha > 0.5)
    if not count:
        return np.zeros(alpha.shape, bool)
    labels = np.arange(1, count + 1)
    if chosen is not None and chosen.any():
        kept = np.isin(labels, bodies[chosen])
    else:
        area = np.bincount(bodies.ravel(), minlength=count + 1)[1:]
        peak = np.asarray(ndimage.maximum(alpha, bodies, labels))
        # A body's share of sure pixels, so that one hot pixel does not make a person.
        sure = np.bincount(bodies.ravel(), weights=(alpha > SURE).ravel(), minlength=count + 1)[1:]
        kept = (area >= SMALLEST * alpha.size) & (peak > SURE) & (sure >= 0.1 * area)
        if kept.any():
            kept &= area >= BESIDE * area[kept].max()
    if not kept.any():
        return np.zeros(alpha.shape, bool)
    body = np.isin(bodies, labels[kept])
    parts, _ = ndimage.label(alpha > FAINT, structure=np.ones((3, 3)))
    return np.isin(parts, np.unique(parts[body]))


def oversights(alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels of small holes deep inside a person, with a rim: a network's oversight.

    A gap between arm and body is larger or near the outline, and so are the loops of hair; a small
    hole in the middle of a chest is cloth that the network did not know.

    Args:
        alpha: H×W coarse matte, 0 to 1.
    """
    from scipy import ndimage

    solid = alpha > SURE
    filled = ndimage.binary_fill_holes(solid)
    parts, count = ndimage.label(filled & ~solid)
    if not count:
        return np.zeros(alpha.shape, bool)
    labels = np.arange(1, count + 1)
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if filled.all():
        return np.zeros(alpha.shape, bool)
    depth = np.asarray(ndimage.minimum(ndimage.distance_transform_edt(filled), parts, labels))
    size = np.sqrt(float(filled.sum()))
    found = np.isin(parts, labels[(area < HOLE * filled.sum()) & (depth > DEEP * size)])
    return np.asarray(ndimage.binary_dilation(found, iterations=2))
