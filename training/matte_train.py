"""Train the matting network: `coarse`, then `refine` on top of it, then `export`.

Each is a command of its own: `python -m relume.training.matte_train coarse LIT ASSETS RUNS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from relume import weights
from relume.networks.matte import MatteNet
from relume.training import matte_evaluate
from relume.training.export import export, rounded
from relume.training.matte_batches import LARGE, SMALL, Composer, SceneOptions
from relume.training.matte_task import (
    HYPERPARAMETERS,
    CoarseTask,
    RefineTask,
    blended,
    fresh,
)
from relume.training.matte_views import stage_backgrounds, stage_subjects
from relume.training.plan_options import plan_of, plan_options
from relume.training.stage.dataset import list_views
from relume.training.trainer import CHECKPOINT, averaged, record, train

HEADS = 0.12
"""Share of people who end at the neck: scanned heads and close-ups have no shoulders."""

RECIPE = {
    "people": "light stage (training/stage): MakeHuman people (CC0), "
    "lit by relume.training.lit, clothes and hair recoloured; one in ten a drawn figure, "
    "one in eight a head without shoulders, every other of changed proportions, "
    "outfits of one to four cloths; FaceKit heads (MIT), glasses, hats, hands and props",
    "backgrounds": "crops of Poly Haven environments (CC0) of the split, openexr-images stills "
    "(BSD-3), procedural clutter, plain backdrops",
    "composition": "scene-linear ACEScg; blur, exposure, white balance, tone, noise, 8-bit "
    "clipping, block compression; a tenth without people, an eighth with two",
}


def coarse_task(
    lit: Path,
    assets: Path,
    *,
    fine: Sequence[Path] = (),
    shapes: Sequence[tuple[int, int]] = LARGE,
    start: MatteNet | None = None,
) -> CoarseTask:
    """Return the task of the coarse pass.

    Args:
        lit: folder of lit views.
        assets: folder of environments and stills.
        fine: more folders of lit views, of any size.
        shapes: heights and widths of its pictures.
        start: a network to go on from; or None.
    """
    # Large people take much memory.
    people = stage_subjects(lit, *fine, split="train", heads=HEADS, pool=200 if fine else 500)
    places = stage_backgrounds(assets, "train")
    composer = Composer(people, places, options=SceneOptions(shapes=0.5), shapes=shapes)
    return CoarseTask(composer, _held(lit, assets=assets), start=start)


def refine_task(
    lit: Path,
    assets: Path,
    runs: Path,
    *,
    fine: Sequence[Path] = (),
    start: MatteNet | None = None,
) -> RefineTask:
    """Return the task of the refiner on top of the coarse run's averaged weights.

    Args:
        lit: folder of lit views.
        assets: folder of environments and stills.
        runs: folder of the runs.
        fine: folders of lit views of 512 pixels and more, from which it then learns alone: what
            is enlarged teaches soft edges. Where they have people to validate on, these are it.
        start: a network whose refiner to go on from, and whose coarse pass where there is no run
            of it; or None.
    """
    # Drawn figures are as small as ordinary views.
    views = fine or [lit]
    people = stage_subjects(*views, split="train", drawn=0.02, heads=HEADS, pool=200)
    known = SceneOptions(plates=0.2, guides=0.2)
    composer = Composer(people, stage_backgrounds(assets, "train"), options=known)
    held = [folder for folder in fine if list_views(folder, "val")] or [lit]
    coarse = coarse_model(runs, start).coarse
    return RefineTask(composer, _held(*held, assets=assets), coarse, start=start)


def coarse_model(runs: Path, start: MatteNet | None = None) -> MatteNet:
    """Return the network as the coarse run left it; without a run, one that begins as `start`."""
    if start is not None and not (runs / "matte" / CHECKPOINT).exists():
        return _checked(fresh(start))
    return _checked(averaged(fresh, runs / "matte"))


def refined_model(runs: Path) -> MatteNet:
    """Return the network as the refiner's run left it, with the coarse run's pass if there is one.

    Without a run of the refiner it is the coarse run's.
    """
    if not (runs / "matte_refiner" / CHECKPOINT).exists():
        return coarse_model(runs)
    model = _checked(averaged(fresh, runs / "matte_refiner"))
    if (runs / "matte" / CHECKPOINT).exists():
        model.coarse = coarse_model(runs).coarse
    return model


def _checked(model: torch.nn.Module) -> MatteNet:
    assert isinstance(model, MatteNet)
    return model.eval()


def _held(*lit: Path, assets: Path) -> Composer:
    people = stage_subjects(*lit, split="val", drawn=0.0)
    return Composer(people, stage_backgrounds(assets, "val"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="relume.training.matte_train", description=__doc__, parents=[plan_options()]
    )
    parser.add_argument("part", choices=("coarse", "refine", "export"))
    parser.add_argument("lit", type=Path, help="folder of lit views (relume.training.lit)")
    parser.add_argument("assets", type=Path, help="folder of environments and stills")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument(
        "--fine",
        type=Path,
        nargs="*",
        default=[],
        help="folders of lit views of 512 pixels and more; the refiner learns from them alone",
    )
    parser.add_argument("--shapes", choices=("small", "large"), default="large")
    parser.add_argument("--out", type=Path, help="where export writes")
    parser.add_argument(
        "--blend",
        type=float,
        default=1.0,
        help="export's share of the run's coarse pass; the rest is the shipped one's",
    )
    parser.add_argument("--cycles", type=Path, help="path-traced views, for export's figures")
    parser.add_argument("--count", type=int, default=40, help="scenes that export measures on")
    parser.add_argument("--command", default="", help="how it was trained, for the manifest")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.part == "export":
        write(given)
        return
    start = _checked(weights.load("matte")) if given.shipped else None
    task: CoarseTask | RefineTask
    if given.part == "coarse":
        shapes = SMALL if given.shapes == "small" else LARGE
        task = coarse_task(given.lit, given.assets, fine=given.fine, shapes=shapes, start=start)
    else:
        task = refine_task(given.lit, given.assets, given.runs, fine=given.fine, start=start)
    if start is not None:
        # Those of both parts.
        task.before = weights.steps("matte")
    plan = plan_of(given, warm_up=100 if given.part == "coarse" else 30, validate_steps=500)
    result = train(task, given.runs / task.name, plan)
    print(task.name, result.step, "steps", result.figures, file=sys.stderr)


def write(given: argparse.Namespace) -> None:
    """Round, measure and write the weights."""
    model = refined_model(given.runs)
    if given.blend < 1.0:
        model = blended(model, _checked(weights.load("matte")), given.blend)
    model = _checked(rounded(model))
    figures: dict[str, dict[str, float]] = {}
    if given.count:
        wanted = argparse.Namespace(
            lit=given.lit,
            assets=given.assets,
            cycles=given.cycles,
            split="test",
            count=given.count,
            size=512,
        )
        figures = matte_evaluate.report(model, wanted)
    runs = [given.runs / name for name in ("matte", "matte_refiner")]
    told = [record(run) for run in runs if (run / CHECKPOINT).exists()]
    # What both began with is counted once.
    steps = sum(each.steps for each in told) + max(each.before for each in told)
    export(
        "matte",
        model,
        folder=given.out,
        hyperparameters=HYPERPARAMETERS,
        recipe=RECIPE,
        seed=given.seed,
        steps=steps,
        figures=figures,
        command=given.command,
    )


if __name__ == "__main__":
    main()
