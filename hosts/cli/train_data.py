"""`relume train views`, `light` and `preview`: what the networks learn from."""

from __future__ import annotations

from pathlib import Path

import click

from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.train_options import FOLDER, lab, split_option, stage_option


@click.command(epilog=example("relume train views --out stage --split train --count 400"))
@click.option("--out", type=FOLDER, required=True, help="Folder of the views.")
@split_option
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Views.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=1,
    show_default=True,
    help="Seed of poses, clothes and cameras.",
)
@click.option(
    "--first",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Number of the first; from 1000 on: bare heads, glasses, hats, hands.",
)
@click.option(
    "--size",
    type=click.IntRange(min=16),
    metavar="N",
    default=256,
    show_default=True,
    help="Pixels on a side.",
)
@debug_option
def views(out: Path, split: str, count: int, seed: int, first: int, size: int) -> None:
    """Render people on the synthetic light stage; what is there already is kept."""
    with lab():
        from relume.training.stage.make import make_views

        made = make_views(out, split, count, seed, (size, size), progress=click.echo, first=first)
    click.echo(f"{made} views rendered in {out / split}.")


@click.command(epilog=example("relume train light --data stage --out lit"))
@stage_option
@click.option("--out", type=FOLDER, required=True, help="Folder of the lit views.")
@debug_option
def light(data: Path, out: Path) -> None:
    """Light every view that is not lit yet, under many lights each."""
    with lab():
        from relume.training.lit import light_folder

        lit = light_folder(data, out)
    click.echo(f"{lit} views lit in {out}.")


@click.command(epilog=example("relume train preview --data stage --out preview.png"))
@stage_option
@split_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="preview.png",
    show_default=True,
    help="PNG to write.",
)
@click.option(
    "--first", type=click.IntRange(min=0), metavar="N", default=0, help="First view drawn."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", default=8, help="Views drawn.")
@debug_option
def preview(data: Path, split: str, out: Path, first: int, count: int) -> None:
    """Draw views as a sheet to look at: alpha, normals, albedo, and some lights."""
    with lab():
        from relume.training.stage.preview import write_preview

        write_preview(data, split, out, first, count)
    click.echo(out)
