"""Environments are repaired, turned, dimmed and photographed."""

from __future__ import annotations

import numpy as np
import pytest

from relume.errors import InputError
from relume.geometry.camera import Camera
from relume.image import Box, Image
from relume.light import environment as env
from relume.light.types import Environment

RGB = ("R", "G", "B")


def noise(height: int = 8) -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 1, (height, 2 * height, 3)).astype(np.float32)


def test_a_finite_environment_is_left_alone():
    pixels = noise()
    pixels[0, 0] = (-5, 1e30, 0)
    found, repair = env.sanitise(pixels)
    assert found is pixels
    assert not repair


def test_a_half_float_sun_does_not_vanish():
    pixels = noise()
    pixels[2, 3] = (np.inf, 7, -np.inf)
    found, repair = env.sanitise(pixels)
    np.testing.assert_array_equal(found[2, 3], (65504, 7, 0))
    assert repair == env.Repair(nan=0, above=1, below=1)
    assert np.isinf(pixels[2, 3, 0]), "the input is not written to"


def test_a_nan_becomes_the_mean_of_its_neighbours_around_the_seam():
    pixels = noise()
    expected = np.mean(
        [pixels[y, x % 16, 1] for y in (3, 4, 5) for x in (-1, 0, 1) if (y, x) != (4, 0)]
    )
    pixels[4, 0, 1] = np.nan
    found, repair = env.sanitise(pixels)
    assert found[4, 0, 1] == pytest.approx(expected, rel=1e-6)
    assert repair == env.Repair(nan=1)


def test_a_patch_of_nan_fills_from_its_rim():
    pixels = np.full((8, 16, 3), 2.5, np.float32)
    pixels[1:7, 2:12] = np.nan
    found, repair = env.sanitise(pixels)
    np.testing.assert_array_equal(found, 2.5)
    assert repair.nan == 6 * 10 * 3


def test_a_channel_without_a_finite_value_is_black():
    pixels = noise()
    pixels[..., 2] = np.nan
    found, _ = env.sanitise(pixels)
    assert not found[..., 2].any()


def test_an_environment_without_a_finite_pixel_is_refused():
    with pytest.raises(InputError, match="finite"):
        env.sanitise(np.full((2, 4, 3), np.nan, np.float32))


def test_turning_and_scaling_keep_what_is_known_of_the_image():
    image = Image(noise(), RGB, colour="lin_rec709_scene", metadata={"owner": ("string", "us")})
    changed = env.scaled(env.turned(Environment(image), 45), np.float32([2, 1, 0.5]))
    expected = np.roll(image.pixels, 2, axis=1) * np.float32([2, 1, 0.5])
    np.testing.assert_array_equal(changed.image.pixels, expected)
    assert changed.image.colour == image.colour
    assert changed.image.metadata == image.metadata


def test_the_background_takes_the_plates_windows_and_the_lights_colour():
    plate = Image(
        np.zeros((30, 40, 3), np.float32),
        RGB,
        colour="lin_ap1_scene",
        data=Box(-3, 4, 37, 34),
        display=Box(0, 0, 64, 36),
        pixel_aspect=2.0,
    )
    light = Environment(Image(np.full((4, 8, 3), 3.0, np.float32), RGB, colour="lin_rec709_scene"))
    seen = env.background(light, plate, Camera(50), rotation=30, gain=2.0)
    np.testing.assert_allclose(seen.pixels, 6.0, rtol=1e-6)
    assert (seen.data, seen.display, seen.pixel_aspect) == (plate.data, plate.display, 2.0)
    assert seen.colour == "lin_rec709_scene"


def test_an_environment_is_twice_as_wide_as_high():
    with pytest.raises(InputError, match="twice as wide"):
        Environment(Image(np.zeros((4, 9, 3), np.float32), RGB))
