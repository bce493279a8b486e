"""Conversions in the pinned configuration, against published formulas."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relume import colour
from relume.colour.spaces import resolve, to_ap0
from relume.colour.transforms import transform
from relume.errors import UsageError
from relume.image import Image
from relume.ocio import GAMUTS, PINNED

REC709_TO_ACESCG = np.array(
    [
        [0.6130974, 0.3395231, 0.0473795],
        [0.0701937, 0.9163539, 0.0134524],
        [0.0206156, 0.1095698, 0.8698147],
    ]
)
"""ITU-R BT.709 primaries to AP1 with a Bradford adaptation, as published with ACES."""

AWG4_TO_AP0 = np.array(
    [
        [0.750957362824734131, 0.144422786709757084, 0.104619850465508965],
        [0.000821837079380207, 1.007397584885003194, -0.008219421964383583],
        [-0.000499952143533471, -0.000854177231436971, 1.001354129374970370],
    ]
)
"""ARRI, LogC4 Specification (2022), section 5."""


def srgb_to_linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def logc4_to_linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARRI, LogC4 Specification (2022), section 4."""
    a, b, c = (2.0**18 - 16.0) / 117.45, (1023.0 - 95.0) / 1023.0, 95.0 / 1023.0
    s = 7.0 * np.log(2.0) * 2.0 ** (7.0 - 14.0 * c / b) / (a * b)
    t = (2.0 ** (14.0 * (-c / b) + 6.0) - 64.0) / a
    return np.where(x >= 0.0, (2.0 ** (14.0 * (x - c) / b + 6.0) - 64.0) / a, x * s + t)


@pytest.fixture(autouse=True)
def no_user_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def picture(seed: int = 0, shape: tuple[int, int] = (5, 7)) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.02, 0.95, (*shape, 3)).astype(np.float32)


def rgb(pixels: NDArray[np.float32], space: str) -> Image:
    return Image(pixels, ("R", "G", "B"), colour=space)


def test_rec709_to_acescg_is_the_published_matrix_and_clamps_nothing() -> None:
    pixels = picture()
    pixels[0, 0] = (-5.0, 1e5, 0.0)
    out = colour.convert(rgb(pixels, "lin_rec709_scene"), "lin_ap1_scene")
    expected = pixels.astype(np.float64) @ REC709_TO_ACESCG.T
    np.testing.assert_allclose(out.pixels, expected, rtol=2e-6, atol=1e-6)
    assert out.colour == "lin_ap1_scene"


def test_srgb_follows_iec_61966() -> None:
    out = colour.convert(rgb(picture(), "srgb_rec709_scene"), "lin_rec709_scene")
    np.testing.assert_allclose(out.pixels, srgb_to_linear(picture()), rtol=2e-5, atol=1e-6)


def test_logc4_follows_arri() -> None:
    out = colour.convert(rgb(picture(), "ARRI LogC4"), "ACES2065-1")
    expected = logc4_to_linear(picture().astype(np.float64)) @ AWG4_TO_AP0.T
    np.testing.assert_allclose(out.pixels, expected, rtol=3e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(
        ["lin_rec709_scene", "ARRI LogC4", "ACEScct", "lin_ap0_scene", "S-Log3 S-Gamut3"]
    ),
    st.integers(0, 2**31),
)
def test_there_and_back_is_the_same_picture(space: str, seed: int) -> None:
    pixels = np.exp2(np.random.default_rng(seed).uniform(-9, 9, (3, 4, 3))).astype(np.float32)
    there = colour.convert(rgb(pixels, "lin_ap1_scene"), space)
    back = colour.convert(there, "lin_ap1_scene").pixels
    np.testing.assert_allclose(back, pixels, rtol=1e-4, atol=2e-4 * pixels.max(axis=2).max())


def test_both_libraries_read_the_pinned_configuration() -> None:
    """OpenImageIO brings an OCIO of its own, and goes on with a dozen spaces where it cannot."""
    theirs = oiio.ColorConfig(PINNED)
    ours = [space.getName() for space in colour.pinned().getColorSpaces()]
    assert set(ours) <= set(theirs.getColorSpaceNames())
    source = oiio.ImageBuf(picture())
    result = oiio.ImageBufAlgo.colorconvert(
        source, "ARRI LogC4", "ACEScg", colorconfig=PINNED
    ).get_pixels(oiio.FLOAT)
    expected = colour.convert(rgb(picture(), "ARRI LogC4"), "ACEScg").pixels
    # OpenImageIO runs the fast approximations of the curve.
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["acescg", "ACEScg", "lin_ap1", "scene_linear", "LIN_AP1_SCENE"])
def test_names_aliases_roles_and_ids_are_one_space(name: str) -> None:
    assert colour.canonical(name) == "lin_ap1_scene"


def test_an_unknown_space_suggests_those_that_are_close() -> None:
    with pytest.raises(UsageError, match=r"'ACESct' is no colour space.*'ACEScct'"):
        colour.canonical("ACESct")
    with pytest.raises(UsageError, match="lin_rec709_scene"):
        colour.canonical("zzzzzzzz")


def test_the_callers_array_is_never_written() -> None:
    pixels = picture()
    kept = pixels.copy()
    image = rgb(pixels, "srgb_rec709_scene")
    colour.convert(image, "lin_ap1_scene")
    np.testing.assert_array_equal(pixels, kept)
    frozen = np.dstack([pixels, np.ones_like(pixels[..., :1])])
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        transform(resolve("srgb_rec709_scene"), resolve("lin_ap1_scene")).apply(frozen)


def test_premultiplied_colour_is_converted_without_its_alpha() -> None:
    straight = picture()
    alpha = np.linspace(0.1, 1.0, 35, dtype=np.float32).reshape(5, 7, 1)
    image = Image(
        np.dstack([straight * alpha, alpha]), ("R", "G", "B", "A"), "ARRI LogC4", "premultiplied"
    )
    out = colour.convert(image, "lin_ap1_scene")
    expected = colour.convert(rgb(straight, "ARRI LogC4"), "lin_ap1_scene").pixels * alpha
    np.testing.assert_allclose(out.take("R", "G", "B"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out.take("A"), alpha)
    as_straight = colour.convert(replace(image, alpha="straight"), "lin_ap1_scene")
    assert np.abs(as_straight.rgb - out.rgb).max() > 0.1


def test_light_without_alpha_survives_a_curve() -> None:
    glow = np.array([[[0.5, 0.25, 0.125, 0.0]]], np.float32)
    image = Image(glow, ("R", "G", "B", "A"), "srgb_rec709_scene", "premultiplied")
    out = colour.convert(image, "lin_rec709_scene").pixels
    np.testing.assert_allclose(out[0, 0, :3], srgb_to_linear(glow[0, 0, :3]), rtol=1e-4)


def test_nothing_stays_nothing_under_a_curve() -> None:
    element = np.zeros((2, 3, 4), np.float32)
    element[0, 0] = (0.25, 0.125, 0.5, 0.5)
    image = Image(element, ("R", "G", "B", "A"), "lin_ap1_scene", "premultiplied")
    encoded = colour.convert(image, "ARRI LogC4")
    back = colour.convert(encoded, "lin_ap1_scene")
    for step in (encoded, back):
        assert step.pixels[0, 0, :3].min() > 0.1
        np.testing.assert_array_equal(step.pixels.reshape(-1, 4)[1:], 0.0)


def test_channels_other_than_colour_keep_their_bits() -> None:
    pixels = np.random.default_rng(1).normal(0, 3, (4, 3, 5)).astype(np.float32)
    image = Image(pixels, ("Z", "R", "G", "B", "id"), "lin_rec709_scene")
    out = colour.convert(image, "lin_ap1_scene")
    np.testing.assert_array_equal(out.take("Z"), image.take("Z"))
    np.testing.assert_array_equal(out.take("id"), image.take("id"))
    assert not np.array_equal(out.rgb, image.rgb)


def test_data_is_never_converted() -> None:
    normal = Image(picture(), ("R", "G", "B"), colour="data")
    assert colour.convert(normal, "lin_ap1_scene") is normal
    plate = rgb(picture(), "lin_rec709_scene")
    assert colour.convert(plate, "data") is plate


def test_a_luminance_picture_is_a_neutral() -> None:
    grey = Image(np.full((2, 2, 1), 0.5, np.float32), ("Y",), "srgb_rec709_scene")
    out = colour.convert(grey, "lin_ap1_scene")
    np.testing.assert_allclose(out.pixels, srgb_to_linear(np.array(0.5)), rtol=1e-4)
    assert out.channels == ("Y",)


@pytest.mark.parametrize(
    "space", ["ACEScct", "ARRI LogC4", "srgb_rec709_scene", "lin_rec709_scene"]
)
def test_nan_stays_nan_and_harms_no_neighbour(space: str) -> None:
    pixels = picture()
    pixels[2, 3, :] = np.nan
    out = colour.convert(rgb(pixels, "lin_ap1_scene"), space).pixels
    assert np.isnan(out[2, 3]).all()
    assert np.isfinite(np.delete(out.reshape(-1, 3), 2 * 7 + 3, axis=0)).all()


@pytest.mark.parametrize("name", sorted(GAMUTS))
def test_the_table_of_gamuts_agrees_with_the_configuration(name: str) -> None:
    derived = to_ap0(GAMUTS[name])
    configured = (
        transform(resolve(name), resolve("lin_ap0_scene")).apply_rgb(np.eye(3, dtype=np.float32)).T
    )
    # Some makers adapt white with CAT02 rather than Bradford; the primaries are what is checked.
    np.testing.assert_allclose(derived, configured, atol=6e-3)
    assert colour.from_chromaticities(GAMUTS[name]) == name
    assert colour.chromaticities(name) == GAMUTS[name]


def test_chromaticities_of_no_known_space_are_a_space_of_their_own() -> None:
    # Header of Tree.exr of the OpenEXR sample images.
    values = (0.6295, 0.341, 0.2867, 0.6108, 0.1489, 0.07125, 0.3155, 0.33165)
    name = colour.from_chromaticities(values)
    white = colour.convert(rgb(np.ones((1, 1, 3), np.float32), name), "lin_ap0_scene").pixels
    np.testing.assert_allclose(white, 1.0, atol=1e-5)
    out = colour.convert(rgb(picture(), name), "lin_ap1_scene")
    back = colour.convert(out, name)
    np.testing.assert_allclose(back.pixels, picture(), atol=1e-5)
    assert colour.chromaticities(name) == pytest.approx(values)
    assert colour.is_linear(name)


def test_a_known_gamut_through_its_chromaticities_is_the_same_space() -> None:
    words = " ".join(str(v) for v in GAMUTS["lin_rec709_scene"])
    out = colour.convert(rgb(picture(), f"chromaticities {words}"), "lin_ap1_scene")
    expected = colour.convert(rgb(picture(), "lin_rec709_scene"), "lin_ap1_scene")
    np.testing.assert_allclose(out.pixels, expected.pixels, atol=2e-6)


@pytest.mark.parametrize(
    "name",
    ["chromaticities 1 2", "chromaticities a b c d e f g h", "chromaticities 0 0 0 0 0 0 0 0"],
)
def test_nonsense_chromaticities_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="chromaticities"):
        colour.canonical(name)


def test_threads_share_conversions() -> None:
    image = rgb(picture(shape=(64, 64)), "ARRI LogC4")
    expected = colour.convert(image, "lin_ap1_scene").pixels
    results: list[NDArray[np.float32]] = []
    threads = [
        threading.Thread(target=lambda: results.append(colour.convert(image, "ACEScg").pixels))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, expected) for result in results)


def test_encoding_and_linearity() -> None:
    assert colour.encoding("ACEScct") == "log"
    assert colour.encoding("data") == "data"
    assert colour.is_linear("lin_rec709_scene")
    assert not colour.is_linear("srgb_rec709_scene")


class TestDisplay:
    def test_plain_is_srgb(self) -> None:
        linear = srgb_to_linear(picture()).astype(np.float32)
        shown = colour.to_display(rgb(linear, "lin_rec709_scene"), tone_map=False)
        np.testing.assert_allclose(shown, picture(), atol=2e-5)

    def test_the_baked_view_is_the_aces_view(self) -> None:
        import PyOpenColorIO as ocio

        pixels = np.exp2(np.random.default_rng(3).uniform(-6, 2, (8, 8, 1))) * picture(4, (8, 8))
        view = ocio.DisplayViewTransform(
            src="ACEScg", display="sRGB - Display", view="ACES 2.0 - SDR 100 nits (Rec.709)"
        )
        exact = np.array(pixels, np.float32).reshape(-1, 3)
        colour.pinned().getProcessor(view).getDefaultCPUProcessor().applyRGB(exact)
        shown = colour.to_display(rgb(pixels.astype(np.float32), "lin_ap1_scene"))
        error = np.abs(shown.reshape(-1, 3) - exact)
        assert error.mean() < 1e-3
        assert error.max() < 0.03

    def test_bad_and_extreme_values_stay_in_range(self) -> None:
        pixels = np.array([[[np.nan, np.inf, -5.0], [1e5, 1e5, 1e5]]], np.float32)
        for tone_map in (True, False):
            shown = colour.to_display(rgb(pixels, "lin_ap1_scene"), tone_map=tone_map)
            assert shown.min() >= 0.0
            assert shown.max() <= 1.0
            assert shown[0, 1].min() > 0.95

    def test_straight_alpha_is_composited_over_black(self) -> None:
        pixels = np.array([[[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]], np.float32)
        image = Image(pixels, ("R", "G", "B", "A"), "lin_rec709_scene", "straight")
        shown = colour.to_display(image, tone_map=False)
        np.testing.assert_allclose(shown[0], [[0, 0, 0], [1, 1, 1]], atol=1e-5)

    def test_eight_bits_round(self) -> None:
        assert colour.to_uint8(np.array([0.0, 0.5, 1.0, 2.0], np.float32)).tolist() == [
            0,
            128,
            255,
            255,
        ]
