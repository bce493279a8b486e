"""`relume relight`: relight the people in a plate."""

from __future__ import annotations

from dataclasses import replace
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
    pass_option,
    plate_of,
    plate_options,
    profile_option,
    refuse,
    render_options,
    write_options,
)
from relume.nodes.recipes import RENDERERS, relight_graph


@click.command(
    epilog=example(
        "relume relight plate.####.exr --light studio.exr --background environment \\",
        "--frames 1001-1100 --out relit.####.exr",
    ),
)
@click.argument("plate", type=click.Path(dir_okay=False))
@light_options
@click.option(
    "--renderer",
    type=click.Choice(RENDERERS),
    default="transport",
    show_default=True,
    help="Linear in the light, with a pass a light; or the paper's networks, which see all lights "
    "at once.",
)
@backdrop_options
@join_options
@plate_options
@profile_option
@plate_light_options
@write_options
@pass_option
@render_options
@debug_option
def command(plate: str, **options: Any) -> int:
    """Relight the people in PLATE, a picture or a sequence.

    The file holds the composite as RGBA and every step as a pass: foreground, albedo, normal,
    matte, the light at every pixel, diffuse + specular + residual = relit, and one relit picture a
    light.
    """
    if options["renderer"] == "unet":
        looks = [name for name in options if name.startswith("look__")]
        refuse(options, "with --renderer unet", *looks)
    graph = relight_graph(
        replace(plate_of(plate, options), light=plate_light_of(options)),
        lighting_of(options),
        knobs_of(options, "write"),
        joined(backdrop_of(options), options),
        options["renderer"],
    )
    return Job.of(options).carry_out(graph)
