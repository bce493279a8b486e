"""Albedo."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Albedo(Node):
    """Estimate the subject's albedo, the colour left when the light is taken away.

    Source: Pandey et al. 2021, section 3.2 (Albedo Net), with a smaller network.
    """

    id, version, category = "albedo", 4, "Reflectance"
    weights = ("albedo",)
    foreground = In(Image, "Straight foreground.", colour="network")
    matte = In(Image, "Matte of the subject.", colour="data")
    normals = In(Image, "Normals of the subject.", colour="data")
    anchor = In(float, "Exposure anchor of the shot.")
    albedo = Out(Image, "R, G, B, scene-linear, straight.")

    def compute(
        self, ctx: Context, foreground: Image, matte: Image, normals: Image, anchor: float
    ) -> Image:
        """Run the albedo network."""
        from relume.reflectance.albedo import estimate_albedo

        return estimate_albedo(foreground, matte, normals, anchor, ctx.weights("albedo"))
