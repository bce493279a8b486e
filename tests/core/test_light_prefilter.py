"""The gates of the prefilter: furnace, point light, energy, linearity, rotation, brute force."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.image import Image
from relume.light import harmonics, latlong
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps

EXPONENTS = (1, 16, 32, 64)
FROM_BROAD_TO_SHARP = (1, 2, 3, 7, 16, 64, 256)


def environment(pixels: np.ndarray) -> Environment:
    return Environment(Image(pixels.astype(np.float32), ("R", "G", "B")))


def noise(height: int, seed: int = 0, spread: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.lognormal(0, spread, (height, 2 * height, 3)).astype(np.float32)


def brute_force(pixels: np.ndarray, towards: np.ndarray, exponent: int) -> np.ndarray:
    """Sum kernel times radiance times exact solid angle over every texel, P×3 float64."""
    height = len(pixels)
    texels = latlong.directions(height).reshape(-1, 3)
    flux = (pixels * latlong.solid_angles(height)[:, None, None]).reshape(-1, 3)
    found = [
        np.clip(texels @ direction, 0, None) ** exponent @ flux.astype(np.float64)
        for direction in towards
    ]
    return (exponent + 1) / (2 * np.pi) * np.array(found)


def all_maps(maps: LightMaps) -> dict[str, np.ndarray]:
    return {"diffuse": maps.diffuse, **{str(n): m for n, m in maps.specular.items()}}


def some_directions(maps: LightMaps, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return texels to check: random ones, and the brightest of every map."""
    rng = np.random.default_rng(3)
    height = len(maps.diffuse)
    chosen = [rng.integers(0, 2 * height * height, count)]
    chosen += [np.argsort(image.sum(2).ravel())[-5:] for image in maps.specular.values()]
    index = np.concatenate(chosen)
    return index, latlong.directions(height).reshape(-1, 3)[index]


def worst(pixels: np.ndarray, maps: LightMaps, count: int = 20) -> dict[int, float]:
    """Return each map's largest error against brute force over the map's maximum."""
    index, towards = some_directions(maps, count)
    errors = {}
    for exponent, image in maps.specular.items():
        expected = brute_force(pixels, towards, exponent)
        found = image.reshape(-1, 3)[index]
        errors[exponent] = float((np.abs(found - expected) / image.max((0, 1))).max())
    return errors


@pytest.mark.parametrize("height", [1, 2, 5, 16, 32, 50, 128])
def test_furnace_a_constant_environment_stays_constant(height: int):
    maps = prefilter(environment(np.full((height, 2 * height, 3), 0.7)), FROM_BROAD_TO_SHARP, 32)
    for name, image in all_maps(maps).items():
        np.testing.assert_allclose(image, 0.7, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("row", "column"), [(100, 0), (64, 130), (2, 17), (127, 255)])
def test_a_point_light_gives_the_kernel(row: int, column: int):
    pixels = np.zeros((128, 256, 3), np.float32)
    pixels[row, column] = (1e5, 1.0, 1e-3)
    maps = prefilter(environment(pixels), EXPONENTS, 64)
    solid = latlong.solid_angles(128)[row]
    cosine = latlong.directions(64) @ latlong.directions(128)[row, column]
    for exponent, image in maps.specular.items():
        kernel = (exponent + 1) / (2 * np.pi) * np.clip(cosine, 0, None) ** exponent * solid
        # Beside a pole the sum over bands of 1.4 degrees differs from the integral by up to
        # n·h²/24, which the furnace requires to be taken out.
        gate = 1e-3 if 16 < row < 112 else 2e-3
        error = np.abs(image / pixels[row, column] - kernel[..., None])
        assert error.max() < gate * kernel.max(), exponent
    assert maps.diffuse is maps.specular[1]


@pytest.mark.parametrize("height", [16, 64, 100])
def test_energy_is_kept(height: int):
    pixels = noise(height)
    maps = prefilter(environment(pixels), EXPONENTS)
    source = (pixels * latlong.solid_angles(height)[:, None, None]).sum((0, 1), dtype=np.float64)
    for name, image in all_maps(maps).items():
        weight = latlong.solid_angles(128)[:, None, None]
        total = (image * weight).sum((0, 1), dtype=np.float64)
        np.testing.assert_allclose(total, source, rtol=1e-4, err_msg=name)


def test_it_is_linear_to_rounding():
    a, b = noise(64, 1), noise(64, 2)
    both = prefilter(environment(a + 2 * b), EXPONENTS, 32)
    one, two = (all_maps(prefilter(environment(x), EXPONENTS, 32)) for x in (a, b))
    for name, image in all_maps(both).items():
        expected = one[name] + 2 * two[name]
        assert np.abs(image - expected).max() < 2e-6 * expected.max(), name


def test_negative_light_is_not_clamped():
    pixels = noise(32)
    plus = all_maps(prefilter(environment(pixels), EXPONENTS, 16))
    minus = all_maps(prefilter(environment(-pixels), EXPONENTS, 16))
    for name, image in plus.items():
        np.testing.assert_allclose(minus[name], -image, rtol=1e-6)
        assert minus[name].max() < 0


@given(st.integers(1, 31))
def test_turning_the_environment_turns_the_maps(columns: int):
    turned = all_maps(turned_noise(columns))
    for name, image in all_maps(turned_noise(0)).items():
        shifted = np.roll(image, columns, axis=1)
        assert np.abs(turned[name] - shifted).max() < 2e-6 * shifted.max(), name


@cache
def turned_noise(columns: int) -> LightMaps:
    pixels = np.roll(noise(32, 5), columns, axis=1)
    return prefilter(environment(pixels), EXPONENTS, 32)


def test_an_upside_down_environment_gives_upside_down_maps():
    pixels = noise(32, 6)
    still = all_maps(prefilter(environment(pixels), EXPONENTS, 33))
    flipped = all_maps(prefilter(environment(pixels[::-1]), EXPONENTS, 33))
    for name, image in still.items():
        assert np.abs(flipped[name] - image[::-1]).max() < 2e-6 * image.max(), name


def test_low_orders_are_scaled_by_the_lobes_coefficients():
    """A convolution with a zonal kernel multiplies band l by A_l: (n+1)/(n+2), n/(n+3), …."""
    pixels = noise(64, 7, 0.5)
    before = harmonics.project(pixels)
    maps = prefilter(environment(pixels), EXPONENTS, 128)
    for exponent, image in maps.specular.items():
        after = harmonics.project(image)
        band = np.repeat(harmonics.lobe(exponent, 4), 2 * np.arange(5) + 1)[:, None]
        assert np.abs(after - band * before).max() < 3e-4 * before.max(), exponent
    np.testing.assert_allclose(maps.harmonics, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("height", "rows"), [(512, 128), (256, 64), (200, 48), (256, 33)], ids=str)
def test_noise_agrees_with_brute_force(height: int, rows: int):
    pixels = noise(height, 8)
    gate = 1e-4 if height >= 512 else 5e-4
    for exponent, error in worst(pixels, prefilter(environment(pixels), EXPONENTS, rows)).items():
        assert error < gate, exponent


@pytest.mark.parametrize("exponent", [1, 2, 3, 5, 9])
def test_broad_lobes_of_a_sun_agree_with_brute_force(exponent: int):
    pixels = np.full((512, 1024, 3), 0.01, np.float32)
    pixels[200, 300] = 1e5
    maps = prefilter(environment(pixels), (exponent,), 64)
    assert worst(pixels, maps)[exponent] < 2e-5


@pytest.mark.parametrize(
    "name", ["venice_sunset_1k", "kloppenheim_05_1k", "studio_small_05_1k", "dikhololo_night_1k"]
)
def test_real_environments_agree_with_brute_force(assets: Path, name: str):
    import OpenImageIO as oiio

    file = assets / "hdri" / f"{name}.hdr"
    pixels = oiio.ImageBuf(str(file)).get_pixels(oiio.FLOAT)[..., :3]
    maps = prefilter(environment(pixels))
    assert maps.diffuse.shape == (128, 256, 3)
    for exponent, error in worst(pixels, maps).items():
        assert error < 1e-4, exponent


def test_an_environment_too_wide_to_sum_is_reduced_by_area(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("relume.light.prefilter.WIDEST", 256)
    pixels = noise(256, 9, 0.5)
    reduced = prefilter(environment(pixels), EXPONENTS, 32)
    whole = prefilter(environment(latlong.resize(pixels, 128)), EXPONENTS, 32)
    for name, image in all_maps(whole).items():
        np.testing.assert_allclose(all_maps(reduced)[name], image, rtol=1e-5)
    assert max(worst(pixels, reduced).values()) < 5e-3


def test_threads_do_not_change_a_bit():
    pixels = environment(noise(128))
    one, many = (all_maps(prefilter(pixels, threads=threads)) for threads in (1, 3))
    for name, image in one.items():
        np.testing.assert_array_equal(many[name], image)


@pytest.mark.parametrize(
    ("exponents", "height"), [((), 8), ((0, 16), 8), ((-1,), 8), ((1,), 0)], ids=str
)
def test_impossible_maps_are_refused(exponents: Sequence[int], height: int):
    with pytest.raises(UsageError, match="Phong exponents"):
        prefilter(environment(noise(4)), exponents, height)
