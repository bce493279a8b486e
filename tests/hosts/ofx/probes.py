"""Nodes by which tests look at what an effect sends, and a worker that knows them."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

import numpy as np

from relume.context import Context
from relume.hosts.worker.server import Options, Place, Server
from relume.image import DATA, Image
from relume.knobs import (
    Bool,
    Choice,
    Colour,
    ColourSpace,
    File,
    Float,
    Floats,
    Int,
    Ints,
    OptionalColour,
    OptionalFloat,
    Text,
    Texts,
)
from relume.node import In, Node, Out, Registry
from relume.nodes.registry import REGISTRY as NODES


class Probe(Node):
    """Show the value of every knob as a pixel of the top row."""

    id, version, category = "probe", 3, "Probe"
    plate = In(Image, "Any.", colour="any")
    shown = Out(Image, "Numbers.")
    number = Float(0.5, "A number.", unit="stops", min=-4, max=4)
    angle = Float(0.0, "An angle.", unit="degrees")
    length = Float(8.0, "A length.", unit="px", min=0, max=100)
    whole = Int(3, "A whole number.", min=-9, max=9)
    pixels = Int(10, "Whole pixels.", unit="px", min=1, max=100)
    switch = Bool(False, "A switch.")
    word = Choice("b", "A word.", choices=("a", "b", "c"))
    colour = Colour((1.0, 2.0, -3.0), "A colour.")
    maybe = OptionalFloat(None, "A number or none.", min=0, max=9)
    tint = OptionalColour(None, "A colour or none.")
    counts = Ints((1, 16), "Whole numbers.")
    weights_of = Floats((0.5, 1.5), "Numbers.")
    label = Text("", "A line.")
    names = Texts(("R",), "Words.")
    file = File("", "A file.")
    space = ColourSpace("", "A space.")

    def compute(self, ctx: Context, plate: Image) -> Image:
        values = [
            self.number,
            self.angle,
            self.length,
            self.whole,
            self.pixels,
            self.switch,
            "abc".index(self.word),
            *self.colour,
            -1.0 if self.maybe is None else self.maybe,
            *((-1.0,) * 3 if self.tint is None else self.tint),
            len(self.counts),
            sum(self.counts),
            sum(self.weights_of),
            *(
                sum(text.encode())
                for text in (self.label, ",".join(self.names), self.file, self.space)
            ),
        ]
        pixels = np.zeros((plate.height, plate.width, 1), np.float32)
        pixels[0, : len(values), 0] = values
        return plate.like(pixels, ("A",), colour=DATA, alpha="none")


class Same(Node):
    """Show the plate."""

    id, version, category = "same", 1, "Probe"
    plate = In(Image, "The plate.")
    picture = Out(Image, "The plate.")

    def compute(self, ctx: Context, plate: Image) -> Image:
        return plate


class Two(NamedTuple):
    """The outputs of Twice."""

    picture: Image
    double: Image


class Twice(Node):
    """Show the plate, and twice the plate, and count how often that is worked out."""

    id, version, category = "twice", 1, "Probe"
    plate = In(Image, "The plate.")
    picture = Out(Image, "The plate.")
    double = Out(Image, "Twice the plate.")

    def compute(self, ctx: Context, plate: Image) -> Two:
        COUNTS["twice"] += 1
        return Two(plate.like(plate.pixels.copy()), plate.like(plate.pixels * 2))


class Before(Node):
    """Show a tenth of the frame before and the frame itself, added."""

    id, version, category = "before", 1, "Probe"
    plate = In(Image, "The plate.", frames=(-1, 0))
    picture = Out(Image, "The sum.")
    gain = Float(1.0, "A factor.")

    def compute(self, ctx: Context, plate: tuple[Image, Image]) -> Image:
        before, now = plate
        return now.like((before.pixels * np.float32(0.1) + now.pixels) * np.float32(self.gain))


class Masked(Node):
    """Show a mask."""

    id, version, category = "masked", 1, "Probe"
    plate = In(Image, "The plate.", colour="any")
    keep = In(Image, "A mask.", colour="data", optional=True)
    shown = Out(Image, "A, or black.")

    def compute(self, ctx: Context, plate: Image, keep: Image | None) -> Image:
        if keep is not None:
            assert keep.channels == ("A",)
            return keep
        return plate.like(plate.pixels[:, :, :1] * 0, ("A",), colour=DATA)


class Slow(Node):
    """Wait until somebody cancels."""

    id, version, category = "slow", 1, "Probe"
    plate = In(Image, "The plate.", colour="any")
    picture = Out(Image, "The plate, if nobody cancels.")

    def compute(self, ctx: Context, plate: Image) -> Image:
        try:
            for _ in range(2000):
                STOPPED.wait(0.01)
                ctx.check_cancel()
        except BaseException:
            STOPPED.set()
            raise
        return plate


class Fatal(Node):
    """Take the worker down."""

    id, version, category = "fatal", 1, "Probe"
    plate = In(Image, "The plate.", colour="any")
    picture = Out(Image, "Never.")

    def compute(self, ctx: Context, plate: Image) -> Image:
        os._exit(3)


COUNTS = {"twice": 0}
STOPPED = threading.Event()
REGISTRY = Registry([*NODES.values(), Probe, Same, Twice, Before, Masked, Slow, Fatal])

if __name__ == "__main__":
    Server(Place.find(), REGISTRY, Options(idle=60.0, threads=1)).run()
    os._exit(0)
