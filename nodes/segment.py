"""Segment."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Segment(Node):
    """Find the people in a plate, coarsely. Drawn masks choose among them and always win."""

    id, version, category = "segment", 3, "Matte"
    weights = ("matte",)
    plate = In(Image, "The plate.", colour="network")
    anchor = In(float, "Exposure anchor of the shot.")
    keep = In(Image, "Mask drawn over what belongs to the subject.", colour="data", optional=True)
    reject = In(Image, "Mask drawn over what does not.", colour="data", optional=True)
    matte = Out(Image, "Coarse matte, A.")

    def compute(
        self,
        ctx: Context,
        plate: Image,
        anchor: float,
        keep: Image | None,
        reject: Image | None,
    ) -> Image:
        """Run the coarse matting network."""
        from relume.matting.network import coarse_person

        return coarse_person(plate, anchor, ctx.weights("matte"), keep=keep, reject=reject)
