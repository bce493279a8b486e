"""Light maps turned, dimmed and added: many lights become one before any pixel is shaded."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from relume.light import harmonics
from relume.light.types import LightMaps

F32 = NDArray[np.float32]


def turned(image: F32, degrees: float) -> F32:
    """Turn a smooth map about +Y: content moves right by `degrees`.

    Whole columns move as they are. A fraction is a shift of the Fourier series of each row, which
    neither blurs nor pulses while a light turns; the maps are convolved, so their rows hold nothing
    that could ring. (`latlong.turn` is for environments, whose suns would.)

    Args:
        image: H×W×C.
        degrees: any angle.
    """
    columns = degrees / 360.0 * image.shape[1]
    whole = round(columns)
    moved = np.roll(image, whole, axis=1)
    part = columns - whole
    if part == 0:
        return moved
    from scipy.fft import irfft, rfft

    modes = rfft(moved, axis=1)
    wave = np.exp(-2j * np.pi * part / image.shape[1] * np.arange(modes.shape[1]))
    modes *= wave.astype(np.complex64)[:, None]
    return np.asarray(irfft(modes, image.shape[1], axis=1), np.float32)


def settled(light: LightMaps) -> LightMaps:
    """Return the same light with its rotation and gain worked into its maps."""
    degrees, gain = light.rotation, light.gain
    diffuse = turned(light.diffuse, degrees) * gain
    specular = {
        # Exponent 1 shares the diffuse map.
        n: diffuse if image is light.diffuse else turned(image, degrees) * gain
        for n, image in light.specular.items()
    }
    around = harmonics.turn(light.harmonics.astype(np.float64), degrees).astype(np.float32)
    return LightMaps(
        diffuse=diffuse, specular=specular, harmonics=around * gain, colour=light.colour
    )


def stripes(coefficients: F32, height: int, width: int) -> F32:
    """Return coefficients as a picture of upright stripes, the first one on the left.

    Args:
        coefficients: K×C.
        height: rows of the picture.
        width: its columns, K or more.

    Returns:
        H×W×C; the centre of stripe k is at (k + ½)/K of the width.
    """
    middle = (2 * np.arange(width) + 1) * len(coefficients) // (2 * width)
    return np.ascontiguousarray(
        np.broadcast_to(coefficients[middle], (height, width, coefficients.shape[1]))
    )


def added(lights: Iterable[LightMaps]) -> list[LightMaps]:
    """Return lights that together shine as these do, one for each size of map and set of lobes.

    Args:
        lights: lights in the same colour space.

    Returns:
        Lights without rotation and with a gain of 1.
    """
    sums: dict[tuple[object, ...], LightMaps] = {}
    for light in lights:
        still = settled(light)
        sizes = (still.diffuse.shape, *((n, image.shape) for n, image in still.specular.items()))
        before = sums.get(sizes)
        sums[sizes] = still if before is None else _sum(before, still)
    return list(sums.values())


def _sum(a: LightMaps, b: LightMaps) -> LightMaps:
    return LightMaps(
        diffuse=a.diffuse + b.diffuse,
        specular={n: image + b.specular[n] for n, image in a.specular.items()},
        harmonics=a.harmonics + b.harmonics,
        colour=a.colour,
    )
