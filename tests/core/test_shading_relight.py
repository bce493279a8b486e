"""Relight is linear in light, its parts rebuild the beauty, and Phong is what the equations say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relume.geometry.camera import Camera
from relume.image import DATA, Box, Image
from relume.light import harmonics, latlong
from relume.light.prefilter import prefilter
from relume.light.types import Environment, Light, LightMaps, OriginalLight
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.transport_file import pack, unpack
from relume.shading.types import EXPONENTS, HARMONICS, Transport

RGB = ("R", "G", "B")


def sphere(size: int = 61, windows: dict[str, Box] | None = None) -> dict[str, Image]:
    """Return a sphere filling the picture: foreground, matte, normals and albedo."""
    extra = windows or {}
    y, x = np.mgrid[0:size, 0:size]
    x, y = 2 * (x + 0.5) / size - 1, 1 - 2 * (y + 0.5) / size
    inside = x * x + y * y < 0.95
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    normals = np.where(inside[..., None], np.dstack((x, y, z)), 0).astype(np.float32)
    rng = np.random.default_rng(3)
    alpha = (inside * rng.uniform(0.2, 1.0, inside.shape)).astype(np.float32)
    colour = rng.lognormal(-1, 1, (2, size, size, 3)).astype(np.float32)
    return {
        "foreground": Image(colour[0], RGB, **extra),
        "matte": Image(alpha, ("A",), colour=DATA, **extra),
        "normals": Image(normals, ("X", "Y", "Z"), colour=DATA, **extra),
        "albedo": Image(colour[1], RGB, **extra),
    }


def solid(parts: dict[str, Image]) -> dict[str, Image]:
    """Return the same subject with a matte of 0 and 1, so that premultiplied is straight."""
    matte = parts["matte"]
    return {**parts, "matte": matte.like((matte.pixels > 0).astype(np.float32))}


def shade(transport: Transport, light: Light, threads: int = 1) -> dict[str, np.ndarray]:
    """Return the parts of the picture at the transport's pixels, P×3 each."""
    passes = relight(transport, {"a": light}, threads=threads).passes
    return {
        name: passes[name].pixels.reshape(-1, 3)[transport.index]
        for name in ("diffuse", "specular", "residual")
    }


def random_transport(size: int = 61) -> Transport:
    rng = np.random.default_rng(11)
    base = phong_transport(**sphere(size))
    count = len(base.index)
    return replace(
        base,
        diffuse=rng.uniform(0.3, 1.1, count).astype(np.float32),
        specular=rng.uniform(0, 0.1, (len(EXPONENTS), count)).astype(np.float32),
        residual=rng.normal(0, 0.1, (HARMONICS, count)).astype(np.float32),
    )


def lamp(azimuth: float, power: float = 5.0) -> LightMaps:
    """Return the maps of a lamp at an azimuth (0 at the camera, 90 at screen right)."""
    pixels = np.full((32, 64, 3), 0.01, np.float32)
    pixels[14:18, int((azimuth + 180) % 360 / 360 * 64)] = power
    # The image centre is behind the subject, the camera is at the seam.
    return prefilter(Environment(Image(np.roll(pixels, 0, 1), RGB)), height=32)


def noise(seed: int) -> LightMaps:
    rng = np.random.default_rng(seed)
    return prefilter(
        Environment(Image(rng.lognormal(0, 1.5, (16, 32, 3)).astype(np.float32), RGB)), height=32
    )


def test_a_white_sphere_in_a_furnace_is_white():
    parts = solid(sphere())
    white = parts["albedo"].like(np.ones_like(parts["albedo"].pixels))
    transport = phong_transport(**{**parts, "albedo": white}, specular=(0, 0, 0, 0))
    even = prefilter(Environment(Image(np.ones((16, 32, 3), np.float32), RGB)), height=32)
    shaded = shade(transport, even)
    covered = transport.matte.pixels.reshape(-1)[transport.index] > 0
    np.testing.assert_allclose(shaded["diffuse"][covered], 1.0, atol=1e-4)
    assert not shaded["specular"].any()


def test_lambert_matches_the_integral_at_single_pixels():
    rng = np.random.default_rng(0)
    light = rng.lognormal(0, 1, (32, 64, 3)).astype(np.float32)
    transport = phong_transport(**solid(sphere()))
    shaded = shade(transport, prefilter(Environment(Image(light, RGB)), height=128))
    towards, weight = latlong.directions(32), latlong.solid_angles(32)[:, None, None]
    normals = transport.normals.pixels.reshape(-1, 3)[transport.index]
    albedo = transport.albedo.pixels.reshape(-1, 3)[transport.index]
    covered = np.flatnonzero(transport.matte.pixels.reshape(-1)[transport.index] > 0)
    for pixel in rng.choice(covered, 20):
        cosine = np.maximum(towards @ normals[pixel], 0)[..., None]
        expected = (light * cosine * weight).sum((0, 1)) / np.pi * albedo[pixel]
        np.testing.assert_allclose(shaded["diffuse"][pixel], expected, rtol=5e-3)


@pytest.mark.parametrize(("azimuth", "side"), [(-70, "left"), (70, "right")])
def test_light_from_a_side_lights_that_side(azimuth: float, side: str):
    parts = solid(sphere())
    even = parts["albedo"].like(np.ones_like(parts["albedo"].pixels))
    transport = phong_transport(**{**parts, "albedo": even})
    picture = relight(transport, {"key": lamp(azimuth)}).relit.pixels[..., 1]
    left, right = picture[:, :30].sum(), picture[:, 31:].sum()
    assert (left > 2 * right) if side == "left" else (right > 2 * left)


def test_relit_is_linear_in_the_lights():
    transport, a, b = random_transport(), noise(1), noise(2)
    both = relight(transport, {"a": a, "b": b.adjusted(gain=np.full(3, 2))}).relit.pixels
    one = relight(transport, {"a": a}).relit.pixels
    two = relight(transport, {"b": b}).relit.pixels
    scale = np.abs(both[..., :3]).max()
    np.testing.assert_allclose(
        both[..., :3], one[..., :3] + 2 * two[..., :3], atol=3e-6 * scale, rtol=0
    )


def test_a_stop_doubles_the_subject_exactly():
    transport, light = random_transport(), noise(4)
    once = relight(transport, {"a": light}).relit.pixels
    twice = relight(transport, {"a": light.adjusted(gain=np.full(3, 2))}).relit.pixels
    np.testing.assert_array_equal(twice[..., :3], 2 * once[..., :3])
    np.testing.assert_array_equal(twice[..., 3], once[..., 3])


def test_the_parts_rebuild_the_beauty_exactly_and_the_lights_to_rounding():
    transport = random_transport()
    lights = {"key": noise(1), "fill": noise(2), "original": OriginalLight()}
    result = relight(transport, lights)
    beauty, passes = result.relit.pixels[..., :3], result.passes
    parts = [passes[name].pixels for name in ("diffuse", "specular", "residual")]
    np.testing.assert_array_equal(parts[0] + parts[1] + parts[2], beauty)
    groups = sum(passes[f"relit_{name}"].pixels for name in lights)
    np.testing.assert_allclose(groups, beauty, atol=1e-5 * np.abs(beauty).max(), rtol=0)


def test_the_original_light_gives_the_plate_back():
    transport = random_transport()
    relit = relight(transport, {"original": OriginalLight()}).relit
    alpha = transport.matte.pixels
    expected = transport.foreground.pixels * alpha * (alpha > 0)
    np.testing.assert_allclose(relit.pixels[..., :3], expected, rtol=1e-6)
    np.testing.assert_array_equal(relit.pixels[..., 3:], alpha)
    assert relit.alpha == "premultiplied"


def test_gains_act_on_their_part_alone():
    transport, light = random_transport(), noise(1)
    plain = relight(transport, {"a": light}).passes
    changed = relight(transport, {"a": light}, specular_gain=3.0).passes
    np.testing.assert_array_equal(changed["diffuse"].pixels, plain["diffuse"].pixels)
    np.testing.assert_allclose(changed["specular"].pixels, 3 * plain["specular"].pixels, rtol=1e-5)


def test_turning_the_light_is_turning_the_environment():
    rng = np.random.default_rng(0)
    pixels = rng.lognormal(0, 1, (32, 64, 3)).astype(np.float32)
    transport = random_transport()
    turned = prefilter(Environment(Image(latlong.turn(pixels, 90), RGB)), height=32)
    still = prefilter(Environment(Image(pixels, RGB)), height=32)
    found = shade(transport, still.adjusted(gain=np.ones(3), rotation=90))
    for part, expected in shade(transport, turned).items():
        np.testing.assert_allclose(
            found[part], expected, atol=1e-4 * np.abs(expected).max(), rtol=0
        )


def test_the_residual_is_a_dot_product_with_the_harmonics_of_the_light():
    transport, light = random_transport(), noise(7)
    albedo = transport.albedo.pixels.reshape(-1, 3)[transport.index]
    alpha = transport.matte.pixels.reshape(-1, 1)[transport.index]
    expected = alpha * albedo * (transport.residual.T @ light.harmonics[:HARMONICS])
    found = shade(transport, light)["residual"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_threads_do_not_change_a_bit():
    transport, light = random_transport(300), noise(1)
    one, many = (shade(transport, light, threads=threads) for threads in (1, 5))
    for part, expected in one.items():
        np.testing.assert_array_equal(many[part], expected)


def test_a_turned_camera_sees_the_light_of_the_world():
    """With the camera turned by 90°, what the world has at its right is behind the camera's −Z."""
    angle = np.radians(30.0)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    light = noise(5)
    parts = sphere()
    fixed = phong_transport(**parts, camera=Camera(40.0, turn))
    # The same light, seen in camera space: what lies at to_world·ω lies at ω.
    normals = parts["normals"].pixels @ turn.T.astype(np.float32)
    world = phong_transport(**{**parts, "normals": parts["normals"].like(normals)})
    np.testing.assert_allclose(
        shade(fixed, light)["diffuse"], shade(world, light)["diffuse"], rtol=1e-3, atol=1e-4
    )
    seen = harmonics.seen_from(light.harmonics.astype(np.float64), turn)
    direction = np.array([[0.3, 0.4, -0.86]])
    direction /= np.linalg.norm(direction)
    np.testing.assert_allclose(
        harmonics.evaluate(direction, 4) @ seen,
        harmonics.evaluate(direction @ turn.T, 4) @ light.harmonics,
        rtol=1e-5,
        atol=1e-5,
    )


def test_pixels_outside_the_subject_are_zero_and_windows_are_kept():
    windows = {"data": Box(4, -2, 65, 59), "display": Box(0, 0, 100, 90)}
    transport = phong_transport(**sphere(61, windows))
    result = relight(transport, {"a": noise(1)})
    outside = transport.matte.pixels[..., 0] == 0
    for image in (result.relit, *result.passes.values()):
        assert (image.data, image.display) == (windows["data"], windows["display"])
    assert not result.relit.pixels[outside].any()


def test_an_empty_matte_gives_an_empty_picture():
    parts = sphere()
    nobody = parts["matte"].like(np.zeros_like(parts["matte"].pixels))
    result = relight(phong_transport(**{**parts, "matte": nobody}), {"a": noise(1)})
    assert not result.relit.pixels.any()
    assert result.negative == 0


def test_negative_values_are_kept_and_counted():
    transport = random_transport()
    dark = replace(transport, residual=np.zeros_like(transport.residual))
    dark.residual[0] = -10
    result = relight(dark, {"a": noise(1)})
    assert result.relit.pixels.min() < -1
    assert result.negative == 1.0


def test_negatives_of_the_plate_itself_are_not_counted():
    parts = solid(sphere())
    below = parts["foreground"].like(-np.ones_like(parts["foreground"].pixels))
    transport = phong_transport(**{**parts, "foreground": below})
    result = relight(transport, {"original": OriginalLight()})
    assert result.relit.pixels.min() == -1
    assert result.negative == 0


def test_a_packed_transport_shades_the_same_picture():
    transport = random_transport()
    again = unpack(pack(transport))
    np.testing.assert_array_equal(again.index, transport.index)
    for name in ("diffuse", "specular", "residual"):
        np.testing.assert_array_equal(getattr(again, name), getattr(transport, name))
    lights = {"a": noise(1), "original": OriginalLight()}
    np.testing.assert_array_equal(
        relight(again, lights).relit.pixels, relight(transport, lights).relit.pixels
    )
