"""Geometry of lat-long images: directions, solid angles, look-up, turning and resampling.

An image of height H is 2H wide. +Y is up, the centre is −Z, u grows to the right towards +X:
texel (column i, row j) looks along φ = (u − ½)·2π, colatitude θ = v·π with u = (i + ½)/2H,
v = (j + ½)/H, direction (sin φ sin θ, cos θ, −cos φ sin θ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import Camera
from relume.image import Box

if TYPE_CHECKING:
    from scipy.sparse import csr_array

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ROWS_AT_ONCE = 1 << 18
"""Directions looked up at once: bounds the memory of large pictures."""


def colatitudes(height: int) -> F64:
    """Return the angle from +Y of each row's centre, in radians, ascending."""
    return np.asarray((np.arange(height) + 0.5) * (np.pi / height), np.float64)


def solid_angles(height: int) -> F64:
    """Return the solid angle of a texel of each row, exact for the band; 2H of all sum to 4π."""
    # cos θ₀ − cos θ₁ of a band, written so that nothing cancels near the poles.
    band = 2.0 * np.sin(np.pi / (2 * height)) * np.sin(colatitudes(height))
    return np.asarray(band * (np.pi / height), np.float64)


def directions(height: int) -> F64:
    """Return the unit direction of each texel's centre, H×2H×3."""
    theta = colatitudes(height)[:, None]
    phi = (np.arange(2 * height) + 0.5) * (np.pi / height) - np.pi
    out = np.empty((height, 2 * height, 3))
    out[..., 0] = np.sin(phi) * np.sin(theta)
    out[..., 1] = np.cos(theta)
    out[..., 2] = -np.cos(phi) * np.sin(theta)
    return out


def uv(towards: F32) -> tuple[F32, F32]:
    """Return the place of directions in a lat-long image.

    Args:
        towards: …×3 vectors of any length above 0.

    Returns:
        u and v in 0…1, of shape ….
    """
    x, y, z = towards[..., 0], towards[..., 1], towards[..., 2]
    u = np.arctan2(x, -z) / np.float32(2 * np.pi) + np.float32(0.5)
    # atan2 rather than asin: exact near the poles, and no length to divide by.
    v = np.float32(0.5) - np.arctan2(y, np.hypot(x, z)) / np.float32(np.pi)
    return np.asarray(u, np.float32), np.asarray(v, np.float32)


def edged(image: F32) -> F32:
    """Return an image with one texel more on each side: around in u, across the poles in v.

    Args:
        image: H×2H×C.

    Returns:
        (H+2)×(2H+2)×C, on which plain bilinear look-up is seamless.
    """
    height, width, channels = image.shape
    out = np.empty((height + 2, width + 2, channels), image.dtype)
    out[1:-1, 1:-1] = image
    out[0, 1:-1] = np.roll(image[0], width // 2, axis=0)
    out[-1, 1:-1] = np.roll(image[-1], width // 2, axis=0)
    out[:, 0], out[:, -1] = out[:, -2], out[:, 1]
    return out


def taps(towards: F32, height: int) -> tuple[NDArray[np.int32], F32]:
    """Return where and how much to read of an `edged` image for bilinear look-up.

    Args:
        towards: P×3 directions.
        height: of the image before it was edged.

    Returns:
        P×4 flat positions in the edged image and P×4 weights that sum to 1.
    """
    u, v = uv(towards)
    stride = 2 * height + 2
    x = u * np.float32(2 * height) + np.float32(0.5)
    y = v * np.float32(height) + np.float32(0.5)
    column = np.clip(np.floor(x), 0, stride - 2)
    row = np.clip(np.floor(y), 0, height)
    right, down = x - column, y - row
    index = np.empty((len(u), 4), np.int32)
    index[:, 0] = row.astype(np.int32) * stride + column.astype(np.int32)
    index[:, 1:] = index[:, :1] + np.array([1, stride, stride + 1], np.int32)
    weight = np.empty((len(u), 4), np.float32)
    np.multiply(1 - right, 1 - down, out=weight[:, 0])
    np.multiply(right, 1 - down, out=weight[:, 1])
    np.multiply(1 - right, down, out=weight[:, 2])
    np.multiply(right, down, out=weight[:, 3])
    return index, weight


def look_up(image: F32, towards: F32) -> F32:
    """Read an image at directions, bilinear, around in u and across the poles.

    Args:
        image: H×2H×C float32.
        towards: …×3 directions.

    Returns:
        …×C.
    """
    table = edged(image).reshape(-1, image.shape[2])
    flat = towards.reshape(-1, 3).astype(np.float32, copy=False)
    out = np.empty((len(flat), image.shape[2]), np.float32)
    for start in range(0, len(flat), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        index, weight = taps(flat[part], image.shape[0])
        out[part] = np.einsum("pk,pkc->pc", weight, table[index])
    return out.reshape(*towards.shape[:-1], image.shape[2])


def turn(image: F32, degrees: float) -> F32:
    """Turn an image about +Y: content moves right by `degrees`, light is neither lost nor made.

    Whole columns move as they are; a fraction blends neighbours, so nothing rings around a sun.

    Args:
        image: H×2H×C.
        degrees: any angle.
    """
    columns = degrees / 360.0 * image.shape[1]
    whole = int(np.floor(columns))
    part = np.float32(columns - whole)
    moved = np.roll(image, whole, axis=1)
    if part == 0:
        return moved
    return (1 - part) * moved + part * np.roll(moved, 1, axis=1)


def resize(image: F32, height: int) -> F32:
    """Resample an image by area, so that each texel holds the mean radiance over its solid angle.

    Args:
        image: H×2H×C.
        height: rows wanted; the result is twice as wide.
    """
    source = image.shape[0]
    if source == height:
        return image
    rows = _overlaps(-np.cos(_edges(source, np.pi)), -np.cos(_edges(height, np.pi)))
    columns = _overlaps(_edges(2 * source, 1.0), _edges(2 * height, 1.0))
    channels = image.shape[2]
    tall = rows @ image.reshape(source, -1)
    across = tall.reshape(height, 2 * source, channels).transpose(1, 0, 2)
    wide = columns @ across.reshape(2 * source, -1)
    resized = wide.reshape(2 * height, height, channels).transpose(1, 0, 2)
    return np.ascontiguousarray(resized, np.float32)


def _edges(count: int, length: float) -> F64:
    return np.linspace(0.0, length, count + 1)


def _overlaps(old: F64, new: F64) -> csr_array:
    """Return the share of each old interval in the mean over each new one, both ascending."""
    from scipy.sparse import csr_array

    both = np.union1d(old, new)
    middle = (both[1:] + both[:-1]) / 2
    into = np.searchsorted(new, middle) - 1
    shares = np.diff(both) / np.diff(new)[into]
    cells = (shares, (into, np.searchsorted(old, middle) - 1))
    return csr_array(cells, shape=(len(new) - 1, len(old) - 1))


def crop(
    image: F32,
    camera: Camera,
    data: Box,
    display: Box,
    pixel_aspect: float = 1.0,
    rotation: float = 0.0,
) -> F32:
    """Return the picture a camera takes of an environment.

    Pixels that see more than a texel average several rays, so that a large environment does not
    alias in a small picture.

    Args:
        image: H×2H×C.
        camera: field of view and orientation.
        data: the pixels wanted.
        display: the window the field of view spans.
        pixel_aspect: width of a pixel over its height.
        rotation: degrees by which the environment is turned.

    Returns:
        H×W×C of the data window.
    """
    focal = 0.5 * display.width / np.tan(np.radians(camera.fov) / 2)
    texel = np.pi / image.shape[0]
    # A pixel is widest on the optical axis, where it spans 1/focal.
    across = max(1, int(np.ceil(1.0 / (focal * texel))))
    down = max(1, int(np.ceil(1.0 / (focal * pixel_aspect * texel))))
    turned = np.radians(rotation)
    around = np.array(
        [[np.cos(turned), 0, np.sin(turned)], [0, 1, 0], [-np.sin(turned), 0, np.cos(turned)]]
    )
    # The light is turned one way, so its picture is read the other way.
    to_light = (around @ camera.to_world).astype(np.float32)
    out = np.zeros((data.height, data.width, image.shape[2]), np.float64)
    for row in range(down):
        for column in range(across):
            inside = ((column + 0.5) / across, (row + 0.5) / down)
            rays = camera.rays(data, display, pixel_aspect, inside=inside)
            out += look_up(image, rays @ to_light.T)
    return (out / (across * down)).astype(np.float32)
