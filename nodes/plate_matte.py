"""PlateMatte."""

from __future__ import annotations

from typing import NamedTuple

from relume.context import Context
from relume.image import Image
from relume.knobs import Bool, Choice
from relume.node import In, Node, Out


class PlateMattes(NamedTuple):
    """The outputs of PlateMatte."""

    matte: Image
    trimap: Image
    aligned: Image


class PlateMatte(Node):
    """Pull a matte of the people in a plate with the help of a clean plate.

    The clean plate is brought into register and to the plate's exposure; a network reads both; at
    the edge alpha is then solved from the known background. A clean plate of another scene is
    noticed and left aside.

    Source: Sengupta et al. 2020, Background Matting; Qian and Sezan 1992; Chuang et al. 2001.
    """

    id, version, category = "plate_matte", 8, "Matte"
    weights = ("matte",)
    plate = In(Image, "The plate.", colour="network")
    clean_plate = In(Image, "The same view without the subject.", colour="network")
    anchor = In(float, "Exposure anchor of the shot.")
    guide = In(Image, "Trimap or hint mask; it always wins.", colour="data", optional=True)
    matte = Out(Image, "The matte, A from 0 to 1.")
    trimap = Out(Image, "Background 0, unknown 0.5, foreground 1.")
    aligned = Out(Image, "The clean plate in register, at the plate's exposure; a guess if unused.")
    camera = Choice(
        "moving",
        "Whether the camera may have moved between plate and clean plate.",
        choices=("moving", "still"),
    )
    parallax = Bool(True, "Follow small local moves too, as parallax makes them.")
    match = Bool(True, "Fit gain and bias of the clean plate, and light that has drifted.")

    def compute(
        self,
        ctx: Context,
        plate: Image,
        clean_plate: Image,
        anchor: float,
        guide: Image | None,
    ) -> PlateMattes:
        """Align, look, solve."""
        from relume.matting.plate_matte import plate_matte
        from relume.matting.trimap import guide_notices

        found = plate_matte(
            plate,
            clean_plate,
            anchor,
            guide,
            ctx.weights("matte"),
            moving=self.camera == "moving",
            parallax=self.parallax,
            match=self.match,
        )
        share = 100.0 * found.aligned.explained
        if not found.used:
            ctx.notice(
                f"the clean plate explains only {share:.0f} % of the background, so it was not "
                "used; is it of another scene, or badly out of register?"
            )
        for notice in guide_notices(guide, empty=found.empty):
            ctx.notice(notice)
        return PlateMattes(found.matte, found.trimap, found.aligned.clean_plate)
