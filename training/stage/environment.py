"""Environments as light for the stage: reading, turning, and sharing out among directions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from relume.errors import InputError
from relume.light import harmonics as spherical
from relume.light import latlong
from relume.training.stage.assets import assets_root

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SPLITS: dict[str, tuple[str, ...]] = {
    "val": ("lebombo", "brown_photostudio_02", "kloppenheim_05", "dancing_hall", "thatch_chapel"),
    "test": (
        "venice_sunset",
        "blocky_photo_studio",
        "potsdamer_platz",
        "workshop",
        "moonless_golf",
    ),
}
"""Environments kept out of training; every other one trains."""


def names(split: str) -> tuple[str, ...]:
    """Return the names of the environments of a split: train, val or test."""
    held = {name for kept in SPLITS.values() for name in kept}
    found = sorted(p.name.removesuffix("_1k.hdr") for p in (assets_root() / "hdri").glob("*.hdr"))
    if split == "train":
        return tuple(name for name in found if name not in held)
    return tuple(name for name in found if name in SPLITS[split])


@lru_cache(maxsize=64)
def read(name: str, width: int = 128) -> F32:
    """Read an environment, averaged by area to `width`.

    Args:
        name: a file of `assets/hdri` without `_1k.hdr`, or a path.
        width: columns of the result; the height is half.

    Returns:
        width/2×width×3 scene-linear Rec. 709 radiance, unbounded.

    Raises:
        InputError: the file is missing or unreadable.
    """
    import OpenImageIO as oiio

    path = Path(name)
    if not path.suffix:
        path = assets_root() / "hdri" / f"{name}_1k.hdr"
    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise InputError(
            "the environment cannot be read", file=str(path), way_out="Check the path and the file"
        )
    pixels = np.asarray(source.read_image(0, 0, 0, 3, oiio.FLOAT), np.float32)
    source.close()
    pixels = np.nan_to_num(pixels, nan=0.0, posinf=65504.0, neginf=0.0)
    small = downsample(pixels, width)
    small.flags.writeable = False
    return small


def downsample(env: F32, width: int) -> F32:
    """Average a lat-long picture by solid angle to `width` columns; smaller ones stay as they are.

    Args:
        env: h×2h×3 radiance.
        width: columns of the result.
    """
    return env if env.shape[1] <= width else latlong.resize(env, width // 2)


def row_weights(height: int) -> F64:
    """Return the solid angle of one texel of each row of a height×2·height lat-long picture."""
    return latlong.solid_angles(height)


@lru_cache(maxsize=8)
def texel_directions(height: int) -> F32:
    """Return h×2h×3 unit directions of texel centres: the image centre is −Z, u grows to +X."""
    return latlong.directions(height).astype(np.float32)


def rotated(env: F32, degrees: float) -> F32:
    """Return the light turned by `degrees`: content moves right, between texels linearly."""
    return latlong.turn(env, degrees)


def fibonacci(count: int, rng: np.random.Generator | None = None) -> F32:
    """Return `count` even unit directions, turned at random if a generator is given."""
    k = np.arange(count) + 0.5
    y = 1.0 - 2.0 * k / count
    angle = k * np.pi * (3.0 - np.sqrt(5.0))
    ring = np.sqrt(1.0 - y * y)
    points = np.stack([ring * np.sin(angle), y, ring * np.cos(angle)], axis=1)
    if rng is not None:
        basis, triangular = np.linalg.qr(rng.standard_normal((3, 3)))
        points = points @ (basis * np.sign(np.diag(triangular))).T
    return np.asarray(points, np.float32)


def cell_moments(env: F32, directions: F32) -> tuple[F32, F32]:
    """Integrate an environment over the cells nearest to each direction.

    Args:
        env: h×2h×3 radiance.
        directions: K×3 unit vectors.

    Returns:
        K×3×3 first moments ∫ ω L dω (direction by colour) and K×3 fluxes ∫ L dω.
    """
    towards = texel_directions(env.shape[0]).reshape(-1, 3)
    cell = _cells(directions.tobytes(), len(directions), env.shape[0])
    weighted = env.astype(np.float64) * row_weights(env.shape[0])[:, None, None]
    weighted = weighted.reshape(-1, 3)
    count = len(directions)
    flux = np.stack([np.bincount(cell, weighted[:, c], count) for c in range(3)], axis=1)
    moments = np.stack(
        [
            np.stack(
                [np.bincount(cell, weighted[:, c] * towards[:, a], count) for c in range(3)], axis=1
            )
            for a in range(3)
        ],
        axis=1,
    )
    return moments.astype(np.float32), flux.astype(np.float32)


@lru_cache(maxsize=4)
def _cells(directions: bytes, count: int, height: int) -> NDArray[np.int64]:
    points = np.frombuffer(directions, np.float32).reshape(count, 3)
    found = cKDTree(points).query(texel_directions(height).reshape(-1, 3))[1]
    return np.asarray(found, np.int64)


def harmonics(directions: F32) -> F32:
    """Return the nine real spherical harmonics to order 2 at directions, last axis 9."""
    return spherical.evaluate(directions, 2).astype(np.float32)


def project(env: F32) -> F32:
    """Return the 9×3 spherical-harmonic coefficients of an environment to order 2."""
    return spherical.project(env, 2).astype(np.float32)


@lru_cache(maxsize=16)
def _lobe_kernel(exponent: int, height: int, rows: int) -> NDArray[np.complex64]:
    """Return the longitude spectrum of a Phong lobe for each pair of latitudes."""
    lat_in = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    lat_out = (0.5 - (np.arange(rows) + 0.5) / rows) * np.pi
    turn = np.arange(2 * height) * (np.pi / height)
    cosine = np.sin(lat_out)[:, None, None] * np.sin(lat_in)[None, :, None] + (
        np.cos(lat_out)[:, None, None] * np.cos(lat_in)[None, :, None] * np.cos(turn)
    )
    lobe = (exponent + 1) / (2.0 * np.pi) * np.maximum(cosine, 0.0) ** exponent
    lobe *= row_weights(height)[None, :, None]
    # A sharp lobe is coarse beside the texels: rescale it so that it still integrates to one.
    lobe /= lobe.sum(axis=(1, 2), keepdims=True)
    return np.asarray(np.fft.rfft(lobe, axis=-1), np.complex64)


def lobe_map(env: F32, exponent: int) -> F32:
    """Convolve an environment with a normalised Phong lobe, (n+1)/2π max(0, r·ω)ⁿ.

    The same sum as `relume.light.prefilter`'s with the kernels kept: a data loader lights thousands
    of views with maps of one size.

    Args:
        env: h×2h×3 radiance.
        exponent: n.

    Returns:
        h×2h×3 map indexed by r.
    """
    height = env.shape[0]
    kernel = _lobe_kernel(exponent, height, height)
    spectrum = np.fft.rfft(env.astype(np.float64), axis=1)
    found = np.einsum("oik,ikc->okc", kernel, spectrum, optimize=True)
    return np.asarray(np.fft.irfft(found, n=2 * height, axis=1), np.float32)


def lookup(picture: F32, directions: F32) -> F32:
    """Read a lat-long picture at P×3 unit directions, bilinear."""
    return latlong.look_up(picture, directions)
