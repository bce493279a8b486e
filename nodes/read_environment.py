"""ReadEnvironment."""

from __future__ import annotations

from relume.context import Context
from relume.knobs import ColourSpace, File, Int
from relume.light.types import Environment
from relume.node import Node, Out
from relume.nodes.read import naming, source


class ReadEnvironment(Node):
    """Read a lat-long environment map at its absolute exposure.

    +Y is up and the image centre is behind the subject. Infinite values, such as a sun stored in
    half floats, become 65504; the rest is mended from its neighbours.
    """

    id, version, category = "read_environment", 1, "Light"
    environment = Out(Environment, "The environment.")
    file = File("", "A lat-long picture twice as wide as high, or a sequence of them.")
    colour = ColourSpace("", "Space the file is in; empty to believe the file.")
    offset = Int(0, "Added to the frame to find the number in the file name.", unit="frames")

    def files(self, frame: int) -> list[str]:
        """Return the file of a frame."""
        return [source(self, self.file, frame, self.offset)]

    def compute(self, ctx: Context) -> Environment:
        """Read the file."""
        from relume.media.read import read

        path = source(self, self.file, ctx.frame, self.offset)
        reading = read(path, space=self.colour, environment=True, frame=ctx.frame)
        for notice in reading.notices:
            ctx.notice(notice)
        with naming(path):
            image = reading.layer()
            return Environment(image.like(image.rgb, ("R", "G", "B"), alpha="none"))
