"""Edges found by a blurred guess must move to where the picture has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from relume.matting.edges import fitted, guided_edges

SIZE = 160


def disc(radius: float = 45.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.clip(radius - np.hypot(x - 80.0, y - 75.0) + 0.5, 0.0, 1.0).astype(np.float32)


def picture(alpha: np.ndarray, noise: float = 0.0) -> np.ndarray:
    front, back = np.array((0.8, 0.5, 0.3)), np.array((0.2, 0.4, 0.6))
    mixed = alpha[..., None] * front + (1.0 - alpha[..., None]) * back
    return (mixed + np.random.default_rng(1).normal(0, noise, mixed.shape)).astype(np.float32)


def test_a_matte_that_is_linear_in_colour_is_found_from_a_blurred_guess() -> None:
    truth = disc()
    blurred = ndimage.gaussian_filter(truth, 1.5)
    found = guided_edges(picture(truth, 0.005), blurred)
    assert np.abs(found - truth).mean() < 0.3 * np.abs(blurred - truth).mean()


def test_strands_thinner_than_the_guess_come_out() -> None:
    truth = disc()
    for column in range(60, 101, 6):
        truth[10:35, column] = 1.0
    blurred = np.clip(ndimage.gaussian_filter(truth, 1.5), 0.0, 1.0)
    found = guided_edges(picture(truth), blurred)
    strands, gaps = np.s_[18:30, 60:101:6], np.s_[18:30, 63:101:6]
    contrast = [float(each[strands].mean() - each[gaps].mean()) for each in (blurred, found)]
    assert contrast[1] > 1.15 * contrast[0]


def test_away_from_doubt_nothing_changes() -> None:
    sure = (disc() > 0.5).astype(np.float32)
    np.testing.assert_array_equal(guided_edges(picture(sure, 0.1), sure), sure)
    alpha = disc()
    far = ndimage.maximum_filter((alpha > 0.02) & (alpha < 0.98), 2 * 4 + 1) == 0
    found = guided_edges(picture(alpha, 0.1), alpha)
    np.testing.assert_array_equal(found[far], alpha[far])


def test_in_a_plain_picture_the_guess_is_only_smoothed() -> None:
    blurred = ndimage.gaussian_filter(disc(), 3.0)
    found = guided_edges(np.full((SIZE, SIZE, 3), 0.4, np.float32), blurred)
    assert np.abs(found - blurred).max() < 0.25
    assert abs(float(found.mean() - blurred.mean())) < 0.01


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.floats(-3.0, 3.0), st.floats(0.1, 4.0), st.integers(0, 99))
def test_the_fit_is_exact_where_alpha_is_linear_in_colour(
    radius: int, shift: float, gain: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    colour = rng.normal(shift, gain, (24, 31, 3)).astype(np.float32)
    weights = rng.normal(0.0, 0.05 / gain, 3)
    alpha = ((colour - shift) @ weights + 0.5).clip(0.05, 0.95).astype(np.float32)
    linear = np.abs((colour - shift) @ weights + 0.5 - alpha).max() < 1e-6
    found = fitted(colour, alpha, radius)
    assert ((found >= 0) & (found <= 1)).all()
    if linear and gain > 1.0:
        np.testing.assert_allclose(found, alpha, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 2)])
def test_small_pictures_pass(shape: tuple[int, int]) -> None:
    alpha = np.full(shape, 0.4, np.float32)
    found = guided_edges(np.zeros((*shape, 3), np.float32), alpha)
    assert found.shape == shape
    assert np.isfinite(found).all()
