"""`relume train release`, `export-onnx`, `evaluate` and `curves`: what became of the training."""

from __future__ import annotations

from pathlib import Path

import click

from relume.errors import UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.train_options import FOLDER, lab, stage_option


@click.command(epilog=example("relume train release --data stage --runs runs --out weights"))
@stage_option
@click.option("--runs", type=FOLDER, required=True, help="Folder of the runs.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the weights and manifests.")
@debug_option
def release(data: Path, runs: Path, out: Path) -> None:
    """Measure the relighting networks, and write the weights that relume loads."""
    with lab():
        from relume.training.release import release as write

        write(runs, data, out)
    click.echo(f"Weights in {out}; set RELUME_WEIGHTS={out} to use them.")


@click.command(
    "export-onnx", epilog=example("relume train export-onnx normals --size 1920x1080 --out n.onnx")
)
@click.argument("name", metavar="NETWORK")
@click.option("--size", metavar="WxH", default="1920x1088", show_default=True, help="Of pictures.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="ONNX file to write.",
)
@debug_option
def export_onnx(name: str, size: str, out: Path) -> None:
    """Write the installed weights of one NETWORK as an ONNX file.

    It is the network alone: normals, albedo, transport, express, or matte, which is its coarse
    pass. What each plane holds, and how colours are encoded, stands in the file's metadata.
    """
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"'{size}' is no size", way_out="Give it as 1920x1080")
    with lab():
        from relume.networks.onnx_export import export

        export(name, out, (int(width), int(height)))
    click.echo(out)


@click.command(epilog=example("relume train evaluate --data stage"))
@stage_option
@debug_option
def evaluate(data: Path) -> None:
    """Measure the installed weights on views of people they were not trained on."""
    from relume import weights

    with lab():
        from relume.training.evaluate import NAMES, report

        report(data, {name: weights.load(name) for name in NAMES}, say=click.echo)


@click.command(epilog=example("relume train curves runs --out curves.png"))
@click.argument("runs", type=click.Path(exists=True, path_type=Path), metavar="RUNS")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="curves.png",
    show_default=True,
    help="PNG to write.",
)
@debug_option
def curves(runs: Path, out: Path) -> None:
    """Draw the curves of RUNS, a folder of training runs or one log: loss and validation."""
    with lab():
        from relume.training.curves import draw, logs

        draw(logs(runs), out)
    click.echo(out)
