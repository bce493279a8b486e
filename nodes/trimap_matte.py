"""TrimapMatte."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.knobs import Bool, Float
from relume.node import In, Node, Out
from relume.nodes.matte import Mattes


class TrimapMatte(Node):
    """Pull a matte of anything from a trimap, without a network: closed-form matting.

    Alpha is as close as possible to affine in the colours around every pixel. It is exactly 0 and
    1 where the trimap is certain. Hair, glass and smoke come out well where the unknown band is
    tight and what lies on both sides of it is certain.

    Source: Levin, Lischinski and Weiss 2008, A Closed-Form Solution to Natural Image Matting.
    """

    id, version, category = "trimap_matte", 1, "Matte"
    plate = In(Image, "The plate.")
    guide = In(Image, "Trimap: background 0, unknown 0.5, foreground 1.", colour="data")
    anchor = In(float, "Exposure anchor of the shot.", optional=True)
    matte = Out(Image, "The matte, A from 0 to 1.")
    trimap = Out(Image, "Background 0, unknown 0.5, foreground 1.")
    epsilon = Float(
        1e-9,
        "Variance of colour that alpha need not follow; more is smoother, and loses dark hair.",
        min=1e-12,
        max=1.0,
    )
    exact = Bool(
        False,
        "Solve a large trimap to the last digits as well; takes several times as long, and 3 KiB "
        "for each unknown pixel.",
    )

    def compute(self, ctx: Context, plate: Image, guide: Image, anchor: float | None) -> Mattes:
        """Solve for alpha where the trimap is unknown."""
        from relume.matting.closed_form import closed_form_matte

        result = closed_form_matte(
            plate, guide, anchor or 0.0, self.epsilon, exact=self.exact, threads=ctx.threads
        )
        if result.notice:
            ctx.notice(result.notice)
        return Mattes(result.matte, result.trimap)
