"""Normals, albedo and transport of a subject in one pass of one network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from relume.geometry.camera import Camera
from relume.geometry.normals import normals_of
from relume.geometry.subject import find_subject
from relume.image import Image
from relume.reflectance.albedo import albedo_of
from relume.shading.analyse import transport_of
from relume.shading.types import Transport

if TYPE_CHECKING:
    from torch import nn


class Analysis(NamedTuple):
    """What is worked out of a foreground whatever the light."""

    normals: Image
    albedo: Image
    transport: Transport


def analyse_fast(
    foreground: Image,
    matte: Image,
    anchor: float,
    model: nn.Module,
    camera: Camera | None = None,
    *,
    half: bool = False,
) -> Analysis:
    """Return what `estimate_normals`, `estimate_albedo` and `analyse_transport` do, sooner.

    Args:
        foreground: straight R, G, B in the working space, scene-linear.
        matte: its A, or its only channel.
        anchor: gain in stops that brings the plate to middle grey.
        model: `relume.weights.load("express")`.
        camera: what the plate was filmed with; None for one far away that light turns with.
        half: half-precision arithmetic, on an accelerator only.

    Raises:
        UsageError: foreground and matte do not cover the same data window.
    """
    subject = find_subject(foreground, matte)
    form = colour = light = None
    if subject is not None:
        from relume.networks.apply import apply, masked
        from relume.networks.express import ALBEDO, NORMALS, TRANSPORT

        seen = masked(foreground.rgb, subject, 2.0**anchor)
        planes = np.concatenate([seen, subject.alpha[..., None]], -1)
        answer = apply(model, planes, subject, foreground.pixel_aspect, half=half)
        form, colour, light = answer[..., NORMALS], answer[..., ALBEDO], answer[..., TRANSPORT]
    normals = normals_of(foreground, subject, form)
    albedo = albedo_of(foreground, subject, colour)
    return Analysis(
        normals,
        albedo,
        transport_of(foreground, matte, normals, albedo, subject, light, camera),
    )
