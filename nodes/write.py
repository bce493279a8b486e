"""Write."""

from __future__ import annotations

from collections.abc import Mapping

from relume.colour import convert
from relume.context import Context
from relume.image import Image, Layers
from relume.knobs import Bool, Choice, ColourSpace, OutputFile
from relume.node import Many, Node, Out
from relume.render import Deliverable


class Write(Node):
    """Write layers to a file, atomically; `rgba` is the main layer.

    Colour layers are converted to the output space, data layers are kept. A file that is an input,
    or that relume did not write, is never overwritten.
    """

    id, version, category = "write", 1, "Media"
    layers = Many((Image, Layers), "Layers by name; the layers of a set keep theirs.", colour="any")
    deliverable = Out(Deliverable, "The frame as it will be written.")
    file = OutputFile("", "File or sequence (`%04d`, `####`).")
    colour = ColourSpace("", "Space of the colour layers; empty for the working space.")
    depth = Choice("half", "Bits of a channel.", choices=("half", "float"))
    compression = Choice(
        "zips",
        "OpenEXR compression.",
        choices=("none", "rle", "zips", "zip", "piz", "pxr24", "dwaa", "dwab"),
    )
    multipart = Bool(False, "One part a layer, instead of all layers in one.")

    def compute(self, ctx: Context, layers: Mapping[str, Image | Layers]) -> Deliverable:
        """Gather the layers in the output space."""
        space = self.colour or ctx.working_space
        flat: dict[str, Image] = {}
        for name, layer in layers.items():
            flat.update(layer if isinstance(layer, Layers) else {name: layer})
        converted = {name: convert(image, space) for name, image in flat.items()}
        return Deliverable(Layers(converted), self.depth, self.compression, self.multipart)
