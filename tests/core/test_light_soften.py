"""A softened light: what blurring its environment would give, energy kept, linear."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre

from relume.image import Image
from relume.light import latlong
from relume.light.prefilter import prefilter
from relume.light.soften import softened
from relume.light.types import Environment, LightMaps

RGB = ("R", "G", "B")


def light_of(pixels: np.ndarray, height: int = 64) -> LightMaps:
    return prefilter(Environment(Image(pixels.astype(np.float32), RGB)), height=height)


def noise(seed: int, height: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 1, (height, 2 * height, 3))


def blurred_by_sum(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Blur an environment by the heat kernel of the sphere, texel by texel."""
    rows = pixels.shape[0]
    towards = latlong.directions(rows).reshape(-1, 3)
    solid = latlong.solid_angles(rows).repeat(2 * rows)
    bands = np.arange(100)
    series = (2 * bands + 1) / (4 * np.pi)
    series *= np.exp(-0.5 * np.radians(degrees) ** 2 * bands * (bands + 1.0))
    kernel = legendre.legval(np.clip(towards @ towards.T, -1, 1), series) * solid
    return (kernel @ pixels.reshape(-1, 3) / kernel.sum(1, keepdims=True)).reshape(pixels.shape)


@pytest.mark.parametrize("degrees", [12.0, 40.0])
def test_softening_the_maps_is_blurring_the_environment(degrees: float):
    pixels = noise(0)
    found = softened(light_of(pixels), degrees)
    expected = light_of(blurred_by_sum(pixels, degrees))
    np.testing.assert_allclose(found.diffuse, expected.diffuse, rtol=2e-3)
    for n, image in expected.specular.items():
        np.testing.assert_allclose(found.specular[n], image, rtol=5e-3)
    scale = np.abs(expected.harmonics).max()
    np.testing.assert_allclose(found.harmonics, expected.harmonics, atol=2e-3 * scale)


def test_a_constant_stays_and_the_widest_blur_leaves_the_mean():
    even = light_of(np.full((8, 16, 3), 1e4))
    np.testing.assert_allclose(softened(even, 25).specular[64], even.specular[64], rtol=1e-6)
    lit = light_of(noise(1))
    mean = lit.harmonics[0] / np.sqrt(4 * np.pi)
    np.testing.assert_allclose(softened(lit, 180).specular[64] / mean, 1.0, atol=0.03)
    np.testing.assert_allclose(softened(lit, 30).harmonics[0], lit.harmonics[0], rtol=1e-6)


def test_no_blur_is_no_change_and_rotation_and_gain_stay():
    light = light_of(noise(2)).adjusted(gain=np.float32([1, 2, 3]), rotation=33.0)
    assert softened(light, 0) is light
    soft = softened(light, 5)
    assert soft.rotation == 33.0
    np.testing.assert_array_equal(soft.gain, [1, 2, 3])
    assert soft.specular[1] is soft.diffuse
    np.testing.assert_allclose(softened(light, 1e-3).specular[64], light.specular[64], rtol=1e-5)


def test_softening_is_linear_and_keeps_negatives():
    a, b = noise(3), noise(4)
    both = softened(light_of(a - 3 * b), 10).specular[32]
    apart = softened(light_of(a), 10).specular[32] - 3 * softened(light_of(b), 10).specular[32]
    np.testing.assert_allclose(both, apart, atol=1e-4 * np.abs(both).max())
    assert both.min() < 0
