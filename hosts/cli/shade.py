"""`relume shade`: relight a plate that was analysed before."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.backdrops import backdrop_of, backdrop_options
from relume.hosts.cli.job import Job
from relume.hosts.cli.joins import join_options, joined
from relume.hosts.cli.knob_options import knobs_of
from relume.hosts.cli.lights import (
    light_options,
    lighting_of,
    plate_light_of,
    plate_light_options,
)
from relume.hosts.cli.options import (
    farm_options,
    frame_options,
    job_options,
    pass_option,
    write_options,
)
from relume.nodes.recipes import shade_graph


@click.command(
    epilog=example(
        "relume shade transport.####.exr --light studio.exr --light-rotation 90 \\",
        "--out relit.####.exr",
    ),
)
@click.argument("transport", type=click.Path(dir_okay=False))
@light_options
@backdrop_options
@join_options
@plate_light_options
@write_options
@pass_option
@frame_options
@job_options
@farm_options
@debug_option
def command(transport: str, **options: Any) -> int:
    """Relight what `relume analyse` made of a plate; no network runs, so it is quick."""
    graph = shade_graph(
        transport,
        lighting_of(options),
        knobs_of(options, "write"),
        joined(backdrop_of(options), options),
        plate_light_of(options),
    )
    return Job.of(options).carry_out(graph)
