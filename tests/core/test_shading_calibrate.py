"""Calibration brings out the plate, moves no further than it is told, and keeps light linear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_shading_relight import RGB, solid, sphere

from relume.geometry.subject import find_subject
from relume.image import Image
from relume.light.maps import settled
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps
from relume.shading.calibrate import calibrate
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.transport_file import pack, unpack
from relume.shading.types import Transport


def light(seed: int, level: float = 1.0) -> LightMaps:
    rng = np.random.default_rng(seed)
    pixels = rng.lognormal(0, 0.7, (16, 32, 3)).astype(np.float32) * np.float32(level)
    return prefilter(Environment(Image(pixels, RGB)), height=32)


def straight(transport: Transport, maps: LightMaps) -> np.ndarray:
    relit = relight(transport, {"a": maps}, passes=False).relit.pixels
    return relit[..., :3] / np.maximum(relit[..., 3:], 1e-6)


def inside(transport: Transport) -> np.ndarray:
    return transport.matte.pixels[..., 0] > 0


def filmed(maps: LightMaps, wrong: float | np.ndarray) -> tuple[Transport, np.ndarray]:
    """Return a transport whose albedo is wrong by a factor, and its true albedo."""
    parts = sphere()
    rng = np.random.default_rng(5)
    true = rng.uniform(0.1, 0.6, parts["albedo"].pixels.shape).astype(np.float32)
    parts["albedo"] = parts["albedo"].like(true)
    transport = phong_transport(**parts)
    plate = straight(transport, maps).astype(np.float32)
    return (
        replace(
            transport,
            foreground=transport.foreground.like(plate),
            albedo=transport.albedo.like((true * wrong).astype(np.float32)),
        ),
        true,
    )


def dull(transport: Transport, maps: LightMaps, true: np.ndarray) -> Transport:
    """Return the transport and its plate without shine."""
    transport = replace(transport, specular=np.zeros_like(transport.specular))
    lit = straight(replace(transport, albedo=transport.albedo.like(true)), maps)
    return replace(transport, foreground=transport.foreground.like(lit.astype(np.float32)))


def test_all_of_it_brings_out_the_plate_and_so_the_albedo() -> None:
    maps = light(1)
    wrong = np.random.default_rng(2).uniform(0.6, 1.6, (61, 61, 3))
    transport, true = filmed(maps, wrong)
    found = calibrate(transport, maps, level=1, detail=1).transport
    where = inside(transport)
    np.testing.assert_allclose(found.albedo.pixels[where], true[where], rtol=2e-3)
    plate = transport.foreground.pixels
    np.testing.assert_allclose(straight(found, maps)[where], plate[where], rtol=2e-3)


@pytest.mark.parametrize("factor", [0.5, 1.7])
def test_a_wrong_level_is_found_and_its_share_taken_out(factor: float) -> None:
    maps = light(3)
    transport, true = filmed(maps, factor)
    # Without shine the median is of the body alone, whose level is known.
    transport = dull(transport, maps, true)
    found = calibrate(transport, maps, level=0.8, detail=0)
    assert found.stops == pytest.approx((-np.log2(factor),) * 3, abs=0.02)
    where = inside(transport)
    left = np.log(found.transport.albedo.pixels[where] / true[where])
    np.testing.assert_allclose(left, 0.2 * np.log(factor), atol=0.01)


@pytest.mark.parametrize("shares", [(0.6, 0.6), (1, 1), (0, 0)])
def test_a_right_albedo_stays_however_shiny_and_dark_it_is(shares: tuple[float, float]) -> None:
    maps = light(1)
    transport, true = filmed(maps, 1.0)
    black = transport.albedo.like(true * np.float32(0.03))
    transport = replace(transport, albedo=black)
    plate = straight(transport, maps).astype(np.float32)
    transport = replace(transport, foreground=transport.foreground.like(plate))
    found = calibrate(transport, maps, level=shares[0], detail=shares[1]).transport
    where = inside(transport)
    np.testing.assert_allclose(found.albedo.pixels[where], black.pixels[where], rtol=1e-3)


def test_what_is_too_dark_moves_with_the_rest() -> None:
    maps = light(2)
    transport, true = filmed(maps, 0.7)
    plate = transport.foreground.pixels.copy()
    plate[20:30, 20:30] *= 1e-5
    plate[35:40, 20:30] = np.nan
    dark = replace(transport, foreground=transport.foreground.like(plate))
    found = calibrate(dark, maps, level=1, detail=1).transport.albedo.pixels
    for patch in (np.s_[20:30, 20:30], np.s_[35:40, 20:30]):
        np.testing.assert_allclose(found[patch], true[patch], rtol=0.1)


@pytest.mark.parametrize("channel", range(3))
def test_a_light_without_a_colour_says_nothing_of_it(channel: int) -> None:
    transport, _ = filmed(light(2), 0.7)
    pixels = np.zeros((16, 32, 3), np.float32)
    pixels[..., channel] = 1.0
    found = calibrate(transport, prefilter(Environment(Image(pixels, RGB)), height=32))
    others = [c for c in range(3) if c != channel]
    assert np.isnan(np.array(found.stops)[others]).all()
    assert np.isfinite(found.stops[channel])
    where = inside(transport)
    ratio = found.transport.albedo.pixels[where] / transport.albedo.pixels[where]
    np.testing.assert_allclose(ratio[:, others], 1.0, rtol=1e-6)
    assert ratio.max() < 64


def test_that_it_was_calibrated_travels_with_the_file() -> None:
    transport, _ = filmed(light(2), 0.7)
    found = calibrate(transport, light(2)).transport
    assert unpack(pack(found)).calibrated
    assert not unpack(pack(transport)).calibrated


def test_an_hdri_of_another_exposure_changes_nothing_without_level() -> None:
    transport, _ = filmed(light(4), np.random.default_rng(2).uniform(0.6, 1.6, (61, 61, 3)))
    one, eight = (
        calibrate(transport, light(4, level), level=0, detail=0.6).transport.albedo.pixels
        for level in (1.0, 8.0)
    )
    np.testing.assert_allclose(one, eight, rtol=1e-3)


def test_nothing_taken_out_is_nothing_changed() -> None:
    transport, _ = filmed(light(6), 2.0)
    found = calibrate(transport, light(7), level=0, detail=0).transport
    where = inside(transport)
    np.testing.assert_allclose(
        found.albedo.pixels[where], transport.albedo.pixels[where], rtol=1e-5
    )


def test_light_stays_linear_and_the_margin_continues_the_albedo() -> None:
    transport, _ = filmed(light(8), 1.4)
    found = calibrate(transport, light(8)).transport
    one, other = light(9), light(10)
    total = straight(found, one) + straight(found, other)
    both = relight(found, {"a": one, "b": other}, passes=False).relit.pixels
    both = both[..., :3] / np.maximum(both[..., 3:], 1e-6)
    np.testing.assert_allclose(both, total, rtol=1e-4, atol=1e-5)
    subject = find_subject(transport.foreground, transport.matte)
    assert subject is not None
    albedo = found.albedo.pixels.reshape(-1, 3)
    np.testing.assert_array_equal(albedo[subject.margin], albedo[subject.source])


@settings(max_examples=20, deadline=None)
@given(st.floats(-4, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_whatever_the_plate_the_albedo_is_finite_and_positive(
    stops: float, level: float, detail: float, seed: int
) -> None:
    maps = light(seed, 2.0**stops)
    transport, _ = filmed(light(1), 1.0)
    rng = np.random.default_rng(seed)
    broken = transport.foreground.pixels * rng.normal(1, 2, (61, 61, 1)).astype(np.float32)
    broken[30, 30] = 0
    broken[31, 31] = 1e6
    transport = replace(transport, foreground=transport.foreground.like(broken))
    found = calibrate(transport, maps, level=level, detail=detail).transport.albedo.pixels
    where = inside(transport)
    assert np.isfinite(found).all()
    assert (found[where] > 0).all()


def test_threads_and_a_turned_light_change_no_bit() -> None:
    transport, _ = filmed(light(1), 1.3)
    maps = light(1).adjusted(gain=np.ones(3, np.float32), rotation=45.0)
    one = calibrate(transport, maps, threads=1).transport.albedo.pixels
    np.testing.assert_array_equal(
        one, calibrate(transport, maps, threads=3).transport.albedo.pixels
    )
    turned = calibrate(transport, settled(maps)).transport.albedo.pixels
    np.testing.assert_allclose(turned, one, rtol=1e-4, atol=1e-6)


def test_an_empty_matte_is_left_alone() -> None:
    parts = solid(sphere())
    parts["matte"] = parts["matte"].like(np.zeros_like(parts["matte"].pixels))
    transport = phong_transport(**parts)
    found = calibrate(transport, light(1))
    assert found.transport is transport
    assert np.isnan(found.stops).all()
