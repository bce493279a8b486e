"""Real spherical harmonics of light: projection, evaluation, rotation and zonal kernels.

Orthonormal, no Condon–Shortley phase, index l² + l + m, polar axis +Y, azimuth from +Z towards +X:
Y_l^m = P̄_l^|m|(cos θ) · (√2 cos mα for m > 0, 1 for m = 0, √2 sin |m|α for m < 0).
A lat-long image's u and the azimuth run against each other: α = −2πu.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

ORDER = 4
"""Order to which a light's harmonics are kept."""

NODES = 16
"""Gauss–Legendre nodes a latitude band: exact to rounding even for a one-row image."""

ROWS = 16
"""Rows of an environment projected at once."""


def legendre(theta: F64, order: int) -> Iterator[F64]:
    """Yield the orthonormal associated Legendre functions of one m after the other.

    Normalised so that 2π ∫ P̄² sin θ dθ = 1. The recurrences in l are stable upwards.

    Source: Press et al., Numerical Recipes, 3rd ed., section 6.7, equations 6.7.8 to 6.7.10,
    without the factor (−1)^m.

    Args:
        theta: colatitudes in radians, any shape S.
        order: the largest l.

    Yields:
        For m = 0 … order, P̄_l^m for l = m … order: (order − m + 1)×S.
    """
    x, sine = np.cos(theta), np.sin(theta)
    sectoral = np.full(theta.shape, np.sqrt(1.0 / (4.0 * np.pi)))
    for m in range(order + 1):
        if m:
            sectoral = sectoral * sine * np.sqrt((2 * m + 1.0) / (2 * m))
        out = np.empty((order - m + 1, *theta.shape))
        out[0] = sectoral
        if order > m:
            out[1] = np.sqrt(2 * m + 3.0) * x * sectoral
        for row in range(2, order - m + 1):
            degree = m + row
            now = np.sqrt((4.0 * degree**2 - 1) / (degree**2 - m * m))
            before = np.sqrt(((degree - 1.0) ** 2 - m * m) / (4.0 * (degree - 1) ** 2 - 1))
            out[row] = now * (x * out[row - 1] - before * out[row - 2])
        yield out


def evaluate(towards: NDArray[np.floating], order: int) -> F64:
    """Return the harmonics at directions.

    Args:
        towards: …×3 unit vectors.
        order: the largest l.

    Returns:
        …×(order+1)² float64.
    """
    x, y, z = np.moveaxis(np.asarray(towards, np.float64), -1, 0)
    theta = np.arctan2(np.hypot(x, z), y)
    azimuth = np.arctan2(x, z)
    out = np.empty((*theta.shape, (order + 1) ** 2))
    for m, columns in enumerate(legendre(theta, order)):
        for degree, p in enumerate(columns, start=m):
            middle = degree * (degree + 1)
            if m == 0:
                out[..., middle] = p
            else:
                out[..., middle + m] = np.sqrt(2.0) * p * np.cos(m * azimuth)
                out[..., middle - m] = np.sqrt(2.0) * p * np.sin(m * azimuth)
    return out


def project(pixels: F32, order: int = ORDER) -> F64:
    """Return the harmonics of an environment whose texels are constant over their solid angle.

    Args:
        pixels: H×2H×C radiance.
        order: the largest l.

    Returns:
        (order+1)²×C float64, exact integrals.
    """
    height, width, channels = pixels.shape
    m = np.arange(-order, order + 1)[:, None]
    centre = (np.arange(width) + 0.5) * (2 * np.pi / width)
    waves = np.where(m < 0, np.sin(m * centre), np.cos(m * centre))
    sums = np.empty((height, 2 * order + 1, channels))
    for start in range(0, height, ROWS):
        part = slice(start, start + ROWS)
        np.matmul(waves, pixels[part].astype(np.float64), out=sums[part])
    return from_waves(sums)


def from_waves(sums: F64) -> F64:
    """Return harmonics from the Fourier sums of an environment's rows.

    Args:
        sums: H × (2·order+1) × C: for m = −order … −1 the sum of L sin(2πmu) over a row's texels,
            for m = 0 … order that of L cos(2πmu).

    Returns:
        (order+1)²×C.
    """
    height, count, channels = sums.shape
    order = count // 2
    signed = np.arange(-order, order + 1)
    # ∫ cos mα dα over a texel is its width times sinc times the value at its centre.
    span = np.pi / height * np.sinc(signed / (2 * height))
    span *= np.where(signed == 0, 1.0, np.sqrt(2.0))
    # ∫ f(θ) sin θ dθ over each band.
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.pi / (2 * height)
    theta = (np.arange(height)[:, None] + 0.5) * (np.pi / height) + half * nodes
    weights = half * weights * np.sin(theta)
    out = np.empty(((order + 1) ** 2, channels))
    for m, functions in enumerate(legendre(theta, order)):
        bands = np.einsum("lhn,hn->lh", functions, weights)
        for degree, band in enumerate(bands, start=m):
            for side in {m, -m}:
                found = band @ sums[:, order + side] * span[order + side]
                out[degree * (degree + 1) + side] = found
    return out


def turn(coefficients: F64, degrees: float) -> F64:
    """Turn light about +Y as `latlong.turn` does: content moves right in the image.

    Args:
        coefficients: (order+1)²×C.
        degrees: any angle.
    """
    order = _order(coefficients)
    out = np.array(coefficients, np.float64)
    for m in range(1, order + 1):
        cosine, sine = np.cos(np.radians(m * degrees)), np.sin(np.radians(m * degrees))
        for degree in range(m, order + 1):
            middle = degree * (degree + 1)
            even, odd = coefficients[middle + m], coefficients[middle - m]
            out[middle + m] = cosine * even + sine * odd
            out[middle - m] = cosine * odd - sine * even
    return out


def seen_from(coefficients: F64, to_world: F64) -> F64:
    """Return light given in world space as a turned camera sees it: L'(ω) = L(to_world · ω).

    Args:
        coefficients: (order+1)²×C in world space.
        to_world: 3×3 rotation, camera space to world space.

    Returns:
        (order+1)²×C in camera space.
    """
    order = _order(coefficients)
    # Bands do not mix, so a few more directions than harmonics settle each exactly.
    count = 4 * (order + 1) ** 2
    step = np.arange(count) + 0.5
    y, azimuth = 1 - 2 * step / count, step * np.pi * (3 - np.sqrt(5.0))
    ring = np.sqrt(1 - y * y)
    towards = np.stack((ring * np.sin(azimuth), y, ring * np.cos(azimuth)), 1)
    here, there = evaluate(towards, order), evaluate(towards @ to_world.T, order)
    out = np.empty(coefficients.shape, np.float64)
    for degree in range(order + 1):
        band = slice(degree**2, (degree + 1) ** 2)
        seen = there[:, band] @ coefficients[band]
        out[band] = np.linalg.lstsq(here[:, band], seen, rcond=None)[0]
    return out


def lobe(exponent: int, order: int) -> F64:
    """Return the zonal coefficients A_l of the normalised lobe (n+1)/2π · max(0, cos γ)ⁿ.

    A convolution multiplies band l by A_l. Exponent 1 is the clamped cosine over π. Computed by
    the three-term recurrence of ∫₀¹ xⁿ P_l(x) dx.

    Returns:
        order+1 values: 1, (n+1)/(n+2), n/(n+3), ….
    """
    out = np.ones(order + 1)
    if order:
        out[1] = (exponent + 1.0) / (exponent + 2.0)
    for degree in range(1, order):
        ratio = (exponent - degree + 1.0) / (exponent + degree + 2.0)
        out[degree + 1] = out[degree - 1] * ratio
    return out


def _order(coefficients: F64) -> int:
    return math.isqrt(len(coefficients)) - 1
