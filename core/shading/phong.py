"""Lambert and Phong shading as a transport, exactly and without a network."""

from __future__ import annotations

import numpy as np

from relume.geometry.camera import Camera
from relume.geometry.subject import find_subject
from relume.image import Image
from relume.shading.types import HARMONICS, Transport, views

PLASTIC = (0.0, 0.04, 0.0, 0.0)
"""Weights of the lobes n = 1, 16, 32, 64: the reflectance of skin and cloth seen from the front."""


def phong_transport(
    foreground: Image,
    matte: Image,
    normals: Image,
    albedo: Image,
    specular: tuple[float, ...] = PLASTIC,
    camera: Camera | None = None,
) -> Transport:
    """Return the transport of a surface that casts no shadow: D(N)·albedo + Σ w_n·S_n(R).

    Source: Phong 1975 in its normalised form; Pandey et al. 2021, section 3.2, for the maps.

    Args:
        foreground: straight R, G, B, scene-linear.
        matte: its A.
        normals: X, Y, Z, camera space, unit length.
        albedo: R, G, B, straight, scene-linear.
        specular: one weight for each of the lobes 1, 16, 32, 64.
        camera: what the plate was filmed with; None for one far away that light turns with.

    Raises:
        UsageError: foreground and matte do not cover the same data window.
    """
    subject = find_subject(foreground, matte)
    index = np.zeros(0, np.int32) if subject is None else subject.index
    count = len(index)
    return Transport(
        foreground=foreground,
        matte=matte,
        normals=normals,
        albedo=albedo,
        index=index,
        diffuse=np.ones(count, np.float32),
        specular=np.repeat(np.array(specular, np.float32)[:, None], count, axis=1),
        residual=np.zeros((HARMONICS, count), np.float32),
        view=views(camera, foreground, index),
        to_world=None if camera is None else camera.to_world,
    )
