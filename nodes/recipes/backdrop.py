"""What is seen behind a subject, and the nodes that put it there."""

from __future__ import annotations

from dataclasses import dataclass, field

from relume.errors import UsageError
from relume.graph import Graph
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.over import Over
from relume.nodes.recipes.integration import Integration
from relume.nodes.recipes.lighting import Lighting
from relume.nodes.recipes.sources import Knobs, Source, add_picture

ENVIRONMENT = "environment"
"""As a backdrop: what the first light from all around looks like itself."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is seen behind the subject.

    Attributes:
        picture: a picture, or `environment`.
        view: knobs of EnvironmentBackground.
        over: knobs of Over.
        join: what brings a relit subject closer to it.
    """

    picture: Source
    view: Knobs = field(default_factory=dict)
    over: Knobs = field(default_factory=dict)
    join: Integration = field(default_factory=Integration)


def background_of(backdrop: Backdrop | None, proxy: int) -> str | None:
    """Return the reference to the background picture at its full size, if there is one."""
    if backdrop is None or backdrop.picture == ENVIRONMENT:
        return None
    return "background" if proxy == 1 else "background_full"


def add_backdrop(
    graph: Graph, backdrop: Backdrop | None, lighting: Lighting, frame: str, proxy: int
) -> str:
    """Add what is behind the relit subject and return the reference to the finished picture.

    Args:
        graph: the graph.
        backdrop: what is wanted.
        lighting: the lights, one of which may be the backdrop.
        frame: the image whose windows an environment's picture takes.
        proxy: as in Plate.
    """
    if backdrop is None:
        return "relight.relit"
    if backdrop.picture == ENVIRONMENT:
        around = [name for name in lighting.lights if f"{name}_environment" in graph.nodes]
        if not around:
            raise UsageError(
                "there is no environment among the lights to show as the background",
                way_out="Give a light from a file or rig:PRESET, or a background picture",
            )
        seen = EnvironmentBackground.knobs()
        turned = {k: v for k, v in lighting.knobs_of(around[0]).items() if k in seen}
        graph.add(
            "background",
            EnvironmentBackground,
            {**turned, **backdrop.view},
            environment=f"{around[0]}_environment",
            plate=frame,
        )
    else:
        add_picture(graph, "background", backdrop.picture, proxy)
    subject = backdrop.join.add(graph, "relight.relit", "relight.passes", "background", proxy)
    return graph.add("over", Over, backdrop.over, foreground=subject, background="background")
