"""FastAnalysis."""

from __future__ import annotations

from dataclasses import replace

from relume.context import Context
from relume.encoding import NETWORK_SPACE
from relume.geometry.camera import Camera
from relume.image import Image
from relume.node import In, Node, Out
from relume.shading.express import Analysis
from relume.shading.types import Transport as LightTransport


class FastAnalysis(Node):
    """Estimate normals, albedo and transport in one pass, to try things out.

    What Normals, Albedo and Transport answer, by one network that has learnt from theirs. It looks
    once where they look twelve times in all; docs/quality.md says what that costs.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network.
    """

    id, version, category = "fast_analysis", 1, "Shade"
    weights = ("express",)
    foreground = In(Image, "Straight foreground.")
    matte = In(Image, "Matte of the subject.", colour="data")
    anchor = In(float, "Exposure anchor of the shot.")
    camera = In(Camera, "Camera; without one, every pixel looks along −Z.", optional=True)
    normals = Out(Image, "X, Y, Z.")
    albedo = Out(Image, "R, G, B, scene-linear, straight.")
    transport = Out(LightTransport, "The transport.")

    def compute(
        self,
        ctx: Context,
        foreground: Image,
        matte: Image,
        anchor: float,
        camera: Camera | None,
    ) -> Analysis:
        """Run the fast network."""
        from relume.colour import convert
        from relume.shading.express import analyse_fast

        seen = convert(foreground, NETWORK_SPACE)
        found = analyse_fast(seen, matte, anchor, ctx.weights("express"), camera)
        # The weights of light hold for every colour space; the colours they are applied to do not.
        albedo = convert(found.albedo, foreground.colour)
        transport = replace(found.transport, foreground=foreground, albedo=albedo)
        return Analysis(found.normals, albedo, transport)
