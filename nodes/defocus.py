"""Defocus."""

from __future__ import annotations

from typing import NamedTuple

from relume.compositing.defocus import Lens, defocus
from relume.context import Context
from relume.image import Image
from relume.knobs import Float, Int
from relume.node import In, Node, Out


class Defocused(NamedTuple):
    """The outputs of Defocus."""

    picture: Image
    background: Image


class Defocus(Node):
    """Blur the background of a portrait as a lens wide open would, and leave the subject sharp.

    Light is summed in scene-linear: what is brighter than white becomes a disc as bright as a lens
    would draw it, a point exactly the aperture, and a constant stays as it is. The gap the subject
    leaves is filled from around it, so that nobody glows.

    Source: Wadhwa et al. 2018, Synthetic Depth-of-Field with a Single-Camera Mobile Phone, for the
    aim; here everything behind the subject is equally far, and the convolution is exact.
    """

    id, version, category = "defocus", 1, "Finish"
    plate = In(Image, "The plate.")
    matte = In(
        Image,
        "Matte of what stays sharp; without one the whole picture is blurred.",
        colour="data",
        optional=True,
    )
    foreground = In(Image, "The subject's own colour; without it, it is estimated.", optional=True)
    picture = Out(Image, "The sharp subject before the blurred background.")
    background = Out(Image, "The blurred background alone, whole.")
    radius = Float(12.0, "Radius of the disc a point becomes.", unit="px", min=0, max=1024)
    blades = Int(0, "Blades of the aperture, 3 or more; 0 is a disc.", min=0, max=32)
    rotation = Float(0.0, "Turn of the aperture; at 0 a corner points up.", unit="degrees")
    curvature = Float(0.0, "Roundness of the blades: 1 makes a disc of them.", min=0, max=1)
    margin = Float(
        4.0,
        "How far beyond the matte the plate is not taken for background; more where the edge of "
        "the subject shines through.",
        unit="px",
        min=0,
        max=256,
    )

    def compute(
        self, ctx: Context, plate: Image, matte: Image | None, foreground: Image | None
    ) -> Defocused:
        """Blur the background."""
        lens = Lens(self.radius, self.blades, self.rotation, self.curvature)
        picture, background = defocus(
            plate, matte, lens, foreground=foreground, margin=self.margin, threads=ctx.threads
        )
        return Defocused(picture, background)
