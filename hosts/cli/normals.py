"""`relume normals`: estimate the normals of the people in a plate."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knobs_of
from relume.hosts.cli.options import (
    device_option,
    frame_options,
    job_options,
    plate_of,
    plate_options,
    write_options,
)
from relume.nodes.recipes import normals_graph


@click.command(
    epilog=example("relume normals plate.####.exr --frames 1001-1100 --out normals.####.exr"),
)
@click.argument("plate", type=click.Path(dir_okay=False))
@plate_options
@write_options
@frame_options
@job_options
@device_option
@debug_option
def command(plate: str, **options: Any) -> int:
    """Estimate the normals of the people in PLATE: X right, Y up, Z towards the camera.

    The file holds the layers normal and matte.
    """
    graph = normals_graph(plate_of(plate, options), knobs_of(options, "write"))
    return Job.of(options).carry_out(graph)
