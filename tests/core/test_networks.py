"""Networks, their weights and the functions that run them on frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from relume import weights
from relume.encoding import encode
from relume.errors import InputError, UsageError
from relume.exposure import measure_anchor
from relume.geometry.normals import estimate_normals
from relume.geometry.subject import MARGIN, find_subject
from relume.image import Box, Image
from relume.light.harmonics import evaluate
from relume.networks import albedo as albedo_module
from relume.networks import normals as normals_module
from relume.networks import transport as transport_module
from relume.networks.blocks import UNet, conv, parameters, resize
from relume.networks.guided import positive
from relume.reflectance.albedo import estimate_albedo
from relume.shading.analyse import analyse_transport

MODULES = {"normals": normals_module, "albedo": albedo_module, "transport": transport_module}


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    """Untrained networks whose answers nevertheless vary over the picture."""
    torch.manual_seed(3)
    built = {name: module.build().eval() for name, module in MODULES.items()}
    for network in built.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 1.0)
    return built


def scene(height: int, width: int, seed: int = 0) -> tuple[Image, Image]:
    """Return a smooth foreground and an elliptic matte."""
    y, x = np.mgrid[:height, :width]
    u, v = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
    phase = np.array([0.3, 1.1, 2.0]) + seed
    colour = 0.3 + 0.25 * np.sin(3 * u[..., None] + phase) * np.cos(2 * v[..., None] - phase)
    alpha = np.clip(4 * (0.6 - np.hypot(u, v)), 0, 1).astype(np.float32)
    foreground = Image((colour * (alpha[..., None] > 0)).astype(np.float32), ("R", "G", "B"))
    return foreground, Image(alpha, ("A",))


def analyse(networks: dict[str, nn.Module], foreground: Image, matte: Image, anchor: float) -> Any:
    normals = estimate_normals(foreground, matte, anchor, networks["normals"])
    albedo = estimate_albedo(foreground, matte, normals, anchor, networks["albedo"])
    return analyse_transport(foreground, matte, normals, albedo, anchor, networks["transport"])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 31), (40, 97)])
def test_any_size_gives_unit_normals_positive_albedo_and_finite_transport(
    networks: dict[str, nn.Module], size: tuple[int, int]
) -> None:
    foreground, _ = scene(*size)
    matte = Image(np.ones(size, np.float32), ("A",))
    transport = analyse(networks, foreground, matte, 0.5)
    length = np.linalg.norm(transport.normals.pixels, axis=-1)
    np.testing.assert_allclose(length, 1.0, atol=1e-5)
    assert (transport.albedo.pixels > 0).all()
    assert transport.index.tolist() == list(range(size[0] * size[1]))
    assert transport.specular.shape == (4, len(transport.index))
    assert transport.residual.shape == (16, len(transport.index))
    assert (transport.diffuse > 0).all() and (transport.specular > 0).all()
    assert np.isfinite(transport.residual).all()


def test_extreme_values_pass_through(networks: dict[str, nn.Module]) -> None:
    foreground, matte = scene(48, 64)
    pixels = foreground.pixels.copy()
    pixels[20, 20] = -5.0
    pixels[24, 30] = 1e5
    transport = analyse(networks, foreground.like(pixels), matte, 3.0)
    assert np.isfinite(transport.albedo.pixels).all()
    assert np.isfinite(transport.residual).all()
    plain = analyse(networks, foreground, matte, 3.0)
    assert not np.array_equal(transport.albedo.pixels, plain.albedo.pixels)


def test_outputs_keep_windows_and_reach_eight_pixels_beyond_the_matte(
    networks: dict[str, nn.Module],
) -> None:
    foreground, _ = scene(60, 80)
    alpha = np.zeros((60, 80), np.float32)
    alpha[25:35, 30:50] = 1.0
    data, display = Box(-7, 3, 73, 63), Box(0, 0, 100, 70)
    foreground = Image(foreground.pixels, ("R", "G", "B"), data=data, display=display)
    matte = Image(alpha, ("A",), data=data, display=display)
    normals = estimate_normals(foreground, matte, 0.0, networks["normals"])
    assert (normals.data, normals.display, normals.colour) == (data, display, "data")
    there = np.abs(normals.pixels).sum(-1) > 0
    expected = np.zeros((60, 80), bool)
    expected[25 - MARGIN : 35 + MARGIN, 30 - MARGIN : 50 + MARGIN] = True
    np.testing.assert_array_equal(there, expected)
    # Right of the middle of an edge the nearest pixels of the subject are straight to the left.
    np.testing.assert_array_equal(
        normals.pixels[30, 50:58], np.repeat(normals.pixels[30, 49:50], 8, 0)
    )


def test_answers_do_not_depend_on_the_subjects_box(networks: dict[str, nn.Module]) -> None:
    foreground, matte = scene(200, 300)
    planes = np.concatenate([encode(foreground.pixels), matte.pixels], -1)
    x = torch.from_numpy(planes).permute(2, 0, 1)[None]
    with torch.inference_mode():
        whole = networks["normals"](x)[0].permute(1, 2, 0).numpy()
    found = estimate_normals(foreground, matte, 0.0, networks["normals"]).pixels
    inside = matte.pixels[..., 0] > 0
    np.testing.assert_allclose(found[inside], whole[inside], atol=2e-5)


def test_an_empty_matte_runs_no_network() -> None:
    foreground, matte = scene(20, 30)
    empty = matte.like(np.zeros_like(matte.pixels))

    class Refuses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("a network ran")

    transport = analyse({name: Refuses() for name in MODULES}, foreground, empty, 0.0)
    assert not transport.normals.pixels.any() and not transport.albedo.pixels.any()
    assert transport.diffuse.shape == (0,) and transport.residual.shape == (16, 0)


def test_the_anchor_stands_for_the_gain(networks: dict[str, nn.Module]) -> None:
    foreground, matte = scene(40, 40)
    brighter = foreground.like(foreground.pixels * np.float32(8.0))
    one = analyse(networks, foreground, matte, 1.0)
    two = analyse(networks, brighter, matte, -2.0)
    np.testing.assert_array_equal(one.albedo.pixels, two.albedo.pixels)
    np.testing.assert_array_equal(one.residual, two.residual)


def test_the_same_input_gives_the_same_bits(networks: dict[str, nn.Module]) -> None:
    foreground, matte = scene(70, 90)
    one, two = (analyse(networks, foreground, matte, 0.0) for _ in range(2))
    np.testing.assert_array_equal(one.normals.pixels, two.normals.pixels)
    np.testing.assert_array_equal(one.residual, two.residual)


def test_networks_work_in_square_pixels(networks: dict[str, nn.Module]) -> None:
    foreground, matte = scene(128, 256)
    squeezed = [
        Image(image.pixels.reshape(128, 128, 2, -1).mean(2), image.channels, pixel_aspect=2.0)
        for image in (foreground, matte)
    ]
    wide = estimate_normals(foreground, matte, 0.0, networks["normals"]).pixels
    narrow = estimate_normals(*squeezed, 0.0, networks["normals"]).pixels
    naive = estimate_normals(
        *(Image(i.pixels, i.channels) for i in squeezed), 0.0, networks["normals"]
    ).pixels
    core = (slice(40, 88), slice(40, 88))
    target = wide.reshape(128, 128, 2, 3).mean(2)[core]
    assert np.abs(narrow[core] - target).mean() < 0.25 * np.abs(naive[core] - target).mean()


def test_windows_that_differ_are_refused(networks: dict[str, nn.Module]) -> None:
    foreground, _ = scene(20, 30)
    _, matte = scene(20, 31)
    with pytest.raises(UsageError, match="foreground covers"):
        estimate_normals(foreground, matte, 0.0, networks["normals"])


@pytest.mark.parametrize("name", MODULES)
def test_networks_stay_small(name: str) -> None:
    assert parameters(MODULES[name].build()) <= 1_500_000


@pytest.mark.parametrize("name", MODULES)
def test_a_frame_in_a_mirror_gives_the_answer_in_a_mirror(name: str) -> None:
    torch.manual_seed(7)
    # Both sizes that it looks at are multiples of the U-Net's 32 pixels.
    network = MODULES[name].build(side=128).eval()
    # The refiner looks once; only what it adds may differ.
    nn.init.zeros_(network.refiner.head.weight)
    nn.init.normal_(network.unet.head.weight, std=0.1)
    x = torch.rand(1, {"normals": 4, "albedo": 7, "transport": 10}[name], 256, 256)
    mirrored = x.flip(-1)
    answers = torch.ones(1)
    if name != "normals":
        mirrored[:, 3] *= -1.0
    if name == "normals":
        answers = torch.tensor([-1.0, 1.0, 1.0])
    if name == "transport":
        # What a harmonic is worth at directions and at those in the mirror.
        directions = np.random.default_rng(3).normal(size=(50, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        one, two = (evaluate(d, 3) for d in (directions, directions * [-1.0, 1.0, 1.0]))
        signs = (one * two).sum(0) / (one * one).sum(0)
        answers = torch.from_numpy(np.concatenate([np.ones(5), signs])).float()
    with torch.no_grad():
        plain, turned = network(x), network(mirrored)
    expected = plain.flip(-1) * answers[:, None, None]
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=1e-4)
    assert float((turned - plain).abs().max()) > 1e-3


@pytest.mark.parametrize(("side", "looks"), [(96, 2), (160, 4)])
def test_no_frame_is_looked_at_twice_in_one_size(
    side: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame smaller than every look is seen once as it is, and once more in a mirror."""
    torch.manual_seed(7)
    network = MODULES["normals"].build(side=128).eval()
    sizes = []
    seen = network.unet.forward

    def counted(x: torch.Tensor) -> torch.Tensor:
        sizes.append(x.shape)
        found: torch.Tensor = seen(x)
        return found

    monkeypatch.setattr(network.unet, "forward", counted)
    with torch.no_grad():
        network(torch.rand(1, 4, side, side))
    assert len(sizes) == looks and len(set(sizes)) == looks / 2


def test_the_unet_sees_the_whole_picture() -> None:
    torch.manual_seed(1)
    network = UNet(3, 1)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert x.grad[0, :, 200:, 200:].abs().sum() > 0


@pytest.mark.parametrize("groups", [1, 6])
def test_half_precision_holds_in_convolutions_and_their_padding(groups: int) -> None:
    torch.manual_seed(3)
    layer = conv(6, 12, 5, groups=groups)
    x = torch.randn(1, 6, 9, 14)
    plain = nn.Conv2d(6, 12, 5, padding=2, groups=groups, padding_mode="replicate")
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), plain(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), plain(x), atol=0.02, rtol=0.02)
    found.float().square().mean().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


def test_detail_too_fine_for_the_coarse_pass_stays_in_the_albedo() -> None:
    torch.manual_seed(4)
    network = albedo_module.build(side=64).eval()
    nn.init.zeros_(network.refiner.head.weight)
    plane = torch.full((1, 7, 256, 256), 0.4)
    plane[:, -1] = 1.0
    weave = plane.clone()
    checker = 0.05 * (1.0 - 2.0 * ((torch.arange(256)[:, None] + torch.arange(256)) % 2))
    weave[:, :3] += checker
    with torch.no_grad():
        found = network(weave) - network(plane)
    torch.testing.assert_close(found, checker.expand_as(found), atol=2e-3, rtol=0)


@pytest.mark.parametrize(("leak", "alive"), [(0.0, False), (0.1, True)])
def test_a_leak_keeps_a_stream_alive_that_drifted_below_zero(leak: float, alive: bool) -> None:
    torch.manual_seed(2)
    network = UNet(3, 1, leak=leak)
    with torch.no_grad():
        network.decoder[0][0].second.bias.fill_(-30.0)
    answer = network(torch.rand(1, 3, 64, 64)).std()
    assert (float(answer.detach()) > 1e-3) is alive


def test_positive_is_the_identity_above_its_knee_and_smooth_at_it() -> None:
    x = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64)
    y = positive(x)
    assert (y > 0).all()
    torch.testing.assert_close(y[x > 0.05], x[x > 0.05])
    assert float((y.diff() / x.diff()).diff().abs().max()) < 0.03


def test_shrinking_keeps_a_constant_and_its_mean() -> None:
    x = torch.rand(1, 2, 64, 64)
    torch.testing.assert_close(resize(x, 16, 16).mean(), x.mean(), atol=2e-3, rtol=0)
    torch.testing.assert_close(resize(torch.ones(1, 1, 37, 53), 16, 20), torch.ones(1, 1, 16, 20))


def test_find_subject_counts_broken_values_as_uncovered() -> None:
    foreground, matte = scene(10, 10)
    alpha = np.full((10, 10), np.nan, np.float32)
    assert find_subject(foreground, matte.like(alpha)) is None
    alpha[4, 4] = 2.0
    subject = find_subject(foreground, matte.like(alpha))
    assert subject is not None
    assert subject.alpha.max() == 1.0 and len(subject.index) == 100


@pytest.mark.parametrize("value", [0.01, 0.18, 7.0])
def test_the_anchor_of_an_even_plate_is_its_distance_from_grey(value: float) -> None:
    plate = Image(np.full((8, 9, 3), value, np.float32), ("R", "G", "B"))
    assert measure_anchor(plate) == pytest.approx(np.log2(0.18 / value), abs=1e-5)


def test_the_anchor_ignores_letterbox_and_broken_pixels() -> None:
    pixels = np.full((10, 10, 3), 0.5, np.float32)
    pixels[:3] = 0.0
    pixels[3, 0] = np.nan
    plate = Image(pixels, ("R", "G", "B"))
    assert measure_anchor(plate) == pytest.approx(np.log2(0.36), abs=1e-5)
    assert measure_anchor(plate.like(np.zeros_like(pixels))) == 0.0
    assert measure_anchor(plate.like(np.full_like(pixels, np.nan))) == 0.0


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with exported weights of an untrained network, found through the environment."""
    from relume.training.export import export

    torch.manual_seed(5)
    export(
        "normals",
        normals_module.build(features=4),
        folder=tmp_path,
        hyperparameters={"features": 4},
        recipe={},
        seed=5,
        steps=0,
        figures={},
        command="none",
    )
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    return tmp_path


def test_weights_load_as_exported_and_once(stored: Path) -> None:
    network = weights.load("normals")
    assert weights.load("normals") is network
    assert not network.training
    manifest = json.loads((stored / "normals.json").read_text())
    assert manifest["parameters"] == parameters(network)
    assert weights.digest("normals") == manifest["sha256"]
    torch.manual_seed(5)
    made = normals_module.build(features=4)
    x = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x), made(x), atol=2e-3, rtol=0)


def test_weights_that_were_tampered_with_are_refused(stored: Path) -> None:
    file = stored / "normals.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(InputError, match="sha256"):
        weights.load("normals")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"architecture": "../evil"}, "architecture"),
        ({"architecture": "nowhere"}, "architecture"),
        ({"hyperparameters": {"features": 5}}, "architecture"),
        ({"hyperparameters": {"colour": 5}}, "architecture"),
        ({"sha256": None}, "incomplete"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    stored: Path, change: dict[str, Any], match: str
) -> None:
    file = stored / "normals.json"
    manifest = json.loads(file.read_text()) | change
    if change.get("sha256", "") is None:
        del manifest["sha256"]
    file.write_text(json.dumps(manifest))
    weights._load.cache_clear()
    with pytest.raises(InputError, match=match):
        weights.load("normals")


def test_a_broken_manifest_and_a_missing_network_are_told(stored: Path) -> None:
    (stored / "normals.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        weights.load("normals")
    with pytest.raises(InputError, match="no weights for the network 'portrait'"):
        weights.find("portrait")
