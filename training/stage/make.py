"""Making views: deterministic, resumable, several processes at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from relume.training.stage import cast
from relume.training.stage.camera import draw_camera
from relume.training.stage.dataset import WIDE, View, split_seeds, write_view
from relume.training.stage.render import render
from relume.training.stage.subject import make_subject

STAGE = 3
"""Version of the pictures, kept in each view."""


def make_view(split: str, number: int, seed: int, size: tuple[int, int]) -> View:
    """Render view `number` of a split; the same arguments give the same view.

    Args:
        split: train, val or test.
        number: counts the views of the split from 0; those from `WIDE` on show the wide
            cast.
        seed: of poses, clothes and cameras; people and hair depend on the number alone.
        size: height and width in pixels.
    """
    person, hair = split_seeds(split, number)
    key = ("train", "val", "test").index(split)
    rng = np.random.default_rng([seed, key, number])
    make = make_subject if number < WIDE else cast.make_member
    subject = make(person, hair, int(rng.integers(1 << 30)))
    tallest = cast.TALLEST.get(str(subject.meta.get("framing")))
    camera, drawn = draw_camera(subject.eyes, rng, tallest)
    view = render(subject, camera, size, rng)
    view.meta.update(stage=STAGE, split=split, number=number, seed=seed, camera=drawn)
    return view


def _stale(path: Path) -> bool:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return bool(json.loads(str(stored["meta"])).get("stage") != STAGE)


def make_views(
    out: Path | str,
    split: str,
    count: int,
    seed: int = 1,
    size: tuple[int, int] = (256, 256),
    worker: tuple[int, int] = (0, 1),
    refresh: bool = False,
    progress: Callable[[str], None] = print,
    first: int = 0,
) -> int:
    """Render the views of a split that are not on disk yet.

    Args:
        out: folder of the data set; views go to OUT/SPLIT/NUMBER.npz.
        split: train, val or test.
        count: how many views the split shall hold, from `first` on.
        seed: see `make_view`.
        size: height and width in pixels.
        worker: this process's position and how many there are; numbers are dealt out in turn.
        refresh: render views of an older version of the stage again, after the missing ones.
        progress: told one line a view.
        first: number of the first view; `WIDE` for the wide cast.

    Returns:
        how many views were rendered.
    """
    made = 0
    numbers = range(first + worker[0], first + count, worker[1])
    paths = {n: Path(out) / split / f"{n:05d}.npz" for n in numbers}
    # New views first, then those of an older version of the stage.
    for number, path in sorted(paths.items(), key=lambda item: (item[1].exists(), item[0])):
        if path.exists() and not (refresh and _stale(path)):
            continue
        start = time.monotonic()
        view = make_view(split, number, seed, size)
        write_view(path, view)
        made += 1
        progress(
            f"{split} {number:05d} {time.monotonic() - start:.2f} s "
            f"{view.meta['hair_style']} tone {view.meta['tone']} pid {os.getpid()}"
        )
    return made
