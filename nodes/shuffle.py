"""Shuffle."""

from __future__ import annotations

from relume.compositing.channels import shuffle
from relume.context import Context
from relume.image import Image
from relume.knobs import Texts
from relume.node import In, Node, Out


class Shuffle(Node):
    """Build an image from chosen channels of one or two images."""

    id, version, category = "shuffle", 1, "Channels"
    image = In(Image, "The image channels are taken from.", colour="any")
    b = In(
        Image, "A second image, whose channels are written `b.NAME`.", colour="any", optional=True
    )
    out = Out(Image, "The channels chosen, in the windows of `image`.")
    sources = Texts(("R", "G", "B"), "For each output channel: a channel, `b.NAME`, `0` or `1`.")
    names = Texts(("R", "G", "B"), "Names of the output channels.")

    def compute(self, ctx: Context, image: Image, b: Image | None) -> Image:
        """Pick the channels."""
        return shuffle(image, self.sources, self.names, b)
