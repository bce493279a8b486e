"""Relighting by networks that see the light: exposure, sums, passes, and what they start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from relume.errors import UsageError
from relume.image import DATA, Box, Image
from relume.light.prefilter import prefilter
from relume.light.types import Environment, LightMaps, OriginalLight
from relume.networks.blocks import parameters
from relume.networks.neural import PLANES, NeuralRenderer, build
from relume.networks.transport import build as build_transport
from relume.shading.neural import neural_relight
from relume.shading.phong import phong_transport
from relume.shading.relight import Relit, relight
from relume.shading.types import EXPONENTS
from relume.training.relight_task import SETTINGS

HEIGHT, WIDTH = 40, 56
RGB = ("R", "G", "B")
START = float(0.1 * np.log1p(np.exp(-1.0)))
"""What every lobe weighs where the networks answer nothing."""

Render = Callable[..., Relit]


def made(*, silent: bool = False) -> NeuralRenderer:
    """Return small networks that answer something everywhere, or nothing anywhere."""
    torch.manual_seed(2)
    size = {"channels": (8, 8, 8, 8, 8), "blocks": (1, 1, 1, 1, 1), "width": 8, "side": 64}
    model = build(size, size).eval()
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Conv2d):
                if silent and name.endswith("head"):
                    layer.weight.zero_()
                elif not silent:
                    nn.init.kaiming_normal_(layer.weight, 0.7)
    return model


def light(seed: int, level: float = 1.0) -> LightMaps:
    rng = np.random.default_rng(seed)
    radiance = (level * rng.lognormal(0, 1, (16, 32, 3))).astype(np.float32)
    return prefilter(Environment(Image(radiance, RGB)), EXPONENTS, height=16)


def subject(**windows: Box) -> tuple[Image, Image, Image, Image]:
    """Return foreground, matte, normals and albedo of a ball."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    u, v = (x + 0.5 - WIDTH / 2) / 18, (HEIGHT / 2 - y - 0.5) / 18
    z = np.sqrt(np.maximum(1 - u * u - v * v, 0))
    alpha = np.clip(6 * (1 - np.hypot(u, v)), 0, 1).astype(np.float32)[..., None]
    normals = np.dstack((u, v, z)) / np.linalg.norm(np.dstack((u, v, z)), axis=2, keepdims=True)
    rng = np.random.default_rng(1)
    colour = rng.uniform(0.1, 0.6, (2, HEIGHT, WIDTH, 3)).astype(np.float32)
    return (
        Image(colour[0], RGB, **windows),
        Image(alpha, ("A",), colour=DATA, **windows),
        Image((normals * (alpha > 0)).astype(np.float32), ("X", "Y", "Z"), colour=DATA, **windows),
        Image(colour[1], RGB, **windows),
    )


@pytest.fixture(scope="module")
def render() -> Render:
    model = made()

    def run(**lights: LightMaps | OriginalLight) -> Relit:
        return neural_relight(*subject(), 0.5, lights, model)

    return run


def test_networks_that_answer_nothing_are_exactly_lambert_and_phong() -> None:
    """Analytic truth: A·D(N) + Σ w·S_n(R) with the weight that a silent Specular Net gives."""
    planes, key = subject(), light(3)
    found = neural_relight(*planes, 0.5, {"key": key}, made(silent=True))
    exact = relight(phong_transport(*planes, (START,) * 4), {"key": key})
    scale = float(exact.relit.pixels.max())
    np.testing.assert_allclose(found.relit.pixels, exact.relit.pixels, atol=2e-5 * scale)
    for name in ("diffuse", "specular", "diffuse_light", "specular_light_032"):
        np.testing.assert_allclose(
            found.passes[name].pixels, exact.passes[name].pixels, atol=2e-5 * scale
        )
    assert np.abs(found.passes["residual"].pixels).max() < 4e-5 * scale


def test_twice_the_light_is_twice_the_picture(render: Render) -> None:
    key = light(3)
    one = render(key=key).relit.rgb
    assert one.std() > 0.01
    two = render(key=key.adjusted(gain=np.full(3, 2, np.float32))).relit.rgb
    np.testing.assert_array_equal(two, 2 * one)
    far = render(key=key.adjusted(gain=np.full(3, 3e5, np.float32))).relit.rgb
    np.testing.assert_allclose(far, 3e5 * one, atol=1e-4 * 3e5 * float(np.abs(one).max()))


def test_no_light_is_black(render: Render) -> None:
    dark = light(3).adjusted(gain=np.zeros(3, np.float32))
    for found in (render(key=dark), render()):
        assert not found.relit.rgb.any()
        assert found.relit.take("A").max() == 1.0


def test_lights_are_added_before_the_networks_run(render: Render) -> None:
    a, b = light(3), light(4, 0.5)
    total = LightMaps(
        diffuse=a.diffuse + b.diffuse,
        specular={n: a.specular[n] + b.specular[n] for n in EXPONENTS},
        harmonics=a.harmonics + b.harmonics,
    )
    both, one = render(a=a, b=b), render(total=total)
    np.testing.assert_allclose(both.relit.pixels, one.relit.pixels, atol=1e-5)
    assert not [name for name in both.passes if name.startswith("relit_")]
    # What the transport does exactly, these networks do not: the guide says by how much.
    apart = both.relit.rgb - render(a=a).relit.rgb - render(b=b).relit.rgb
    assert np.abs(apart).max() > 1e-3


def test_maps_of_different_sizes_add_too(render: Render) -> None:
    a = light(3)
    rng = np.random.default_rng(4)
    radiance = rng.lognormal(0, 1, (16, 32, 3)).astype(np.float32)
    small, large = (
        prefilter(Environment(Image(radiance, RGB)), EXPONENTS, height=h) for h in (16, 32)
    )
    same, mixed = render(a=a, b=small).relit.rgb, render(a=a, b=large).relit.rgb
    assert np.abs(same - mixed).mean() < 0.02 * np.abs(same).mean()


def test_the_plates_own_light_is_added_as_it_is(render: Render) -> None:
    foreground, matte, *_ = subject()
    own = foreground.rgb * matte.pixels
    half = OriginalLight(np.full(3, 0.5, np.float32))
    np.testing.assert_array_equal(render(original=half).relit.rgb, 0.5 * own)
    key = light(3)
    together = render(key=key, original=half).relit.rgb
    np.testing.assert_allclose(together, render(key=key).relit.rgb + 0.5 * own, atol=1e-5)


def test_the_passes_rebuild_the_picture(render: Render) -> None:
    found = render(key=light(3), original=OriginalLight())
    parts = sum(found.passes[name].rgb for name in ("diffuse", "specular", "residual"))
    np.testing.assert_array_equal(parts, found.relit.rgb)
    assert (found.relit.channels, found.relit.alpha) == ((*RGB, "A"), "premultiplied")
    assert not found.relit.rgb[found.relit.take("A")[..., 0] == 0].any()


def test_the_window_of_the_subject_does_not_change_the_answer() -> None:
    model = made()
    x = torch.rand(1, PLANES, 96, 128, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        whole, part = model(x), model(x, window=(8, 40, 4, 60))
    # The rim of a window is padded; `apply` asks for this much more than it keeps.
    inner = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    expected = whole[:, :, 16:80, 8:120][inner]
    torch.testing.assert_close(part[inner], expected, atol=1e-5, rtol=0)


def test_another_working_space_is_the_same_light() -> None:
    from relume.colour import convert

    model, key = made(), light(3)
    foreground, matte, normals, albedo = subject()
    wanted = neural_relight(foreground, matte, normals, albedo, 0.5, {"key": key}, model).relit
    space = "lin_rec709_scene"

    def other(image: np.ndarray) -> np.ndarray:
        return convert(Image(image, RGB), space).rgb

    moved = LightMaps(
        diffuse=other(key.diffuse),
        specular={n: other(image) for n, image in key.specular.items()},
        harmonics=other(key.harmonics[None])[0],
        colour=space,
    )
    found = neural_relight(
        convert(foreground, space), matte, normals, convert(albedo, space), 0.5, {"key": moved},
        model,
    ).relit  # fmt: skip
    scale = float(np.abs(wanted.pixels).max())
    back = convert(found, "lin_ap1_scene")
    np.testing.assert_allclose(back.pixels, wanted.pixels, atol=2e-4 * scale)


def test_windows_are_kept_and_an_empty_matte_runs_no_network() -> None:
    class Refuses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("a network ran")

    data, display = Box(-7, 3, WIDTH - 7, HEIGHT + 3), Box(0, 0, 100, 70)
    foreground, matte, normals, albedo = subject(data=data, display=display)
    empty = matte.like(np.zeros_like(matte.pixels))
    lights = {"key": light(3)}
    found = neural_relight(foreground, empty, normals, albedo, 0.0, lights, Refuses())
    assert (found.relit.data, found.relit.display) == (data, display)
    assert not found.relit.pixels.any()
    assert found.negative == 0


def test_a_light_without_a_lobe_is_refused(render: Render) -> None:
    few = prefilter(Environment(Image(np.ones((16, 32, 3), np.float32), RGB)), (1, 16), height=16)
    with pytest.raises(UsageError, match="exponent 32"):
        render(key=few)


def test_it_is_as_large_as_the_transport_it_is_compared_with() -> None:
    transport = parameters(build_transport(**SETTINGS["transport"]))
    assert parameters(build(**SETTINGS["neural"])) == pytest.approx(transport, rel=0.01)
