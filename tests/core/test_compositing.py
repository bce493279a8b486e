"""Over, premultiplication, grade, crop, resize and shuffle, against arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.compositing.alpha import premultiply, unpremultiply
from relume.compositing.channels import shuffle
from relume.compositing.grade import Grading, grade
from relume.compositing.merge import over
from relume.compositing.resample import crop, fit_into, reformat, resize_pixels
from relume.errors import UsageError
from relume.image import Box, Image

RGBA = ("R", "G", "B", "A")


def picture(height: int, width: int, alpha: str = "straight", seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 3, (height, width, 4)).astype(np.float32)
    pixels[..., 3] = rng.random((height, width))
    return Image(pixels, RGBA, alpha=alpha)


def test_over_of_one_pixel_by_hand():
    front = Image(np.float32([[[0.5, -1.0, 100.0, 0.25]]]), RGBA, alpha="premultiplied")
    behind = Image(np.float32([[[1.0, 2.0, 4.0]]]), ("R", "G", "B"))
    np.testing.assert_allclose(over(front, behind).pixels[0, 0], [1.25, 0.5, 103.0, 1.0])


def test_over_keeps_the_plate_windows_and_is_clear_outside_the_background():
    front = replace(
        picture(2, 3, "premultiplied"), data=Box(5, 5, 8, 7), display=Box.of_size(20, 10)
    )
    behind = replace(picture(4, 4), data=Box(0, 0, 4, 4), display=Box.of_size(20, 10))
    result = over(front, behind)
    assert (result.data, result.display) == (front.data, front.display)
    np.testing.assert_array_equal(result.pixels, front.pixels)


def test_over_of_a_straight_foreground_is_that_of_the_premultiplied_one():
    front, behind = picture(5, 7), picture(5, 7, seed=1)
    np.testing.assert_array_equal(
        over(front, behind).pixels, over(premultiply(front), premultiply(behind)).pixels
    )


def test_a_background_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(UsageError, match=r"3×2.*7×5.*--fit"):
        over(picture(5, 7), picture(2, 3))


def test_over_without_alpha_is_refused():
    with pytest.raises(UsageError, match="alpha"):
        over(Image(np.ones((1, 1, 3), np.float32), ("R", "G", "B")), picture(1, 1))


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_unpremultiply_undoes_premultiply(seed: int):
    image = picture(3, 5, seed=seed)
    back = unpremultiply(premultiply(image))
    np.testing.assert_allclose(back.pixels, image.pixels, rtol=1e-5)
    assert back.alpha == "straight"


def test_light_without_coverage_survives_unpremultiply():
    image = Image(np.float32([[[7.0, -1.0, 0.0, 0.0]]]), RGBA, alpha="premultiplied")
    np.testing.assert_array_equal(unpremultiply(image).pixels, image.pixels)


def test_the_default_grade_changes_nothing():
    image = picture(4, 4, "none")
    np.testing.assert_array_equal(grade(image, Grading()).pixels, image.pixels)


def test_grade_maps_its_points():
    grading = Grading(
        blackpoint=(0.1, 0.0, -1.0),
        whitepoint=(2.0, 1.0, 1e4),
        lift=(0.5, 0.0, 0.0),
        gain=(3.0, 1.0, 8.0),
    )
    pixels = np.float32([[[0.1, 0.0, -1.0], [2.0, 1.0, 1e4]]])
    graded = grade(Image(pixels, ("R", "G", "B")), grading).pixels[0]
    np.testing.assert_allclose(graded, [[0.5, 0, 0], [3, 1, 8]], rtol=1e-5, atol=1e-6)


def test_gamma_keeps_the_sign():
    graded = grade(
        Image(np.float32([[[-4.0, 4.0, 1e4]]]), ("R", "G", "B")), Grading(gamma=(2.0, 2.0, 2.0))
    )
    np.testing.assert_allclose(graded.pixels[0, 0], [-2, 2, 100], rtol=1e-6)


def test_a_stop_doubles_exactly():
    image = picture(4, 5, "none")
    once = grade(image, Grading(exposure=1.0)).pixels
    np.testing.assert_array_equal(once[..., :3], image.pixels[..., :3] * 2)
    np.testing.assert_array_equal(once[..., 3], image.pixels[..., 3])


def test_grading_premultiplied_colour_grades_the_straight_one():
    image = picture(3, 3)
    grading = Grading(offset=(0.2, 0.2, 0.2))
    np.testing.assert_allclose(
        grade(premultiply(image), grading).pixels,
        premultiply(grade(image, grading)).pixels,
        rtol=1e-4,
        atol=1e-6,
    )


def test_crop_keeps_the_display_window():
    image = replace(picture(10, 10), data=Box(-2, -2, 8, 8), display=Box.of_size(8, 8))
    small = crop(image, Box(-5, 3, 4, 100))
    assert (small.data, small.display) == (Box(-2, 3, 4, 8), image.display)
    np.testing.assert_array_equal(small.pixels, image.pixels[5:, :6])
    with pytest.raises(UsageError, match="outside"):
        crop(image, Box(100, 100, 101, 101))


@pytest.mark.parametrize("fit", ["fit", "fill", "stretch"])
def test_a_constant_stays_constant_under_reformat(fit: str):
    image = Image(np.full((9, 16, 3), 1e4, np.float32), ("R", "G", "B"))
    result = reformat(image, 31, 17, fit)
    assert result.display == Box.of_size(31, 17)
    np.testing.assert_allclose(result.pixels, 1e4, rtol=1e-5)


def test_fit_shows_everything_and_fill_leaves_no_gap():
    image = picture(100, 200)
    fit, fill = reformat(image, 100, 100, "fit"), reformat(image, 100, 100, "fill")
    assert (fit.data.width, fit.data.height) == (100, 50)
    assert fit.data == Box(0, 25, 100, 75)
    assert fill.data == Box(-50, 0, 150, 100)


def test_reformat_squares_the_pixels():
    squeezed = replace(picture(10, 10), pixel_aspect=2.0)
    result = reformat(squeezed, 40, 20, "fit")
    assert result.pixel_aspect == 1.0
    assert (result.data.width, result.data.height) == (40, 20)


def test_straight_colour_does_not_bleed_when_resized():
    pixels = np.zeros((4, 8, 4), np.float32)
    pixels[:, :4] = (1.0, 1.0, 1.0, 1.0)
    pixels[:, 4:, :3] = 1e4  # invisible
    small = reformat(Image(pixels, RGBA, alpha="straight"), 3, 2, "stretch", "box")
    visible = small.pixels[..., 3] > 1e-3
    np.testing.assert_allclose(small.pixels[visible][:, :3], 1.0, rtol=1e-4)


def test_fit_into_moves_an_equal_size_to_the_window():
    target = replace(picture(4, 4), display=Box(10, 10, 14, 14), data=Box(10, 10, 14, 14))
    moved = fit_into(picture(4, 4), target, "none")
    assert moved.data == target.data


def test_resize_never_clamps():
    pixels = np.full((1, 1, 1), -5, np.float32)
    np.testing.assert_allclose(resize_pixels(pixels, 3, 5), np.full((5, 3, 1), -5), rtol=1e-6)


def test_shuffle_takes_channels_of_both_images_and_constants():
    a, b = picture(2, 2, seed=1), picture(2, 2, seed=2)
    result = shuffle(a, ("B", "b.R", "0", "1"), RGBA, b)
    np.testing.assert_array_equal(result.pixels[..., 0], a.pixels[..., 2])
    np.testing.assert_array_equal(result.pixels[..., 1], b.pixels[..., 0])
    np.testing.assert_array_equal(result.pixels[0, 0, 2:], [0, 1])


@pytest.mark.parametrize(
    ("sources", "names", "words"),
    [
        (("R",), ("R", "G"), "1 sources cannot fill 2 channels"),
        (("Z",), ("R",), "no channel Z"),
        (("b.R",), ("R",), "second image"),
    ],
)
def test_shuffle_refuses(sources: tuple[str, ...], names: tuple[str, ...], words: str):
    with pytest.raises(UsageError, match=words):
        shuffle(picture(1, 1), sources, names)
