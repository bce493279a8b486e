"""MatchGrain."""

from __future__ import annotations

from relume.compositing.grain import add_grain, measure_grain, remove_grain
from relume.context import Context
from relume.image import Image
from relume.knobs import Bool, Choice, Float, Int
from relume.node import In, Node, Out


class MatchGrain(Node):
    """Give a picture the grain of its background.

    Strength at each level and channel, coarseness, and likeness of the channels are measured in
    flat parts of the shot's first frame. The grain is made from the seed and the frame number
    alone, so that it is the same bits whatever part of a shot is rendered.

    Source: Lee 1980, Digital Image Enhancement and Noise Filtering by Use of Local Statistics, for
    taking grain away.
    """

    id, version, category = "match_grain", 1, "Finish"
    uses_frame = True
    image = In(Image, "The picture to lay grain over.")
    background = In(Image, "The picture whose grain is wanted.", frames="first")
    sample = In(
        Image,
        "For `replace`, what the picture's own grain is measured on: the same wire as `image`, as "
        "a rule.",
        frames="first",
        optional=True,
    )
    out = Out(Image, "The picture, premultiplied where it has an alpha.")
    mode = Choice(
        "add",
        "`add` lays grain over what is there, `replace` takes the picture's own away before.",
        choices=("add", "replace"),
    )
    amount = Float(1.0, "Factor on the strength.", min=0, max=10)
    seed = Int(0, "Another number, other grain.", min=0, max=2**31 - 1)
    moving = Bool(True, "New grain on every frame; off for a background that is a still.")

    def compute(self, ctx: Context, image: Image, background: Image, sample: Image | None) -> Image:
        """Lay the grain over."""
        if self.mode == "replace":
            own = measure_grain(image if sample is None else sample)
            if own is None:
                ctx.notice("the picture's own grain cannot be told from its detail; it stays")
            else:
                image = remove_grain(image, own)
        grain = measure_grain(background)
        if grain is None:
            ctx.notice("the background shows no grain, or no flat part to measure it in")
            return image
        frame = ctx.frame if self.moving else 0
        return add_grain(image, grain, self.seed, frame, self.amount)
