"""Relight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relume.context import Context
from relume.image import Image, Layers
from relume.knobs import Float
from relume.light.types import Light
from relume.node import In, Many, Node, Out
from relume.shading.look import skin_hue_shift
from relume.shading.relight import relight
from relume.shading.types import Transport

NOTICEABLE = 0.005


class Relights(NamedTuple):
    """The outputs of Relight."""

    relit: Image
    passes: Layers


class Relight(Node):
    """Shine named lights on a transport: per pixel, the dot product of the two.

    Linear in the light: each light is its own pass, their sum is the beauty, and twice the light is
    twice the picture. No network runs, so that a changed light costs milliseconds.
    """

    id, version, category = "relight", 1, "Shade"
    transport = In(Transport, "The subject.")
    lights = Many(Light, "Lights by name; `original` is the one the plate was filmed under.")
    relit = Out(Image, "R, G, B, A, premultiplied.")
    passes = Out(
        Layers,
        "`diffuse`, `specular`, `residual` (their sum is `relit`), `relit_NAME` for each light, "
        "`diffuse_light` and `specular_light_NNN`.",
    )
    diffuse_gain = Float(1.0, "Factor on the diffuse part.", min=0, max=1e6)
    specular_gain = Float(1.0, "Factor on the specular part.", min=0, max=1e6)
    residual_gain = Float(
        1.0, "Shadow strength: factor on shadow, bounce and subsurface.", min=0, max=1e6
    )
    gloss = Float(
        0.0,
        "Sharper or broader highlights of the same energy: +1 doubles the Phong exponents.",
        unit="octaves",
        min=-6,
        max=6,
    )
    original = Float(1.0, "Factor on the light the plate was filmed under.", min=0, max=1e6)
    skin_hue_limit = Float(
        30.0,
        "Say so where the hue of skin moves farther from the plate's; 180 never does. The picture "
        "is not changed.",
        unit="degrees",
        min=0,
        max=180,
    )

    def compute(self, ctx: Context, transport: Transport, lights: Mapping[str, Light]) -> Relights:
        """Shade the subject."""
        look = {name: value for name, value in self.values.items() if name != "skin_hue_limit"}
        result = relight(transport, lights, **look, threads=ctx.threads)
        if result.negative > NOTICEABLE:
            share = 100 * result.negative
            ctx.notice(f"{share:.1f} % of the subject is below 0; lower residual_gain to lift it")
        self._guard_skin(ctx, transport, result.relit)
        return Relights(result.relit, result.passes)

    def _guard_skin(self, ctx: Context, transport: Transport, relit: Image) -> None:
        """Tell the user where skin has left its hue by more than the limit."""
        shift = skin_hue_shift(transport, relit) if self.skin_hue_limit < 180 else None
        if shift is not None and abs(shift) > self.skin_hue_limit:
            towards = "yellow and green" if shift > 0 else "red and magenta"
            ctx.notice(
                f"the hue of skin has moved by {abs(shift):.0f}° towards {towards}, more than "
                f"{self.skin_hue_limit:g}°; if that is not meant, tint the light with its gain, or "
                "raise skin_hue_limit"
            )
