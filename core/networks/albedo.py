"""The reflectance network: (foreground, normals) → albedo."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relume.networks.guided import LONG_SIDE, Guided, Window, double, fine, positive


class AlbedoNet(Guided):
    """Reads encoded foreground, normals and alpha, answers encoded albedo.

    The coarse pass answers the colour of the surface and how much of the plate's fine detail
    belongs to it; the detail itself is taken from the plate, so that the weave of a cloth or the
    grain of a skin need not pass through the network.

    Source: Pandey et al. 2021, section 3.2, Albedo Net; smaller, coarse to fine, detail transfer.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(7, 4, 3, **settings)

    def forward(
        self, x: Tensor, long_side: int = LONG_SIDE, window: Window | None = None
    ) -> Tensor:
        """Return albedo in the networks' encoding.

        Args:
            x: N×7×H×W, H and W even: encoded foreground R, G, B, normal X, Y, Z, alpha.
            long_side: of the coarse pass.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×3×H×W (of the window), positive; `relume.encoding.decode` gives the albedo.
        """
        small = self.shrink(x, long_side)
        half = self.coarse(small)
        colour = self.shrink(small, max(half.shape[-2:]))[:, :3]
        coarse = self.enlarge(half, x, window)
        smooth = double(self.enlarge(colour, x, window))
        alpha = fine(x[:, -1:], window)
        detail = (fine(x[:, :3], window) - smooth) * (alpha > 0.5)
        share = torch.sigmoid(double(coarse[:, 3:4]) + 1.0)
        answer = double(coarse[:, :3]) + share * detail + self.correct(x, coarse, window)
        # 0.55 encodes a reflectance of 0.56: start inside the range of real surfaces.
        return positive(answer + 0.45)


def build(**settings: Any) -> AlbedoNet:
    """Return the network of a manifest's hyperparameters."""
    return AlbedoNet(**settings)
