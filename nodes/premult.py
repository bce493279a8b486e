"""Premult."""

from __future__ import annotations

from relume.compositing.alpha import premultiply
from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Premult(Node):
    """Multiply colour by alpha. A premultiplied image, or one without alpha, passes unchanged."""

    id, version, category = "premult", 1, "Channels"
    image = In(Image, "Straight colour with alpha.", colour="any")
    out = Out(Image, "Premultiplied colour.")

    def compute(self, ctx: Context, image: Image) -> Image:
        """Premultiply the image."""
        return premultiply(image)
