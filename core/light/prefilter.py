"""Convolve an environment into the light maps that shade a subject, exactly.

The environment is a set of directional samples: each texel shines from its centre with the exact
solid angle of its band. Each map texel is the sum over all of them of the kernel, divided by the
same sum for a constant environment, so that a constant stays constant however coarse the
environment is. No random numbers, no clamp, no normalisation by a maximum.

    D(n) = (1/π) ∫ L(ω) max(0, n·ω) dω        Sₙ(r) = ((n+1)/2π) ∫ L(ω) max(0, r·ω)ⁿ dω

Source: Pandey et al. 2021, section 3.2, for the maps. The sums are ours: the harmonics of the
clamped cosine fall too slowly to be cut off (`relume.light.cosine`), those of sharper lobes vanish
in float32 at an order that is quick to sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.light import cosine, harmonics, latlong
from relume.light.types import Environment, LightMaps

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]

EXPONENTS = (1, 16, 32, 64)
HEIGHT = 128
"""A 256×128 map carries lobes up to n = 64; sharper ones need larger maps."""

WIDEST = 4096
"""Larger environments are reduced by area to this width: a texel is a sixth of the sun."""

COARSEST = 0.8
"""Largest texel, in standard deviations 1/√n of the sharpest lobe; larger ones are split.

Sums over texels so close differ from the integral by 1e-13: a lobe does not see them one by one.
"""

FINER = 4
"""Texels that are split at all are split to a fraction of the largest."""

WORK = 1 << 24
"""Latitudes times modes up to which an environment of an odd width is summed as it is."""

VANISHED = 1e-7
"""Share of a lobe's peak that its harmonics may leave out."""

HIGHEST = 256
"""Order at which the harmonics of broad lobes stop: 1e-5 of the peak is left out for n = 2."""


def prefilter(
    environment: Environment,
    exponents: Sequence[int] = EXPONENTS,
    height: int = HEIGHT,
    *,
    threads: int = 1,
) -> LightMaps:
    """Convolve an environment into a diffuse map and one Phong map an exponent.

    Args:
        environment: finite R, G, B radiance, scene-linear, any size.
        exponents: Phong exponents, 1 or more. The map of exponent 1 equals the diffuse map.
        height: rows of the maps, which are twice as wide.
        threads: to compute with; the result does not depend on it.

    Returns:
        Maps linear in the environment, on its absolute scale, and its harmonics to order 4.

    Raises:
        UsageError: an exponent or the height is below 1.
    """
    if height < 1 or not exponents or min(exponents) < 1:
        raise UsageError("light maps have one row or more and Phong exponents of 1 or more")
    pixels = environment.image.rgb
    narrowest = math.tau / COARSEST * max(exponents) ** 0.5
    modes = _longitude_modes(_affordable(pixels, narrowest, 2 * height), threads)
    diffuse = cosine.convolve(modes, height, threads)
    specular = _lobes(modes, sorted({n for n in exponents if n > 1}), height)
    if 1 in exponents:
        specular[1] = diffuse
    return LightMaps(
        diffuse=diffuse,
        specular=specular,
        harmonics=_harmonics(modes),
        colour=environment.image.colour,
    )


def _affordable(pixels: F32, narrowest: float, out_width: int) -> F32:
    """Return the environment at a size that is quick to sum exactly and not too coarse."""
    height = pixels.shape[0]
    if 2 * height < narrowest:
        split = math.ceil(FINER * narrowest / (2 * height))
        pixels, height = pixels.repeat(split, 0).repeat(split, 1), split * height
    grid = cosine.common_grid(2 * height, out_width)
    if 2 * height > WIDEST or height * grid // 2 > WORK:
        pixels = latlong.resize(pixels, WIDEST // 2)
    return pixels


def _longitude_modes(pixels: F32, threads: int) -> C64:
    """Return the real Fourier transform of each row, H×(H+1)×C.

    In float32: the error of a row is 1e-7 of its own largest value.
    """
    from scipy.fft import rfft

    return np.asarray(rfft(pixels, axis=1, workers=threads), np.complex64)


def _harmonics(modes: C64) -> F32:
    """Return the harmonics of the light to order 4, 25×C."""
    waves = cosine.pick(modes, range(harmonics.ORDER + 1)).astype(np.complex128)
    # In the order m = −4 … 4: sines of −|m|·2πu, then cosines.
    signed = np.concatenate((waves[:0:-1].imag, waves.real))
    return harmonics.from_waves(signed.transpose(1, 0, 2)).astype(np.float32)


def _lobes(modes: C64, exponents: Sequence[int], height: int) -> dict[int, F32]:
    """Return the map of each exponent, summed in spherical harmonics."""
    if not exponents:
        return {}
    bands = [harmonics.lobe(n, _order(n)) for n in exponents]
    order = max(len(band) for band in bands) - 1
    zonal = np.zeros((len(bands), order + 1))
    for row, band in zip(zonal, bands, strict=True):
        row[: len(band)] = band
    rows, channels = len(modes), modes.shape[2]
    there, here = latlong.colatitudes(rows), latlong.colatitudes(height)
    solid = latlong.solid_angles(rows)
    light = cosine.pick(modes, range(order + 1)) * solid[:, None]
    ones = 2 * rows * solid
    spectrum = np.zeros((order + 1, height, len(bands) * channels), np.complex128)
    constant = np.zeros((order + 1, height, len(bands)), np.complex128)
    at_both = harmonics.legendre(np.concatenate((there, here)), order)
    for m, both in enumerate(at_both):
        source, target = both[:, :rows], both[:, rows:]
        # Addition theorem: band l of the convolution is A_l times band l of the environment.
        found = np.einsum("kl,lc->lkc", zonal[:, m:], source @ light[m])
        found = found.reshape(len(source), -1)
        spectrum[m] = target.T @ found * (2.0 if m else 1.0)
        turn, rest = divmod(m, 2 * rows)
        if rest == 0:
            response = target.T @ (zonal[:, m:] * (source @ ones)).T
            constant[m] = response * ((-1) ** turn * (2.0 if m else 1.0))
    maps = cosine.rows_of(spectrum, 2 * height).reshape(height, 2 * height, len(bands), channels)
    maps /= cosine.rows_of(constant, 2 * height)[..., None]
    return {n: maps[:, :, k].astype(np.float32) for k, n in enumerate(exponents)}


def _order(exponent: int) -> int:
    """Return the order beyond which a lobe's harmonics have vanished."""
    band = np.abs(harmonics.lobe(exponent, 4 * HIGHEST)) * (2 * np.arange(4 * HIGHEST + 1) + 1)
    left_out = np.cumsum(band[::-1])[::-1] / (2 * (exponent + 1))
    return min(int(np.argmax(left_out < VANISHED)) or HIGHEST, HIGHEST)
