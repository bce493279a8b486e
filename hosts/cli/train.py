"""`relume train`: the training lab from the command line, over the functions of relume.training."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relume.errors import InputError, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import FILE, several

if TYPE_CHECKING:
    from relume.training.trainer import Plan, Result

FOLDER = click.Path(file_okay=False, path_type=Path)
FOLDER.name = "folder"

data_option = click.option(
    "--data", type=FOLDER, required=True, help="Folder of lit views, from `relume train light`."
)
stage_option = click.option(
    "--data", type=FOLDER, required=True, help="Folder of views, from `relume train views`."
)
runs_option = click.option("--out", type=FOLDER, required=True, help="Folder of the runs.")
assets_option = click.option(
    "--assets",
    type=FOLDER,
    required=True,
    envvar="RELUME_ASSETS",
    show_envvar=True,
    help="Folder of environments and stills, for backgrounds.",
)
split_option = click.option(
    "--split",
    type=click.Choice(("train", "val", "test")),
    default="train",
    show_default=True,
    help="Which views; no person is in two splits.",
)
plan_options = several(
    click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        metavar="MINUTES",
        help="Minutes to train in all; the learning rate follows the clock.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(min=1),
        metavar="N",
        help="Steps to train in all.  [default: 20000]",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), metavar="N", help="Seed of everything.  [default: 1]"
    ),
    click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="NUMBER",
        help="Learning rate.",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: 1]"
    ),
    click.option("--device", metavar="DEVICE", help="cpu, cuda …  [default: cpu]"),
    click.option(
        "--half/--full",
        default=None,
        help="Arithmetic in bfloat16; a recent processor gains a third.  [default: on cuda]",
    ),
    click.option(
        "--echo",
        type=click.IntRange(min=1),
        metavar="N",
        help="How often a batch is used, where making one takes long.  [default: 1]",
    ),
)


@click.group()
@debug_option
def command() -> None:
    """Train and judge the networks; needs the extra [training].

    The order is: views, light, all (or matte, normals, albedo, transport one by one), release.
    """


@contextmanager
def lab() -> Iterator[None]:
    """Tell what is missing for training in a sentence.

    Raises:
        UsageError: a package of the extra is not installed.
        InputError: a file is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"training needs the package '{error.name}', which is not installed",
            way_out="pip install 'relume[training]'",
        ) from error
    except FileNotFoundError as error:
        file = f" ({error.filename})" if error.filename else ""
        raise InputError(
            f"{error.strerror or error}{file}", way_out="Make the data first: relume train --help"
        ) from error


@command.command(epilog=example("relume train views --out stage --split train --count 400"))
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
@debug_option
def views(out: Path, split: str, count: int, seed: int, first: int) -> None:
    """Render people on the synthetic light stage; what is there already is kept."""
    with lab():
        from relume.training.stage.make import make_views

        made = make_views(out, split, count, seed, progress=click.echo, first=first)
    click.echo(f"{made} views rendered in {out / split}.")


@command.command(epilog=example("relume train light --data stage --out lit"))
@stage_option
@click.option("--out", type=FOLDER, required=True, help="Folder of the lit views.")
@debug_option
def light(data: Path, out: Path) -> None:
    """Light every view that is not lit yet, under many lights each."""
    with lab():
        from relume.training.lit import light_folder

        lit = light_folder(data, out)
    click.echo(f"{lit} views lit in {out}.")


def _network(name: str) -> click.Command:
    @click.command(
        name,
        help=f"Train the {name} network, going on from the checkpoint in OUT/{name}.",
        epilog=example(f"relume train {name} --data lit --out runs --minutes 60"),
    )
    @data_option
    @runs_option
    @plan_options
    @debug_option
    def train(data: Path, out: Path, **options: Any) -> None:
        with lab():
            from relume.training.relight_nets import train_one

            _tell(name, train_one(name, data, out, _plan(options)))

    return train


for _name in ("normals", "albedo", "transport", "neural"):
    command.add_command(_network(_name))


@command.command(
    epilog=example(
        "relume train matte --data lit --out runs --minutes 40",
        "relume train matte --data lit --out runs --minutes 20 --part refine",
    )
)
@data_option
@runs_option
@assets_option
@click.option(
    "--part",
    type=click.Choice(("coarse", "refine")),
    default="coarse",
    show_default=True,
    help="The coarse pass, or the refiner on top of it.",
)
@plan_options
@debug_option
def matte(data: Path, out: Path, assets: Path, part: str, **options: Any) -> None:
    """Train the matting network, going on from the checkpoint in OUT/matte."""
    with lab():
        from relume.training import matte_train
        from relume.training.trainer import train

        given = Namespace(lit=data, assets=assets, runs=out, shapes="large")
        make = matte_train.coarse_task if part == "coarse" else matte_train.refine_task
        task = make(given)
        _tell(task.name, train(task, out / task.name, _plan(options)))


@command.command(
    "all",
    epilog=example("relume train all --data lit --out runs --minutes 600 --half --echo 3"),
)
@data_option
@runs_option
@assets_option
@plan_options
@debug_option
def everything(data: Path, out: Path, assets: Path, **options: Any) -> None:
    """Train every network after the other, each going on from its checkpoint in OUT.

    The minutes are shared out; steps are for each.
    """
    with lab():
        from relume.training.everything import train_all

        train_all(data, assets, out, _plan(options), _tell)


@command.command(
    epilog=example(
        "relume train finetune plate.####.exr --clean-plate clean.exr --minutes 30 --out tuned",
        "RELUME_WEIGHTS=tuned relume matte plate.####.exr --clean-plate clean.exr --out a.####.exr",
    )
)
@click.argument("shots", nargs=-1, required=True, metavar="SHOT…", type=FILE)
@click.option(
    "--clean-plate",
    "clean_plates",
    multiple=True,
    required=True,
    type=FILE,
    help="The view without the subject: one for all shots, or one each in the same order.",
)
@click.option(
    "--truth",
    "truths",
    multiple=True,
    type=FILE,
    help="Finished mattes to measure against, never to learn from; one for each shot.",
)
@click.option(
    "--background",
    "backgrounds",
    multiple=True,
    type=FILE,
    help="A picture to put behind people as well; may be repeated.",
)
@click.option("--out", type=FOLDER, required=True, help="Folder of the run and its weights.")
@plan_options
@debug_option
def finetune(shots: tuple[str, ...], out: Path, **options: Any) -> None:
    """Fine-tune the matting network on SHOTs of your own with clean plates; no mattes needed.

    Going on from the checkpoint in OUT. The last fifth of every shot is held out and measured
    before and after; OUT then holds weights for RELUME_WEIGHTS.
    """
    clean, truth = options.pop("clean_plates"), options.pop("truths")
    backgrounds = options.pop("backgrounds")
    if len(clean) not in (1, len(shots)) or len(truth) not in (0, len(shots)):
        raise UsageError(
            f"there are {len(shots)} shots, {len(clean)} clean plates and {len(truth)} truths",
            way_out="Give --clean-plate once or once a shot, and --truth once a shot or not at all",
        )
    with lab():
        from relume.training.finetune_shots import Shot
        from relume.training.matte_finetune import finetune as run

        given = [
            Shot(plate, clean[k % len(clean)], truth[k] if truth else "")
            for k, plate in enumerate(shots)
        ]
        figures = run(
            given, out, _plan(options), backgrounds=backgrounds, say=lambda text: click.echo(text)
        )
    _compare(figures["before"], figures["after"])
    click.echo(f"Weights in {out}; set RELUME_WEIGHTS={out} to use them.")


def _compare(before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """Print figures of the frames held out, and say so where they got worse."""
    click.echo("Held-out frames   before    after")
    for name, value in before.items():
        click.echo(f"{name:<15} {value:8.3f} {after[name]:8.3f}")
    judge = "mad" if "mad" in before else "rebuild"
    if after[judge] > before[judge]:
        click.echo(f"{judge} got worse: keep the weights there were.", err=True)


def _plan(options: Mapping[str, Any]) -> Plan:
    from relume.training.trainer import Plan

    given = {key: value for key, value in options.items() if value is not None}
    return Plan(**{"steps": 20000, **given})


def _tell(name: str, result: Result) -> None:
    figures = ", ".join(f"{key} {value:.4g}" for key, value in result.figures.items())
    minutes = result.seconds / 60.0
    click.echo(f"{name}: {result.step} steps in {minutes:.1f} min. {figures}".rstrip())


@command.command(epilog=example("relume train release --data stage --runs runs --out weights"))
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


@command.command(
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

    It is the network alone: normals, albedo, transport, or matte, which is its coarse pass. What
    each plane holds, and how colours are encoded, stands in the file's metadata.
    """
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"'{size}' is no size", way_out="Give it as 1920x1080")
    with lab():
        from relume.networks.onnx_export import export

        export(name, out, (int(width), int(height)))
    click.echo(out)


@command.command(epilog=example("relume train evaluate --data stage"))
@stage_option
@debug_option
def evaluate(data: Path) -> None:
    """Measure the installed weights on views of people they were not trained on."""
    from relume import weights

    with lab():
        from relume.training.evaluate import NAMES, report

        report(data, {name: weights.load(name) for name in NAMES}, say=click.echo)


@command.command(epilog=example("relume train curves runs --out curves.png"))
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


@command.command(epilog=example("relume train preview --data stage --out preview.png"))
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
