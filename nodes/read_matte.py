"""ReadMatte."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.knobs import File, Int
from relume.node import Node, Out
from relume.nodes.read import naming, source


class ReadMatte(Node):
    """Read a matte, mask or trimap: `matte.A`, else `A` unless it is constant, else `R`.

    Its numbers are taken as they are stored; no colour space is asked for.
    """

    id, version, category = "read_matte", 1, "Media"
    matte = Out(Image, "A.")
    file = File("", "A file, or a sequence (`%04d`, `####`); a single file holds for every frame.")
    offset = Int(0, "Added to the frame to find the number in the file name.", unit="frames")

    def files(self, frame: int) -> list[str]:
        """Return the file of a frame."""
        return [source(self, self.file, frame, self.offset)]

    def compute(self, ctx: Context) -> Image:
        """Read the file and pick the channel."""
        from relume.matting.inputs import matte_from_image
        from relume.media.read import read

        path = source(self, self.file, ctx.frame, self.offset)
        reading = read(path, space="data", frame=ctx.frame)
        for notice in reading.notices:
            ctx.notice(notice)
        with naming(path):
            return matte_from_image(reading.layers)
