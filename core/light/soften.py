"""Softer light: maps that are already convolved, blurred over the sphere."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relume.light import harmonics, latlong
from relume.light.types import LightMaps

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

BROADEST = 64
"""Order to which maps without a sharp lobe are blurred; beyond it a clamped cosine has vanished."""

TAIL = 6.0
"""Harmonics of a lobe of exponent n vanish beyond an order of some multiple of √n."""


def softened(light: LightMaps, degrees: float) -> LightMaps:
    """Return a light as if its environment had been blurred.

    Convolutions over the sphere commute, so the blur is applied to the maps, and nothing is
    convolved with the environment again. A constant stays constant, and the mean of a map is kept.

    Args:
        light: the light.
        degrees: standard deviation of the Gaussian on the sphere; 0 returns the light as it is.
    """
    if degrees <= 0:
        return light
    sigma = math.radians(degrees)
    order = max(BROADEST, math.ceil(TAIL * max(light.exponents, default=1) ** 0.5))
    diffuse = _blurred(light.diffuse, sigma, order)
    specular = {
        # Exponent 1 shares the diffuse map.
        n: diffuse if image is light.diffuse else _blurred(image, sigma, order)
        for n, image in light.specular.items()
    }
    bands = np.repeat(np.arange(harmonics.ORDER + 1), 2 * np.arange(harmonics.ORDER + 1) + 1)
    around = light.harmonics * _kept(bands, sigma).astype(np.float32)[:, None]
    return LightMaps(
        gain=light.gain,
        diffuse=diffuse,
        specular=specular,
        harmonics=around,
        rotation=light.rotation,
        colour=light.colour,
    )


def _kept(bands: NDArray[np.int_], sigma: float) -> F64:
    """Return what a blur leaves of each band: the heat kernel of the sphere."""
    return np.asarray(np.exp(-0.5 * sigma**2 * bands * (bands + 1.0)))


def _blurred(image: F32, sigma: float, order: int) -> F32:
    """Blur a lat-long map.

    What the blur takes away is computed and subtracted, so that detail beyond the order, of which
    there is next to none, is kept rather than lost.
    """
    from scipy.fft import irfft, rfft

    rows, width = image.shape[:2]
    # The quadrature is exact for products of two harmonics up to here.
    order = min(order, (rows - 1) // 2)
    modes = rfft(image.astype(np.float64), axis=1)
    weight = 2 * np.pi * _fejer(rows)
    for m, functions in enumerate(_functions(rows, order)):
        lost = _kept(np.arange(m, order + 1), sigma) - 1.0
        found = (functions * weight) @ modes[:, m]
        modes[:, m] += functions.T @ (lost[:, None] * found)
    return np.asarray(irfft(modes, width, axis=1), np.float32)


@lru_cache(maxsize=4)
def _functions(rows: int, order: int) -> tuple[F64, ...]:
    """Return the Legendre functions of each m at the centres of the rows."""
    return tuple(harmonics.legendre(latlong.colatitudes(rows), order))


def _fejer(rows: int) -> F64:
    """Return the weights of Fejér's first rule: ∫ f(θ) sin θ dθ from the centres of the rows.

    Exact where f is a polynomial in cos θ of a degree below `rows`.

    Source: Davis and Rabinowitz, Methods of Numerical Integration, 2nd ed., section 2.5.5.
    """
    k = np.arange(1, rows // 2 + 1)
    waves = np.cos(2 * np.outer(latlong.colatitudes(rows), k)) / (4.0 * k * k - 1)
    return np.asarray(2.0 / rows * (1.0 - 2.0 * waves.sum(1)))
