"""Despill against its formula, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.image import Image
from relume.matting.despill import LIMITS, SCREENS, despill

LUMINANCE = np.array([0.2722287168, 0.6740817658, 0.0536895174])


def picture(pixels: list[list[float]], channels: str = "RGB") -> Image:
    return Image(np.float32([pixels]), tuple(channels))


def values(image: Image) -> np.ndarray:
    return image.pixels[0]


@pytest.mark.parametrize(("limit", "green"), [("average", 0.4), ("maximum", 0.6), ("minimum", 0.2)])
def test_green_comes_down_to_what_the_others_allow(limit: str, green: float) -> None:
    out = despill(picture([[0.2, 0.9, 0.6]]), limit=limit)
    assert np.allclose(values(out), [[0.2, green, 0.6]])
    half = despill(picture([[0.2, 0.9, 0.6]]), limit=limit, amount=0.5)
    assert np.allclose(values(half), [[0.2, (0.9 + green) / 2, 0.6]])


def test_skin_hair_and_other_screens_are_left_alone() -> None:
    image = picture([[0.5, 0.3, 0.2], [0.1, 0.05, 0.03], [-0.2, -0.4, 0.1], [7e4, 3e4, 2e4]])
    assert np.array_equal(values(despill(image)), values(image))
    assert np.allclose(values(despill(picture([[0.1, 0.3, 0.9]]), "blue")), [[0.1, 0.3, 0.2]])
    assert np.allclose(values(despill(picture([[0.9, 0.3, 0.1]]), "red")), [[0.2, 0.3, 0.1]])


def test_luminance_can_be_given_back() -> None:
    image = picture([[0.2, 0.9, 0.6]])
    out = despill(image, restore=1.0)
    assert values(out) @ LUMINANCE == pytest.approx(values(image) @ LUMINANCE, rel=1e-6)
    # Grey was added, so nothing is left to remove.
    assert np.allclose(values(despill(out)), values(out), atol=1e-6)


def test_other_channels_and_their_order_stay() -> None:
    image = picture([[0.7, 0.6, 0.9, 0.2]], "ABGR")
    assert np.allclose(values(despill(image)), [[0.7, 0.6, 0.4, 0.2]])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    screen=st.sampled_from(SCREENS),
    limit=st.sampled_from(LIMITS),
    restore=st.floats(0, 1),
)
def test_it_scales_with_the_picture_and_settles(
    seed: int, screen: str, limit: str, restore: float
) -> None:
    pixels = np.random.default_rng(seed).normal(0, 1, (8, 3)).astype(np.float32)
    once = values(despill(picture(pixels.tolist()), screen, limit, 1.0, restore))
    bright = values(despill(picture((1024 * pixels).tolist()), screen, limit, 1.0, restore))
    assert np.array_equal(bright, 1024 * once)
    twice = values(despill(picture(once.tolist()), screen, limit, 1.0, restore))
    assert np.allclose(twice, once, atol=1e-5)


def test_a_picture_without_colour_is_refused() -> None:
    with pytest.raises(UsageError, match="no channel"):
        despill(picture([[1.0]], "A"))
