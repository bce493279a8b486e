"""`relume normals`: estimate the normals of the people in a plate."""

from __future__ import annotations

from relume.hosts.cli.estimate import estimate
from relume.nodes.recipes import normals_graph

command = estimate(
    "normals",
    normals_graph,
    """Estimate the normals of the people in PLATE: X right, Y up, Z towards the camera.

    The file holds the layers normal and matte.
    """,
)
