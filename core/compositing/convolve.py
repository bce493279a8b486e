"""Convolution of pictures with large kernels, and the kernels: apertures and Gaussians.

A picture goes on beyond its edge as it ends there, so that a constant stays one up to the border.
Transforms are float64: in float32 the light of a lamp of 10⁵ would leave a grain of 10⁻² in black.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SAMPLES = 16
"""Samples along each side of a pixel that the edge of an aperture crosses."""

REACH = 4.0
"""Standard deviations at which a Gaussian ends: 6e-5 of its light lies beyond."""


def aperture(
    radius: float,
    blades: int = 0,
    rotation: float = 0.0,
    curvature: float = 0.0,
    pixel_aspect: float = 1.0,
) -> F64:
    """Return what a point of light becomes behind an aperture.

    Args:
        radius: of the disc, or of the circle through the corners of the polygon, in rows.
        blades: corners of the polygon; 0 is a disc.
        rotation: degrees counter-clockwise; at 0 a corner points up.
        curvature: 0 for straight blades, 1 for blades that make a disc.
        pixel_aspect: width of a pixel over its height; the shape is round where it is looked at.

    Returns:
        A kernel of odd sides that sums to 1: the share of each pixel that lies inside.

    Raises:
        UsageError: there are one or two blades.
    """
    if blades in (1, 2):
        raise UsageError(
            f"an aperture of {blades} blades lets no light through",
            way_out="Give 3 or more, or 0 for a disc",
        )
    rows, columns = math.ceil(radius), math.ceil(radius / pixel_aspect)
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1].astype(np.float64)
    x *= pixel_aspect

    def outside(x: F64, y: F64) -> F64:
        edge = _edge(np.arctan2(-y, x), radius, blades, math.radians(rotation), curvature)
        return np.asarray(np.hypot(x, y) - edge)

    away = outside(x, y)
    kernel = (away < 0).astype(np.float64)
    # A corner is farther from the edge than it looks along its own ray.
    near = np.abs(away) < 2.0 * max(1.0, pixel_aspect)
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    down, right = (part.reshape(-1, 1) for part in np.meshgrid(steps, steps, indexing="ij"))
    kernel[near] = (outside(x[near] + right * pixel_aspect, y[near] + down) < 0).mean(axis=0)
    total = float(kernel.sum())
    if total == 0:
        kernel[rows, columns] = total = 1.0
    return np.asarray(kernel / total)


def _edge(angle: F64, radius: float, blades: int, turn: float, curvature: float) -> F64:
    """Return how far the aperture reaches at angles."""
    if blades == 0:
        return np.full(angle.shape, radius)
    sector = 2 * math.pi / blades
    within = (angle - turn - math.pi / 2) % sector - sector / 2
    straight = radius * math.cos(sector / 2) / np.cos(within)
    return np.asarray((1.0 - curvature) * straight + curvature * radius)


def gaussian(sigma: float, pixel_aspect: float = 1.0) -> F64:
    """Return a Gaussian kernel that sums to 1.

    Args:
        sigma: standard deviation in rows; 0 leaves a picture as it is.
        pixel_aspect: width of a pixel over its height.
    """
    sides = [_bell(sigma), _bell(sigma / pixel_aspect)]
    return np.asarray(np.outer(*sides))


def _bell(sigma: float) -> F64:
    if sigma <= 0:
        return np.ones(1)
    reach = math.ceil(REACH * sigma)
    place = np.arange(-reach, reach + 1)
    # Integrated over each pixel, so that a narrow one goes over into none at all.
    from scipy.special import ndtr

    bell = ndtr((place + 0.5) / sigma) - ndtr((place - 0.5) / sigma)
    return np.asarray(bell / bell.sum())


def convolve(pixels: F32, kernel: F64, threads: int = 1) -> F32:
    """Convolve a picture with a kernel.

    Args:
        pixels: H×W×C, unbounded.
        kernel: of odd sides.
        threads: to compute with; the result does not depend on it.

    Returns:
        H×W×C; a point becomes the kernel, a constant stays one.
    """
    if kernel.size == 1:
        return pixels * np.float32(kernel.item())
    from scipy.fft import irfft2, next_fast_len, rfft2

    height, width, channels = pixels.shape
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    pads = ((rows, rows), (columns, columns))
    shape = (next_fast_len(height + 2 * rows, True), next_fast_len(width + 2 * columns, True))
    spectrum = rfft2(kernel, shape, workers=threads)
    out = np.empty_like(pixels)
    for channel in range(channels):
        plane = np.pad(pixels[:, :, channel].astype(np.float64), pads, mode="edge")
        found = irfft2(rfft2(plane, shape, workers=threads) * spectrum, shape, workers=threads)
        out[:, :, channel] = found[2 * rows : 2 * rows + height, 2 * columns : 2 * columns + width]
    return out
