"""Lat-long geometry against closed forms, and the picture a camera takes of an environment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.geometry.camera import Camera
from relume.image import Box
from relume.light import latlong


def test_the_axes_are_where_the_contract_says():
    corners = {
        (0.5, 0.5): (0, 0, -1),  # the centre: behind the subject, where the camera looks
        (0.75, 0.5): (1, 0, 0),  # u grows to screen right
        (0.25, 0.5): (-1, 0, 0),
        (0.0, 0.5): (0, 0, 1),  # the seam: at the camera
    }
    for (u, v), towards in corners.items():
        found = latlong.uv(np.float32([towards]))
        np.testing.assert_allclose((found[0] % 1, found[1]), ([u], [v]), atol=1e-6)
    assert latlong.uv(np.float32([[0, 1, 0]]))[1] == pytest.approx(0)
    assert latlong.uv(np.float32([[0, -1, 0]]))[1] == pytest.approx(1)


@given(st.integers(1, 300))
def test_solid_angles_fill_the_sphere(height: int):
    edges = np.cos(np.linspace(0, np.pi, height + 1))
    found = latlong.solid_angles(height)
    np.testing.assert_allclose(
        found, np.pi / height * (edges[:-1] - edges[1:]), rtol=1e-9, atol=1e-15
    )
    assert 2 * height * found.sum() == pytest.approx(4 * np.pi, rel=1e-12)


@pytest.mark.parametrize("height", [1, 2, 7, 64])
def test_directions_and_uv_are_inverse(height: int):
    towards = latlong.directions(height).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=2), 1, atol=1e-6)
    u, v = latlong.uv(towards)
    columns, rows = np.arange(2 * height) + 0.5, np.arange(height) + 0.5
    np.testing.assert_allclose(u, np.broadcast_to(columns / (2 * height), u.shape), atol=1e-6)
    np.testing.assert_allclose(v, np.broadcast_to(rows[:, None] / height, v.shape), atol=1e-6)


def test_a_look_up_at_texel_centres_is_the_texel():
    image = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32)
    towards = latlong.directions(8).astype(np.float32)
    np.testing.assert_allclose(latlong.look_up(image, towards), image, atol=1e-5)


def test_a_look_up_is_continuous_across_the_seam_and_the_poles():
    towards = latlong.directions(64)
    smooth = (towards @ np.array([0.3, 0.5, -0.4]))[..., None].astype(np.float32)
    step = 1e-3
    for here, there in (
        ([-step, 0.2, 1], [step, 0.2, 1]),  # the seam at the camera
        ([step, 1, 0], [-step, 1, 0]),  # over the pole
        ([0, -1, step], [step, -1, 0]),
    ):
        found = latlong.look_up(smooth, np.float32([here, there]))[:, 0]
        assert abs(found[0] - found[1]) < 2 * step
    up = latlong.look_up(smooth, np.float32([[0, 1, 0]]))
    assert up[0, 0] == pytest.approx(0.5, abs=2e-3)


def test_bilinear_look_up_of_a_plane_is_exact_between_texels():
    # In u alone, away from the seam, bilinear look-up reproduces a ramp.
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[None, :, None], (16, 32, 1))
    u = np.linspace(0.1, 0.9, 50)
    phi = (u - 0.5) * 2 * np.pi
    towards = np.stack((np.sin(phi), np.zeros(50), -np.cos(phi)), 1).astype(np.float32)
    np.testing.assert_allclose(latlong.look_up(ramp, towards)[:, 0], u * 32 - 0.5, atol=1e-4)


def test_turning_moves_light_behind_the_subject_to_screen_right():
    image = np.zeros((16, 32, 3), np.float32)
    image[8, 15:17] = 1
    turned = latlong.turn(image, 90)
    assert latlong.look_up(turned, np.float32([[1, 0, 0]])).max() > 0.4
    np.testing.assert_array_equal(latlong.turn(turned, -90), image)


@given(st.floats(-1000, 1000))
def test_turning_keeps_the_light(degrees: float):
    image = np.random.default_rng(1).lognormal(0, 3, (4, 8, 3)).astype(np.float32)
    turned = latlong.turn(image, degrees)
    np.testing.assert_allclose(turned.sum(1, dtype=np.float64), image.sum(1), rtol=1e-5)
    assert turned.min() >= 0


@pytest.mark.parametrize(("old", "new"), [(64, 16), (60, 16), (16, 60), (17, 9), (5, 1)])
def test_resizing_keeps_the_energy(old: int, new: int):
    image = np.random.default_rng(2).lognormal(0, 2, (old, 2 * old, 3)).astype(np.float32)
    small = latlong.resize(image, new)
    assert small.shape == (new, 2 * new, 3)

    def energy(pixels: np.ndarray) -> np.ndarray:
        weighted = pixels * latlong.solid_angles(len(pixels))[:, None, None]
        return weighted.sum((0, 1), dtype=np.float64)

    np.testing.assert_allclose(energy(small), energy(image), rtol=1e-5)


def test_resizing_by_a_whole_factor_is_the_weighted_mean_of_each_block():
    image = np.random.default_rng(3).random((8, 16, 1)).astype(np.float32)
    weight = latlong.solid_angles(8)[:, None, None]
    blocks = (image * weight).reshape(4, 2, 8, 2).sum((1, 3)) / 2
    expected = blocks / weight.reshape(4, 2).sum(1)[:, None]
    np.testing.assert_allclose(latlong.resize(image, 4)[..., 0], expected, rtol=1e-5)


def coded(height: int) -> np.ndarray:
    """Return an environment whose radiance is the direction itself."""
    return latlong.directions(height).astype(np.float32)


@pytest.mark.parametrize(("fov", "aspect"), [(40.0, 1.0), (90.0, 1.0), (60.0, 2.0)])
def test_a_crop_sees_where_the_camera_looks(fov: float, aspect: float):
    box = Box(0, 0, 40, 30)
    seen = latlong.crop(coded(256), Camera(fov), box, box, aspect)
    rays = Camera(fov).rays(box, box, aspect, inside=(0.5, 0.5))
    np.testing.assert_allclose(seen, rays, atol=1e-3)
    centre = seen[14:16, 19:21].mean((0, 1))
    np.testing.assert_allclose(centre, (0, 0, -1), atol=1e-3)
    edge = seen[15, 0] / -seen[15, 0, 2]
    assert edge[0] == pytest.approx(-np.tan(np.radians(fov / 2)) * 39 / 40, rel=0.01)
    assert seen[0, 20, 1] > 0, "the top of the picture looks up"


def test_a_crop_of_a_turned_light_is_a_crop_of_the_turned_environment():
    box = Box(0, 0, 48, 27)
    image = np.random.default_rng(4).random((32, 64, 3)).astype(np.float32)
    turned = latlong.crop(latlong.turn(image, 90), Camera(50), box, box)
    np.testing.assert_allclose(
        latlong.crop(image, Camera(50), box, box, rotation=90), turned, atol=1e-4
    )


def test_a_data_window_sees_its_part_of_the_display_window():
    display = Box(0, 0, 60, 40)
    data = Box(-7, 5, 33, 30)
    image = coded(64)
    whole = latlong.crop(image, Camera(50), Box(-10, 0, 60, 40), display)
    part = latlong.crop(image, Camera(50), data, display)
    np.testing.assert_allclose(part, whole[5:30, 3:43], atol=1e-6)


def test_a_small_picture_of_a_fine_environment_does_not_alias():
    # Columns of 0 and 2: every pixel covers several and shows their mean.
    stripes = np.zeros((512, 1024, 1), np.float32)
    stripes[:, ::2] = 2
    box = Box(0, 0, 24, 16)
    seen = latlong.crop(stripes, Camera(90), box, box)
    assert np.abs(seen - 1).max() < 0.35
    assert np.abs(seen - 1).mean() < 0.08
