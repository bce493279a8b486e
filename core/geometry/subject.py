"""Where the subject is: the pixels a straight layer fills, and where its margin copies from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import Box, Image

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

MARGIN = 8
"""Pixels beyond the matte where straight layers are still valid, so that filters may reach out."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The subject of a frame.

    Attributes:
        shape: rows and columns of the frame.
        alpha: H×W coverage in [0, 1].
        box: the smallest window around the subject and its margin, at the origin of the pixels.
        margin: flat positions of the pixels with alpha 0 within `MARGIN` of the subject.
        source: for each of them the flat position of a nearby pixel with alpha > 0.
    """

    shape: tuple[int, int]
    alpha: F32
    box: Box
    margin: I32
    source: I32

    @property
    def index(self) -> I32:
        """Flat positions of the subject and its margin, ascending."""
        return np.sort(np.concatenate([np.flatnonzero(self.alpha > 0), self.margin])).astype(
            np.int32
        )

    def extend(self, pixels: F32) -> None:
        """Fill the margin of H×W×C pixels from the subject, in place."""
        flat = pixels.reshape(-1, pixels.shape[-1])
        flat[self.margin] = flat[self.source]


def find_subject(foreground: Image, matte: Image) -> Subject | None:
    """Return the subject of a frame, or None where the matte is empty.

    Args:
        foreground: the straight foreground.
        matte: its A, or its only channel.

    Raises:
        UsageError: the two do not cover the same data window.
    """
    if foreground.data != matte.data:
        raise UsageError(
            f"the foreground covers {foreground.data} and the matte {matte.data}",
            way_out="Give both the same data window with a Crop or Reformat node",
        )
    plane = matte.take("A") if matte.has("A") else matte.pixels[:, :, :1]
    # Comparisons are false for NaN, so a broken value counts as uncovered.
    alpha = np.where(plane[:, :, 0] > 0, np.minimum(plane[:, :, 0], 1.0), 0.0).astype(np.float32)
    mask = alpha > 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    height, width = mask.shape
    box = Box(
        max(0, int(columns[0]) - MARGIN),
        max(0, int(rows[0]) - MARGIN),
        min(width, int(columns[-1]) + 1 + MARGIN),
        min(height, int(rows[-1]) + 1 + MARGIN),
    )
    margin, source = _margin(mask, box)
    return Subject((height, width), alpha, box, margin, source)


def _margin(mask: NDArray[np.bool_], box: Box) -> tuple[I32, I32]:
    """Return the margin's flat positions and the ones it copies from.

    The subject grows by one ring of eight neighbours at a time; only the margin's pixels are
    visited.
    """
    from scipy import ndimage

    width = mask.shape[1]
    inside = mask[box.y0 : box.y1, box.x0 : box.x1]
    grown = ndimage.maximum_filter(inside.view(np.uint8), 2 * MARGIN + 1, mode="constant")
    # A border of one keeps every neighbour inside the array.
    ring = np.pad((grown > 0) & ~inside, 1)
    stride = ring.shape[1]
    near = np.full(ring.shape, -1, np.int64)
    rows, columns = np.nonzero(inside)
    near[rows + 1, columns + 1] = (rows + box.y0) * width + columns + box.x0
    flat = near.reshape(-1)
    band = np.flatnonzero(ring)
    steps = (-1, 1, -stride, stride, -stride - 1, -stride + 1, stride - 1, stride + 1)
    empty = band
    while len(empty):
        found = np.full(len(empty), -1, np.int64)
        for step in steps:
            found = np.where(found < 0, flat[empty + step], found)
        flat[empty] = found
        empty = empty[found < 0]
    rows, columns = np.divmod(band, stride)
    place = (rows - 1 + box.y0) * width + columns - 1 + box.x0
    return place.astype(np.int32), flat[band].astype(np.int32)
