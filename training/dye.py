"""Clothes, hair and skin in other colours, in lit views and their truth alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.training.lit import LitView
from relume.training.stage.geometry import CLOTH, HAIR, SKIN
from relume.training.stage.lighting import strand_reflectance

F32 = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Dye:
    """Factors that recolour a view, P×3 each.

    Attributes:
        albedo: on the albedo.
        body: on the diffuse part of every picture.
        shine: on its specular part.
    """

    albedo: F32
    body: F32
    shine: F32

    @classmethod
    def none(cls, view: LitView) -> Dye:
        """Return factors that change nothing."""
        ones = np.ones((len(view.index), 3), np.float32)
        return cls(ones, ones, ones)

    @classmethod
    def random(cls, view: LitView, rng: Rng) -> Dye:
        """Return factors that recolour cloth, hair and skin, the latter two with restraint."""
        labels = view.labels.reshape(-1)[view.index]
        albedo = view.albedo.reshape(-1, 3)[view.index]
        dye = np.ones_like(albedo)
        for label, stops, hue in ((SKIN, 0.3, 0.05), (HAIR, 0.7, 0.1), (CLOTH, 1.2, 0.4)):
            factor = 2.0 ** rng.uniform(-stops, stops) * np.exp(rng.normal(0.0, hue, 3))
            here = labels == label
            if here.any():
                brightest = np.percentile(albedo[here], 95)
                dye[here] = np.minimum(factor, 0.9 / max(float(brightest), 1e-3))
        return cls.of(dye, albedo, labels == HAIR)

    @classmethod
    def of(cls, dye: F32, albedo: F32, hair: NDArray[np.bool_]) -> Dye:
        """Return what an albedo times `dye` does to a picture.

        Light that crosses strands is coloured by the root of their albedo, and most of what shines
        in hair has crossed one.

        Args:
            dye: P×3 factors.
            albedo: P×3 before.
            hair: P.
        """
        body, shine = dye.copy(), np.ones_like(dye)
        before = np.maximum(albedo[hair], 1e-6)
        body[hair] = strand_reflectance(before * dye[hair]) / strand_reflectance(before)
        shine[hair] = np.sqrt(dye[hair])
        return cls(dye, body, shine)
