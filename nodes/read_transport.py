"""ReadTransport."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from relume.colour import convert
from relume.context import Context
from relume.image import DATA, Image, Layers
from relume.knobs import File, Int
from relume.node import Node, Out
from relume.nodes.read import naming, source
from relume.shading.transport_file import PREFIX, unpack
from relume.shading.types import Transport


class Transports(NamedTuple):
    """The outputs of ReadTransport."""

    transport: Transport
    passes: Layers


class ReadTransport(Node):
    """Read a transport that `relume analyse` wrote, to relight it without a network."""

    id, version, category = "read_transport", 1, "Shade"
    transport = Out(Transport, "The subject, its colours in the working space.")
    passes = Out(Layers, "`foreground`, `albedo`, `normal` and `matte`, to write them again.")
    file = File("", "A transport file or sequence.")
    offset = Int(0, "Added to the frame to find the number in the file name.", unit="frames")

    def files(self, frame: int) -> list[str]:
        """Return the file of a frame."""
        return [source(self, self.file, frame, self.offset)]

    def compute(self, ctx: Context) -> Transports:
        """Read the file."""
        from relume.media.read import read

        path = source(self, self.file, ctx.frame, self.offset)
        reading = read(path, frame=ctx.frame)
        with naming(path):
            transport = unpack(
                {name: _layer(name, image, ctx) for name, image in reading.layers.items()}
            )
        given = {
            "foreground": transport.foreground,
            "albedo": transport.albedo,
            "normal": transport.normals,
            "matte": transport.matte,
        }
        return Transports(transport, Layers(given))


def _layer(name: str, image: Image, ctx: Context) -> Image:
    """Return coefficients as the numbers they are, and colours in the working space."""
    if name.startswith(PREFIX):
        return replace(image, colour=DATA, alpha="none")
    return convert(image, ctx.working_space)
