"""SteadyMatte."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.knobs import Float
from relume.node import In, Node, Out


class SteadyMatte(Node):
    """Take the flicker out of a matte: what has not changed keeps its alpha over a few frames.

    Reads this frame and the three before it, never a result of its own, so that a shot may be
    rendered in any chunks and order.

    Source: Bennett and McMillan 2005, section 4, after motion compensation.
    """

    id, version, category = "steady_matte", 1, "Matte"
    plate = In(Image, "The plate.", colour="network", frames=(-3, 0))
    matte = In(Image, "Its matte, frame by frame.", colour="data", frames=(-3, 0))
    anchor = In(float, "Exposure anchor of the shot.")
    steady = Out(Image, "The matte, A from 0 to 1.")
    strength = Float(1.0, "What an equal earlier frame counts beside this one.", min=0.0, max=1.0)

    def compute(
        self,
        ctx: Context,
        plate: tuple[Image, ...],
        matte: tuple[Image, ...],
        anchor: float,
    ) -> Image:
        """Average over time along the subject's motion."""
        from relume.matting.steady import steady_matte

        return steady_matte(plate, matte, anchor, self.strength)
