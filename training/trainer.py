"""The one training loop: deterministic by seed and step, resumable to the step, atomic on disk."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import math
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from relume.errors import InputError
from relume.files import replacing
from relume.training.muon import Muon

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
RATE = 2e-3
"""Learning rate of a network that starts from nothing."""

BLOCK = 16
"""Batches that are used again in turn, so that none is met twice in a row."""


class Task(Protocol):
    """What the loop needs to know about a network and its data.

    A task may have more: `rate`, its peak learning rate; `before`, how many steps the weights that
    it begins with were trained; `again`, see `Plan.echo`.
    """

    name: str

    def model(self) -> nn.Module:
        """Return a freshly initialised network; torch's generator is already seeded."""
        ...

    def batch(self, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return one batch of CPU tensors, drawn from `rng` and from nothing else."""
        ...

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Return the scalar to minimise and figures to log (floats or detached scalars)."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return figures on held-out data; the model is in evaluation mode, without gradients."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how to train.

    Attributes:
        steps: optimiser steps in all; the learning-rate schedule spans them. With `minutes` set
            it is an upper limit.
        minutes: wall-clock minutes in all, summed over resumed runs; the schedule then follows
            the clock, and only the data drawn at a step stays reproducible.
        seed: of the initial weights, and with the step number of every batch.
        rate: peak learning rate; None for the task's own `rate`, or 2e-3.
        warm_up: steps of linear growth to the peak.
        weight_decay: of the optimiser, decoupled from the gradient.
        clip: greatest gradient norm.
        ema: decay of the averaged weights, which are the ones validated and exported.
        threads: torch threads; bit-identical results need the same number.
        device: `cpu` or `cuda`.
        half: bfloat16 arithmetic in the network, float32 weights; None for accelerators only. A
            processor that has such instructions gains about a third.
        checkpoint_minutes: at most this long between checkpoints.
        validate_steps: steps between validations; 0 validates at the end only.
        log_steps: steps between lines of the log, which are means over those steps.
        workers: threads that prepare batches ahead; the batches are the same for any number.
        echo: how often a batch is used. Where making one costs as much as learning from it, two
            or three uses buy more steps than they lose; a task with a method `again(batch, rng)`
            changes cheaply what it can.
            Source: Choi et al. 2019, Faster Neural Network Training with Data Echoing, section 3.1
            (batch echoing), with a turn through `BLOCK` batches in place of a shuffle buffer.
    """

    steps: int = 3000
    minutes: float | None = None
    seed: int = 1
    rate: float | None = None
    warm_up: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.998
    threads: int = 1
    device: str = "cpu"
    half: bool | None = None
    checkpoint_minutes: float = 2.0
    validate_steps: int = 500
    log_steps: int = 25
    workers: int = 0
    echo: int = 1


@dataclass(slots=True)
class Result:
    """What a run leaves behind.

    Attributes:
        model: the averaged network in evaluation mode, on the CPU.
        step: steps taken.
        seconds: time spent, summed over resumed runs.
        figures: the last validation.
    """

    model: nn.Module
    step: int
    seconds: float
    figures: dict[str, float]


def generator(seed: int, step: int) -> np.random.Generator:
    """Return the random generator of one step.

    Seeding every step on its own makes a resumed run draw what an unbroken one would have drawn,
    with no generator state to save.
    """
    return np.random.default_rng([seed, step])


def moved(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return a batch on a device."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def train(task: Task, folder: Path, plan: Plan) -> Result:
    """Train a network, going on from the checkpoint in `folder` where there is one.

    Args:
        task: network, batches, loss and validation.
        folder: takes `checkpoint.pt` and `log.jsonl`; made if missing.
        plan: length and settings; a resumed run may lengthen it.

    Returns:
        The averaged network and its last validation figures.
    """
    # Subnormal numbers in decaying moments slow a CPU tenfold.
    torch.set_flush_denormal(True)
    try:
        return _Loop(task, folder, plan).run()
    finally:
        torch.set_flush_denormal(False)


def averaged(build: Callable[[], nn.Module], folder: Path) -> nn.Module:
    """Return the averaged network of the checkpoint in `folder`, in evaluation mode."""
    state = _read(folder / CHECKPOINT)
    model = build()
    try:
        model.load_state_dict(state["average"])
    except RuntimeError as fault:
        raise InputError(
            "the checkpoint is of a network of another size",
            file=str(folder / CHECKPOINT),
            way_out="Train in another folder, with --shipped to go on from the shipped weights",
        ) from fault
    return model.eval()


class Record(NamedTuple):
    """What a checkpoint tells of its run.

    Attributes:
        seed: of the run.
        steps: that it took.
        before: steps of the weights that it began with, where the task said how many they were.
    """

    seed: int
    steps: int
    before: int


def record(folder: Path) -> Record:
    """Return what the checkpoint in `folder` tells of its run."""
    state = _read(folder / CHECKPOINT)
    return Record(int(state["seed"]), int(state["step"]), int(state.get("before", 0)))


class _Loop:
    """One run over one network."""

    def __init__(self, task: Task, folder: Path, plan: Plan) -> None:
        torch.set_num_threads(plan.threads)
        torch.manual_seed(plan.seed)
        self.task, self.folder, self.plan = task, folder, plan
        self.rate = float(getattr(task, "rate", RATE) if plan.rate is None else plan.rate)
        self.device = torch.device(plan.device)
        self.half = self.device.type != "cpu" if plan.half is None else plan.half
        folder.mkdir(parents=True, exist_ok=True)
        self.model = self._place(task.model())
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = Muon(
            self.model.named_parameters(),
            lr=self.rate,
            weight_decay=plan.weight_decay,
            half=self.half,
        )
        self.step = 0
        self.before = int(getattr(task, "before", 0))
        self.seconds = 0.0
        self.figures: dict[str, float] = {}
        if (folder / CHECKPOINT).exists():
            self._resume()

    def run(self) -> Result:
        """Step until the plan is done, then validate and save."""
        plan = self.plan
        began = time.monotonic() - self.seconds
        saved = time.monotonic()
        self._note({"command": shlex.join(["python", "-m", *_program()])})
        seen: dict[str, list[float]] = {}
        batches = self._batches()
        while self._progress() < 1.0:
            figures = self._advance(next(batches))
            self.seconds = time.monotonic() - began
            for key, value in figures.items():
                seen.setdefault(key, []).append(value)
            if self.step % plan.log_steps == 0:
                self._log({key: sum(values) / len(values) for key, values in seen.items()})
                seen = {}
            if plan.validate_steps and self.step % plan.validate_steps == 0:
                self._validate()
                self.seconds = time.monotonic() - began
            if time.monotonic() - saved > 60.0 * plan.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
        batches.close()
        # Nothing learnt is lost, whatever becomes of the last validation.
        self._save()
        self._validate()
        self._save()
        model = copy.deepcopy(self.average).to("cpu").eval()
        return Result(model, self.step, self.seconds, self.figures)

    def _place(self, model: nn.Module) -> nn.Module:
        placed: nn.Module = model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def _batches(self) -> Generator[Mapping[str, Tensor], None, None]:
        """Yield the batch of each step from here on."""
        seed, echo = self.plan.seed, self.plan.echo
        vary = getattr(self.task, "again", None)

        @functools.lru_cache(maxsize=BLOCK + 2 * self.plan.workers if echo > 1 else 0)
        def made(number: int) -> Mapping[str, Tensor]:
            return self.task.batch(generator(seed, number))

        def make(step: int) -> Mapping[str, Tensor]:
            turn, place = divmod(step, BLOCK)
            batch = made(turn // echo * BLOCK + place)
            if turn % echo and vary is not None:
                varied: Mapping[str, Tensor] = vary(batch, np.random.default_rng([seed, step, 1]))
                return varied
            return batch

        if not self.plan.workers:
            yield from map(make, itertools.count(self.step))
        with ThreadPoolExecutor(self.plan.workers) as pool:
            ahead = deque(pool.submit(make, self.step + k) for k in range(2 * self.plan.workers))
            try:
                for step in itertools.count(self.step + len(ahead)):
                    yield ahead.popleft().result()
                    ahead.append(pool.submit(make, step))
            finally:
                for future in ahead:
                    future.cancel()

    def _progress(self) -> float:
        done = self.step / self.plan.steps
        if self.plan.minutes is not None:
            done = max(done, self.seconds / (60.0 * self.plan.minutes))
        return done

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / max(1, self.plan.warm_up))
        return self.rate * warm * 0.5 * (1.02 + 0.98 * math.cos(math.pi * self._progress()))

    def _advance(self, made: Mapping[str, Tensor]) -> dict[str, float]:
        """Take one step; a loss that is not finite skips it."""
        torch.manual_seed(self.plan.seed * 1_000_003 + self.step)
        batch = moved(made, self.device)
        rate = self._rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        kept = [buffer.clone() for buffer in self.model.buffers()]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            loss, figures = self.task.loss(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        skipped = not bool(torch.isfinite(norm))
        self.step += 1
        if skipped:
            # The forward pass has put it into running statistics already.
            for buffer, before in zip(self.model.buffers(), kept, strict=True):
                buffer.copy_(before)
        else:
            self.optimiser.step()
            self._average()
        report = {"loss": float(loss.detach()), **{k: float(v) for k, v in figures.items()}}
        return {**report, "norm": float(norm), "skipped": float(skipped)}

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.plan.ema, (1.0 + self.step) / (10.0 + self.step))
        source = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(source[name], 1.0 - decay)
            else:
                value.copy_(source[name])

    def _validate(self) -> None:
        with torch.no_grad():
            self.figures = self.task.validate(self.average)
        self._log({f"val_{key}": value for key, value in self.figures.items()})

    def _log(self, figures: Mapping[str, float]) -> None:
        line = {
            "name": self.task.name,
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "rate": float(f"{self._rate():.4g}"),
            **{key: float(f"{value:.5g}") for key, value in figures.items()},
        }
        self._note(line)

    def _note(self, line: Mapping[str, Any]) -> None:
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "before": self.before,
            "seconds": self.seconds,
            "seed": self.plan.seed,
            "figures": self.figures,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with replacing(self.folder / CHECKPOINT) as partial, partial.open("wb") as file:
            torch.save(state, file)

    def _resume(self) -> None:
        state = _read(self.folder / CHECKPOINT)
        if state["seed"] != self.plan.seed:
            raise ValueError(
                f"the checkpoint in {self.folder} was trained with seed {state['seed']}, "
                f"not {self.plan.seed}"
            )
        if any("orthogonal" not in group for group in state["optimiser"]["param_groups"]):
            raise InputError(
                "the checkpoint is of an earlier release, which trained with another optimiser",
                file=str(self.folder / CHECKPOINT),
                way_out="Train in another folder, with --shipped to go on from the shipped weights",
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        # What a run began with is settled by its first checkpoint, whatever the task says by now.
        self.before = state.get("before", 0)
        self.figures = state["figures"]


def _program() -> list[str]:
    """Return the running program as `python -m` takes it, without folders of this machine."""
    main = sys.modules["__main__"].__spec__
    name = main.name if main is not None else Path(sys.argv[0]).name
    return [name, *(Path(word).name if "/" in word else word for word in sys.argv[1:])]


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
