"""Read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relume.context import Context
from relume.errors import RelumeError, UsageError
from relume.image import Image
from relume.knobs import ColourSpace, File, Int, Text
from relume.media.sequence import resolve
from relume.node import Node, Out


class Read(Node):
    """Read a picture or a frame of a sequence, with its colour space; nothing is converted.

    The space is that of the knob, else of the file's tag, its chromaticities, or the file rules of
    `$OCIO`. Pixels that are not finite are mended from their neighbours and counted.
    """

    id, version, category = "read", 1, "Media"
    image = Out(Image, "The layer as it is stored, float32.")
    file = File("", "A file, or a sequence (`%04d`, `####`); a single file holds for every frame.")
    colour = ColourSpace("", "Space the file is in; empty to believe the file.")
    layer = Text("", "Layer to read; empty for the main one.")
    offset = Int(0, "Added to the frame to find the number in the file name.", unit="frames")

    def files(self, frame: int) -> list[str]:
        """Return the file of a frame."""
        return [source(self, self.file, frame, self.offset)]

    def compute(self, ctx: Context) -> Image:
        """Read the file."""
        from relume.media.read import read

        wanted = [self.layer] if self.layer else None
        path = source(self, self.file, ctx.frame, self.offset)
        reading = read(path, space=self.colour, layers=wanted, frame=ctx.frame)
        for notice in reading.notices:
            ctx.notice(notice)
        with naming(path):
            return reading.layer(self.layer)


def source(node: Node, file: str, frame: int, offset: int = 0) -> str:
    """Return the file a reading node reads at a frame.

    Raises:
        UsageError: the node names no file.
        InputError: the file does not exist.
    """
    if not file:
        raise UsageError(
            "the knob 'file' names no file", way_out="Name one to read", node=node.name
        )
    return str(resolve(file, frame, offset))


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the file in whatever goes wrong with its content."""
    try:
        yield
    except RelumeError as error:
        error.locate(file=path)
        raise
