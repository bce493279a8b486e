"""AdjustLight."""

from __future__ import annotations

import numpy as np

from relume.context import Context
from relume.knobs import Colour, Float
from relume.light.types import Light
from relume.node import In, Node, Out


class AdjustLight(Node):
    """Turn, dim or tint a light. Nothing is convolved again and no network runs."""

    id, version, category = "adjust_light", 1, "Light"
    light = In(Light, "A prefiltered or original light.")
    out = Out(Light, "The light, adjusted.")
    rotate = Float(
        0.0, "Turn the light: +90 moves what is behind the subject to screen right.", unit="degrees"
    )
    exposure = Float(0.0, "Exposure of the light.", unit="stops", min=-40, max=40)
    gain = Colour((1.0, 1.0, 1.0), "Factors on R, G, B.")

    def compute(self, ctx: Context, light: Light) -> Light:
        """Adjust the light."""
        gain = np.asarray(self.gain, np.float32) * np.float32(2.0**self.exposure)
        return light.adjusted(gain=gain, rotation=self.rotate)
