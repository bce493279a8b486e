"""Unpremult."""

from __future__ import annotations

from relume.compositing.alpha import unpremultiply
from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Unpremult(Node):
    """Divide colour by alpha; where alpha is 0 the colour is kept."""

    id, version, category = "unpremult", 1, "Channels"
    image = In(Image, "Premultiplied colour with alpha.", colour="any")
    out = Out(Image, "Straight colour.")

    def compute(self, ctx: Context, image: Image) -> Image:
        """Unpremultiply the image."""
        return unpremultiply(image)
