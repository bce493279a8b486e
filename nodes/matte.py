"""Matte."""

from __future__ import annotations

from typing import NamedTuple

from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Mattes(NamedTuple):
    """The outputs of Matte."""

    matte: Image
    trimap: Image


class Matte(Node):
    """Pull a matte of the people in a plate; nothing else is needed, a guide helps.

    A coarse network finds the subject; a refiner works where the edge is, from octave to octave up
    to full resolution, and the edge is then fitted to the picture's. Where a guide is certain the
    matte is exactly 0 or 1. Without a person the matte is empty.

    Source: Pandey et al. 2021, section 3.1; Lin et al. 2021 (refine only where it matters);
    Kirillov et al. 2020 (from octave to octave); He et al. 2013 (guided filter).
    """

    id, version, category = "matte", 6, "Matte"
    weights = ("matte",)
    plate = In(Image, "The plate.", colour="network")
    anchor = In(float, "Exposure anchor of the shot.")
    guide = In(Image, "Trimap or hint mask; it always wins.", colour="data", optional=True)
    matte = Out(Image, "The matte, A from 0 to 1.")
    trimap = Out(Image, "Background 0, unknown 0.5, foreground 1.")

    def compute(
        self,
        ctx: Context,
        plate: Image,
        anchor: float,
        guide: Image | None,
    ) -> Mattes:
        """Run the matting network."""
        from relume.matting.network import estimate_matte
        from relume.matting.trimap import guide_notices

        result = estimate_matte(plate, anchor, guide, ctx.weights("matte"))
        for notice in guide_notices(guide, empty=result.empty):
            ctx.notice(notice)
        return Mattes(result.matte, result.trimap)
