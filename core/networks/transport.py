"""The shading network: (foreground, normals, albedo) → weights of light, without seeing a light."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.networks.guided import Guided, Window, positive
from relume.shading.types import EXPONENTS, HARMONICS

COEFFICIENTS = 1 + len(EXPONENTS) + HARMONICS
"""Planes of the answer: diffuse weight, one weight a lobe, residual harmonics."""

_LOBES = len(EXPONENTS)
_HARMONIC_SCALE = 0.1


class TransportNet(Guided):
    """Reads encoded foreground, normals, encoded albedo and alpha, answers a transport.

    Deviations from Pandey et al. 2021, section 3.3: the paper's Specular Net and Neural Renderer
    see the light; this network does not, so pictures stay linear in light.
    """

    turned = (3,)
    # Harmonics of negative order go with the sine of the azimuth, which is 0 straight ahead.
    turned_answers = tuple(
        1 + _LOBES + degree * (degree + 1) + order
        for degree in range(4)
        for order in range(-degree, 0)
    )

    def __init__(self, **settings: Any) -> None:
        super().__init__(10, COEFFICIENTS, COEFFICIENTS, shuffle=False, **settings)

    def forward(
        self, x: Tensor, long_side: int | None = None, window: Window | None = None
    ) -> Tensor:
        """Return transport coefficients at half resolution.

        Args:
            x: N×10×H×W, H and W even: encoded foreground R, G, B, normal X, Y, Z, encoded
                albedo R, G, B, alpha.
            long_side: of the only look; None for all looks at the network's own.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×21×H/2×W/2 (of the window): weight of D(N), near 1 and positive; weights of S_n(R),
            small and positive; signed weights of the environment's harmonics to order 3.
        """
        small = self.shrink(x, long_side)
        coarse = self.look_around(x, small, window, once=long_side is not None)
        return coefficients(coarse[:, :COEFFICIENTS] + self.correct(x, coarse, window))


def coefficients(raw: Tensor) -> Tensor:
    """Return N×21×H×W coefficients of a network's numbers; zeros are about Lambert's."""
    return torch.cat(
        (
            positive(raw[:, :1] + 1.0),
            0.1 * fn.softplus(raw[:, 1 : 1 + _LOBES] - 1.0),
            _HARMONIC_SCALE * raw[:, 1 + _LOBES :],
        ),
        1,
    )


def build(**settings: Any) -> TransportNet:
    """Return the network of a manifest's hyperparameters."""
    return TransportNet(**settings)
