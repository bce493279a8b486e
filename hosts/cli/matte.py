"""`relume matte`: pull a matte."""

from __future__ import annotations

from typing import Any

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.backdrops import backdrop_of, background_options
from relume.hosts.cli.job import Job
from relume.hosts.cli.knob_options import knob_option, knobs_of
from relume.hosts.cli.options import (
    FILE,
    pass_option,
    plate_of,
    plate_options,
    render_options,
    write_options,
)
from relume.nodes.onnx_matte import OnnxMatte
from relume.nodes.recipes import METHODS, matte_graph


@click.command(
    epilog=example("relume matte plate.####.exr --frames 1001-1100 --out matte.####.exr"),
)
@click.argument("plate", type=FILE)
@click.option(
    "--trimap", type=FILE, help="Background black, unknown grey, foreground white; it always wins."
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="closed-form solves the trimap's unknown pixels without a network, for any subject.  "
    "[default: network]",
)
@knob_option(OnnxMatte, "model", "--model", on="model")
@knob_option(OnnxMatte, "adapter", "--adapter", on="model")
@plate_options
@background_options
@write_options
@pass_option
@render_options
@debug_option
def command(plate: str, **options: Any) -> int:
    """Pull a matte of the people in PLATE, with the foreground's own colour at its edges.

    RGBA is the cut-out, premultiplied, or the composite over --background; the layers foreground,
    matte and trimap are beside it.
    """
    if len(knobs_of(options, "model")) == 1:
        raise click.UsageError("--model and --adapter go together.", click.get_current_context())
    graph = matte_graph(plate_of(plate, options), knobs_of(options, "write"), backdrop_of(options))
    return Job.of(options).carry_out(graph)
