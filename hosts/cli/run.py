"""`relume run`: render a graph document."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.options import render_options, set_option
from relume.hosts.farm.graphs import load


@click.command(
    epilog=example(
        "relume run comp.json --frames 1001-1100x2 --set light.exposure=1 --skip-existing",
        "relume run comp.json --jobs 8 --log frames.jsonl",
    ),
)
@click.argument("graph", type=click.Path())
@set_option
@render_options
@debug_option
def command(graph: str, changes: tuple[str, ...], **options: Any) -> int:
    """Render every Write node of the graph in GRAPH."""
    return Job.of({**options, "table": True}).carry_out(load(graph, changes))
