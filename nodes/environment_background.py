"""EnvironmentBackground."""

from __future__ import annotations

import numpy as np

from relume.context import Context
from relume.geometry.camera import Camera
from relume.image import Image
from relume.knobs import Colour, Float
from relume.light.latlong import crop
from relume.light.types import Environment
from relume.node import In, Node, Out


class EnvironmentBackground(Node):
    """Take the picture of an environment that a camera would see behind the subject."""

    id, version, category = "environment_background", 1, "Light"
    environment = In(Environment, "The environment.")
    plate = In(Image, "The plate, for its format.", colour="any")
    camera = In(Camera, "The plate's camera; without one, `fov` decides.", optional=True)
    image = Out(Image, "R, G, B in the plate's windows.")
    fov = Float(40.0, "Horizontal field of view.", unit="degrees", min=1, max=170)
    rotate = Float(0.0, "Turn of the light: +90 moves it to screen right.", unit="degrees")
    exposure = Float(0.0, "Exposure.", unit="stops", min=-40, max=40)
    gain = Colour((1.0, 1.0, 1.0), "Factors on R, G, B, as the light has them.")

    def compute(
        self, ctx: Context, environment: Environment, plate: Image, camera: Camera | None
    ) -> Image:
        """Crop the environment."""
        light = environment.image
        view = camera or Camera(self.fov)
        rgb = crop(
            light.rgb, view, plate.data, plate.display, plate.pixel_aspect, rotation=self.rotate
        )
        exposed = rgb * (np.asarray(self.gain, np.float32) * np.float32(2.0**self.exposure))
        return plate.like(exposed, ("R", "G", "B"), colour=light.colour, alpha="none")
