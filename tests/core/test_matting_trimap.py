"""Trimaps and the choice of the matte channel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.image import DATA, Box, Image
from relume.matting.inputs import matte_from_image
from relume.matting.trimap import certain, trimap_from_mask


def mask(values: np.ndarray, **more: object) -> Image:
    return Image(np.asarray(values, np.float32)[:, :, None], ("A",), DATA, **more)  # type: ignore[arg-type]


def test_a_half_plane_gets_a_band_of_exactly_the_asked_width() -> None:
    hint = np.zeros((9, 40))
    hint[:, 20:] = 1
    trimap = trimap_from_mask(mask(hint), erode=3, dilate=5).pixels[:, :, 0]
    # Columns 0-19 are background; 15-19 lie within 5 of column 20, 20-22 within 3 of column 19.
    expected = np.repeat([0.0, 0.5, 1.0], [15, 8, 17])
    assert np.array_equal(trimap, np.broadcast_to(expected, (9, 40)))


def test_distances_are_euclidean() -> None:
    hint = np.zeros((41, 41))
    hint[20, 20] = 1
    trimap = trimap_from_mask(mask(hint), erode=0, dilate=10).pixels[:, :, 0]
    y, x = np.mgrid[:41, :41] - 20
    assert np.array_equal(trimap == 0.0, np.hypot(x, y) > 10)
    assert trimap[20, 20] == 1.0


def test_the_frame_is_no_edge() -> None:
    trimap = trimap_from_mask(mask(np.ones((12, 7))), erode=5, dilate=5)
    assert np.all(trimap.pixels == 1.0)


def test_soft_values_are_unknown_by_the_thresholds_of_the_design() -> None:
    hint = np.array([[0.0, 0.049, 0.051, 0.5, 0.949, 0.951, 1.0]])
    trimap = trimap_from_mask(mask(hint), 0, 0).pixels[0, :, 0]
    assert trimap.tolist() == [0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0]
    background, foreground = certain(hint.astype(np.float32))
    assert background.sum() == 2 and foreground.sum() == 2


def test_widths_relative_to_the_subject_scale_with_the_picture() -> None:
    hint = np.zeros((60, 80))
    hint[20:40, 30:60] = 1
    small = trimap_from_mask(mask(hint), 10, 10, "subject").pixels[:, :, 0]
    large = trimap_from_mask(mask(np.kron(hint, np.ones((4, 4)))), 10, 10, "subject")
    share = [float((t == 0.5).mean()) for t in (small, large.pixels[:, :, 0])]
    assert share[0] == pytest.approx(share[1], rel=0.15)
    assert share[0] > 0.05


def test_pixel_aspect_stretches_the_band() -> None:
    hint = np.zeros((61, 61))
    hint[25:36, 25:36] = 1
    trimap = trimap_from_mask(mask(hint, pixel_aspect=2.0), 0, 8).pixels[:, :, 0]
    row, column = trimap[30], trimap[:, 30]
    assert np.count_nonzero(row == 0.5) == 2 * 4
    assert np.count_nonzero(column == 0.5) == 2 * 8


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    erode=st.floats(0, 6),
    dilate=st.floats(0, 6),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_certain_parts_never_contradict_the_hint(
    seed: int, erode: float, dilate: float, size: tuple[int, int]
) -> None:
    hint = np.random.default_rng(seed).choice([0.0, 0.3, 1.0], size)
    trimap = trimap_from_mask(mask(hint), erode, dilate).pixels[:, :, 0]
    assert set(np.unique(trimap)) <= {0.0, 0.5, 1.0}
    assert np.all(hint[trimap == 1.0] == 1.0)
    assert np.all(hint[trimap == 0.0] == 0.0)
    wider = trimap_from_mask(mask(hint), erode + 2, dilate + 2).pixels[:, :, 0]
    assert np.all((wider == trimap) | (wider == 0.5))


def test_windows_are_kept_and_a_negative_width_is_refused() -> None:
    image = mask(np.ones((4, 6)), data=Box(10, 20, 16, 24), display=Box.of_size(100, 100))
    out = trimap_from_mask(image)
    assert (out.data, out.display, out.channels) == (image.data, image.display, ("A",))
    with pytest.raises(UsageError, match="-1"):
        trimap_from_mask(image, erode=-1)


def layer(channels: str, *planes: float | np.ndarray) -> Image:
    full = [np.broadcast_to(np.asarray(p, np.float32), (2, 3)) for p in planes]
    return Image(np.stack(full, -1), tuple(channels), alpha="straight")


RAMP = np.arange(6, dtype=np.float32).reshape(2, 3) / 5


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (layer("RGBA", 0.1, 0.2, 0.3, RAMP), RAMP),
        (layer("RGBA", RAMP, 0.2, 0.3, 1.0), RAMP),
        (layer("RGB", RAMP, 0.2, 0.3), RAMP),
        (layer("A", 0.7), np.full((2, 3), 0.7)),
        (layer("Y", RAMP), RAMP),
        ({"rgba": layer("RGBA", 0, 0, 0, 1.0), "matte": layer("A", RAMP)}, RAMP),
        ({"rgba": layer("RGBA", 0, 0, 0, RAMP), "albedo": layer("RGB", 1, 1, 1)}, RAMP),
        (Image(RAMP[:, :, None], ("matte.A",)), RAMP),
    ],
)
def test_the_matte_is_found_in_the_order_of_the_design(
    image: Image | dict[str, Image], expected: np.ndarray
) -> None:
    found = matte_from_image(image)
    assert found.channels == ("A",) and found.is_data and found.alpha == "none"
    assert np.array_equal(found.pixels[:, :, 0], expected.astype(np.float32))


def test_values_beyond_one_are_passed_on() -> None:
    assert matte_from_image(layer("R", np.array([[-5, 0, 1e4]] * 2))).pixels.max() == 1e4


@pytest.mark.parametrize(
    "image", [layer("XYZ", 0, 0, 1), {}, {"U": layer("U", RAMP), "V": layer("V", RAMP)}]
)
def test_no_matte_is_said_plainly(image: Image | dict[str, Image]) -> None:
    with pytest.raises(UsageError):
        matte_from_image(image)
