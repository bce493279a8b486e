"""`relume light`: convolve an environment into the maps that shade a subject."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.hosts.cli.lights import (
    OF_ESTIMATES,
    estimate_options,
    light_space_option,
    parse_light,
)
from relume.hosts.cli.options import frame_options, job_options, refuse, write_options
from relume.nodes.estimate_light import EstimateLight
from relume.nodes.recipes import environment_graph, is_estimated, light_graph


@click.command(
    epilog=example(
        "relume light studio.exr --out maps.exr",
        "relume light background:street.exr --fov 60 --environment --out light.exr",
    ),
)
@click.argument("environment")
@click.option(
    "--environment",
    "itself",
    is_flag=True,
    help="Write the environment itself, a lat-long picture, instead of its maps.",
)
@light_space_option
@knob_option(EstimateLight, "fov", "--fov", on="estimate")
@estimate_options
@write_options
@frame_options
@job_options
@debug_option
def command(environment: str, **options: Any) -> int:
    """Convolve ENVIRONMENT into the maps that shade a subject.

    ENVIRONMENT is a lat-long picture, rig:PRESET for a drawn one, or background:PLATE for the light
    that a plate says is around it.

    The file holds the lat-long maps diffuse, specular_001, specular_016 … in absolute light, and
    the spherical harmonics as the stripes of the layer harmonics.
    """
    light = parse_light(environment)
    if isinstance(light, str):
        refuse(options, "on a light that is drawn", "light__colour")
    else:
        light = {**light, **knobs_of(options, "light")}
    if not is_estimated(light):
        refuse(options, "without background:PLATE", *OF_ESTIMATES)
    build = environment_graph if options["itself"] else light_graph
    graph = build(light, knobs_of(options, "write"), knobs_of(options, "estimate"))
    return Job.of(options).carry_out(graph)
