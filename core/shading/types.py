"""The per-pixel transport of light over a subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import Camera
from relume.image import Image

F32 = NDArray[np.float32]

EXPONENTS = (1, 16, 32, 64)
"""Phong exponents of the specular lobes a transport weighs (Pandey et al. 2021, section 3.2)."""

USUAL = 0.5
"""Mean luminance over the sphere that networks which see the light see every light at."""

ORDER = 3
"""Spherical-harmonic order of the residual transport: 16 coefficients a pixel."""

HARMONICS = (ORDER + 1) ** 2


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Transport:
    """How much each kind of light reaches the camera from each pixel of the subject.

    A picture under light L is, per pixel and colour channel,
    `albedo · diffuse · D(N) + Σ_n specular_n · S_n(R) + albedo · Σ_lm residual_lm · L_lm`.
    Nothing in it has seen L, so pictures add as lights do.

    Attributes:
        foreground: straight R, G, B of the plate's subject (the picture under `original`).
        matte: A.
        normals: X, Y, Z, camera space, unit length, zero where the matte is 0.
        albedo: R, G, B, straight.
        index: P flat pixel positions (row · width + column) of the data window with alpha > 0
            or within the straight margin, ascending int32; everything below is stored for these
            pixels only, planar.
        diffuse: P weights of D(N).
        specular: K×P weights of S_n(R), one row an exponent.
        residual: 16×P weights of the environment's spherical harmonics.
        view: 3×P unit directions from the subject to the camera, or None for (0, 0, 1).
        to_world: 3×3 rotation from camera space to the world the light is fixed to, or None
            where the light is fixed to the picture.
        exponents: the K exponents.
        calibrated: whether its albedo was corrected by the light of the set.
    """

    foreground: Image
    matte: Image
    normals: Image
    albedo: Image
    index: NDArray[np.int32]
    diffuse: F32
    specular: F32
    residual: F32
    view: F32 | None = None
    to_world: NDArray[np.float64] | None = None
    exponents: tuple[int, ...] = EXPONENTS
    calibrated: bool = False


def views(camera: Camera | None, image: Image, index: NDArray[np.int32]) -> F32 | None:
    """Return the directions from the pixels at `index` to a camera, 3×P, or None without one."""
    if camera is None:
        return None
    towards = camera.views(image.data, image.display, image.pixel_aspect)
    return np.ascontiguousarray(towards.reshape(-1, 3)[index].T)
