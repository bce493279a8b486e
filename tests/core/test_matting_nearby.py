"""Doubtful pixels must agree with the colours on both sides of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tests.core.test_matting_edges import SIZE, disc, picture

from relume.matting.nearby import nearby_alpha
from relume.matting.surroundings import looks_around, spread_around


def strands() -> np.ndarray:
    truth = disc()
    for column in range(60, 101, 6):
        truth[10:35, column] = 0.7
    return truth


@pytest.mark.parametrize("gain", [0.05, 1.0, 60.0])
def test_strands_come_out_of_a_blurred_guess_at_any_exposure(gain: float) -> None:
    truth = strands()
    blurred = ndimage.gaussian_filter(truth, 1.2)
    found = nearby_alpha(picture(truth, 0.005) * np.float32(gain), blurred)
    band = (blurred > 0.03) & (blurred < 0.97)
    before, after = (np.abs(each - truth)[band].mean() for each in (blurred, found))
    assert after < 0.4 * before


def test_the_guess_stands_where_the_two_sides_look_alike() -> None:
    blurred = ndimage.gaussian_filter(disc(), 2.0)
    grey = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    assert np.abs(nearby_alpha(grey, blurred) - blurred).max() < 0.15


def test_what_is_sure_does_not_change() -> None:
    alpha = ndimage.gaussian_filter(disc(), 2.0)
    sure = (alpha <= 0.03) | (alpha >= 0.97)
    found = nearby_alpha(picture(disc(), 0.1), alpha)
    np.testing.assert_array_equal(found[sure], alpha[sure])
    hard = (disc() > 0.5).astype(np.float32)
    np.testing.assert_array_equal(nearby_alpha(picture(hard), hard), hard)


def test_grain_makes_it_careful() -> None:
    alpha = ndimage.gaussian_filter(strands(), 1.2)
    clean = picture(strands())

    def flicker(grain: float) -> float:
        rng = np.random.default_rng(3)
        plates = (clean * (1 + rng.normal(0, grain, clean.shape)) for _ in range(2))
        one, other = (nearby_alpha(plate.astype(np.float32), alpha) for plate in plates)
        return float(np.abs(one - other).mean())

    # Four times the grain is not four times the flicker.
    assert flicker(0.2) < 3.0 * flicker(0.05)


def test_without_one_of_the_sides_nothing_is_invented() -> None:
    for low, high in ((0.3, 1.0), (0.0, 0.7), (0.5, 0.5)):
        alpha = (low + (high - low) * ndimage.gaussian_filter(disc(), 2.0)).astype(np.float32)
        np.testing.assert_array_equal(nearby_alpha(picture(disc()), alpha), alpha)


@pytest.mark.parametrize("value", [1e20, -1e20, np.nan, np.inf])
def test_one_broken_pixel_stays_one(value: float) -> None:
    alpha = ndimage.gaussian_filter(disc(), 1.5)
    plate = picture(disc(), 0.005)
    broken = plate.copy()
    broken[75, 80] = value
    away = np.abs(nearby_alpha(broken, alpha) - nearby_alpha(plate, alpha))
    assert away.mean() < 1e-3


def test_threads_change_no_bit() -> None:
    truth = np.tile(strands(), (3, 3))
    plate = np.tile(picture(strands(), 0.02), (3, 3, 1))
    blurred = ndimage.gaussian_filter(truth, 4.0)
    one = nearby_alpha(plate, blurred)
    np.testing.assert_array_equal(one, nearby_alpha(plate, blurred, threads=3))


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.floats(-6, 6),
    st.integers(0, 1000),
)
def test_any_picture_gives_a_matte(shape: tuple[int, int], exponent: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plate = rng.normal(0, 10.0**exponent, (*shape, 3)).astype(np.float32)
    found = nearby_alpha(plate, rng.uniform(0, 1, shape).astype(np.float32))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_looks_are_the_moments_of_what_is_spread_around() -> None:
    rng = np.random.default_rng(4)
    plate = rng.uniform(0, 2, (331, 702, 3)).astype(np.float32)
    weight = (rng.uniform(0, 1, (331, 702)) > 0.9).astype(np.float32)
    where = rng.uniform(0, 1, weight.shape) > 0.8
    mean, spread = looks_around(plate, weight, 1.5, where)
    np.testing.assert_allclose(mean, spread_around(plate, weight, 1.5)[where], atol=1e-5)
    red = spread_around(plate[..., :1] ** 2, weight, 1.5)[where][:, 0] - mean[:, 0] ** 2
    least = (0.02 * np.abs(mean[:, 0]) + 1e-3) ** 2
    np.testing.assert_allclose(spread[:, 0], np.maximum(red, least), atol=1e-4)
