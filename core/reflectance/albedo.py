"""Albedo of a subject from its picture and normals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.encoding import decode
from relume.geometry.subject import Subject, find_subject
from relume.image import Image

if TYPE_CHECKING:
    from torch import nn

F32 = NDArray[np.float32]


def estimate_albedo(
    foreground: Image,
    matte: Image,
    normals: Image,
    anchor: float,
    model: nn.Module,
    *,
    half: bool = False,
) -> Image:
    """Return the albedo of a subject: its colour under even white light of radiance 1.

    Source: Pandey et al. 2021, section 3.2 (Albedo Net), with a network of our own.

    Args:
        foreground: straight R, G, B in the working space, scene-linear.
        matte: its A, or its only channel.
        normals: X, Y, Z as `estimate_normals` gives them.
        anchor: gain in stops that brings the plate to middle grey.
        model: `relume.weights.load("albedo")`.
        half: half-precision arithmetic, on an accelerator only.

    Returns:
        R, G, B, straight, positive, in the foreground's windows and colour space, continued 8
        pixels beyond the matte, 0 elsewhere.

    Raises:
        UsageError: foreground and matte do not cover the same data window.
    """
    subject = find_subject(foreground, matte)
    answer = None
    if subject is not None:
        from relume.networks.apply import apply, masked

        colour = masked(foreground.rgb, subject, 2.0**anchor)
        alpha = subject.alpha[..., None]
        planes = np.concatenate([colour, normals.take("X", "Y", "Z") * (alpha > 0), alpha], -1)
        answer = apply(model, planes, subject, foreground.pixel_aspect, half=half)
    return albedo_of(foreground, subject, answer)


def albedo_of(foreground: Image, subject: Subject | None, answer: F32 | None) -> Image:
    """Return the albedo that a network's answer stands for.

    Args:
        foreground: whose windows and colour space it takes.
        subject: None where the matte is empty.
        answer: h×w×3 in the networks' encoding, over the subject's box.
    """
    if subject is None or answer is None:
        pixels = np.zeros((foreground.height, foreground.width, 3), np.float32)
    else:
        from relume.networks.apply import spread

        pixels = spread(decode(answer), subject)
    return foreground.like(pixels, ("R", "G", "B"), alpha="none")
