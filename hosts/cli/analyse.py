"""`relume analyse`: estimate the light transport of a plate, to relight it later."""

from __future__ import annotations

from relume.hosts.cli.estimate import estimate
from relume.nodes.recipes import analyse_graph

command = estimate(
    "analyse",
    analyse_graph,
    """Estimate how light travels over the people in PLATE, for `relume shade`.

    No new light is needed yet: any number of them can be tried on the result.
    """,
    filmed=True,
)
