"""Normals of a subject from its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relume.geometry.subject import find_subject
from relume.image import DATA, Image

if TYPE_CHECKING:
    from torch import nn


def estimate_normals(
    foreground: Image, matte: Image, anchor: float, model: nn.Module, *, half: bool = False
) -> Image:
    """Return the camera-space normals of a subject.

    Source: Pandey et al. 2021, section 3.2 (Geometry Net), with a network of our own.

    Args:
        foreground: straight R, G, B in the working space, scene-linear.
        matte: its A, or its only channel.
        anchor: gain in stops that brings the plate to middle grey.
        model: `relume.weights.load("normals")`.
        half: half-precision arithmetic, on an accelerator only.

    Returns:
        X, Y, Z in the foreground's windows: +X right, +Y up, +Z to the camera, unit length,
        continued 8 pixels beyond the matte, 0 elsewhere.

    Raises:
        UsageError: foreground and matte do not cover the same data window.
    """
    subject = find_subject(foreground, matte)
    if subject is None:
        pixels = np.zeros((foreground.height, foreground.width, 3), np.float32)
    else:
        from relume.networks.apply import apply, masked, spread

        colour = masked(foreground.rgb, subject, 2.0**anchor)
        planes = np.concatenate([colour, subject.alpha[..., None]], -1)
        answer = apply(model, planes, subject, foreground.pixel_aspect, half=half)
        # Resampling between pixel aspects shortens vectors.
        answer /= np.maximum(np.sqrt((answer * answer).sum(-1, keepdims=True)), 1e-6)
        pixels = spread(answer, subject)
    return foreground.like(pixels, ("X", "Y", "Z"), colour=DATA, alpha="none")
