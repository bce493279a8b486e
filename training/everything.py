"""Every network after the other, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from relume.training.trainer import Plan, Result, train

SHARES = {
    "matte": 0.3,
    "matte_refiner": 0.15,
    "normals": 0.18,
    "albedo": 0.18,
    "transport": 0.1,
    "express": 0.09,
}
"""Share of the minutes that each network gets: what is hardest to see gets most."""


def train_all(
    data: Path,
    assets: Path,
    runs: Path,
    plan: Plan,
    say: Callable[[str, Result], None],
    fine: Sequence[Path] = (),
) -> None:
    """Train every network that is shipped as best, each going on where it stopped.

    A run that was killed goes on with the network it was at: those before have used up their
    minutes or steps and are only validated again.

    Args:
        data: folder of lit views.
        assets: folder of environments and stills.
        runs: folder of the runs, one folder a network.
        plan: its minutes are shared out by `SHARES`; its steps hold for each.
        say: told every network's name and result as it is done.
        fine: folders of lit views of 512 pixels and more, for the matte's refiner.
    """
    from relume.training import matte_train
    from relume.training.relight_nets import train_one

    for name, share in SHARES.items():
        minutes = None if plan.minutes is None else plan.minutes * share
        part = replace(plan, minutes=minutes)
        if name == "matte":
            result = train(matte_train.coarse_task(data, assets, fine=fine), runs / name, part)
        elif name == "matte_refiner":
            task = matte_train.refine_task(data, assets, runs, fine=fine)
            result = train(task, runs / name, part)
        else:
            result = train_one(name, data, runs, part)
        say(name, result)
