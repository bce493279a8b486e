"""Levels: the black and the white of a picture, measured, and brought to those of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relume.compositing.alpha import premultiply
from relume.exposure import LUMINANCE
from relume.image import Image

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

By = Literal["colour", "level"]

LONG = 512
"""Pixels along the long side of the averages that are measured, so that no grain is."""

SOLID = 0.95
"""Coverage of an average that counts as the picture."""

EDGES = 95.0
"""Percentile of the differences between neighbours that stands for them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """What is black and white in a picture, for R, G, B.

    Attributes:
        black: the level of the darkest.
        white: the level of the brightest.
        cast: the colour in which a grey surface is seen, on any scale.
    """

    black: F64
    white: F64
    cast: F64

    def seen_under(self, cast: F64) -> Levels:
        """Return the same levels where the colour of grey is known."""
        return replace(self, cast=cast)


def measure_levels(image: Image, share: float = 0.5) -> Levels | None:
    """Return the levels of a picture, or None where there is too little of it.

    The cast lies between two guesses, each wrong where the other is right: that the brightest is
    white, and that the differences between surfaces are grey, which a blue sky does not change.

    Source: van de Weijer, Gevers and Gijsenij 2007, Edge-Based Color Constancy, section III, of
    orders 0 and 1; a percentile takes the place of their norm, which a lamp of 10⁵ would decide
    alone.

    Args:
        image: R, G, B, scene-linear, unbounded; with A, only what it covers is measured.
        share: per cent of the pixels that are darker than black, and brighter than white.
    """
    pixels, cover = _averages(image)
    solid = cover > SOLID
    if np.count_nonzero(solid) < 2:
        return None
    black, white = np.percentile(pixels[solid], (share, 100.0 - share), axis=0)
    across = np.abs(np.diff(pixels, axis=1))[solid[:, 1:] & solid[:, :-1]]
    down = np.abs(np.diff(pixels, axis=0))[solid[1:] & solid[:-1]]
    steps = np.concatenate((across, down))
    edge = np.percentile(steps, EDGES, axis=0) if len(steps) else np.ones(3)
    span = white - black
    cast = np.sqrt(edge * span) if (edge > 0).all() and (span > 0).all() else np.ones(3)
    return Levels(black, white, cast)


def cast_of_light(light: Image, picture: Image) -> F64 | None:
    """Return the mean colour of the light on a subject, which is how white would look there.

    Args:
        light: `diffuse_light`, straight.
        picture: the subject; its A says where it is.
    """
    cover = picture.take("A")[:, :, 0].astype(np.float64)
    cast = np.einsum("yx,yxc->c", np.clip(cover, 0, 1), light.rgb.astype(np.float64))
    return cast if (cast > 0).all() else None


def match_levels(
    image: Image,
    own: Levels,
    wanted: Levels,
    *,
    black: float = 1.0,
    white: float = 1.0,
    by: By = "colour",
) -> Image:
    """Bring the levels of a picture to those of another.

    Each channel becomes gain·x + lift. Exact where one picture is a grade of the other.

    Args:
        image: R, G, B with or without A, scene-linear.
        own: the levels of the picture.
        wanted: the levels of the other.
        black: how far to bring the darkest, 0 to 1.
        white: how far to bring white, 0 to 1, in stops.
        by: `colour` turns the cast of the picture into that of the other and keeps the luminance
            of grey; `level` matches the brightest of each channel.

    Returns:
        The same channels and windows, premultiplied where there is an A.
    """
    if by == "level":
        span = wanted.white - black * wanted.black, own.white - black * own.black
        gain = _ratio(*span) ** white
    else:
        gain = _ratio(wanted.cast, own.cast) ** white
        gain = gain / (gain @ np.array(LUMINANCE))
    lift = black * (wanted.black - gain * own.black)
    source = premultiply(image)
    cover = source.take("A") if source.has("A") else np.float32(1)
    graded = source.rgb * gain.astype(np.float32) + lift.astype(np.float32) * cover
    pixels = source.pixels.copy()
    pixels[:, :, [source.channels.index(c) for c in ("R", "G", "B")]] = graded
    return source.like(pixels)


def _ratio(a: F64, b: F64) -> F64:
    """Return a/b; 1 in every channel where either has nothing to say in one."""
    if (a <= 0).any() or (b <= 0).any():
        return np.ones(3)
    return np.asarray(a / b)


def _averages(image: Image) -> tuple[F64, F64]:
    """Return the means of squares of straight pixels, and of how much they are covered."""
    source = premultiply(image)
    cover = source.take("A")[:, :, 0] if source.has("A") else np.ones(source.rgb.shape[:2], "f4")
    size = max(1, round(max(cover.shape) / LONG))
    colour, alpha = _squares(source.rgb, size), _squares(cover[:, :, None], size)
    return colour / np.where(alpha > 0, alpha, 1.0), alpha[:, :, 0]


def _squares(pixels: F32, size: int) -> F64:
    size = min(size, *pixels.shape[:2])
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    kept = pixels[: rows * size, : columns * size].astype(np.float64)
    return np.asarray(kept.reshape(rows, size, columns, size, -1).mean(axis=(1, 3)))
