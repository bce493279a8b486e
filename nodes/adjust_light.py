"""AdjustLight."""

from __future__ import annotations

import numpy as np

from relume.context import Context
from relume.knobs import Colour, Float
from relume.light.types import Light, LightMaps
from relume.node import In, Node, Out


class AdjustLight(Node):
    """Turn, dim, tint or soften a light. No network runs, and no environment is convolved again."""

    id, version, category = "adjust_light", 1, "Light"
    light = In(Light, "A prefiltered or original light.")
    out = Out(Light, "The light, adjusted.")
    rotate = Float(
        0.0, "Turn the light: +90 moves what is behind the subject to screen right.", unit="degrees"
    )
    exposure = Float(0.0, "Exposure of the light.", unit="stops", min=-40, max=40)
    gain = Colour((1.0, 1.0, 1.0), "Factors on R, G, B: one number dims, three also tint.")
    blur = Float(
        0.0, "Soften the light: standard deviation of the blur.", unit="degrees", min=0, max=180
    )

    def compute(self, ctx: Context, light: Light) -> Light:
        """Adjust the light."""
        if isinstance(light, LightMaps) and self.blur:
            from relume.light.soften import softened

            light = softened(light, self.blur)
        gain = np.asarray(self.gain, np.float32) * np.float32(2.0**self.exposure)
        return light.adjusted(gain=gain, rotation=self.rotate)
