"""Input."""

from __future__ import annotations

from dataclasses import replace

from relume.context import Context
from relume.errors import InputError
from relume.image import Image
from relume.knobs import ColourSpace, Text
from relume.node import Node, Out


class Input(Node):
    """An image that a host application lends for one render, named by the host's serial."""

    id, version, category = "input", 1, "Media"
    image = Out(Image, "The host's image.")
    serial = Text("", "What the host calls the image; another image has another serial.")
    colour = ColourSpace("", "Colour space of the pixels; empty for the one the host gave.")

    def compute(self, ctx: Context) -> Image:
        """Return the image of the serial."""
        if self.serial not in ctx.externals:
            raise InputError(
                f"the host lent no image '{self.serial}'",
                way_out="This graph runs inside an application; on the farm, use a Read node",
            )
        image = ctx.externals[self.serial]
        return replace(image, colour=self.colour) if self.colour else image
