"""What trains in `relume train`: one network, all of them, or the matte on shots of your own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relume.errors import UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.options import FILE, several
from relume.hosts.cli.train_options import FOLDER, assets_option, data_option, lab, runs_option

if TYPE_CHECKING:
    from relume.training.matte_task import CoarseTask, RefineTask
    from relume.training.trainer import Plan, Result

fine_option = click.option(
    "--fine",
    type=FOLDER,
    multiple=True,
    help="More lit views, of 512 pixels and more (`train views --size`), from which alone the "
    "refiner then learns; may be given again.",
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


def network(name: str) -> click.Command:
    """Return the command that trains one of the relighting networks."""

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


@click.command(
    epilog=example(
        "relume train matte --data lit --out runs --minutes 40",
        "relume train matte --data lit --fine lit640 --out runs --minutes 40 --part refine",
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
@fine_option
@plan_options
@debug_option
def matte(
    data: Path, out: Path, assets: Path, part: str, fine: tuple[Path, ...], **options: Any
) -> None:
    """Train the matting network, going on from the checkpoint in OUT/matte."""
    with lab():
        from relume.training import matte_train
        from relume.training.trainer import train

        task: CoarseTask | RefineTask
        if part == "coarse":
            task = matte_train.coarse_task(data, assets, fine=fine)
        else:
            task = matte_train.refine_task(data, assets, out, fine=fine)
        _tell(task.name, train(task, out / task.name, _plan(options)))


@click.command(
    "all",
    epilog=example("relume train all --data lit --out runs --minutes 600 --half --echo 3"),
)
@data_option
@runs_option
@assets_option
@fine_option
@plan_options
@debug_option
def everything(data: Path, out: Path, assets: Path, fine: tuple[Path, ...], **options: Any) -> None:
    """Train every network after the other, each going on from its checkpoint in OUT.

    The minutes are shared out; steps are for each.
    """
    with lab():
        from relume.training.everything import train_all

        train_all(data, assets, out, _plan(options), _tell, fine)


@click.command(
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
