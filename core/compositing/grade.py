"""Grading: a linear part and a sign-symmetric gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.compositing.alpha import premultiply, unpremultiply
from relume.image import Image, Pixels

Triple = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Grading:
    """The values of a grade, each three numbers on R, G, B.

    Attributes:
        blackpoint: input that becomes `lift`.
        whitepoint: input that becomes `gain`.
        lift: output of `blackpoint` before `offset`.
        gain: output of `whitepoint` while `multiply` is 1.
        multiply: factor on the span from lift to gain.
        offset: added to the result.
        gamma: exponent 1/gamma on the magnitude; the sign is kept.
        exposure: stops.
    """

    blackpoint: Triple = (0.0, 0.0, 0.0)
    whitepoint: Triple = (1.0, 1.0, 1.0)
    lift: Triple = (0.0, 0.0, 0.0)
    gain: Triple = (1.0, 1.0, 1.0)
    multiply: Triple = (1.0, 1.0, 1.0)
    offset: Triple = (0.0, 0.0, 0.0)
    gamma: Triple = (1.0, 1.0, 1.0)
    exposure: float = 0.0


def grade(image: Image, grading: Grading) -> Image:
    """Grade R, G, B as compositors do: slope and offset from the points, then gamma.

    With a = multiply·(gain − lift)/(whitepoint − blackpoint), the result is
    (a·x + offset + lift − a·blackpoint)^(1/gamma), x being exposed first. Premultiplied colour is
    divided by alpha while it is graded.

    Args:
        image: H×W×C with R, G, B, scene-linear, unbounded.
        grading: the values.

    Returns:
        The same channels and windows, unclamped.
    """
    if not image.has("R", "G", "B"):
        return image
    straight = unpremultiply(image)
    g = {name: np.asarray(getattr(grading, name), np.float64) for name in Grading.__slots__}
    span = g["whitepoint"] - g["blackpoint"]
    slope = g["multiply"] * (g["gain"] - g["lift"]) / np.where(span == 0, 1e-12, span)
    shift = g["offset"] + g["lift"] - slope * g["blackpoint"]
    slope = slope * 2.0 ** g["exposure"]
    graded: Pixels = straight.rgb * slope.astype(np.float32) + shift.astype(np.float32)
    if np.any(g["gamma"] != 1):
        power = (1.0 / g["gamma"]).astype(np.float32)
        graded = np.copysign(np.abs(graded) ** power, graded)
    pixels = straight.pixels.copy()
    pixels[:, :, [straight.channels.index(c) for c in ("R", "G", "B")]] = graded
    result = straight.like(pixels)
    return premultiply(result) if image.alpha == "premultiplied" else result
