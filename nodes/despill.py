"""Despill."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.knobs import Choice, Float
from relume.matting.despill import LIMITS, SCREENS, despill
from relume.node import In, Node, Out


class Despill(Node):
    """Take the light of a green or blue screen out of a foreground.

    What the screen's channel has beyond the other two is removed; the rest of the picture is left
    alone.
    """

    id, version, category = "despill", 1, "Matte"
    image = In(Image, "R, G, B, such as the output of Foreground, straight or premultiplied.")
    out = Out(Image, "The image without spill, other channels as they came.")
    screen = Choice("green", "Colour of the screen.", choices=SCREENS)
    limit = Choice(
        "average",
        "What the channel may reach: a mean of the other two, the larger or the smaller of them.",
        choices=LIMITS,
    )
    amount = Float(1.0, "Share of the spill that is removed.", min=0.0, max=2.0)
    restore = Float(
        0.0, "Share of the luminance lost that is given back as grey.", min=0.0, max=1.0
    )

    def compute(self, ctx: Context, image: Image) -> Image:
        """Limit the screen's channel."""
        return despill(image, self.screen, self.limit, self.amount, self.restore)
