"""The transport of light over a subject from its picture, normals and albedo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import Camera
from relume.geometry.subject import Subject, find_subject
from relume.image import Image
from relume.shading.types import EXPONENTS, HARMONICS, Transport, views

if TYPE_CHECKING:
    from torch import nn

F32 = NDArray[np.float32]


def analyse_transport(
    foreground: Image,
    matte: Image,
    normals: Image,
    albedo: Image,
    anchor: float,
    model: nn.Module,
    camera: Camera | None = None,
    *,
    half: bool = False,
) -> Transport:
    """Return the transport of a subject, before any new light is seen.

    Source: Sloan et al. 2002 for the form; the lobes are those of Pandey et al. 2021, section 3.3.

    Args:
        foreground: straight R, G, B in the working space, scene-linear.
        matte: its A, or its only channel.
        normals: X, Y, Z as `estimate_normals` gives them.
        albedo: R, G, B as `estimate_albedo` gives it.
        anchor: gain in stops that brings the plate to middle grey.
        model: `relume.weights.load("transport")`.
        camera: what the plate was filmed with; None for one far away that light turns with.
        half: half-precision arithmetic, on an accelerator only.

    Returns:
        The transport; of no pixels where the matte is empty.

    Raises:
        UsageError: foreground and matte do not cover the same data window.
    """
    subject = find_subject(foreground, matte)
    planes = None
    if subject is not None:
        from relume.networks.apply import apply, masked

        colour = masked(foreground.rgb, subject, 2.0**anchor)
        alpha = subject.alpha[..., None]
        seen = np.concatenate(
            [
                colour,
                normals.take("X", "Y", "Z") * (alpha > 0),
                masked(albedo.rgb, subject),
                alpha,
            ],
            -1,
        )
        planes = apply(model, seen, subject, foreground.pixel_aspect, half=half)
    return transport_of(foreground, matte, normals, albedo, subject, planes, camera)


def transport_of(
    foreground: Image,
    matte: Image,
    normals: Image,
    albedo: Image,
    subject: Subject | None,
    planes: F32 | None,
    camera: Camera | None = None,
) -> Transport:
    """Return the transport that a network's answer stands for.

    Args:
        foreground: see `analyse_transport`, as are the next three.
        matte: of the subject.
        normals: of the subject.
        albedo: of the subject.
        subject: None where the matte is empty.
        planes: h×w×21 coefficients over the subject's box.
        camera: what the plate was filmed with.
    """
    lobes = len(EXPONENTS)
    if subject is None or planes is None:
        index = np.zeros(0, np.int32)
        planar = np.zeros((1 + lobes + HARMONICS, 0), np.float32)
    else:
        from relume.networks.apply import spread

        index = subject.index
        planar = spread(planes, subject).reshape(-1, planes.shape[-1])[index].T.copy()
    return Transport(
        foreground=foreground,
        matte=matte,
        normals=normals,
        albedo=albedo,
        index=index,
        diffuse=planar[0],
        specular=planar[1 : 1 + lobes],
        residual=planar[1 + lobes :],
        view=views(camera, foreground, index),
        to_world=None if camera is None else camera.to_world,
    )
