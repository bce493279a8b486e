"""ExposureAnchor."""

from __future__ import annotations

from relume.context import Context
from relume.exposure import measure_anchor
from relume.image import Image
from relume.knobs import OptionalFloat
from relume.node import In, Node, Out


class ExposureAnchor(Node):
    """Say once for a shot how bright its pictures are, so that networks read them alike.

    Networks see the plate multiplied by 2^anchor. The anchor is measured on the shot's first
    frame, never frame by frame: it neither flickers nor depends on what part is rendered.
    """

    id, version, category = "exposure_anchor", 1, "Matte"
    plate = In(Image, "The plate.", colour="network", frames="first")
    out = Out(float, "Stops to add before a network reads the plate.")
    stops = OptionalFloat(None, "The anchor; unset, it is measured.", unit="stops", min=-40, max=40)

    def compute(self, ctx: Context, plate: Image) -> float:
        """Return the knob, or measure the plate."""
        return measure_anchor(plate) if self.stops is None else self.stops
