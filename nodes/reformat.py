"""Reformat."""

from __future__ import annotations

from typing import cast

from relume.compositing.resample import FILTERS, Fit, reformat
from relume.context import Context
from relume.image import Image
from relume.knobs import Choice, Int
from relume.node import In, Node, Out


class Reformat(Node):
    """Resize a picture to another format, in scene-linear light and premultiplied."""

    id, version, category = "reformat", 1, "Transform"
    image = In(Image, "The picture.")
    out = Out(Image, "The picture in the new display window.")
    width = Int(1920, "Columns of the new format.", min=1, max=65536, unit="px")
    height = Int(1080, "Rows of the new format.", min=1, max=65536, unit="px")
    fit = Choice(
        "fit",
        "`fit` shows everything, `fill` leaves no gap, `stretch` changes the aspect, "
        "`none` keeps the pixels.",
        choices=("fit", "fill", "stretch", "none"),
    )
    filter = Choice("auto", "Resampling filter.", choices=FILTERS)

    def compute(self, ctx: Context, image: Image) -> Image:
        """Resize the image."""
        return reformat(image, self.width, self.height, cast(Fit, self.fit), self.filter)
