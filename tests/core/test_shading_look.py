"""Gloss keeps energy and linearity, gains act on their own part, skin is watched and left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.image import DATA, Image
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps, OriginalLight
from relume.shading.look import gloss_mix, oklab, skin_hue_shift
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.transport_file import pack, unpack
from relume.shading.types import EXPONENTS, HARMONICS, Transport

RGB = ("R", "G", "B")
LOOKS = st.fixed_dictionaries(
    {
        "diffuse_gain": st.floats(0, 4),
        "specular_gain": st.floats(0, 4),
        "residual_gain": st.floats(0, 4),
        "gloss": st.floats(-6, 6),
        "original": st.floats(0, 4),
    }
)


def subject(albedo: np.ndarray | None = None, size: int = 24) -> Transport:
    """Return a transport with every weight in use."""
    rng = np.random.default_rng(1)
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size * 2 - 1
    inside = x * x + y * y < 0.9
    normals = np.dstack((x, -y, np.sqrt(np.maximum(1 - x * x - y * y, 0)))) * inside[..., None]
    colour = rng.uniform(0.1, 0.9, (size, size, 3)).astype(np.float32)
    base = phong_transport(
        Image(colour if albedo is None else albedo, RGB),
        Image(inside.astype(np.float32), ("A",), colour=DATA),
        Image(normals.astype(np.float32), ("X", "Y", "Z"), colour=DATA),
        Image(colour if albedo is None else albedo, RGB),
    )
    count = len(base.index)
    return replace(
        base,
        specular=rng.uniform(0, 0.1, (len(EXPONENTS), count)).astype(np.float32),
        residual=rng.normal(0, 0.02, (HARMONICS, count)).astype(np.float32),
    )


def noise(seed: int, tint: tuple[float, ...] = (1, 1, 1)) -> LightMaps:
    pixels = np.random.default_rng(seed).lognormal(0, 1, (16, 32, 3)) * tint
    return prefilter(Environment(Image(pixels.astype(np.float32), RGB)), height=32)


def even(tint: tuple[float, ...] = (1, 1, 1)) -> LightMaps:
    pixels = np.broadcast_to(np.float32(tint), (16, 32, 3))
    return prefilter(Environment(Image(pixels, RGB)), height=32)


@given(gloss=st.floats(-20, 20))
def test_gloss_moves_weight_and_keeps_all_of_it(gloss: float):
    mix = gloss_mix(EXPONENTS, gloss)
    np.testing.assert_allclose(mix.sum(axis=0), 1.0, atol=1e-12)
    assert (mix >= 0).all()
    # The mean exponent, in octaves, moves by the gloss and stops at the ends.
    place = np.log2(EXPONENTS)
    np.testing.assert_allclose(place @ mix, np.clip(place + gloss, 0, 6), atol=1e-9)


def test_gloss_in_whole_octaves_by_hand():
    np.testing.assert_array_equal(gloss_mix(EXPONENTS, 0.0), np.eye(4))
    up = [[0.75, 0, 0, 0], [0.25, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    np.testing.assert_allclose(gloss_mix(EXPONENTS, 1.0), up)
    assert gloss_mix((16,), 3.0).tolist() == [[1.0]]


@pytest.mark.parametrize("gloss", [-1.5, 0.3, 6.0])
def test_gloss_is_a_move_of_the_weights(gloss: float):
    transport, light = subject(), noise(2)
    mix = gloss_mix(EXPONENTS, gloss).astype(np.float32)
    moved = replace(transport, specular=mix @ transport.specular)
    found = relight(transport, {"a": light}, gloss=gloss).passes
    expected = relight(moved, {"a": light}).passes
    for name in ("diffuse", "specular", "residual", "specular_light_064"):
        np.testing.assert_allclose(found[name].pixels, expected[name].pixels, rtol=1e-4, atol=1e-6)


def test_gloss_keeps_the_energy_and_sharpens_what_is_reflected():
    transport = subject()
    plain = relight(transport, {"a": even()}).passes["specular"].pixels
    for gloss in (-3, 2, 6):
        glossy = relight(transport, {"a": even()}, gloss=gloss).passes["specular"].pixels
        np.testing.assert_allclose(glossy, plain, rtol=1e-4)
    lit = [
        relight(transport, {"a": noise(3)}, gloss=gloss).passes["specular"].pixels
        for gloss in (-6.0, 0.0, 6.0)
    ]
    covered = transport.matte.pixels[..., 0] > 0
    contrast = [np.std(p[covered] / plain[covered]) for p in lit]
    assert contrast[0] < contrast[1] < contrast[2]


def test_a_lobe_that_gloss_reaches_must_be_there():
    plastic = phong_transport(subject().foreground, subject().matte, subject().normals,
                              subject().albedo)  # fmt: skip
    light = prefilter(
        Environment(Image(np.ones((8, 16, 3), np.float32), RGB)), (1, 16, 32), height=16
    )
    assert np.isfinite(relight(plastic, {"a": light}).relit.pixels).all()
    with pytest.raises(UsageError, match="no map for the Phong exponent 64"):
        relight(plastic, {"a": light}, gloss=1.5)


@given(look=LOOKS, gain=st.floats(0, 1e3))
@settings(max_examples=25)
def test_every_look_is_linear_in_light_and_the_parts_are_the_whole(
    look: dict[str, float], gain: float
):
    transport = subject()
    lights = {"key": noise(4).adjusted(gain=np.full(3, gain)), "fill": noise(5),
              "original": OriginalLight()}  # fmt: skip
    result = relight(transport, lights, **look)
    beauty, passes = result.relit.pixels[..., :3], result.passes
    parts = [passes[part].pixels for part in ("diffuse", "specular", "residual")]
    np.testing.assert_array_equal(parts[0] + parts[1] + parts[2], beauty)
    groups = sum(passes[f"relit_{name}"].pixels.astype(np.float64) for name in lights)
    scale = max(float(np.abs(passes[f"relit_{name}"].pixels).max()) for name in lights)
    np.testing.assert_allclose(groups, beauty, atol=1e-5 * scale, rtol=0)


def test_doubling_a_light_changes_its_pass_alone():
    transport = subject()
    lights = {"key": noise(6), "fill": noise(7), "original": OriginalLight()}
    before = relight(transport, lights, gloss=0.7).passes
    for name in lights:
        louder = {**lights, name: lights[name].adjusted(gain=np.full(3, 2))}
        after = relight(transport, louder, gloss=0.7).passes
        for other in lights:
            factor = 2 if other == name else 1
            np.testing.assert_array_equal(
                after[f"relit_{other}"].pixels, factor * before[f"relit_{other}"].pixels
            )


def test_the_amount_of_the_original_light():
    transport = subject()
    lights = {"key": noise(8), "original": OriginalLight()}
    whole = relight(transport, lights).passes
    half = relight(transport, lights, original=0.5).passes
    np.testing.assert_array_equal(half["relit_key"].pixels, whole["relit_key"].pixels)
    np.testing.assert_array_equal(
        half["relit_original"].pixels, 0.5 * whole["relit_original"].pixels
    )


def test_the_look_of_a_transport_from_a_file_is_the_same():
    transport = subject()
    look = {"gloss": 1.2, "specular_gain": 2.0, "residual_gain": 0.5, "original": 0.3}
    lights = {"a": noise(1), "original": OriginalLight()}
    np.testing.assert_array_equal(
        relight(unpack(pack(transport)), lights, **look).relit.pixels,
        relight(transport, lights, **look).relit.pixels,
    )


def test_oklab_of_known_colours():
    # Ottosson 2020: white is (1, 0, 0); the published values of the sRGB red primary.
    np.testing.assert_allclose(oklab(np.ones(3)), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(oklab(np.array([1, 0, 0])), [0.62796, 0.22486, 0.12585], atol=1e-4)
    hue = [np.arctan2(*oklab(np.array([0.5, 0.3, 0.2]) * x)[:0:-1]) for x in (1e-3, 1, 1e4)]
    np.testing.assert_allclose(hue, hue[0], rtol=1e-9)


SKIN = {"light": (0.75, 0.52, 0.42), "dark": (0.10, 0.045, 0.025)}


@pytest.mark.parametrize("tone", SKIN)
def test_the_hue_of_skin_moves_with_the_colour_of_the_light(tone: str):
    albedo = np.broadcast_to(np.float32(SKIN[tone]), (24, 24, 3))
    plain = Image(albedo, RGB, colour="lin_rec709_scene")
    transport = replace(subject(), foreground=plain, albedo=plain)
    still = replace(transport, residual=0 * transport.residual, specular=0 * transport.specular)

    def shift(tint: tuple[float, ...]) -> float | None:
        return skin_hue_shift(still, relight(still, {"a": even(tint)}, passes=False).relit)

    assert shift((5, 5, 5)) == pytest.approx(0, abs=0.01)
    red, green = shift((1, 0.6, 0.9)), shift((0.8, 1, 0.6))
    assert red is not None and red < -10
    assert green is not None and green > 10
    expected = np.degrees(
        np.diff([np.arctan2(*oklab(np.array(SKIN[tone]) * t)[:0:-1]) for t in (1, (0.8, 1, 0.6))])
    )
    assert green == pytest.approx(expected[0], abs=0.05)


def test_nothing_is_said_of_a_subject_without_skin():
    blue = Image(np.broadcast_to(np.float32((0.1, 0.2, 0.6)), (24, 24, 3)), RGB)
    transport = replace(subject(), foreground=blue, albedo=blue)
    assert skin_hue_shift(transport, relight(transport, {"a": even((1, 0, 0))}).relit) is None
    nobody = replace(transport, matte=transport.matte.like(0 * transport.matte.pixels))
    assert skin_hue_shift(nobody, relight(nobody, {"a": even()}).relit) is None
    empty = subject()
    nothing = empty.matte.like(np.zeros_like(empty.matte.pixels))
    empty = phong_transport(empty.foreground, nothing, empty.normals, empty.albedo)
    assert skin_hue_shift(empty, relight(empty, {"a": even()}).relit) is None
