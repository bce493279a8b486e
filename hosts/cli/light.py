"""`relume light`: convolve an environment into the maps that shade a subject."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knobs_of
from relume.hosts.cli.lights import light_space_option, parse_light
from relume.hosts.cli.options import frame_options, job_options, refuse, write_options
from relume.nodes.recipes import light_graph


@click.command(
    epilog=example("relume light studio.exr --out maps.exr"),
)
@click.argument("environment")
@light_space_option
@write_options
@frame_options
@job_options
@debug_option
def command(environment: str, **options: Any) -> int:
    """Convolve ENVIRONMENT, a lat-long picture or rig:PRESET, into the maps that shade a subject.

    The file holds the lat-long maps diffuse, specular_001, specular_016 … in absolute light, and
    the spherical harmonics as the stripes of the layer harmonics.
    """
    light = parse_light(environment)
    if isinstance(light, str):
        refuse(options, "on a light that is drawn", "light__colour")
    else:
        light = {**light, **knobs_of(options, "light")}
    return Job.of(options).carry_out(light_graph(light, knobs_of(options, "write")))
