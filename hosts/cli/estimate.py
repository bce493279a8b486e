"""Commands that estimate something of the people in a plate, and write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from relume.graph import Graph
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knobs_of
from relume.hosts.cli.lights import plate_light_of, plate_light_options
from relume.hosts.cli.options import (
    plate_of,
    plate_options,
    profile_option,
    render_options,
    write_options,
)
from relume.nodes.recipes import Plate, Source


def estimate(
    name: str, graph: Callable[[Plate, Source], Graph], text: str, *, filmed: bool = False
) -> click.Command:
    """Return a command that takes a plate and a file to write.

    Args:
        name: what users type.
        graph: makes the graph from the plate and the knobs of its Write node.
        text: what its help says.
        filmed: whether it has a use for the light the plate was filmed under.
    """

    def command(plate: str, **options: Any) -> int:
        known = plate_of(plate, options)
        if filmed:
            known = replace(known, light=plate_light_of(options))
        return Job.of(options).carry_out(graph(known, knobs_of(options, "write")))

    command.__doc__ = text
    for option in (
        debug_option,
        render_options,
        write_options,
        *([plate_light_options] if filmed else []),
        profile_option,
        plate_options,
        click.argument("plate", type=click.Path(dir_okay=False)),
    ):
        command = option(command)
    sample = f"relume {name} plate.####.exr --frames 1001-1100 --out {name}.####.exr"
    return click.command(name, epilog=example(sample))(command)
