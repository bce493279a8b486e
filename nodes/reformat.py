"""Reformat."""

from __future__ import annotations

from typing import cast

from relume.compositing.resample import FILTERS, Fit, reformat
from relume.context import Context
from relume.image import Image
from relume.knobs import Choice, Float, Int
from relume.node import In, Node, Out


class Reformat(Node):
    """Resize a picture to another format, in scene-linear light and premultiplied."""

    id, version, category = "reformat", 1, "Transform"
    image = In(Image, "The picture.")
    out = Out(Image, "The picture in the new display window.")
    width = Int(1920, "Columns of the new format.", min=1, max=65536, unit="px")
    height = Int(1080, "Rows of the new format.", min=1, max=65536, unit="px")
    scale = Float(
        0.0,
        "Size as a share of the picture's own, in place of `width`, `height` and `fit`; 0 is off.",
        min=0,
        max=64,
    )
    fit = Choice(
        "fit",
        "`fit` shows everything, `fill` leaves no gap, `stretch` changes the aspect, "
        "`none` keeps the pixels.",
        choices=("fit", "fill", "stretch", "none"),
    )
    filter = Choice("auto", "Resampling filter.", choices=FILTERS)

    def compute(self, ctx: Context, image: Image) -> Image:
        """Resize the image."""
        if self.scale:
            display = image.display
            width = max(1, round(display.width * self.scale))
            height = max(1, round(display.height * self.scale))
            return reformat(image, width, height, "stretch", self.filter)
        return reformat(image, self.width, self.height, cast(Fit, self.fit), self.filter)
