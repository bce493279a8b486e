"""Procedural cloth: plain, stripes, checks, knit and printed noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.training.stage.geometry import noise

F32 = NDArray[np.float32]

KINDS = ("plain", "stripe", "check", "knit", "print")


@dataclass(frozen=True, slots=True)
class Cloth:
    """The look of one piece of cloth.

    Attributes:
        kind: one of KINDS.
        first: linear albedo of the ground.
        second: linear albedo of the figure.
        scale: width of a repeat in decimetres.
        turn: angle of the pattern about the view axis, radians.
        seed: of the noise.
    """

    kind: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    scale: float
    turn: float
    seed: int


def cloth_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a linear albedo: greys, dark blues and blacks, whites, and saturated dyes."""
    kind = rng.choice(4, p=[0.3, 0.2, 0.15, 0.35])
    if kind == 0:
        colour = np.exp(rng.uniform(np.log(0.02), np.log(0.6))) * rng.uniform(0.92, 1.08, 3)
    elif kind == 1:
        colour = np.exp(rng.uniform(np.log(0.015), np.log(0.15))) * np.array(
            [rng.uniform(0.5, 1.0), rng.uniform(0.7, 1.0), rng.uniform(1.0, 1.8)]
        )
    elif kind == 2:
        colour = rng.uniform(0.55, 0.85) * rng.uniform(0.93, 1.0, 3)
    else:
        hue = rng.uniform(0.0, 2.0 * np.pi)
        wave = 0.5 + 0.5 * np.cos(hue - np.array([0.0, 2.094, 4.189]))
        saturation = rng.uniform(0.4, 0.97)
        colour = np.exp(rng.uniform(np.log(0.06), np.log(0.6))) * (
            1.0 - saturation + saturation * wave
        )
    r, g, b = np.clip(colour, 0.01, 0.85)
    return float(r), float(g), float(b)


def draw_cloth(rng: np.random.Generator) -> Cloth:
    """Draw a piece of cloth."""
    kind = str(rng.choice(KINDS, p=[0.42, 0.16, 0.12, 0.14, 0.16]))
    return Cloth(
        kind,
        cloth_colour(rng),
        cloth_colour(rng),
        float(np.exp(rng.uniform(np.log(0.12), np.log(1.0)))),
        float(rng.choice([0.0, 0.0, np.pi / 2, rng.uniform(0, np.pi)])),
        int(rng.integers(1 << 30)),
    )


def albedo(cloth: Cloth, rest: F32) -> F32:
    """Return the linear albedo of a cloth at P×3 points of the undeformed garment."""
    first, second = np.array(cloth.first, np.float32), np.array(cloth.second, np.float32)
    cos, sin = np.cos(cloth.turn), np.sin(cloth.turn)
    across = (cos * rest[:, 0] + sin * rest[:, 1]) / cloth.scale
    along = (cos * rest[:, 1] - sin * rest[:, 0]) / cloth.scale
    if cloth.kind == "plain":
        share = np.zeros(len(rest))
    elif cloth.kind == "stripe":
        share = np.clip(0.5 + 6.0 * (np.abs((across % 1.0) - 0.5) - 0.33), 0.0, 1.0)
    elif cloth.kind == "check":
        bars = [
            np.clip(0.5 + 6.0 * (np.abs((t % 1.0) - 0.5) - 0.3), 0.0, 1.0) for t in (across, along)
        ]
        share = 0.5 * (bars[0] + bars[1])
    elif cloth.kind == "knit":
        share = 0.35 * (0.5 + 0.5 * np.sin(across * 12.0 * np.pi) * np.sin(along * 8.0 * np.pi))
    else:
        share = np.clip(0.5 + 2.5 * noise(rest, 1.2 * cloth.scale, cloth.seed), 0.0, 1.0)
    worn = 1.0 + 0.06 * noise(rest, 0.8, cloth.seed + 1)
    mixed = first + (second - first) * share.astype(np.float32)[:, None]
    return np.asarray(np.clip(mixed * worn[:, None], 0.005, 0.9), np.float32)
