"""Crop."""

from __future__ import annotations

from relume.compositing.resample import crop
from relume.context import Context
from relume.image import Box, Image
from relume.knobs import Int
from relume.node import In, Node, Out


class Crop(Node):
    """Keep the pixels inside a box. The display window stays, so nothing moves in the comp."""

    id, version, category = "crop", 1, "Transform"
    image = In(Image, "The picture.", colour="any")
    out = Out(Image, "The picture with a smaller data window.")
    x = Int(0, "Left edge of the box in the display window, y down.", unit="px")
    y = Int(0, "Upper edge of the box.", unit="px")
    width = Int(1 << 30, "Columns of the box.", min=1, unit="px")
    height = Int(1 << 30, "Rows of the box.", min=1, unit="px")

    def compute(self, ctx: Context, image: Image) -> Image:
        """Cut the box out."""
        return crop(image, Box(self.x, self.y, self.x + self.width, self.y + self.height))
