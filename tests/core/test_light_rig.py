"""Studio lights stand where their numbers say and keep their energy on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.light import latlong
from relume.light.prefilter import prefilter
from relume.light.rig import PRESETS, Rig, Sky, Softbox, Sun, draw


def towards(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians((azimuth, elevation))
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def facing(rig: Rig, direction: np.ndarray, height: int) -> np.ndarray:
    """Return what a white matte surface facing a direction shows."""
    pixels = draw(rig, height).image.pixels.astype(np.float64)
    cosine = np.clip(latlong.directions(height) @ direction, 0, None)
    weight = cosine * latlong.solid_angles(height)[:, None] / np.pi
    return (pixels * weight[..., None]).sum((0, 1))


@pytest.mark.parametrize("height", [16, 64, 200])
@pytest.mark.parametrize("diameter", [0.1, 0.53, 5.0, 60.0])
def test_a_sun_of_any_size_is_as_bright_on_any_grid(diameter: float, height: int):
    rig = Rig(sun=Sun(63, 37, diameter, 2.5, (1.0, 0.5, 0.25)))
    found = facing(rig, towards(63, 37), height)
    np.testing.assert_allclose(found, (2.5, 1.25, 0.625), rtol=1e-5)


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(5, 120), st.floats(5, 120))
def test_a_softbox_of_any_size_is_as_bright_anywhere(
    azimuth: float, elevation: float, width: float, height: float
):
    rig = Rig(key=Softbox(azimuth, elevation, width, height, 1.5))
    found = facing(rig, towards(azimuth, elevation), 32)
    np.testing.assert_allclose(found, 1.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("azimuth", "elevation"), [(0, 0), (90, 10), (-120, -40), (180, 30), (15, 80)]
)
def test_a_lamp_shines_from_where_it_stands(azimuth: float, elevation: float):
    for rig in (
        Rig(key=Softbox(azimuth, elevation, 20, 20, 1.0)),
        Rig(sun=Sun(azimuth, elevation, 3.0, 1.0)),
    ):
        pixels = draw(rig, 128).image.pixels[..., 0]
        weight = pixels * latlong.solid_angles(128)[:, None]
        centroid = (latlong.directions(128) * weight[..., None]).sum((0, 1))
        centroid /= np.linalg.norm(centroid)
        assert np.degrees(np.arccos(centroid @ towards(azimuth, elevation))) < 0.3


def test_a_softbox_covers_its_angles():
    pixels = draw(Rig(key=Softbox(90, 0, 40, 20, 1.0, softness=0.0)), 360).image.pixels[..., 0]
    # The row at the horizon and the column at azimuth 90, half a degree a texel.
    assert np.count_nonzero(pixels[180]) == pytest.approx(80, abs=1)
    assert np.count_nonzero(pixels[:, 540]) == pytest.approx(40, abs=1)
    assert np.unique(pixels[180][pixels[180] > 0].round(4)).size <= 2, "a hard edge"


def test_softness_fades_without_changing_the_brightness():
    hard, soft = (
        draw(Rig(key=Softbox(0, 0, 60, 60, 1.0, softness=s)), 64).image.pixels for s in (0, 1)
    )
    assert soft.max() > 1.5 * hard.max()
    assert np.unique(soft.round(3)).size > 10 * np.unique(hard.round(3)).size


def test_the_sky_blends_from_horizon_to_zenith_over_the_ground():
    sky = Sky((0.1, 0.2, 0.8), (1.0, 0.9, 0.7), (0.05, 0.04, 0.03), falloff=1.0)
    pixels = draw(Rig(sky=sky), 64).image.pixels
    np.testing.assert_allclose(pixels[0, 0], sky.zenith, atol=0.01)
    np.testing.assert_allclose(pixels[31, 0], sky.horizon, atol=0.03)
    np.testing.assert_allclose(pixels[32:], np.broadcast_to(sky.ground, (32, 128, 3)), rtol=1e-6)


def test_lights_add():
    key, fill = Softbox(-50, 20, 30, 30, 1.0), Softbox(60, 0, 60, 60, 0.2)
    both = draw(Rig(key=key, fill=fill, ambient=(0.1, 0.2, 0.3)), 32).image.pixels
    parts = [draw(r, 32).image.pixels for r in (Rig(key=key), Rig(fill=fill))]
    np.testing.assert_allclose(both, parts[0] + parts[1] + np.float32([0.1, 0.2, 0.3]), rtol=1e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_lights_a_face_can_be_seen_under(name: str):
    maps = prefilter(draw(PRESETS[name], 64), height=32)
    front = latlong.look_up(maps.diffuse, np.float32([[0, 0, 1]]))[0]
    assert maps.diffuse.min() > 0
    assert 0.15 < front.max() < 2.0


@pytest.mark.parametrize(("name", "side"), [("key_left", -1), ("key_right", 1), ("sunset", 1)])
def test_a_key_lights_its_own_side(name: str, side: int):
    maps = prefilter(draw(PRESETS[name], 64), height=32)
    left, right = latlong.look_up(maps.diffuse, np.float32([[-1, 0, 0.3], [1, 0, 0.3]])).mean(1)
    assert (right - left) * side > 0.5 * max(left, right)


@pytest.mark.parametrize(
    "make",
    [lambda: Softbox(width=0.0), lambda: Softbox(height=171.0), lambda: Sun(diameter=0.0)],
)
def test_lamps_without_a_size_are_refused(make):
    with pytest.raises(UsageError, match="spans"):
        make()
