"""Foreground."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Foreground(Node):
    """Estimate the subject's own colour at its edges, where the plate mixes it with the background.

    Straight colour; it equals the plate where the matte is 1 and goes on a little beyond the edge.
    """

    id, version, category = "foreground", 2, "Matte"
    plate = In(Image, "The plate.")
    matte = In(Image, "Matte of the subject.", colour="data")
    clean_plate = In(Image, "The background, in register, which makes edges exact.", optional=True)
    foreground = Out(Image, "R, G, B, straight, scene-linear, unclamped.")

    def compute(self, ctx: Context, plate: Image, matte: Image, clean_plate: Image | None) -> Image:
        """Separate the foreground from the background."""
        from relume.matting.foreground import estimate_foreground

        return estimate_foreground(plate, matte, clean_plate)
