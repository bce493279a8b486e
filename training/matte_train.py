"""Train the matting network: `coarse`, then `refine` on top of it, then `export`.

Each is a command of its own: `python -m relume.training.matte_train coarse LIT ASSETS RUNS`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from relume.networks.matte import MatteNet
from relume.training import matte_evaluate
from relume.training.export import export, rounded
from relume.training.matte_batches import LARGE, SMALL, Composer, SceneOptions
from relume.training.matte_task import HYPERPARAMETERS, CoarseTask, RefineTask
from relume.training.matte_views import stage_backgrounds, stage_subjects
from relume.training.trainer import CHECKPOINT, Plan, averaged, train

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


def coarse_task(given: argparse.Namespace) -> CoarseTask:
    """Return the task of the coarse pass."""
    shapes = SMALL if given.shapes == "small" else LARGE
    people = stage_subjects(given.lit, "train", heads=HEADS)
    places = stage_backgrounds(given.assets, "train")
    varied = SceneOptions(shapes=0.5)
    return CoarseTask(Composer(people, places, options=varied, shapes=shapes), _held(given))


def refine_task(given: argparse.Namespace) -> RefineTask:
    """Return the task of the refiner on top of the coarse run's averaged weights."""
    people = stage_subjects(given.lit, "train", heads=HEADS)
    places = stage_backgrounds(given.assets, "train")
    return RefineTask(Composer(people, places), _held(given), coarse_model(given.runs).coarse)


def coarse_model(runs: Path) -> MatteNet:
    """Return the network as the coarse run left it."""
    return _checked(averaged(CoarseTask.model, runs / "matte"))


def refined_model(runs: Path) -> MatteNet:
    """Return the network with the refiner's run on top, or without where there is none."""
    coarse = coarse_model(runs)
    if (runs / "matte_refiner" / CHECKPOINT).exists():
        coarse.refiner = _checked(averaged(CoarseTask.model, runs / "matte_refiner")).refiner
    return coarse


def _checked(model: torch.nn.Module) -> MatteNet:
    assert isinstance(model, MatteNet)
    return model.eval()


def _held(given: argparse.Namespace) -> Composer:
    return Composer(
        stage_subjects(given.lit, "val", drawn=0.0), stage_backgrounds(given.assets, "val")
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.matte_train", description=__doc__)
    parser.add_argument("part", choices=("coarse", "refine", "export"))
    parser.add_argument("lit", type=Path, help="folder of lit views (relume.training.lit)")
    parser.add_argument("assets", type=Path, help="folder of environments and stills")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--shapes", choices=("small", "large"), default="large")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--echo", type=int, default=1, help="how often a batch is used")
    parser.add_argument("--half", action="store_true", help="bfloat16 arithmetic on a CPU too")
    parser.add_argument("--out", type=Path, help="where export writes")
    parser.add_argument("--cycles", type=Path, help="path-traced views, for export's figures")
    parser.add_argument("--count", type=int, default=40, help="scenes that export measures on")
    parser.add_argument("--command", default="", help="how it was trained, for the manifest")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.part == "export":
        write(given)
        return
    task = coarse_task(given) if given.part == "coarse" else refine_task(given)
    plan = Plan(
        steps=given.steps,
        minutes=given.minutes,
        seed=given.seed,
        threads=given.threads,
        rate=given.rate,
        half=given.half or None,
        echo=given.echo,
        warm_up=100 if given.part == "coarse" else 30,
        validate_steps=500,
    )
    result = train(task, given.runs / task.name, plan)
    print(task.name, result.step, "steps", result.figures, file=sys.stderr)


def write(given: argparse.Namespace) -> None:
    """Round, measure and write the weights."""
    model = _checked(rounded(refined_model(given.runs)))
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
    steps = _steps(given.runs / "matte") + _steps(given.runs / "matte_refiner")
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


def _steps(folder: Path) -> int:
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    return int(torch.load(path, map_location="cpu", weights_only=True)["step"])


if __name__ == "__main__":
    main()
