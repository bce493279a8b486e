"""The reflectance network: (foreground, normals) → albedo."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relume.networks.guided import Guided, Window, double, fine, positive, resize_covered


class AlbedoNet(Guided):
    """Reads encoded foreground, normals and alpha, answers encoded albedo.

    The coarse pass answers how much of the plate's encoded colour belongs to the surface, and
    what is missing. Detail too fine for it to see – pores, lashes, the weave of a cloth – is taken
    from the plate whole: it is colour far more often than light.

    Source: Pandey et al. 2021, section 3.2, Albedo Net; smaller, coarse to fine, with that gate.
    """

    turned = (3,)

    def __init__(self, **settings: Any) -> None:
        super().__init__(7, 4, 3, **settings)

    def forward(
        self, x: Tensor, long_side: int | None = None, window: Window | None = None
    ) -> Tensor:
        """Return albedo in the networks' encoding.

        Args:
            x: N×7×H×W, H and W even: encoded foreground R, G, B, normal X, Y, Z, alpha.
            long_side: of the only look; None for all looks at the network's own.
            window: the part to answer for, in half-resolution pixels.

        Returns:
            N×3×H×W (of the window), positive; `relume.encoding.decode` gives the albedo.
        """
        small = self.shrink(x, long_side)
        coarse = self.look_around(x, small, window, once=long_side is not None)
        return surface(x, small, coarse, self.correct(x, coarse, window), window)


def surface(
    x: Tensor, small: Tensor, coarse: Tensor, correction: Tensor, window: Window | None
) -> Tensor:
    """Return N×3×H×W encoded albedo (of the window), positive.

    Args:
        x: N×planes×H×W, the full frame: encoded foreground R, G, B first, alpha last.
        small: the same as the coarse pass saw it.
        coarse: N×4×h×w of its answer, cut: colour, and the share of the plate that is surface.
        correction: N×3×H×W of the refiner.
        window: the part to answer for, in half-resolution pixels.
    """
    plate = fine(x[:, :3], window)
    colour = torch.cat((small[:, :3], small[:, -1:]), 1)
    seen = fine(resize_covered(colour, *x.shape[-2:])[:, :3], window)
    share = torch.sigmoid(double(coarse[:, 3:4]))
    answer = double(coarse[:, :3]) + share * seen + (plate - seen)
    # 0.25 and half of a middle grey plate make a reflectance inside the range of surfaces.
    return positive(answer + correction + 0.25)


def build(**settings: Any) -> AlbedoNet:
    """Return the network of a manifest's hyperparameters."""
    return AlbedoNet(**settings)
