"""Over."""

from __future__ import annotations

from typing import cast

from relume.compositing.merge import over
from relume.compositing.resample import Fit
from relume.context import Context
from relume.image import Image
from relume.knobs import Choice
from relume.node import In, Node, Out


class Over(Node):
    """Composite a foreground over a background, in scene-linear light.

    Source: Porter and Duff 1984, section 4.3: C = F + (1 − a)·B, premultiplied.
    """

    id, version, category = "over", 1, "Merge"
    foreground = In(Image, "Colour with alpha; its windows are the result's.")
    background = In(Image, "What is seen where the foreground is not.")
    out = Out(Image, "The composite, premultiplied, with the alpha of both.")
    fit = Choice(
        "none",
        "What to do with a background of another size; `none` refuses it.",
        choices=("none", "fill", "fit", "stretch"),
    )

    def compute(self, ctx: Context, foreground: Image, background: Image) -> Image:
        """Composite."""
        return over(foreground, background, cast(Fit, self.fit))
