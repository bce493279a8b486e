"""LightWrap."""

from __future__ import annotations

from typing import cast

from relume.compositing.resample import Fit
from relume.compositing.wrap import light_wrap
from relume.context import Context
from relume.image import Image
from relume.knobs import Choice, Float
from relume.node import In, Node, Out


class LightWrap(Node):
    """Let light of the background bleed over the edges of a foreground, ready for Over.

    With G a Gaussian: F + amount·max(0, 2a − 1)·(G∗((1 − a)·B) − (1 − a)·B). Linear in light; the
    alpha is kept.
    """

    id, version, category = "light_wrap", 1, "Finish"
    foreground = In(Image, "Colour with alpha; its windows are the result's.")
    background = In(Image, "What the foreground will be put over.")
    out = Out(Image, "The foreground with the light, premultiplied.")
    radius = Float(16.0, "How far the light bleeds.", unit="px", min=0, max=2048)
    amount = Float(
        0.5, "Factor on the light that bleeds: 1 is all that a lens would spread.", min=0, max=100
    )
    fit = Choice(
        "none",
        "What to do with a background of another size; `none` refuses it.",
        choices=("none", "fill", "fit", "stretch"),
    )

    def compute(self, ctx: Context, foreground: Image, background: Image) -> Image:
        """Wrap the light."""
        return light_wrap(
            foreground,
            background,
            self.radius,
            self.amount,
            fit=cast(Fit, self.fit),
            threads=ctx.threads,
        )
