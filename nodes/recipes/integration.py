"""What joins a relit subject with its background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relume.graph import Graph
from relume.knobs import Float
from relume.node import Node
from relume.nodes.light_wrap import LightWrap
from relume.nodes.match_grain import MatchGrain
from relume.nodes.match_levels import MatchLevels
from relume.nodes.recipes.sources import Knobs


@dataclass(frozen=True, slots=True)
class Integration:
    """How a subject is brought closer to its background; each step is left out unless asked for.

    Attributes:
        levels: knobs of MatchLevels.
        wrap: knobs of LightWrap, in pixels of the full size.
        grain: knobs of MatchGrain.
    """

    levels: Knobs | None = None
    wrap: Knobs | None = None
    grain: Knobs | None = None

    def add(self, graph: Graph, subject: str, passes: str, background: str, proxy: int) -> str:
        """Add the steps to a graph: colour, then light, then the grain that a camera adds last.

        Args:
            graph: the graph.
            subject: reference to the subject, premultiplied.
            passes: reference to the passes of Relight, for the light on the subject.
            background: reference to the background.
            proxy: everything is worked at 1/proxy of the size.

        Returns:
            The reference to the subject, ready for Over.
        """
        picture = subject
        if self.levels is not None:
            picture = graph.add(
                "levels",
                MatchLevels,
                self.levels,
                image=subject,
                sample=subject,
                background=background,
                light=passes,
            )
        if self.wrap is not None:
            knobs = proxied(LightWrap, self.wrap, proxy)
            picture = graph.add("wrap", LightWrap, knobs, foreground=picture, background=background)
        if self.grain is not None:
            wires = {"image": picture, "sample": subject, "background": background}
            picture = graph.add("grain", MatchGrain, self.grain, **wires)
        return picture


def proxied(node: type[Node], knobs: Knobs, proxy: int) -> dict[str, Any]:
    """Return knobs with every length in pixels, given or by default, at 1/proxy of the size."""
    scaled = dict(knobs)
    for name, knob in node.members(Float).items():
        value = scaled.get(name, knob.default)
        if knob.unit == "px" and proxy > 1:
            scaled[name] = value / proxy
    return scaled
