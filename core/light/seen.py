"""What a picture shows of the light around it: its radiance, warped to its place and averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import Camera
from relume.image import Box
from relume.light import latlong

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Numbers = NDArray[np.floating]

SPLIT = (6, 64)
"""Fewest and most parts, each way, into which pixels across the edge of a texel are split."""

ACROSS = 256
"""Such parts that a texel's edge is long, where pixels are not too large for that."""

EDGE = 8
"""Samples along each side of a texel that decide how much of it the picture covers."""

BAND = 1 << 18
"""Pixels, or parts of them, that are warped at once: bounds the memory of large plates."""

BURNT = 0.98
"""Share of the clipping level from which a pixel counts as clipped."""

_LEVEL = 0.995
"""Pixels this close to the brightest value lie on the ceiling of the file: 8 bits are coarser."""

_FEWEST, _MOST = 5e-5, 0.9
"""Share of the picture that lies on the ceiling of a clipped one; a flat picture is not clipped."""

_COUNT = 16
"""Fewest pixels that do: the brightest of a picture is always there."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How a picture looks into an environment.

    Attributes:
        camera: field of view and orientation.
        data: the pixels there are.
        display: the window the field of view spans.
        pixel_aspect: width of a pixel over its height.
    """

    camera: Camera
    data: Box
    display: Box
    pixel_aspect: float = 1.0

    @property
    def focal(self) -> float:
        """The focal length, in rows of pixels."""
        wide = 0.5 * self.display.width * self.pixel_aspect
        return wide / math.tan(math.radians(self.camera.fov) / 2)

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """Tangents of the angles from the optical axis to the left, right, bottom and top edge."""
        x = (self.display.x0 + self.display.x1) / 2
        y = (self.display.y0 + self.display.y1) / 2
        return (
            (self.data.x0 - x) * self.pixel_aspect / self.focal,
            (self.data.x1 - x) * self.pixel_aspect / self.focal,
            (y - self.data.y1) / self.focal,
            (y - self.data.y0) / self.focal,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The part of an environment that a picture shows. H rows of texels, as in a lat-long image.

    Attributes:
        kept: H×2H×3 mean radiance of the pixels in a texel that hold their light, times the share
            of the texel that they cover.
        burnt: H×2H×3 the same of the clipped pixels.
        unseen: H×2H share of the texel that lies outside the picture.
    """

    kept: F32
    burnt: F32
    unseen: F32


def ceiling(pixels: F32) -> float:
    """Return the value at which a picture clips, infinity if nothing says that it does.

    A file has run out of values where many pixels share the largest one.

    Args:
        pixels: H×W×3 scene-linear.
    """
    largest = pixels.max(axis=2)
    top = float(largest.max())
    if top <= 0:
        return math.inf
    share = int((largest >= _LEVEL * top).sum()) / largest.size
    return top if max(_FEWEST, _COUNT / largest.size) <= share <= _MOST else math.inf


def is_burnt(pixels: F32, clip: float) -> NDArray[np.bool_]:
    """Return where H×W×3 pixels have lost light to a clipping level."""
    return np.asarray(pixels.max(axis=2) >= BURNT * clip)


def warp(pixels: F32, view: View, height: int, clip: float = math.inf) -> Seen:
    """Return what a picture shows of an environment.

    Every pixel is a patch of constant radiance; each texel holds the mean over its solid angle.

    Args:
        pixels: H×W×3 scene-linear, of the view's data window.
        view: where the picture is.
        height: rows of the environment.
        clip: value from which pixels count as clipped.
    """
    count = 2 * height * height
    # Sums over the pixels that hold their light, then over the clipped ones.
    sums = np.zeros((4, 2 * count))
    flat = pixels.reshape(-1, 3)
    lost = is_burnt(pixels, clip).ravel()
    for at, index, weight in _patches(view, height):
        part = flat[at]
        index += np.where(lost[at], count, 0)
        sums[3] += np.bincount(index, weight, 2 * count)
        for channel in range(3):
            sums[channel] += np.bincount(index, weight * part[:, channel], 2 * count)
    both = sums[3, :count] + sums[3, count:]
    share = covered(view, height)
    share[both.reshape(share.shape) == 0] = 0.0
    scale = share.ravel() / np.where(both > 0, both, 1.0)
    kept, burnt = (
        (sums[:3, half] * scale).T.reshape(height, 2 * height, 3).astype(np.float32)
        for half in (slice(0, count), slice(count, None))
    )
    return Seen(kept, burnt, (1.0 - share).astype(np.float32))


def covered(view: View, height: int) -> F64:
    """Return the share of each texel that lies in the picture, H×2H."""
    towards = latlong.directions(height * EDGE).reshape(height, EDGE, 2 * height, EDGE, 3)
    return np.stack([shows(view, row).mean(axis=(0, 2)) for row in towards])


def shows(view: View, towards: F64) -> NDArray[np.bool_]:
    """Return whether a picture shows what lies in directions, …×3 in the world of its camera."""
    left, right, bottom, top = view.sides
    x, y, z = np.moveaxis(towards @ view.camera.to_world, -1, 0)
    # Multiplied out by the depth −z, which is positive in front of the camera.
    across = (x >= -left * z) & (x < -right * z)
    return np.asarray((z < 0) & across & (y > -bottom * z) & (y <= -top * z))


def _patches(view: View, height: int) -> Iterator[tuple[I64, I64, F64]]:
    """Yield patches of the picture: flat position of the pixel, texel and solid angle of each."""
    wide, tall = view.data.width, view.data.height
    texel = np.pi * view.focal / height
    split = int(np.clip(math.ceil(ACROSS / texel), *SPLIT))
    step = max(1, BAND // wide)
    for first in range(0, tall, step):
        rows = np.arange(first, min(first + step, tall) + 1)
        corner, _ = _texels(view, height, np.arange(wide + 1.0), rows[:, None].astype(np.float64))
        one = corner[:-1, :-1]
        whole = (one == corner[1:, :-1]) & (one == corner[:-1, 1:]) & (one == corner[1:, 1:])
        row, column = np.nonzero(whole)
        row += first
        index, weight = _texels(view, height, column + 0.5, row + 0.5)
        yield row * wide + column, index, weight
        row, column = np.nonzero(~whole)
        row += first
        parts = (np.arange(split) + 0.5) / split
        at_once = max(1, BAND // split**2)
        for start in range(0, len(row), at_once):
            r, c = row[start : start + at_once], column[start : start + at_once]
            y, x = np.broadcast_arrays(
                r[:, None, None] + parts[:, None], c[:, None, None] + parts[None, :]
            )
            index, weight = _texels(view, height, x.ravel(), y.ravel())
            yield np.repeat(r * wide + c, split**2), index, weight / split**2


def _texels(view: View, height: int, columns: Numbers, rows: Numbers) -> tuple[I64, F64]:
    """Return the texel and the relative solid angle of points of the picture.

    Args:
        view: how the picture was taken.
        height: rows of the environment.
        columns: from the left edge of the data window, in pixels.
        rows: from its upper edge; the two are broadcast.
    """
    left, right, bottom, top = view.sides
    x = left + columns * ((right - left) / view.data.width)
    y = top - rows * ((top - bottom) / view.data.height)
    x, y = np.broadcast_arrays(x, y)
    towards = np.stack((x, y, np.full(x.shape, -1.0)), -1) @ view.camera.to_world.T
    u, v = latlong.uv(towards.astype(np.float32))
    column = (u * np.float32(2 * height)).astype(np.int64) % (2 * height)
    row = np.minimum((v * np.float32(height)).astype(np.int64), height - 1)
    # A pixel away from the axis spans cos³ of the solid angle that it would span there.
    return row * (2 * height) + column, (1.0 + x * x + y * y) ** -1.5
