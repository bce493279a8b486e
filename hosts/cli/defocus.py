"""`relume defocus`: blur the background of a portrait."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.hosts.cli.options import (
    FILE,
    device_option,
    frame_options,
    job_options,
    pass_option,
    plate_of,
    plate_options,
    several,
    write_options,
)
from relume.nodes.defocus import Defocus
from relume.nodes.recipes import defocus_graph

_lens_options = several(
    knob_option(Defocus, "radius", "--radius", on="lens"),
    knob_option(Defocus, "blades", "--blades", on="lens"),
    knob_option(Defocus, "rotation", "--rotation", on="lens"),
    knob_option(Defocus, "curvature", "--curvature", on="lens"),
    knob_option(Defocus, "margin", "--margin", on="lens"),
)


@click.command(
    epilog=example("relume defocus portrait.exr --radius 24 --blades 6 --out defocused.exr"),
)
@click.argument("plate", type=FILE)
@_lens_options
@plate_options
@write_options
@pass_option
@frame_options
@job_options
@device_option
@debug_option
def command(plate: str, **options: Any) -> int:
    """Blur what is behind the people in PLATE as a lens wide open would.

    RGBA is the picture; the layers background, foreground and matte are beside it, to put them
    together another way.
    """
    graph = defocus_graph(
        plate_of(plate, options), knobs_of(options, "lens"), knobs_of(options, "write")
    )
    return Job.of(options).carry_out(graph)
