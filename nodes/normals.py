"""Normals."""

from __future__ import annotations

from relume.context import Context
from relume.image import Image
from relume.node import In, Node, Out


class Normals(Node):
    """Estimate surface normals of the subject from its foreground.

    Camera space, +X right, +Y up, +Z towards the camera, unit length; (0, 0, 0) far from the matte.

    Source: Pandey et al. 2021, section 3.2 (Geometry Net), with a smaller network.
    """

    id, version, category = "normals", 2, "Geometry"
    weights = ("normals",)
    foreground = In(Image, "Straight foreground.", colour="network")
    matte = In(Image, "Matte of the subject.", colour="data")
    anchor = In(float, "Exposure anchor of the shot.")
    normals = Out(Image, "X, Y, Z.")

    def compute(self, ctx: Context, foreground: Image, matte: Image, anchor: float) -> Image:
        """Run the geometry network."""
        from relume.geometry.normals import estimate_normals

        return estimate_normals(foreground, matte, anchor, ctx.weights("normals"))
