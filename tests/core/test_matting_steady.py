"""Mattes over time: noise goes, motion stays, and only the window of frames matters."""

from __future__ import annotations

import numpy as np
import pytest

from relume.errors import UsageError
from relume.image import Image
from relume.matting.metrics import temporal_error
from relume.matting.steady import steady_matte

HEIGHT, WIDTH = 96, 128


def texture(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    total = np.zeros((*x.shape, 3))
    for _ in range(25):
        u, v = rng.normal(0.0, 0.35, 2)
        total += np.sin(u * x + v * y + rng.uniform(0, 6.3))[..., None] * rng.normal(0, 0.15, 3)
    return 0.3 * np.exp(total)


def clip(
    step: tuple[float, float], count: int = 6, noise: float = 0.06
) -> tuple[list[Image], list[np.ndarray], list[Image]]:
    """Plates of a disc that moves by `step` a frame, its true mattes, and noisy ones."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    plates, truths, found = [], [], []
    for frame in range(count):
        left, top = 50.0 + step[0] * frame, 45.0 + step[1] * frame
        alpha = np.clip((28.0 - np.hypot(x - left, y - top)) / 4.0 + 0.5, 0.0, 1.0)
        front = texture(x - left, y - top, 1) + 0.4
        plate = alpha[..., None] * front + (1 - alpha[..., None]) * texture(x, y, 2)
        plate += rng.normal(0, 0.004, plate.shape)
        edge = (alpha > 0.02) & (alpha < 0.98)
        shaky = np.where(edge, np.clip(alpha + rng.normal(0, noise, alpha.shape), 0, 1), alpha)
        plates.append(Image(plate.astype(np.float32), ("R", "G", "B")))
        truths.append(alpha.astype(np.float32))
        found.append(Image(shaky.astype(np.float32)[..., None], ("A",)))
    return plates, truths, found


def steadied(plates: list[Image], mattes: list[Image]) -> list[np.ndarray]:
    out = []
    for t in range(len(plates)):
        window = [max(0, t + k) for k in (-3, -2, -1, 0)]
        steady = steady_matte([plates[k] for k in window], [mattes[k] for k in window], 0.0)
        out.append(steady.pixels[..., 0])
    return out


@pytest.mark.parametrize("step", [(0.0, 0.0), (2.5, -1.0)], ids=["at rest", "moving"])
def test_flicker_falls_and_the_matte_is_no_worse(step: tuple[float, float]) -> None:
    plates, truths, mattes = clip(step)
    steady = steadied(plates, mattes)
    plain = [matte.pixels[..., 0] for matte in mattes]
    assert temporal_error(np.stack(steady), np.stack(truths)) < 0.75 * temporal_error(
        np.stack(plain), np.stack(truths)
    )
    errors = [np.abs(np.stack(each) - np.stack(truths)).mean() for each in (steady, plain)]
    assert errors[0] < errors[1]


def test_what_appears_at_once_is_not_held_back() -> None:
    plates, _, mattes = clip((0.0, 0.0), count=4, noise=0.0)
    arm = np.s_[10:30, 90:120]
    picture, alpha = plates[3].pixels.copy(), mattes[3].pixels.copy()
    picture[arm], alpha[arm] = (3.0, 0.1, 0.1), 1.0
    plates[3], mattes[3] = Image(picture, ("R", "G", "B")), Image(alpha, ("A",))
    steady = steady_matte(plates, mattes, 0.0).pixels[..., 0]
    assert steady[13:27, 93:117].min() > 0.99
    gone = steady_matte([plates[3], *plates[:3]], [mattes[3], *mattes[:3]], 0.0).pixels[..., 0]
    assert gone[13:27, 93:117].max() < 0.01


def test_the_first_frame_and_strength_nought_are_left_alone() -> None:
    plates, _, mattes = clip((1.0, 0.0), count=2)
    first = steady_matte([plates[0]] * 4, [mattes[0]] * 4, 0.0)
    np.testing.assert_array_equal(first.pixels, mattes[0].pixels)
    off = steady_matte(plates, mattes, 0.0, strength=0.0)
    np.testing.assert_array_equal(off.pixels, mattes[1].pixels)


def test_an_empty_matte_stays_empty() -> None:
    plates, _, mattes = clip((0.0, 0.0), count=2)
    nothing = [matte.like(np.zeros_like(matte.pixels), ("A",)) for matte in mattes]
    assert not steady_matte(plates, nothing, 0.0).pixels.any()


def test_frames_of_different_sizes_are_refused() -> None:
    plates, _, mattes = clip((0.0, 0.0), count=2)
    small = Image(mattes[0].pixels[:50], ("A",))
    with pytest.raises(UsageError, match="differ in size"):
        steady_matte(plates, [small, mattes[1]], 0.0)
