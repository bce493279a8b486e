"""FastAnalysis: colours are those of the working space, whatever the network reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from relume import weights
from relume.colour import convert
from relume.context import Context, Settings
from relume.frames import Shot
from relume.image import Image
from relume.networks.express import build
from relume.nodes.fast_analysis import FastAnalysis
from relume.shading.express import Analysis


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    torch.manual_seed(2)
    made = build(side=64, channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1, 1), width=8).eval()
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, 1.0)
    monkeypatch.setattr(weights, "load", lambda name, device="cpu": made)
    return made


def run(foreground: Image, matte: Image) -> Analysis:
    context = Context(
        frame=1,
        settings=Settings(Shot(1, 1)),
        node="analysis",
        working_space=foreground.colour,
        on_notice=lambda _node, _frame, _text: None,
    )
    return FastAnalysis("analysis").compute(context, foreground, matte, 0.5, None)


def test_the_analysis_does_not_depend_on_the_working_space(network: nn.Module) -> None:
    rng = np.random.default_rng(4)
    foreground = Image(rng.uniform(0.02, 0.9, (24, 32, 3)).astype(np.float32), ("R", "G", "B"))
    matte = Image(np.ones((24, 32), np.float32), ("A",))
    other = convert(foreground, "lin_rec709_scene")
    one, two = run(foreground, matte), run(other, matte)
    for found, given in ((one, foreground), (two, other)):
        # What light is multiplied by is in the space that the light is in.
        assert found.transport.albedo is found.albedo
        assert found.transport.foreground is given
        assert found.albedo.colour == given.colour
    np.testing.assert_allclose(two.normals.pixels, one.normals.pixels, atol=2e-4)
    np.testing.assert_allclose(two.transport.residual, one.transport.residual, atol=2e-4)
    same = convert(two.albedo, one.albedo.colour)
    np.testing.assert_allclose(same.pixels, one.albedo.pixels, atol=2e-4)
    assert np.abs(two.albedo.pixels - one.albedo.pixels).max() > 1e-2
