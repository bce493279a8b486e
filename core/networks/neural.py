"""The paper's shading networks: light looked up at every pixel → a relit picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from relume.encoding import decode, encode
from relume.networks.guided import Guided, Window, double, fine
from relume.shading.types import EXPONENTS

LOBES = len(EXPONENTS)
PLANES = 3 + 3 + 3 + 3 * LOBES + 1
"""Planes the networks read."""


class SpecularNet(Guided):
    """Weighs the specular lobes at every pixel, from the light in them and the subject's look."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(PLANES - 3, LOBES, LOBES, shuffle=False, **settings)

    def weights(self, raw: Tensor) -> Tensor:
        """Return N×4×2h×2w positive weights of N×4×h×w raw answers."""
        return 0.1 * fn.softplus(double(raw.float()) - 1.0)


class RendererNet(Guided):
    """Draws the picture from albedo, diffuse light and specular light."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(10, 3, 3, **settings)


class NeuralRenderer(nn.Module):
    """Specular Net, then Neural Renderer; both see the light, so the answer is not linear in it.

    Source: Pandey et al. 2021, section 3.3: Ŝ = Σ W_n · S_n, then (A, D, Ŝ) → relit. Deviations:
    both are smaller, coarse to fine, read alpha too, and the second corrects A·D + Ŝ rather than
    draw it anew.

    Args:
        specular: keyword arguments of SpecularNet.
        renderer: keyword arguments of RendererNet.
    """

    def __init__(self, specular: Mapping[str, Any], renderer: Mapping[str, Any]) -> None:
        super().__init__()
        self.specular = SpecularNet(**specular)
        self.renderer = RendererNet(**renderer)

    def forward(
        self, x: Tensor, long_side: int | None = None, window: Window | None = None
    ) -> Tensor:
        """Return the relit picture and the specular part it was drawn from, encoded.

        Args:
            x: N×22×H×W, H and W even, encoded but for alpha: foreground R, G, B, albedo R, G, B,
                D(N) R, G, B, S_n(R) R, G, B for the exponents 1, 16, 32, 64, alpha. The light is
                brought to a usual exposure before.
            long_side: of the coarse passes; None for the networks' own.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×6×H×W (of the window): relit R, G, B, signed, and Ŝ R, G, B; `relume.encoding.decode`
            gives radiance under the same light.
        """
        whole, small = _shininess(x), self.renderer.shrink(x, long_side)
        weighed = self.specular.coarse(_shininess(small))
        found = self.specular.enlarge(weighed, whole, window)
        raw = found[:, :LOBES] + self.specular.correct(whole, found, window)

        weights = self.specular.weights(weighed[:, :LOBES])
        drawn = self.renderer.coarse(_shaded(small, _sum(small, weights)))
        shine = _sum(fine(x, window), self.specular.weights(raw))
        guide = _shaded(fine(x, window), shine)
        answer = self.renderer.enlarge(drawn, x, window)
        detail = self.renderer.refiner(guide, answer)
        relit = encode(_linear(x, window) + shine) + double(answer[:, :3]).float() + detail.float()
        return torch.cat((relit, encode(shine)), 1)


def _shininess(x: Tensor) -> Tensor:
    """Return the planes that SpecularNet reads: all but the diffuse light."""
    return torch.cat((x[:, :6], x[:, 9:]), 1)


def _sum(x: Tensor, weights: Tensor) -> Tensor:
    """Return N×3×H×W: the weighted sum of the specular lobes, linear."""
    lobes = decode(x[:, 9 : 9 + 3 * LOBES])
    lobes = lobes.reshape(len(x), LOBES, 3, *x.shape[2:])
    return (weights[:, :, None] * lobes).sum(1)


def _shaded(x: Tensor, shine: Tensor) -> Tensor:
    """Return the planes that RendererNet reads."""
    return torch.cat((x[:, 3:9], encode(shine), x[:, -1:]), 1)


def _linear(x: Tensor, window: Window | None) -> Tensor:
    """Return N×3×H×W: albedo under the diffuse light, linear."""
    near = fine(x, window)
    return decode(near[:, 3:6]) * decode(near[:, 6:9])


def build(specular: Mapping[str, Any], renderer: Mapping[str, Any]) -> NeuralRenderer:
    """Return the networks of a manifest's hyperparameters."""
    return NeuralRenderer(specular, renderer)
