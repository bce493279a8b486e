"""Write."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from relume.colour import convert
from relume.context import Context
from relume.errors import UsageError
from relume.image import Image, Layers
from relume.knobs import Bool, Choice, ColourSpace, OutputFile, Texts
from relume.media.layers import MAIN
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
    passes = Texts(
        ("all",), "Layers to write beside `rgba`: names, patterns such as relit_*, or all."
    )
    multipart = Bool(False, "One part a layer, instead of all layers in one.")

    def compute(self, ctx: Context, layers: Mapping[str, Image | Layers]) -> Deliverable:
        """Gather the layers in the output space."""
        space = self.colour or ctx.working_space
        flat: dict[str, Image] = {}
        for name, layer in layers.items():
            flat.update(layer if isinstance(layer, Layers) else {name: layer})
        flat = chosen(flat, self.passes)
        converted = {name: convert(image, space) for name, image in flat.items()}
        return Deliverable(Layers(converted), self.depth, self.compression, self.multipart)


def chosen(layers: Mapping[str, Image], passes: Sequence[str]) -> dict[str, Image]:
    """Return the main layer and those that match a name, a pattern, or `all`.

    Raises:
        UsageError: a name or pattern matches no layer.
    """
    kept = {MAIN: layers[MAIN]} if MAIN in layers else {}
    for name in passes:
        found = list(layers) if name == "all" else fnmatch.filter(layers, name)
        if not found:
            raise UsageError(
                f"there is no pass '{name}'", way_out=f"There are: {', '.join(layers)}"
            )
        kept |= {layer: layers[layer] for layer in found}
    return kept
