"""MatchLevels."""

from __future__ import annotations

from typing import cast

from relume.compositing.levels import By, cast_of_light, match_levels, measure_levels
from relume.context import Context
from relume.image import Image, Layers
from relume.knobs import Choice, Float
from relume.node import In, Node, Out


class MatchLevels(Node):
    """Bring the black level and the white point of a picture to those of its background.

    Both are measured on the first frame of the shot, never frame by frame: the result neither
    flickers nor depends on what part is rendered. Each channel becomes gain·x + lift.

    Source: van de Weijer, Gevers and Gijsenij 2007, Edge-Based Color Constancy, for the white point
    of a picture; the light on a relit subject is known, and is used where it is wired.
    """

    id, version, category = "match_levels", 1, "Finish"
    image = In(Image, "The picture to match, such as Relight's `relit`.")
    sample = In(
        Image, "What is measured of it: the same wire as `image`, as a rule.", frames="first"
    )
    background = In(Image, "The picture whose levels are wanted.", frames="first")
    light = In(
        Layers,
        "Relight's `passes`: the colour of white on the subject is that of its `diffuse_light`.",
        frames="first",
        optional=True,
    )
    out = Out(Image, "The picture, premultiplied where it has an alpha.")
    black = Float(1.0, "How far to match the black level: 0 is not at all.", min=0, max=1)
    white = Float(
        0.5,
        "How far to match the white point, in stops: half-way is safe where it can only be guessed "
        "from the picture.",
        min=0,
        max=1,
    )
    by = Choice(
        "colour",
        "`colour` turns the white point and keeps the luminance of grey, `level` matches the "
        "brightest of each channel.",
        choices=("colour", "level"),
    )
    share = Float(
        0.5, "Pixels darker than black, and brighter than white.", unit="per cent", min=0, max=25
    )

    def compute(
        self, ctx: Context, image: Image, sample: Image, background: Image, light: Layers | None
    ) -> Image:
        """Match the levels."""
        own = measure_levels(sample, self.share)
        wanted = measure_levels(background, self.share)
        if own is None or wanted is None:
            which = "picture" if own is None else "background"
            ctx.notice(f"there is too little of the {which} to measure its levels; none is matched")
            return image
        if light is not None and "diffuse_light" in light and sample.has("A"):
            seen = cast_of_light(light["diffuse_light"], sample)
            own = own if seen is None else own.seen_under(seen)
        return match_levels(
            image, own, wanted, black=self.black, white=self.white, by=cast(By, self.by)
        )
