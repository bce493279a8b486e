"""`relume run`: render a graph document."""

from __future__ import annotations

from typing import Any

import click

from relume.errors import UsageError
from relume.graph import Graph
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.options import device_option, farm_options, frame_options, job_options
from relume.nodes.registry import REGISTRY


@click.command(
    epilog=example(
        "relume run comp.json --frames 1001-1100x2 --set light.exposure=1 --skip-existing",
        "relume run comp.json --jobs 8 --log frames.jsonl",
    ),
)
@click.argument("graph", type=click.Path())
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NODE.KNOB=VALUE",
    help="Set a knob; may be repeated. A value that changes over time is written as its keys: "
    '{"keys": [[1001, 0], [1100, 2]], "interp": "linear"}.',
)
@frame_options
@job_options
@farm_options
@device_option
@debug_option
def command(graph: str, settings: tuple[str, ...], **options: Any) -> int:
    """Render every Write node of the graph in GRAPH."""
    document = Graph.load(graph, REGISTRY)
    for setting in settings:
        target, equals, text = setting.partition("=")
        if not equals or "." not in target:
            raise UsageError(f"'{setting}' sets no knob", way_out="Write --set node.knob=value")
        document.set(target, text, REGISTRY)
    return Job.of({**options, "table": True}).carry_out(document)
