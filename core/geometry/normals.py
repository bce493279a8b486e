"""Normals of a subject from its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.geometry.subject import Subject, find_subject
from relume.image import DATA, Image

if TYPE_CHECKING:
    from torch import nn

F32 = NDArray[np.float32]


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
    answer = None
    if subject is not None:
        from relume.networks.apply import apply, masked

        colour = masked(foreground.rgb, subject, 2.0**anchor)
        planes = np.concatenate([colour, subject.alpha[..., None]], -1)
        answer = apply(model, planes, subject, foreground.pixel_aspect, half=half)
    return normals_of(foreground, subject, answer)


def normals_of(foreground: Image, subject: Subject | None, answer: F32 | None) -> Image:
    """Return the normals that a network's answer stands for.

    Args:
        foreground: whose windows they take.
        subject: None where the matte is empty.
        answer: h×w×3 over the subject's box.
    """
    if subject is None or answer is None:
        pixels = np.zeros((foreground.height, foreground.width, 3), np.float32)
    else:
        from relume.networks.apply import spread

        # Resampling between pixel aspects shortens vectors.
        length = np.sqrt((answer * answer).sum(-1, keepdims=True))
        pixels = spread(answer / np.maximum(length, 1e-6), subject)
    return foreground.like(pixels, ("X", "Y", "Z"), colour=DATA, alpha="none")
