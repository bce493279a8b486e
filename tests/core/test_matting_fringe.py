"""A cut-out over anything shows nothing of what it was filmed before: no fringe."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from relume.encoding import encode
from relume.image import Image
from relume.matting.foreground import estimate_foreground
from relume.matting.known_background import solve_matte

F32 = NDArray[np.float32]

HEIGHT, WIDTH = 160, 200

BEHIND = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "green": (0.05, 0.6, 0.08),
    "highlight": (40.0, 35.0, 30.0),
}


class Subject(NamedTuple):
    """A plate and what it is made of; straight foreground and background are H×W×3."""

    plate: F32
    alpha: F32
    front: F32
    behind: F32


@cache
def subject(noise: float = 0.0) -> Subject:
    """Return a soft disc with strands that stand out of it, before a textured background."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    alpha = np.clip((44 - np.hypot(x - 100, y - 90)) / 5 + 0.5, 0, 1)
    for angle in np.linspace(-2.8, -0.3, 24) + rng.normal(0, 0.04, 24):
        along = (x - 100) * np.cos(angle) + (y - 90) * np.sin(angle)
        bend = rng.normal(0, 0.15) * np.clip(along - 40, 0, None) ** 2 / 30
        across = (y - 90) * np.cos(angle) - (x - 100) * np.sin(angle) - bend
        # A strand thinner than a pixel covers a part of it; it thins towards its end.
        cover = 0.7 * np.exp(-0.5 * (across / 0.8) ** 2) * np.clip((68 - along) / 24, 0, 1)
        alpha = alpha + (1 - alpha) * np.where(along > 30, cover, 0)
    front = np.stack((0.45 + 0.1 * np.sin(x / 19), 0.28 + 0.06 * np.cos(y / 15), 0.18 + 0 * x), -1)
    grain = rng.standard_normal((HEIGHT, WIDTH, 3))
    mixed = sum(ndimage.gaussian_filter(grain, (s, s, 0)) * s for s in (2, 6, 16))
    behind = 0.25 * np.exp(0.6 * mixed / np.std(mixed))
    plate = alpha[..., None] * front + (1 - alpha[..., None]) * behind
    plate += rng.normal(0, noise, plate.shape)
    made = (np.asarray(part, np.float32) for part in (plate, alpha, front, behind))
    return Subject(*made)


def image(pixels: F32) -> Image:
    return Image(pixels, ("R", "G", "B"))


def cut_out(made: Subject, alpha: F32, known: bool) -> F32:
    """Return the straight foreground of a matte, with or without the background's help."""
    clean = image(made.behind) if known else None
    return estimate_foreground(image(made.plate), Image(alpha, ("A",)), clean).rgb


def over(front: F32, alpha: F32, behind: F32) -> F32:
    return np.asarray(alpha[..., None] * front + (1 - alpha[..., None]) * behind, np.float32)


def apart(one: F32, other: F32) -> F32:
    """Return H×W encoded difference."""
    return np.asarray(np.abs(encode(one) - encode(other)).mean(-1), np.float32)


def unknown(made: Subject) -> NDArray[np.bool_]:
    return (made.alpha > 0) & (made.alpha < 1)


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize(("known", "most"), [(True, 1e-3), (False, 8e-3)])
def test_no_fringe_with_the_true_matte(name: str, known: bool, most: float) -> None:
    made = subject()
    there = np.broadcast_to(np.float32(BEHIND[name]), made.plate.shape)
    true = over(made.front, made.alpha, there)
    found = over(cut_out(made, made.alpha, known), made.alpha, there)
    edge = unknown(made)
    assert apart(found, true)[edge].mean() < most
    # The plate itself, cut out, carries its background along.
    fringe = apart(over(made.plate, made.alpha, there), true)[edge].mean()
    assert apart(found, true)[edge].mean() < 0.5 * fringe


@pytest.mark.parametrize("name", BEHIND)
def test_no_fringe_with_a_matte_solved_from_the_background(name: str) -> None:
    made = subject(0.002)
    rough = ndimage.gaussian_filter(made.alpha, 4)
    alpha = solve_matte(made.plate, made.behind, rough)
    there = np.broadcast_to(np.float32(BEHIND[name]), made.plate.shape)
    true = over(made.front, made.alpha, there)
    found = over(cut_out(made, alpha, True), alpha, there)
    before = over(cut_out(made, rough, True), rough, there)
    edge = unknown(made)
    assert apart(found, true)[edge].mean() < 0.5 * apart(before, true)[edge].mean()


@pytest.mark.parametrize(
    ("known", "solved", "whole", "edge"),
    [(True, False, 1e-4, 5e-4), (False, False, 1e-3, 5e-3), (True, True, 2e-3, 2e-3)],
)
def test_foreground_and_true_background_rebuild_the_plate(
    known: bool, solved: bool, whole: float, edge: float
) -> None:
    made = subject(0.002 if solved else 0.0)
    alpha = made.alpha
    if solved:
        alpha = solve_matte(made.plate, made.behind, ndimage.gaussian_filter(made.alpha, 4))
    again = over(cut_out(made, alpha, known), alpha, made.behind)
    error = apart(again, made.plate)
    assert error.mean() < whole
    assert error[unknown(made)].mean() < edge
