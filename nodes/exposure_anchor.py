"""ExposureAnchor."""

from __future__ import annotations

from relume.context import Context
from relume.errors import UsageError
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
    plate = In(
        Image,
        "The plate, not needed with `stops`.",
        colour="network",
        frames="first",
        optional=True,
    )
    out = Out(float, "Stops to add before a network reads the plate.")
    stops = OptionalFloat(None, "The anchor; unset, it is measured.", unit="stops", min=-40, max=40)

    def compute(self, ctx: Context, plate: Image | None) -> float:
        """Return the knob, or measure the plate."""
        if self.stops is not None:
            return self.stops
        if plate is None:
            raise UsageError("there is neither a plate nor `stops`", way_out="Wire the plate")
        return measure_anchor(plate)
