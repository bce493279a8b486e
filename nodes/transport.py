"""Transport."""

from __future__ import annotations

from dataclasses import replace

from relume.context import Context
from relume.encoding import NETWORK_SPACE
from relume.geometry.camera import Camera
from relume.image import Image
from relume.node import In, Node, Out
from relume.shading.types import Transport as LightTransport


class Transport(Node):
    """Estimate how light travels over the subject, before any new light is known.

    For each pixel a weight of the diffuse light at the normal, of each specular lobe at the
    reflection, and of a low spherical-harmonic order of the whole environment (shadow, bounce,
    subsurface). Relight is then a dot product with the light.

    Source: Sloan et al. 2002, with coefficients estimated by a network instead of simulated.
    """

    id, version, category = "transport", 3, "Shade"
    weights = ("transport",)
    foreground = In(Image, "Straight foreground.")
    matte = In(Image, "Matte of the subject.", colour="data")
    normals = In(Image, "Normals of the subject.", colour="data")
    albedo = In(Image, "Albedo of the subject.")
    anchor = In(float, "Exposure anchor of the shot.")
    camera = In(Camera, "Camera; without one, every pixel looks along −Z.", optional=True)
    transport = Out(LightTransport, "The transport.")

    def compute(
        self,
        ctx: Context,
        foreground: Image,
        matte: Image,
        normals: Image,
        albedo: Image,
        anchor: float,
        camera: Camera | None,
    ) -> LightTransport:
        """Run the transport network."""
        from relume.colour import convert
        from relume.shading.analyse import analyse_transport

        transport = analyse_transport(
            convert(foreground, NETWORK_SPACE),
            matte,
            normals,
            convert(albedo, NETWORK_SPACE),
            anchor,
            ctx.weights("transport"),
            camera,
        )
        # The weights hold for every colour space; the colours they are applied to do not.
        return replace(transport, foreground=foreground, albedo=albedo)
