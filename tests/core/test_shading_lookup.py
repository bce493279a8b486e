"""Looking light up for a prepared transport: the same as the equation, whatever the blocks."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from relume.errors import InputError, UsageError
from relume.geometry.camera import Camera, reflect
from relume.image import DATA, Box, Image, Layers
from relume.light import harmonics, latlong
from relume.light.maps import settled
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps, OriginalLight
from relume.shading import lookup
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.transport_file import pack, unpack
from relume.shading.types import EXPONENTS, HARMONICS, Transport

RGB = ("R", "G", "B")
CAMERA = Camera.from_world_to_camera(
    [[0.8, 0, -0.6, 0], [0, 1, 0, 0], [0.6, 0, 0.8, 0], [0, 0, 0, 1]], fov=70
)


def subject(height: int = 40, width: int = 50, camera: Camera | None = None) -> Transport:
    """Return a transport with every weight in use, over a disc with an uneven matte."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width] / max(height, width) - 0.4
    inside = (np.hypot(x, y) < 0.3)[..., None]
    alpha = np.where(inside, rng.uniform(0.1, 1, inside.shape), 0).astype(np.float32)
    normals = rng.normal(size=(height, width, 3)) + np.array((0, 0, 1.5))
    normals = (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)
    colours = rng.lognormal(-1, 1, (2, height, width, 3)).astype(np.float32)
    windows = {"data": Box(5, -2, 5 + width, height - 2), "display": Box(0, 0, 60, 45)}
    base = phong_transport(
        Image(colours[0], RGB, **windows),
        Image(alpha, ("A",), colour=DATA, **windows),
        Image(normals, ("X", "Y", "Z"), colour=DATA, **windows),
        Image(colours[1], RGB, **windows),
        camera=camera,
    )
    count = len(base.index)
    return replace(
        base,
        diffuse=rng.uniform(0.3, 1.1, count).astype(np.float32),
        specular=rng.uniform(0, 0.1, (len(EXPONENTS), count)).astype(np.float32),
        residual=rng.normal(0, 0.1, (HARMONICS, count)).astype(np.float32),
    )


def light(seed: int, height: int = 32, exponents: tuple[int, ...] = EXPONENTS) -> LightMaps:
    pixels = np.random.default_rng(seed).lognormal(0, 1.5, (32, 64, 3)).astype(np.float32)
    return prefilter(Environment(Image(pixels, RGB)), exponents, height)


def equation(transport: Transport, maps: LightMaps) -> dict[str, np.ndarray]:
    """Return the parts of the picture by the equation as `Transport` states it, H×W×3 each."""
    index = transport.index
    normals = transport.normals.pixels.reshape(-1, 3)[index]
    view = None if transport.view is None else transport.view.T
    mirrored = reflect(normals, view)
    if transport.to_world is not None:
        normals = (normals @ transport.to_world.T).astype(np.float32)
        mirrored = (mirrored @ transport.to_world.T).astype(np.float32)
    around = maps.harmonics.astype(np.float64)
    if transport.to_world is not None:
        around = harmonics.seen_from(around, transport.to_world)
    alpha = transport.matte.pixels.reshape(-1, 1)[index]
    tint = transport.albedo.pixels.reshape(-1, 3)[index] * alpha
    shine = [latlong.look_up(maps.specular[n], mirrored) for n in transport.exponents]
    parts = {
        "diffuse": tint * transport.diffuse[:, None] * latlong.look_up(maps.diffuse, normals),
        "specular": np.einsum("kp,kpc->pc", transport.specular, np.array(shine)) * alpha,
        "residual": tint * (transport.residual.T @ around[:HARMONICS]),
    }
    frames = {}
    for name, part in parts.items():
        frame = np.zeros((transport.matte.height * transport.matte.width, 3))
        frame[index] = part
        frames[name] = frame.reshape(transport.matte.height, -1, 3)
    return frames


@pytest.mark.parametrize("camera", [None, CAMERA], ids=["far away", "turned"])
def test_it_is_the_equation(camera: Camera | None):
    transport = subject(camera=camera)
    shining = light(1).adjusted(gain=np.float32([1, 2, 0.5]), rotation=33)
    found = relight(transport, {"a": shining}).passes
    for name, expected in equation(transport, settled(shining)).items():
        error = np.abs(found[name].pixels - expected).max()
        assert error < 5e-6 * np.abs(expected).max(), name


def test_many_blocks_on_many_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch):
    lights = {"a": light(1), "original": OriginalLight()}
    whole = relight(subject(), lights)
    monkeypatch.setattr(lookup, "BLOCK", 64)
    one, many = (relight(subject(), lights, threads=threads) for threads in (1, 3))
    assert one.negative == many.negative == whole.negative
    for name, image in one.passes.items():
        np.testing.assert_array_equal(many.passes[name].pixels, image.pixels)
        np.testing.assert_allclose(image.pixels, whole.passes[name].pixels, rtol=1e-5, atol=1e-6)


def test_the_same_picture_with_and_without_passes():
    lights = {"a": light(1), "b": light(2)}
    bare = relight(subject(), lights, passes=False)
    full = relight(subject(), lights)
    np.testing.assert_array_equal(bare.relit.pixels, full.relit.pixels)
    assert not bare.passes
    assert list(full.passes) == [
        "diffuse", "specular", "residual", "relit_a", "relit_b", "diffuse_light",
        "specular_light_001", "specular_light_016", "specular_light_032", "specular_light_064",
    ]  # fmt: skip


def test_lights_of_several_map_sizes_add():
    transport = subject()
    small, large = light(1, 16), light(2, 64)
    both = relight(transport, {"a": small, "b": large})
    apart = [relight(transport, {"a": one}) for one in (small, large)]
    for name in ("diffuse", "specular", "residual", "diffuse_light", "specular_light_016"):
        expected = sum(result.passes[name].pixels for result in apart)
        error = np.abs(both.passes[name].pixels - expected).max()
        assert error < 1e-6 * np.abs(expected).max(), name


def test_the_light_passes_are_straight_and_end_with_the_margin():
    transport = subject()
    maps = light(1)
    found = relight(transport, {"a": maps}).passes["diffuse_light"].pixels
    normals = transport.normals.pixels
    expected = latlong.look_up(maps.diffuse, normals)
    inside = np.zeros(transport.matte.height * transport.matte.width, bool)
    inside[transport.index] = True
    inside = inside.reshape(transport.matte.height, -1)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-5)
    assert not found[~inside].any()
    assert inside.sum() > (transport.matte.pixels > 0).sum(), "there is a margin"


def test_a_pixel_without_a_normal_gets_no_light_but_its_residual():
    transport = subject()
    flat = transport.normals.pixels.copy()
    flat[16:20] = 0
    passes = relight(
        replace(transport, normals=transport.normals.like(flat)), {"a": light(1)}
    ).passes
    for name in ("diffuse", "specular", "diffuse_light", "specular_light_064"):
        assert not passes[name].pixels[16:20].any(), name
    assert passes["residual"].pixels[16:20].any()


def test_a_lobe_without_a_map_is_told():
    with pytest.raises(UsageError, match="exponent 32"):
        relight(subject(), {"a": light(1, exponents=(1, 16))})
    # A lobe that weighs nothing needs no map.
    matt = replace(subject(), specular=np.zeros_like(subject().specular))
    assert relight(matt, {"a": light(1, exponents=(1,))}).relit.pixels.any()


def test_no_light_is_a_black_picture_with_the_matte():
    transport = subject()
    result = relight(transport, {})
    assert not result.relit.pixels[..., :3].any()
    np.testing.assert_array_equal(result.relit.pixels[..., 3:], transport.matte.pixels)


def test_values_far_outside_0_to_1_survive():
    transport = subject()
    bright = light(1).adjusted(gain=np.float32([1e6, -1e6, 1]))
    picture = relight(transport, {"a": bright}).relit.pixels
    assert picture[..., 0].max() > 1e5
    assert picture[..., 1].min() < -1e5


def test_a_transport_is_prepared_once_and_forgotten_with_it():
    transport = subject()
    prepared = lookup.prepare(transport)
    taps = prepared.normal(transport, 16, 1)
    assert lookup.prepare(transport) is prepared
    assert prepared.normal(transport, 16, 1) is taps
    assert lookup.prepare(subject()) is not prepared
    lookup.prepare(transport)
    del transport
    gc.collect()
    assert lookup._last is None


def test_a_packed_transport_keeps_its_camera_and_half_precision_suffices():
    transport = subject(camera=CAMERA)
    layers = pack(transport)
    coefficients = [image for name, image in layers.items() if name.startswith("transport_")]
    assert sum(len(image.channels) for image in coefficients) <= 36
    halves = Layers(
        {
            name: image.like(image.pixels.astype(np.float16).astype(np.float32))
            for name, image in layers.items()
        }
    )
    shining = {"a": light(1)}
    expected = relight(transport, shining).relit.pixels
    exact = unpack(layers)
    np.testing.assert_array_equal(exact.to_world, transport.to_world)
    np.testing.assert_allclose(exact.view, transport.view, rtol=1e-6)
    np.testing.assert_allclose(relight(exact, shining).relit.pixels, expected, rtol=1e-4, atol=1e-5)
    error = np.abs(relight(unpack(halves), shining).relit.pixels - expected)
    assert error.max() < 5e-3 * expected.max()


def test_layers_that_are_no_transport_are_refused():
    layers = dict(pack(subject()))
    del layers["transport_03"]
    with pytest.raises(InputError, match="transport_03"):
        unpack(layers)
