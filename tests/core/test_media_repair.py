"""Repair of pixels that are not finite, against a brute-force statement of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relume.media.repair import not_finite, repair


def brute_force(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill ring by ring: every hole with a finite neighbour takes the mean of those there were."""
    plane = plane.copy()
    height, width = plane.shape
    while not np.isfinite(plane).all():
        before = plane.copy()
        for y in range(height):
            for x in range(width):
                if not np.isfinite(before[y, x]):
                    around = before[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                    known = around[np.isfinite(around)]
                    if known.size:
                        plane[y, x] = known.mean()
    return plane


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.floats(0.0, 0.95))
def test_it_is_the_iterated_mean_of_finite_neighbours(
    seed: int, height: int, width: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 100, (height, width, 2)).astype(np.float32)
    holes = rng.uniform(size=(height, width)) < share
    holes[rng.integers(height), rng.integers(width)] = False
    pixels[holes, 0] = rng.choice([np.nan, np.inf, -np.inf], holes.sum())
    bad = not_finite(pixels)
    assert (bad is not None) == bool(holes.any())
    if bad is None:
        return
    kept = pixels.copy()
    mended, count = repair(pixels, bad)
    assert count == holes.sum()
    expected = brute_force(pixels[..., 0].astype(np.float64))
    np.testing.assert_allclose(mended[..., 0], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(mended[..., 1], pixels[..., 1])
    np.testing.assert_array_equal(pixels, kept)


def test_a_sum_that_overflows_is_no_fault() -> None:
    assert not_finite(np.full((4, 4, 3), 3e38, np.float32)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_is_found_among_many(value: float) -> None:
    pixels = np.zeros((50, 50, 4), np.float32)
    pixels[49, 49, 3] = value
    bad = not_finite(pixels)
    assert bad is not None
    assert np.argwhere(bad).tolist() == [[49, 49, 3]]


def test_opposite_infinities_are_found() -> None:
    pixels = np.zeros((2, 2, 1), np.float32)
    pixels[0, 0], pixels[1, 1] = np.inf, -np.inf
    bad = not_finite(pixels)
    assert bad is not None
    assert bad.sum() == 2


def test_an_edge_does_not_bleed_across_the_border() -> None:
    pixels = np.zeros((3, 4, 1), np.float32)
    pixels[:, 0] = 10.0
    pixels[1, 3] = np.nan
    bad = not_finite(pixels)
    assert bad is not None
    assert repair(pixels, bad)[0][1, 3, 0] == 0.0
