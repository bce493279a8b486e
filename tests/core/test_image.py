"""Images and windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.image import DATA, Box, Image, Layers

RGBA = ("R", "G", "B", "A")
EDGE = st.integers(-50, 50)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(EDGE), draw(EDGE)
    return Box(x0, y0, x0 + draw(st.integers(1, 40)), y0 + draw(st.integers(1, 40)))


def pixels(height: int = 2, width: int = 3, channels: int = 4) -> np.ndarray:
    count = height * width * channels
    return np.arange(count, dtype=np.float32).reshape(height, width, channels)


# Windows.


@pytest.mark.parametrize("edges", [(0, 0, 0, 1), (0, 0, 1, 0), (5, 5, 4, 9), (0, 3, 1, -3)])
def test_a_window_without_pixels_is_refused(edges):
    with pytest.raises(UsageError, match="no pixels"):
        Box(*edges)


def test_a_window_by_hand():
    box = Box(-2, 1, 3, 4)
    assert (box.width, box.height, str(box)) == (5, 3, "(-2, 1)-(3, 4)")
    assert Box.of_size(5, 3) == Box(0, 0, 5, 3)


@given(boxes(), boxes())
def test_an_intersection_holds_the_pixels_of_both(a, b):
    def inside(box: Box) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}

    shared = a.intersect(b)
    assert (inside(shared) if shared else set()) == inside(a) & inside(b)
    assert shared == b.intersect(a)


@given(boxes(), boxes())
def test_slices_take_the_pixels_of_a_window_and_never_wrap_around(whole, part):
    shared = part.intersect(whole)
    if shared != part:
        with pytest.raises(ValueError, match="is not inside"):
            part.slices(whole)
        return
    y, x = np.mgrid[whole.y0 : whole.y1, whole.x0 : whole.x1]
    rows, columns = part.slices(whole)
    np.testing.assert_array_equal(
        y[rows, columns], np.mgrid[part.y0 : part.y1, part.x0 : part.x1][0]
    )
    np.testing.assert_array_equal(
        x[rows, columns], np.mgrid[part.y0 : part.y1, part.x0 : part.x1][1]
    )


# Images.


def test_defaults_are_those_of_a_plain_picture():
    image = Image(pixels(), RGBA)
    assert image.data == image.display == Box(0, 0, 3, 2)
    assert (image.width, image.height, image.alpha, image.colour) == (3, 2, "none", "lin_ap1_scene")
    assert (image.pixel_aspect, dict(image.metadata), image.is_data) == (1.0, {}, False)
    assert Image(pixels(), RGBA, colour=DATA).is_data


def test_no_value_is_changed():
    values = np.float32([[-5, 1e30, 1e5, -0.0, np.inf, np.nan, 1e-40]])[:, :, None]
    image = Image(values, ["A"])
    assert image.pixels.tobytes() == values.tobytes()
    assert image.channels == ("A",)


@pytest.mark.parametrize(
    ("array", "channels"),
    [
        (pixels(), ("R", "G", "B")),
        (pixels(2, 3, 1), ()),
        (np.zeros(4, np.float32), ("A",)),
        (np.float32(1), ("A",)),
        (np.zeros((1, 2, 3, 4), np.float32), RGBA),
        (np.zeros((0, 3, 4), np.float32), RGBA),
        (pixels(), ("R", "G", "B", "R")),
    ],
)
def test_pixels_that_do_not_fit_are_refused(array, channels):
    with pytest.raises(UsageError):
        Image(array, channels)


def test_pixels_fill_the_data_window():
    image = Image(pixels(2, 3), RGBA, data=Box(-5, 7, -2, 9), display=Box.of_size(100, 50))
    assert (image.width, image.height, image.display) == (3, 2, Box(0, 0, 100, 50))
    with pytest.raises(UsageError, match=r"\(2, 3\) do not fill the data window \(0, 0\)-\(2, 3\)"):
        Image(pixels(2, 3), RGBA, data=Box.of_size(2, 3))


@pytest.mark.parametrize(
    "given_",
    [pixels(), pixels().astype(np.float64), pixels()[::-1], np.asfortranarray(pixels())],
    ids=["float32", "float64", "flipped", "fortran"],
)
def test_pixels_are_contiguous_read_only_float32_and_the_caller_keeps_a_writable_array(given_):
    image = Image(given_, RGBA)
    assert image.pixels.dtype == np.float32
    assert image.pixels.flags.c_contiguous
    np.testing.assert_array_equal(image.pixels, given_)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1
    given_[0, 0, 0] = 1


def test_good_pixels_are_not_copied():
    array = pixels()
    assert np.shares_memory(Image(array, RGBA).pixels, array)
    flat = array[:, :, 0].copy()
    assert np.shares_memory(Image(flat, ("A",)).pixels, flat)


def test_alpha_is_a_matter_of_images_that_have_it():
    assert Image(pixels(), RGBA, alpha="straight").alpha == "straight"
    assert Image(pixels(2, 3, 3), ("R", "G", "B"), alpha="premultiplied").alpha == "none"


def test_channels_are_taken_in_the_order_asked_for():
    image = Image(pixels(), RGBA)
    np.testing.assert_array_equal(image.take("B", "R"), image.pixels[:, :, [2, 0]])
    assert np.shares_memory(image.take("G", "B"), image.pixels)
    np.testing.assert_array_equal(image.take("A"), image.pixels[:, :, 3:])
    assert image.has("R", "A")
    assert not image.has("R", "Z")
    with pytest.raises(UsageError, match=r"no channel X, Z \(it has R, G, B, A\).*Shuffle"):
        image.take("X", "R", "Z")


def test_rgb_repeats_a_single_channel():
    image = Image(pixels(), RGBA)
    np.testing.assert_array_equal(image.rgb, image.pixels[:, :, :3])
    one = Image(pixels(2, 3, 1), ("A",))
    np.testing.assert_array_equal(one.rgb, np.repeat(one.pixels, 3, 2))
    with pytest.raises(UsageError, match="R, G, B"):
        _ = Image(pixels(2, 3, 2), ("X", "Y")).rgb


def test_like_keeps_what_is_known_about_the_picture():
    image = Image(
        pixels(),
        RGBA,
        "lin_rec709_scene",
        "straight",
        Box(4, 4, 7, 6),
        Box.of_size(9, 9),
        2.0,
        {"a": 1},
    )
    other = image.like(pixels()[..., 3:], ["A"], colour=DATA, alpha="none")
    assert (other.channels, other.colour, other.alpha) == (("A",), DATA, "none")
    assert (other.data, other.display, other.pixel_aspect) == (image.data, image.display, 2.0)
    assert other.metadata == {"a": 1}
    same = image.like(-image.pixels)
    assert (same.channels, same.colour, same.alpha) == (RGBA, "lin_rec709_scene", "straight")
    with pytest.raises(UsageError, match="do not fill"):
        image.like(pixels(3, 3))


def test_metadata_is_a_copy_nobody_can_change():
    given_ = {"owner": "me"}
    image = Image(pixels(), RGBA, metadata=given_)
    given_["owner"] = "you"
    assert image.metadata["owner"] == "me"
    with pytest.raises(TypeError):
        image.metadata["owner"] = "you"  # type: ignore[index]


def test_layers_keep_their_order():
    one, two = Image(pixels(), RGBA), Image(pixels(), RGBA)
    layers = Layers({"relit": one, "albedo": two})
    assert list(layers) == ["relit", "albedo"]
    assert (len(layers), layers["albedo"]) == (2, two)
    with pytest.raises(KeyError):
        layers["matte"]


def test_a_depth_is_no_picture():
    depth = Image(np.ones((2, 2, 1), np.float32), ("Z",))
    with pytest.raises(UsageError, match=r"no channel R, G, B \(it has Z\)"):
        _ = depth.rgb
