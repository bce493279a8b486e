"""Matting metrics against their definitions, written out pixel by pixel."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.matting.metrics import (
    connectedness,
    gradient_magnitude,
    matte_error,
    temporal_error,
)


def random_matte(seed: int, shape: tuple[int, int] = (13, 11)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = rng.random(shape)
    for _ in range(2):
        smooth = (smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1)) / 3
    return np.clip((smooth - 0.3) * 2.5, 0, 1)


def test_sums_and_means_of_a_known_difference() -> None:
    truth = np.zeros((10, 20))
    alpha = truth.copy()
    alpha[:5] = 0.5
    error = matte_error(alpha, truth)
    assert error.sad == pytest.approx(100 * 0.5 / 1000)
    assert error.mad == pytest.approx(250.0)
    assert error.mse == pytest.approx(125.0)


def test_a_region_counts_only_its_own_pixels() -> None:
    truth = np.zeros((10, 20))
    alpha = truth.copy()
    alpha[:5] = 0.5
    region = np.zeros(truth.shape, bool)
    region[:5, :4] = True
    error = matte_error(alpha, truth, region)
    assert (error.sad, error.mad, error.mse) == pytest.approx((0.01, 500.0, 250.0))


def brute_gradient(alpha: np.ndarray) -> np.ndarray:
    """Rhemann's kernel, one pixel at a time."""
    sigma, epsilon = 1.4, 1e-2
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))

    def gauss(x: float) -> float:
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    size = range(-half, half + 1)
    kernel = np.array([[gauss(i) * -j * gauss(j) / sigma**2 for j in size] for i in size])
    kernel /= math.sqrt((kernel**2).sum())
    height, width = alpha.shape
    out = np.zeros(alpha.shape)
    for y in range(height):
        for x in range(width):
            gx = gy = 0.0
            for i in size:
                for j in size:
                    value = alpha[min(max(y - i, 0), height - 1), min(max(x - j, 0), width - 1)]
                    gx += kernel[i + half, j + half] * value
                    gy += kernel[j + half, i + half] * value
            out[y, x] = math.hypot(gx, gy)
    return out


def test_gradient_is_rhemanns() -> None:
    alpha = random_matte(3)
    assert np.allclose(gradient_magnitude(alpha), brute_gradient(alpha), atol=1e-12)


def test_gradient_of_a_ramp_is_the_same_everywhere_inside() -> None:
    ramp = np.tile(np.arange(40) / 100, (30, 1))
    inside = gradient_magnitude(ramp)[10:-10, 10:-10]
    assert np.allclose(inside, inside[0, 0], rtol=1e-12)
    assert np.allclose(gradient_magnitude(ramp.T)[10:-10, 10:-10], inside[0, 0])
    assert np.allclose(gradient_magnitude(2 * ramp)[10:-10, 10:-10], 2 * inside[0, 0])


def brute_connectedness(alpha: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The definition, with a flood fill of its own."""
    height, width = alpha.shape
    level = np.full(alpha.shape, np.nan)
    for step in range(1, 11):
        mask = (alpha >= step / 10) & (other >= step / 10)
        best: set[tuple[int, int]] = set()
        seen: set[tuple[int, int]] = set()
        for start in zip(*np.nonzero(mask), strict=True):
            if start in seen:
                continue
            part, queue = {start}, deque([start])
            while queue:
                y, x = queue.popleft()
                for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                    if (
                        0 <= near[0] < height
                        and 0 <= near[1] < width
                        and mask[near]
                        and near not in part
                    ):
                        part.add(near)
                        queue.append(near)
            seen |= part
            if len(part) > len(best):
                best = part
        for y in range(height):
            for x in range(width):
                if np.isnan(level[y, x]) and (y, x) not in best:
                    level[y, x] = (step - 1) / 10
    level[np.isnan(level)] = 1.0
    distance = alpha - level
    return 1 - np.where(distance >= 0.15, distance, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_connectedness_is_the_definition(seed: int) -> None:
    alpha, other = random_matte(seed), random_matte(seed + 100)
    assert np.allclose(connectedness(alpha, other), brute_connectedness(alpha, other), atol=1e-12)


def test_eight_bit_values_on_the_thresholds_are_counted_at_them() -> None:
    # 51/255 is 0.2 exactly in float64 and below it in float32, where other scripts go wrong.
    alpha = np.full((4, 4), 51 / 255)
    assert np.all(connectedness(alpha, alpha) == 1.0)


def test_an_island_is_a_connectivity_error_and_a_bridge_mends_it() -> None:
    truth = np.zeros((9, 21))
    truth[:, :15] = 1
    alpha = truth.copy()
    alpha[3:6, 17:20] = 1
    broken = matte_error(alpha, truth).conn
    assert broken == pytest.approx(9 / 1000)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_errors_vanish_only_for_the_truth(seed: int) -> None:
    truth = random_matte(seed)
    same = matte_error(truth, truth)
    assert (same.sad, same.mad, same.mse, same.grad, same.conn) == (0, 0, 0, 0, 0)
    half = matte_error(truth * 0.5, truth)
    # Not stretched to [0, 1] first: a matte at half gain is wrong.
    assert half.grad > 0 and half.mad > 0


def test_temporal_error_sees_flicker_and_not_bias() -> None:
    truth = np.zeros((5, 4, 4))
    assert temporal_error(truth + 0.25, truth) == 0.0
    flicker = truth.copy()
    flicker[1::2] += 0.1
    assert temporal_error(flicker, truth) == pytest.approx(4 * 0.1 / 5 * 100)


def test_sizes_must_agree() -> None:
    with pytest.raises(UsageError):
        matte_error(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(UsageError):
        matte_error(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3), bool))
    with pytest.raises(UsageError):
        temporal_error(np.zeros((2, 3)), np.zeros((2, 3)))
