"""The fast network: foreground → normals, albedo and transport, all in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.networks.albedo import surface
from relume.networks.guided import Guided, Window, double
from relume.networks.normals import facing
from relume.networks.transport import COEFFICIENTS, coefficients

NORMALS = slice(0, 3)
ALBEDO = slice(3, 6)
TRANSPORT = slice(6, 6 + COEFFICIENTS)
"""Planes of the answer."""

_FORM, _COLOUR, _LIGHT = slice(0, 3), slice(3, 7), slice(7, 7 + COEFFICIENTS)
_SHARP = 2 * 2 * (3 + 3)
"""Corrections of a cell: form and colour of its four pixels."""


class ExpressNet(Guided):
    """Reads the encoded straight foreground and alpha, answers everything a relight needs.

    One look of one body, where three networks look four times each; it has learnt from their
    answers as well as from the truth.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, for regressions.
    """

    def __init__(self, **settings: Any) -> None:
        # Form and colour are refined to full resolution, transport to half.
        corrections = _SHARP + COEFFICIENTS
        super().__init__(4, 7 + COEFFICIENTS, corrections, shuffle=False, **settings)

    def forward(
        self, x: Tensor, long_side: int | None = None, window: Window | None = None
    ) -> Tensor:
        """Return normals, albedo and transport.

        Args:
            x: N×4×H×W, H and W even: encoded foreground R, G, B (zero outside the subject), alpha.
            long_side: of the look; None for the network's own.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×27×H×W (of the window): unit normals, encoded albedo, and coefficients as
            `TransportNet` gives them, at twice their size.
        """
        small = self.shrink(x, long_side)
        coarse = self.look_around(x, small, window, once=True)
        correction = self.correct(x, coarse, window)
        sharp = fn.pixel_shuffle(correction[:, :_SHARP], 2)
        return torch.cat(
            (
                facing(double(coarse[:, _FORM]) + sharp[:, :3]),
                surface(x, small, coarse[:, _COLOUR], sharp[:, 3:], window),
                double(coefficients(coarse[:, _LIGHT] + correction[:, _SHARP:])),
            ),
            1,
        )


def build(**settings: Any) -> ExpressNet:
    """Return the network of a manifest's hyperparameters."""
    return ExpressNet(**settings)
