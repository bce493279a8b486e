"""Relight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relume.context import Context
from relume.image import Image, Layers
from relume.knobs import Float
from relume.light.types import Light
from relume.node import In, Many, Node, Out
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
    residual_gain = Float(1.0, "Factor on shadow, bounce and subsurface.", min=0, max=1e6)

    def compute(self, ctx: Context, transport: Transport, lights: Mapping[str, Light]) -> Relights:
        """Shade the subject."""
        result = relight(transport, lights, **self.values, threads=ctx.threads)
        if result.negative > NOTICEABLE:
            share = 100 * result.negative
            ctx.notice(f"{share:.1f} % of the subject is below 0; lower residual_gain to lift it")
        return Relights(result.relit, result.passes)
