"""The geometry network: foreground → camera-space normals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from relume.networks.guided import Guided, Window, double


class NormalsNet(Guided):
    """Reads the encoded straight foreground and alpha, answers unit normals.

    Source: Pandey et al. 2021, section 3.2, Geometry Net; smaller, and coarse to fine.
    """

    turned_answers = (0,)

    def __init__(self, **settings: Any) -> None:
        super().__init__(4, 3, 3, **settings)

    def forward(
        self, x: Tensor, long_side: int | None = None, window: Window | None = None
    ) -> Tensor:
        """Return normals.

        Args:
            x: N×4×H×W, H and W even: encoded foreground R, G, B (zero outside the subject), alpha.
            long_side: of the only look; None for all looks at the network's own.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×3×H×W (of the window) unit vectors, +X right, +Y up, +Z to the camera.
        """
        small = self.shrink(x, long_side)
        coarse = self.look_around(x, small, window, once=long_side is not None)
        return facing(double(coarse[:, :3]) + self.correct(x, coarse, window))


def facing(raw: Tensor) -> Tensor:
    """Return N×3×H×W unit normals of a network's numbers; zeros face the camera."""
    return fn.normalize(torch.cat((raw[:, :2], raw[:, 2:] + 1.0), 1), dim=1, eps=1e-6)


def build(**settings: Any) -> NormalsNet:
    """Return the network of a manifest's hyperparameters."""
    return NormalsNet(**settings)
