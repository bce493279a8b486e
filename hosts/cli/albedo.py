"""`relume albedo`: estimate their albedo."""

from __future__ import annotations

from relume.hosts.cli.estimate import estimate
from relume.nodes.recipes import albedo_graph

command = estimate(
    "albedo",
    albedo_graph,
    """Estimate the albedo of the people in PLATE: their colour without the light.

    The file holds the layers albedo and matte.
    """,
)
