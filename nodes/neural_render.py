"""NeuralRender."""

from __future__ import annotations

from collections.abc import Mapping

from relume.context import Context
from relume.geometry.camera import Camera
from relume.image import Image, Layers
from relume.light.types import Light
from relume.node import In, Many, Node, Out
from relume.nodes.relight import NOTICEABLE, Relights


class NeuralRender(Node):
    """Relight by networks that see the light, as the paper does: beside Transport and Relight.

    The lights are added before the networks run, so there are no light groups, and every change of
    light runs the networks again. Twice the light is exactly twice the picture; two lights are not
    exactly the sum of two pictures.

    Source: Pandey et al. 2021, section 3.3: Specular Net and Neural Renderer.
    """

    id, version, category = "neural_render", 1, "Shade"
    weights = ("neural",)
    foreground = In(Image, "Straight foreground.")
    matte = In(Image, "Matte of the subject.", colour="data")
    normals = In(Image, "Normals of the subject.", colour="data")
    albedo = In(Image, "Albedo of the subject.")
    anchor = In(float, "Exposure anchor of the shot.")
    lights = Many(Light, "Lights by name; `original` is the one the plate was filmed under.")
    camera = In(Camera, "Camera; without one, every pixel looks along −Z.", optional=True)
    relit = Out(Image, "R, G, B, A, premultiplied.")
    passes = Out(
        Layers,
        "`diffuse` (albedo under the diffuse light), `specular` (Ŝ), `residual` (what the renderer "
        "adds; their sum is `relit`), `diffuse_light` and `specular_light_NNN`.",
    )

    def compute(
        self,
        ctx: Context,
        foreground: Image,
        matte: Image,
        normals: Image,
        albedo: Image,
        anchor: float,
        lights: Mapping[str, Light],
        camera: Camera | None,
    ) -> Relights:
        """Run both networks."""
        from relume.shading.neural import neural_relight

        model = ctx.weights("neural")
        result = neural_relight(
            foreground, matte, normals, albedo, anchor, lights, model, camera, threads=ctx.threads
        )
        if result.negative > NOTICEABLE:
            ctx.notice(f"{100 * result.negative:.1f} % of the subject is below 0")
        return Relights(result.relit, result.passes)
