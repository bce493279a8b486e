"""ColourSpace."""

from __future__ import annotations

from dataclasses import replace

from relume.colour import convert
from relume.context import Context
from relume.image import Image
from relume.knobs import ColourSpace as Space
from relume.node import In, Node, Out


class ColourSpace(Node):
    """Convert colour to another space, or say which space it is in.

    Images carry their colour space, and every port converts to what it needs: this node is for
    pictures that leave relume in a space of their own, and for files whose tag is wrong.
    """

    id, version, category = "colour_space", 1, "Colour"
    image = In(Image, "The picture.", colour="any")
    out = Out(Image, "The picture in the space `to`.")
    assume = Space("", "Space the picture is really in; empty to believe the picture.")
    to = Space("", "Space to convert to; empty for the working space.")

    def compute(self, ctx: Context, image: Image) -> Image:
        """Relabel and convert the image."""
        source = replace(image, colour=self.assume) if self.assume else image
        return convert(source, self.to or ctx.working_space)
