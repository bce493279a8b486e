"""Train the relighting networks.

`python -m relume.training.relight_nets normals LIT OUT --minutes 20`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

from relume import weights
from relume.training.albedo_task import AlbedoTask
from relume.training.batches import Recipe
from relume.training.express_task import ExpressTask
from relume.training.neural_task import NeuralTask
from relume.training.normals_task import NormalsTask
from relume.training.plan_options import plan_of, plan_options
from relume.training.relight_task import ALL, NAMES, RelightTask, build
from relume.training.trainer import CHECKPOINT, Plan, Result, averaged, train
from relume.training.transport_task import TransportTask


def make_task(name: str, data: Path, runs: Path, *, size: int = 256, batch: int = 6) -> RelightTask:
    """Return the task of a network; later ones read the earlier ones' answers.

    Those are of the checkpoints in `runs`, or of the weights that ship where there is none.

    Args:
        name: one of `relight_task.ALL`.
        data: folder of lit views.
        runs: folder of the runs, one folder a network.
        size: of the pictures.
        batch: pictures a batch.
    """
    if name == "normals":
        return NormalsTask(data, Recipe(size, batch))
    earlier: dict[str, nn.Module] = {}
    for before in read_by(name):
        trained = (runs / before / CHECKPOINT).exists()
        earlier[before] = averaged_of(before, runs) if trained else weights.load(before)
    if name == "express":
        return ExpressTask(data, Recipe(size, batch, lights=4), earlier)
    if name == "albedo":
        return AlbedoTask(data, Recipe(size, batch), earlier)
    if name == "neural":
        return NeuralTask(data, Recipe(size, batch, lights=4, pictures=2), earlier)
    return TransportTask(data, Recipe(size, batch, lights=4), earlier)


def read_by(name: str) -> tuple[str, ...]:
    """Return the networks whose answers a network reads or learns from."""
    return {"normals": (), "albedo": NAMES[:1], "express": NAMES}.get(name, NAMES[:2])


def averaged_of(name: str, runs: Path) -> nn.Module:
    """Return the averaged network of a run's checkpoint, frozen."""
    return averaged(lambda: build(name), runs / name).requires_grad_(False)


def train_one(
    name: str, data: Path, runs: Path, plan: Plan, *, size: int = 256, batch: int = 6
) -> Result:
    """Train one network in `runs/name`, going on where it stopped."""
    return train(make_task(name, data, runs, size=size, batch=batch), runs / name, plan)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="relume.training.relight_nets", description=__doc__, parents=[plan_options()]
    )
    parser.add_argument("name", choices=ALL)
    parser.add_argument("data", type=Path, help="folder of lit views (relume.training.lit)")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--workers", type=int, default=0, help="threads that prepare batches")
    parser.add_argument("--size", type=int, default=256, help="of pictures, as frames are read")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    plan = plan_of(given, device=given.device, workers=given.workers)
    torch.set_num_threads(given.threads)
    task = make_task(given.name, given.data, given.runs, size=given.size, batch=given.batch)
    if given.shipped:
        task.start_from_shipped()
    result = train(task, given.runs / given.name, plan)
    print(given.name, result.step, "steps", result.figures, file=sys.stderr)


if __name__ == "__main__":
    main()
