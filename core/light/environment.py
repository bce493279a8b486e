"""What is done to an environment before it lights anything: repair, turn, dim, photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError
from relume.geometry.camera import Camera
from relume.image import Image
from relume.light import latlong
from relume.light.types import Environment

F32 = NDArray[np.float32]

LARGEST = np.float32(65504.0)
"""The largest half float: what a sun that overflowed to +Inf is worth."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What `sanitise` found, in channel values.

    Attributes:
        nan: values that were not a number.
        above: values of +Inf, now 65504.
        below: values of −Inf, now 0.
    """

    nan: int = 0
    above: int = 0
    below: int = 0

    def __bool__(self) -> bool:
        return self != Repair()


def sanitise(pixels: F32) -> tuple[F32, Repair]:
    """Make every value of an environment finite.

    A NaN becomes the mean of the finite values among its eight neighbours, around in u; where
    whole patches are NaN they fill from their rim inwards. +Inf becomes 65504, since a half-float
    sun must not vanish, and −Inf becomes 0.

    Args:
        pixels: H×2H×C radiance.

    Returns:
        The pixels, the same array if nothing was wrong, and the counts.

    Raises:
        InputError: no pixel is finite.
    """
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels, Repair()
    if not finite.any():
        raise InputError("no pixel of the environment is finite", way_out="Render it again")
    nan = np.isnan(pixels)
    above, below = np.isposinf(pixels), np.isneginf(pixels)
    out = np.where(above, LARGEST, np.where(below | nan, np.float32(0.0), pixels))
    for channel in range(out.shape[2]):
        _fill(out[..., channel], nan[..., channel])
    return out, Repair(int(nan.sum()), int(above.sum()), int(below.sum()))


def _fill(plane: F32, unknown: NDArray[np.bool_]) -> None:
    """Fill the unknown values of a plane in place, from their rim inwards."""
    unknown = unknown.copy()
    if unknown.all():
        return
    height, width = plane.shape
    while unknown.any():
        rows, columns = np.nonzero(unknown)
        total, count = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                y, x = rows + down, (columns + right) % width
                inside = (y >= 0) & (y < height)
                y = np.where(inside, y, 0)
                known = inside & ~unknown[y, x]
                total += np.where(known, plane[y, x].astype(np.float64), 0.0)
                count += known
        found = count > 0
        plane[rows[found], columns[found]] = total[found] / count[found]
        unknown[rows[found], columns[found]] = False


def turned(environment: Environment, degrees: float) -> Environment:
    """Return an environment turned about +Y; +90 moves what is behind the subject to the right."""
    image = environment.image
    return Environment(image.like(latlong.turn(image.pixels, degrees)))


def scaled(environment: Environment, gain: F32 | float) -> Environment:
    """Return an environment times a factor or three factors on R, G, B."""
    image = environment.image
    factors = np.broadcast_to(np.asarray(gain, np.float32), (3,))
    return Environment(image.like(image.rgb * factors, ("R", "G", "B")))


def background(
    environment: Environment,
    plate: Image,
    camera: Camera,
    *,
    rotation: float = 0.0,
    gain: F32 | float = 1.0,
) -> Image:
    """Return what the plate's camera would see of an environment.

    Args:
        environment: the environment.
        plate: gives windows, pixel aspect and metadata.
        camera: field of view of the plate's display window, and orientation.
        rotation: degrees by which the light is turned.
        gain: a factor or three on the light.
    """
    image = environment.image
    seen = latlong.crop(
        image.rgb, camera, plate.data, plate.display, plate.pixel_aspect, rotation
    ) * np.asarray(gain, np.float32)
    return replace(plate, pixels=seen, channels=("R", "G", "B"), colour=image.colour, alpha="none")
