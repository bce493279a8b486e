"""The fast network: it answers what the three others do, under the same rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from relume.encoding import decode, encode
from relume.geometry.camera import Camera
from relume.image import Image
from relume.networks.express import ALBEDO, NORMALS, TRANSPORT, ExpressNet, build
from relume.shading.express import analyse_fast


@pytest.fixture(scope="module")
def network() -> ExpressNet:
    """An untrained network whose answers nevertheless vary over the picture."""
    torch.manual_seed(3)
    made = build().eval()
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, 1.0)
    return made


def scene(height: int, width: int) -> tuple[Image, Image]:
    """Return a smooth foreground and an elliptic matte."""
    y, x = np.mgrid[:height, :width]
    u, v = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
    colour = 0.3 + 0.25 * np.sin(3 * u[..., None] + [0.3, 1.1, 2.0]) * np.cos(2 * v[..., None])
    alpha = np.clip(4 * (0.7 - np.hypot(u, v)), 0, 1).astype(np.float32)
    foreground = Image((colour * (alpha[..., None] > 0)).astype(np.float32), ("R", "G", "B"))
    return foreground, Image(alpha, ("A",))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 31), (300, 97)])
def test_any_size_gives_unit_normals_positive_albedo_and_a_transport(
    network: ExpressNet, size: tuple[int, int]
) -> None:
    foreground, _ = scene(*size)
    normals, albedo, transport = analyse_fast(
        foreground, Image(np.ones(size, np.float32), ("A",)), 0.5, network
    )
    np.testing.assert_allclose(np.linalg.norm(normals.pixels, axis=-1), 1.0, atol=1e-5)
    assert (albedo.pixels > 0).all()
    assert transport.normals is normals and transport.albedo is albedo
    assert transport.specular.shape == (4, size[0] * size[1])
    assert (transport.diffuse > 0).all() and (transport.specular > 0).all()
    assert np.isfinite(transport.residual).all()


def test_its_planes_are_the_networks(network: ExpressNet) -> None:
    foreground, matte = scene(200, 300)
    planes = np.concatenate([encode(foreground.pixels), matte.pixels], -1)
    with torch.inference_mode():
        whole = network(torch.from_numpy(planes).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    found = analyse_fast(foreground, matte, 0.0, network)
    inside = matte.pixels[..., 0] > 0
    np.testing.assert_allclose(found.normals.pixels[inside], whole[inside][:, NORMALS], atol=2e-5)
    np.testing.assert_allclose(
        found.albedo.pixels[inside], decode(whole[inside][:, ALBEDO]), atol=2e-5
    )
    index = np.flatnonzero(inside)
    held = np.searchsorted(found.transport.index, index)
    light = whole.reshape(-1, whole.shape[-1])[index][:, TRANSPORT]
    np.testing.assert_allclose(found.transport.diffuse[held], light[:, 0], atol=2e-5)
    np.testing.assert_allclose(found.transport.residual[:, held].T, light[:, 5:], atol=2e-5)


def test_it_looks_once(network: ExpressNet, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    seen = network.unet.forward

    def counted(x: torch.Tensor) -> torch.Tensor:
        looks.append(x.shape)
        return seen(x)

    monkeypatch.setattr(network.unet, "forward", counted)
    analyse_fast(*scene(64, 96), 0.0, network)
    assert len(looks) == 1


def test_a_camera_gives_pixels_their_own_view_and_the_world(network: ExpressNet) -> None:
    foreground, matte = scene(40, 60)
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    far = analyse_fast(foreground, matte, 0.0, network).transport
    near = analyse_fast(foreground, matte, 0.0, network, Camera(50.0, turn)).transport
    assert far.to_world is None and far.view is None
    assert near.to_world is not None and near.view is not None
    np.testing.assert_array_equal(near.to_world, turn)
    assert np.ptp(near.view, axis=1).max() > 0.5
    np.testing.assert_array_equal(near.residual, far.residual)


def test_an_empty_matte_runs_no_network() -> None:
    class Refuses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("a network ran")

    foreground, matte = scene(20, 30)
    empty = matte.like(np.zeros_like(matte.pixels))
    normals, albedo, transport = analyse_fast(foreground, empty, 0.0, Refuses())
    assert not normals.pixels.any() and not albedo.pixels.any()
    assert transport.diffuse.shape == (0,) and transport.residual.shape == (16, 0)


def test_the_anchor_stands_for_the_gain(network: ExpressNet) -> None:
    foreground, matte = scene(40, 40)
    brighter = foreground.like(foreground.pixels * np.float32(8.0))
    one = analyse_fast(foreground, matte, 1.0, network)
    two = analyse_fast(brighter, matte, -2.0, network)
    np.testing.assert_array_equal(one.albedo.pixels, two.albedo.pixels)
    np.testing.assert_array_equal(one.transport.residual, two.transport.residual)
