"""Graphs for the usual jobs, as plain functions: every host starts from these.

A picture is given as a file name, or as the knobs of the node that reads it. The names of the
nodes are part of the contract: saved graphs and `--set` rely on them.
"""

from __future__ import annotations

from relume.nodes.recipes.backdrop import ENVIRONMENT, Backdrop
from relume.nodes.recipes.graphs import (
    RENDERERS,
    TEMPLATES,
    albedo_graph,
    analyse_graph,
    defocus_graph,
    environment_graph,
    light_graph,
    matte_graph,
    normals_graph,
    relight_graph,
    shade_graph,
)
from relume.nodes.recipes.integration import Integration
from relume.nodes.recipes.lighting import (
    BACKGROUND,
    ORIGINAL,
    RIG,
    Lighting,
    PlateLight,
    is_estimated,
)
from relume.nodes.recipes.plate import METHODS, PROFILES, Plate
from relume.nodes.recipes.sources import Knobs, Source

__all__ = [
    "BACKGROUND",
    "ENVIRONMENT",
    "METHODS",
    "ORIGINAL",
    "PROFILES",
    "RENDERERS",
    "RIG",
    "TEMPLATES",
    "Backdrop",
    "Integration",
    "Knobs",
    "Lighting",
    "Plate",
    "PlateLight",
    "Source",
    "albedo_graph",
    "analyse_graph",
    "defocus_graph",
    "environment_graph",
    "is_estimated",
    "light_graph",
    "matte_graph",
    "normals_graph",
    "relight_graph",
    "shade_graph",
]
