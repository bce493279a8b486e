"""Measure trained relighting networks and write the weights that ship.

`python -m relume.training.release RUNS STAGE OUT [--cycles FOLDER]`

With `--only NAME…` these networks are taken from the runs and the others are those that ship; with
`--renew` the figures of those are written anew too, as all are measured together.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from relume import weights
from relume.errors import UsageError
from relume.training.evaluate import cycles_cases, evaluate, stage_cases
from relume.training.evaluate_table import table
from relume.training.export import export, rounded
from relume.training.growth import between, grow
from relume.training.lit import LIGHTS, POOLS
from relume.training.relight_nets import averaged_of
from relume.training.relight_task import ALL, SETTINGS
from relume.training.stage.dataset import WIDE, list_views
from relume.training.trainer import CHECKPOINT, LOG, record

OWN = {
    "normals": ("normals", "flat"),
    "albedo": ("albedo", "mean_colour", "own_mean", "plate_rmse"),
    "express": ("fast", "flat", "mean_colour", "plate_rmse", "unlit_copy"),
    "neural": ("unet", "true_form", "unlit_copy", "true_lambert", "true_phong"),
}
"""Prefixes of the figures that belong to a network; the transport keeps the whole chain's."""


def recipe(stage: Path) -> dict[str, Any]:
    """Return what the networks were trained on."""
    wide = sum(int(path.stem) >= WIDE for path in list_views(stage, "train"))
    heads = f"; ICT FaceKit heads (MIT) among {wide} views of the wide cast" if wide else ""
    return {
        "views": {split: len(list_views(stage, split)) for split in ("train", "val", "test")},
        "people": f"MakeHuman meshes, targets, clothes and skins (CC0), recoloured{heads}; no two "
        "splits share a person or a head of hair",
        "light": f"{POOLS['train']} lights: Poly Haven environments (CC0) turned at random, lamps "
        f"and studio rigs; {LIGHTS} a view, combined; held-out environments for val and test",
        "made_by": "relume.training.stage make, relume.training.lit",
        "space": "ACEScg, after the exposure anchor",
        "photographs": "none",
    }


def release(
    runs: Path,
    stage: Path,
    out: Path,
    cycles: Path | None = None,
    limit: int | None = None,
    only: Sequence[str] = (),
    *,
    renew: bool = False,
    share: float = 1.0,
) -> dict[str, Any]:
    """Round, measure and export the networks that there are runs of.

    Args:
        runs: folder of the runs.
        stage: folder of the stage's splits.
        out: takes the weights and manifests.
        cycles: folder of path-traced views.
        limit: most test views; all of the split if there is none.
        only: the networks to take from the runs; all that are there if none is named.
        renew: also write the networks that ship, with what is measured now.
        share: of the runs' weights, above 0 and at most 1; the rest is of those that ship.

    Returns:
        Figures by test set.

    Raises:
        UsageError: the share is none.
    """
    if not 0.0 < share <= 1.0:
        raise UsageError(
            f"{share:g} is no share of a run", way_out="Give more than 0 and at most 1"
        )
    there = [name for name in ALL if (runs / name / CHECKPOINT).exists()]
    names = [name for name in ALL if name in only] if only else there
    models = {
        name: rounded(_of_run(name, runs, share)) if name in names else weights.load(name)
        for name in ALL
    }
    figures: dict[str, Any] = {"stage_test": evaluate(stage_cases(stage, limit=limit), models)}
    if cycles is not None and any(cycles.glob("[!.]*.npz")):
        figures["cycles"] = evaluate(cycles_cases(cycles), models)
    for name, found in figures.items():
        print(f"\n{name}: {table(found)}", flush=True)
    for name in ALL if renew else names:
        own = {
            kind: {key: round(value, 4) for key, value in found.items() if _belongs(key, name)}
            for kind, found in figures.items()
        }
        known = _told(name, runs / name, stage, share) if name in names else weights.manifest(name)
        export(
            name,
            models[name],
            folder=out,
            hyperparameters=known["hyperparameters"],
            recipe=known["data"],
            seed=known["seed"],
            steps=known["steps"],
            figures=own,
            command=known["command"],
        )
    return figures


def _of_run(name: str, runs: Path, share: float) -> nn.Module:
    """Return the network of a run, or one between what ships and what became of it."""
    after = averaged_of(name, runs)
    if share == 1.0:
        return after
    before = copy.deepcopy(after)
    grow(before, weights.load(name))
    return between(before, after, share)


def _belongs(figure: str, name: str) -> bool:
    """Return whether a figure is one of a network's own."""
    if name in OWN:
        return figure.startswith(("views", *OWN[name]))
    return not figure.startswith("fast")


def _told(name: str, run: Path, stage: Path, share: float) -> dict[str, Any]:
    """Return what a manifest says of how a network was made, of one that comes from a run."""
    told = record(run)
    return {
        "hyperparameters": SETTINGS[name],
        "data": recipe(stage),
        "seed": told.seed,
        "steps": told.before + told.steps,
        "command": _commands(name, run, share),
    }


def _commands(name: str, run: Path, share: float) -> str:
    """Return the commands that trained a network, from its first step on.

    They are what its run noted; before it, where it began with the weights that ship, theirs.
    """
    lines = (run / LOG).read_text(encoding="utf-8").splitlines()
    noted = [json.loads(line).get("command") for line in lines if '"command"' in line]
    told = [text for text in noted if text]
    if told and "--shipped" in told[0].split():
        told.insert(0, str(weights.manifest(name)["command"]))
    trained = "; ".join(dict.fromkeys(told)) or "unknown"
    if share == 1.0:
        return trained
    return f"{trained}; python -m relume.training.release --share {share:g}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.release", description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("stage", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cycles", type=Path)
    parser.add_argument("--limit", type=int, help="most test views; all by default")
    parser.add_argument("--only", nargs="*", choices=ALL, default=())
    parser.add_argument(
        "--renew", action="store_true", help="also write what ships, with today's figures"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the runs, what ships the rest")
    given = parser.parse_args()
    release(
        given.runs,
        given.stage,
        given.out,
        given.cycles,
        given.limit,
        given.only,
        renew=given.renew,
        share=given.share,
    )


if __name__ == "__main__":
    main()
