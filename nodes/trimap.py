"""Trimap."""

from __future__ import annotations

from typing import cast

from relume.context import Context
from relume.image import Image
from relume.knobs import Choice, Float
from relume.node import In, Node, Out


class Trimap(Node):
    """Widen the doubtful edge of a mask or matte into background, unknown and foreground."""

    id, version, category = "trimap", 1, "Matte"
    matte = In(Image, "A mask, coarse matte or matte.", colour="data")
    trimap = Out(Image, "A: background 0, unknown 0.5, foreground 1.")
    erode = Float(8.0, "How far inside the edge is doubtful.", min=0, max=4096, unit="px")
    dilate = Float(8.0, "How far outside the edge is doubtful.", min=0, max=4096, unit="px")
    measure = Choice(
        "pixels",
        "What the distances count: pixels, or hundredths of the subject's size.",
        choices=("pixels", "subject"),
    )

    def compute(self, ctx: Context, matte: Image) -> Image:
        """Widen the edge."""
        from relume.matting.inputs import matte_from_image
        from relume.matting.trimap import Unit, trimap_from_mask

        mask = matte_from_image(matte)
        return trimap_from_mask(mask, self.erode, self.dilate, cast(Unit, self.measure))
