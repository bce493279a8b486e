"""Phong."""

from __future__ import annotations

from relume.context import Context
from relume.geometry.camera import Camera
from relume.image import Image
from relume.knobs import Float
from relume.node import In, Node, Out
from relume.shading.phong import PLASTIC, phong_transport
from relume.shading.types import Transport


class Phong(Node):
    """Make a transport of Lambert and Phong shading: exact, without shadow and without a network.

    Source: Phong 1975 in its normalised form: D(N)·albedo + Σ w_n·S_n(R).
    """

    id, version, category = "phong", 1, "Shade"
    foreground = In(Image, "Straight foreground.")
    matte = In(Image, "Matte of the subject.", colour="data")
    normals = In(Image, "Normals of the subject.", colour="data")
    albedo = In(Image, "Albedo of the subject.")
    camera = In(Camera, "Camera; without one, every pixel looks along −Z.", optional=True)
    transport = Out(Transport, "The transport.")
    specular_001 = Float(PLASTIC[0], "Weight of the lobe of exponent 1.", min=0, max=10)
    specular_016 = Float(PLASTIC[1], "Weight of the lobe of exponent 16.", min=0, max=10)
    specular_032 = Float(PLASTIC[2], "Weight of the lobe of exponent 32.", min=0, max=10)
    specular_064 = Float(PLASTIC[3], "Weight of the lobe of exponent 64.", min=0, max=10)

    def compute(
        self,
        ctx: Context,
        foreground: Image,
        matte: Image,
        normals: Image,
        albedo: Image,
        camera: Camera | None,
    ) -> Transport:
        """Weigh the lobes."""
        weights = (self.specular_001, self.specular_016, self.specular_032, self.specular_064)
        return phong_transport(foreground, matte, normals, albedo, weights, camera)
