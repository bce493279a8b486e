"""OriginalLight."""

from __future__ import annotations

from relume.context import Context
from relume.light.types import Light
from relume.light.types import OriginalLight as Original
from relume.node import Node, Out


class OriginalLight(Node):
    """The light the plate was filmed under, as a light that Relight can mix with others."""

    id, version, category = "original_light", 1, "Light"
    light = Out(Light, "Its picture is the plate's own foreground.")

    def compute(self, ctx: Context) -> Light:
        """Return the original light."""
        return Original()
