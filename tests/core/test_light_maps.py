"""Light maps are turned without blur and added without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.image import Image
from relume.light import harmonics, latlong, maps
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps


def light(seed: int, height: int = 64, exponents: tuple[int, ...] = (1, 16, 64)) -> LightMaps:
    pixels = np.random.default_rng(seed).lognormal(0, 2, (32, 64, 3)).astype(np.float32)
    return prefilter(Environment(Image(pixels, ("R", "G", "B"))), exponents, height)


def test_whole_columns_move_as_they_are():
    image = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(maps.turned(image, 45), np.roll(image, 2, axis=1))
    np.testing.assert_array_equal(maps.turned(image, 0), image)
    np.testing.assert_array_equal(maps.turned(image, -360), image)


@given(st.floats(-400, 400))
def test_a_turned_lobe_is_the_lobe_elsewhere(degrees: float):
    """A point light's map is the kernel, so the turned map is known exactly."""
    towards = latlong.directions(64)
    turn = np.radians(degrees)

    def lobe(azimuth: float) -> np.ndarray:
        centre = np.array([np.sin(azimuth) * 0.8, 0.6, -np.cos(azimuth) * 0.8])
        return (np.clip(towards @ centre, 0, None) ** 32)[..., None].astype(np.float32)

    np.testing.assert_allclose(maps.turned(lobe(0.7), degrees), lobe(0.7 + turn), atol=5e-6)


def test_settling_works_rotation_and_gain_in():
    still = light(1)
    gain = np.float32([2.0, 0.5, 3.0])
    found = maps.settled(still.adjusted(gain=gain, rotation=90))
    np.testing.assert_array_equal(found.diffuse, np.roll(still.diffuse, 32, axis=1) * gain)
    np.testing.assert_array_equal(found.specular[64], np.roll(still.specular[64], 32, 1) * gain)
    np.testing.assert_allclose(
        found.harmonics, harmonics.turn(still.harmonics.astype(np.float64), 90) * gain, rtol=1e-6
    )
    np.testing.assert_array_equal(found.gain, 1)
    assert found.rotation == 0


def test_rotations_and_gains_accumulate():
    once = light(1).adjusted(gain=np.full(3, 2.0), rotation=300)
    twice = once.adjusted(gain=np.full(3, 0.25), rotation=100)
    assert twice.rotation == pytest.approx(40)
    np.testing.assert_array_equal(twice.gain, 0.5)


def test_lights_of_a_size_are_added_and_others_kept_apart():
    a, b, c = light(1), light(2), light(3, height=32)
    found = maps.added([a, b, c])
    assert len(found) == 2
    np.testing.assert_array_equal(found[0].specular[16], a.specular[16] + b.specular[16])
    np.testing.assert_array_equal(found[0].harmonics, a.harmonics + b.harmonics)
    np.testing.assert_array_equal(found[1].diffuse, c.diffuse)
    assert maps.added([]) == []


@given(st.integers(16, 300))
def test_the_middle_of_a_stripe_is_its_coefficient(width: int):
    coefficients = light(2).harmonics[:16]
    picture = maps.stripes(coefficients, 3, width)
    assert picture.shape == (3, width, 3)
    middles = [int((k + 0.5) / 16 * width) for k in range(16)]
    np.testing.assert_array_equal(picture[1, middles], coefficients)
