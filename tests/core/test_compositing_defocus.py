"""Apertures, exact convolution, filling, and a blur behind the subject that leaves no halo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from relume.compositing.convolve import aperture, convolve, gaussian
from relume.compositing.defocus import Lens, defocus
from relume.compositing.inpaint import fill
from relume.errors import UsageError
from relume.image import DATA, Box, Image

RGB = ("R", "G", "B")


@pytest.mark.parametrize("radius", [3.0, 4.5, 12.0, 33.3])
def test_the_area_of_a_disc_and_of_polygons(radius: float):
    assert 1 / aperture(radius).max() == pytest.approx(np.pi * radius**2, rel=5e-3)
    for blades in (3, 6, 9):
        area = 0.5 * blades * radius**2 * np.sin(2 * np.pi / blades)
        assert 1 / aperture(radius, blades).max() == pytest.approx(area, rel=2e-2)
        # Blades that are wholly round make the disc.
        np.testing.assert_allclose(aperture(radius, blades, 7.0, 1.0), aperture(radius))


def test_a_disc_is_what_a_fine_raster_says():
    fine, radius = 32, 5.3
    side = 2 * 6 + 1
    place = (np.arange(side * fine) + 0.5) / fine - side / 2
    inside = (place[:, None] ** 2 + place**2 < radius**2).reshape(side, fine, side, fine)
    shares = inside.mean(axis=(1, 3))
    np.testing.assert_allclose(aperture(radius), shares / shares.sum(), atol=2e-4)


def test_the_blades_turn_counter_clockwise_from_a_corner_on_top():
    triangle = aperture(20, 3) > 0
    assert triangle[1].sum() < triangle[28].sum()  # rows run down: the corner is above
    assert triangle[:, 20].nonzero()[0].max() == 30  # and the side opposite at half the radius
    left = aperture(20, 3, 90) > 0
    np.testing.assert_array_equal(left, np.rot90(triangle))


def test_the_disc_is_round_where_it_is_looked_at():
    squeezed = aperture(16, pixel_aspect=2.0)
    assert squeezed.shape == (33, 17)
    assert 1 / squeezed.max() == pytest.approx(np.pi * 16**2 / 2, rel=5e-3)


@pytest.mark.parametrize("radius", [0.0, 0.2, 0.49])
def test_a_disc_within_a_pixel_is_that_pixel(radius: float):
    kernel = aperture(radius)
    assert kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] == 1.0


@pytest.mark.parametrize("blades", [1, 2])
def test_an_aperture_needs_three_blades(blades: int):
    with pytest.raises(UsageError, match="3 or more"):
        aperture(4, blades)


def test_a_gaussian_is_scipys_and_goes_over_into_nothing():
    rng = np.random.default_rng(0)
    picture = rng.lognormal(0, 2, (40, 50, 1)).astype(np.float32)
    found = convolve(picture, gaussian(6.0))
    expected = ndimage.gaussian_filter(picture.astype(np.float64), (6, 6, 0), mode="nearest")
    np.testing.assert_allclose(found, expected, rtol=5e-3)
    assert gaussian(0).tolist() == [[1.0]]
    assert gaussian(1e-3).max() == pytest.approx(1.0)


@given(seed=st.integers(0, 50), radius=st.floats(0, 9), blades=st.sampled_from([0, 3, 5, 8]))
@settings(max_examples=25)
def test_convolution_is_the_sum_it_stands_for(seed: int, radius: float, blades: int):
    rng = np.random.default_rng(seed)
    picture = rng.normal(0, 100, (int(rng.integers(1, 30)), 17, 3)).astype(np.float32)
    kernel = aperture(radius, blades, 20)
    expected = ndimage.convolve(picture.astype(np.float64), kernel[:, :, None], mode="nearest")
    np.testing.assert_allclose(convolve(picture, kernel), expected, atol=1e-4)


def test_a_lamp_becomes_the_aperture_and_leaves_no_grain_in_black():
    picture = np.zeros((64, 80, 1), np.float32)
    picture[30, 40] = 1e5
    kernel = aperture(9.5, 6, 15)
    found = convolve(picture, kernel)[..., 0]
    expected = np.zeros((64, 80))
    expected[20:41, 30:51] = 1e5 * kernel
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert found.sum() == pytest.approx(1e5, rel=1e-6)
    np.testing.assert_array_equal(found, convolve(picture, kernel, threads=3)[..., 0])


def test_a_constant_stays_up_to_the_border():
    constant = np.full((11, 23, 3), 1e4, np.float32)
    np.testing.assert_allclose(convolve(constant, aperture(15)), constant, rtol=1e-6)


def test_filling_continues_a_ramp_and_keeps_what_is_known():
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    ramp = (1000 + 5 * x - 2 * y)[..., None]
    known = np.float32(np.hypot(x - 30, y - 33) > 9)
    filled = fill(np.where(known[..., None] > 0, ramp, -1e6), known)
    np.testing.assert_array_equal(filled[known > 0], ramp[known > 0])
    np.testing.assert_allclose(filled, ramp, atol=20)
    nothing = np.zeros((64, 64), np.float32)
    assert fill(ramp, nothing) is ramp


def person(matte_blur: float = 0.0, size: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return coverage, foreground and background of a bright disc before a dark wall."""
    y, x = np.mgrid[0:size, 0:size]
    alpha = np.float32(np.clip(25 - np.hypot(x - 48, y - 50), 0, 1))[..., None]
    alpha = np.float32(ndimage.gaussian_filter(alpha, (matte_blur, matte_blur, 0)))
    front = np.broadcast_to(np.float32((4.0, 2.0, 1.0)), (size, size, 3))
    behind = np.broadcast_to(np.float32((0.02, 0.05, 0.1)), (size, size, 3))
    return alpha, front, behind


def image(pixels: np.ndarray, channels: str = "RGB", **more: object) -> Image:
    return Image(np.float32(pixels), tuple(channels), **more)  # type: ignore[arg-type]


def matte_of(alpha: np.ndarray) -> Image:
    return image(alpha, "A", colour=DATA)


def test_the_subject_stays_and_does_not_glow():
    alpha, front, behind = person()
    plate = alpha * front + (1 - alpha) * behind
    picture, background = defocus(image(plate), matte_of(alpha), Lens(10))
    np.testing.assert_allclose(picture.pixels, plate, atol=1e-4)
    np.testing.assert_allclose(background.pixels, behind, rtol=1e-4)


@pytest.mark.parametrize("error", [-3.0, 3.0])
def test_a_matte_that_is_too_wide_or_too_narrow_leaves_no_halo(error: float):
    alpha, front, behind = person()
    plate = alpha * front + (1 - alpha) * behind
    y, x = np.mgrid[0:96, 0:96]
    wrong = np.clip(25 + error - np.hypot(x - 48, y - 50), 0, 6)[..., None] / 6
    picture, _ = defocus(image(plate), matte_of(wrong), Lens(12))
    np.testing.assert_allclose(picture.pixels, plate, atol=2e-2)


def test_lamps_behind_become_discs_that_the_subject_covers():
    alpha, front, behind = person()
    lit = behind.copy()
    lit[12, 20] = lit[60, 84] = 5000.0
    plate = alpha * front + (1 - alpha) * lit
    picture, _ = defocus(image(plate), matte_of(alpha), Lens(8, 6), margin=2)
    lamp = aperture(8, 6) * (5000.0 - behind[0, 0, 0]) + behind[0, 0, 0]
    np.testing.assert_allclose(picture.pixels[4:21, 12:29, 0], lamp, rtol=1e-3, atol=1e-3)
    inside = alpha[..., 0] == 1
    np.testing.assert_allclose(picture.pixels[inside], plate[inside], rtol=1e-5)


def test_a_lamp_beside_the_subject_does_not_stay_sharp():
    alpha, front, behind = person()
    lit = behind.copy()
    lit[50, 21] = 500.0  # two pixels from the edge, where the plate is not asked
    plate = alpha * front + (1 - alpha) * lit
    picture, _ = defocus(image(plate), matte_of(alpha), Lens(8))
    assert picture.pixels[50, 21].max() < 1.0


def test_detail_behind_does_not_stay_sharp_at_the_edge():
    alpha, front, behind = person(matte_blur=3.0)
    rough = behind * np.random.default_rng(0).uniform(0.2, 3, (96, 96, 1)).astype(np.float32)
    plate = alpha * front + (1 - alpha) * rough
    picture, _ = defocus(image(plate), matte_of(alpha), Lens(10), foreground=image(front))
    smooth = picture.pixels - alpha * front
    # What is left of the wall behind the soft edge is as smooth as far away.
    edge = (alpha[..., 0] > 0.05) & (alpha[..., 0] < 0.5)
    wall = smooth[edge] / (1 - alpha[edge])
    assert wall.std(axis=0)[1] < 0.15 * (rough[edge]).std(axis=0)[1]


def test_exposure_doubles_exactly_and_negatives_survive():
    rng = np.random.default_rng(1)
    alpha, front, _ = person()
    plate = alpha * front + (1 - alpha) * rng.normal(0, 1, (96, 96, 3))
    once = defocus(image(plate), matte_of(alpha), Lens(5))[0].pixels
    twice = defocus(image(2 * plate), matte_of(alpha), Lens(5))[0].pixels
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-4)
    assert once.min() < 0


def test_without_a_matte_every_channel_is_blurred_premultiplied():
    rng = np.random.default_rng(2)
    straight = image(rng.random((20, 30, 4)), "RGBA", alpha="straight")
    picture, background = defocus(straight, None, Lens(3))
    assert picture is background
    assert picture.alpha == "premultiplied"
    alpha = straight.take("A")
    expected = convolve(np.concatenate((straight.rgb * alpha, alpha), 2), aperture(3))
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)


def test_no_radius_leaves_the_plate_and_other_windows_are_refused():
    alpha, front, behind = person()
    plate = image(alpha * front + (1 - alpha) * behind)
    picture, _ = defocus(plate, matte_of(alpha), Lens(0))
    np.testing.assert_allclose(picture.pixels, plate.pixels, atol=1e-4)
    elsewhere = replace(matte_of(alpha), data=Box(1, 0, 97, 96))
    with pytest.raises(UsageError, match="same data window"):
        defocus(plate, elsewhere, Lens(2))


def test_a_matte_that_covers_everything_leaves_everything():
    rng = np.random.default_rng(3)
    plate = image(rng.random((9, 7, 3)))
    picture, _ = defocus(plate, matte_of(np.ones((9, 7, 1))), Lens(4))
    np.testing.assert_allclose(picture.pixels, plate.pixels, rtol=1e-5)
