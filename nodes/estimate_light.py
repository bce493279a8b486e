"""EstimateLight."""

from __future__ import annotations

from typing import cast

import numpy as np

from relume.context import Context
from relume.geometry.camera import Camera
from relume.image import Image
from relume.knobs import Choice, Float, Int, OptionalFloat
from relume.light.estimate import HEIGHT, Fill, SunOverride, estimate_environment
from relume.light.types import Environment
from relume.node import In, Node, Out


class EstimateLight(Node):
    """Estimate the light all around from a background plate that shows a part of it.

    The plate is taken as it is, averaged by area and put where the camera saw it. What lies outside
    it, and what clipping took from it, is guessed by a small network. The estimate is made once for
    a shot, from its first frame; to take another frame, read that one alone.
    """

    id, version, category = "estimate_light", 1, "Light"
    weights = ("light",)
    plate = In(Image, "The background, without the actor.", colour="network", frames="first")
    camera = In(
        Camera,
        "The plate's camera; the light is then fixed to its world, and `fov` and `horizon` rest.",
        frames="first",
        optional=True,
    )
    environment = Out(Environment, "Lat-long radiance on the plate's own scale.")
    fov = Float(40.0, "Horizontal field of view.", unit="degrees", min=1, max=170)
    horizon = Float(
        0.5,
        "Where the horizon lies: 0 is the plate's lower edge, 1 its upper one, or beyond.",
        min=-20,
        max=20,
    )
    exposure = Float(0.0, "Exposure of the whole environment.", unit="stops", min=-40, max=40)
    fill = Choice(
        "network",
        "How the rest is guessed: by a network, by mirroring the plate, or as its mean colour.",
        choices=("network", "mirror", "mean"),
    )
    clip = OptionalFloat(
        None, "Value from which pixels count as clipped; unset, it is found.", min=1e-6, max=1e30
    )
    sun_azimuth = OptionalFloat(
        None,
        "Turn the main light here: 0 is at the camera, +90 at screen right, 180 behind the actor.",
        unit="degrees",
        min=-360,
        max=360,
    )
    sun_elevation = OptionalFloat(
        None, "Raise the main light to here above the horizon.", unit="degrees", min=-90, max=90
    )
    sun_intensity = OptionalFloat(
        None, "What a white surface facing the main light shows; 0 puts it out.", min=0, max=1e6
    )
    height = Int(HEIGHT, "Rows of the environment, which is twice as wide.", min=8, max=1024)

    def compute(self, ctx: Context, plate: Image, camera: Camera | None) -> Environment:
        """Estimate."""
        found = estimate_environment(
            plate,
            camera or Camera(self.fov),
            horizon=self.horizon if camera is None else None,
            fill=cast(Fill, self.fill),
            model=ctx.weights("light") if self.fill == "network" else None,
            clip=self.clip,
            sun=SunOverride(self.sun_azimuth, self.sun_elevation, self.sun_intensity),
            height=self.height,
        ).image
        return Environment(found.like(found.pixels * np.float32(2.0**self.exposure)))
