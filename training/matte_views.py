"""People of the light stage as subjects of the matting network's training pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from relume.training.lights import TO_WORKING
from relume.training.lit import LitView, read_lit
from relume.training.matte_backgrounds import F32, Backgrounds, Rng, read_rgb
from relume.training.matte_subjects import Subject, Subjects
from relume.training.stage import environment as environments
from relume.training.stage.dataset import list_views

OFTEN = 5
"""How often at most a view of a small folder is met for each of a large one's."""


def lit_subject(view: LitView, rng: Rng) -> Subject:
    """Return a view under one of its lights, or under the sum of two: light is linear."""
    shares = np.zeros(len(view.lamps), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        shares[rng.integers(len(shares))] += rng.uniform(0.2, 1.0)
    used = np.flatnonzero(shares)
    mixed = sum(
        shares[k] * (view.diffuse[k].astype(np.float32) + view.specular[k].astype(np.float32))
        for k in used
    )
    picture = np.zeros((view.alpha.size, 3), np.float32)
    picture[view.index] = mixed
    planar = picture.reshape(*view.alpha.shape, 3).transpose(2, 0, 1)
    return Subject(
        torch.from_numpy(np.ascontiguousarray(planar)),
        torch.from_numpy(np.ascontiguousarray(view.alpha, np.float32)),
        torch.from_numpy(np.ascontiguousarray(view.labels)),
    )


class StageSubjects:
    """The lit views of one split, rescanned as they are made.

    Args:
        roots: folders of `relume.training.lit`; the smaller a folder, the more often each of its
            views is met, up to `OFTEN` times as often as those of the largest.
        split: `train`, `val` or `test`.
    """

    def __init__(self, roots: Sequence[Path], split: str) -> None:
        self._roots, self._split = roots, split
        self._paths: list[Path] = []
        self._scanned: float | None = None

    def count(self) -> int:
        """Return how many views there are; looks at the disk at most once a minute."""
        if self._scanned is None or time.monotonic() - self._scanned > 60.0:
            folders = [list_views(root, self._split) for root in self._roots]
            most = max((len(folder) for folder in folders), default=0)
            self._paths = [
                path
                for folder in folders
                for path in folder * min(OFTEN, most // max(len(folder), 1))
            ]
            self._scanned = time.monotonic()
        return len(self._paths)

    def render(self, index: int, rng: Rng) -> Subject:
        """Return a view under light chosen at random."""
        return lit_subject(read_lit(self._paths[index]), rng)


def stage_subjects(
    *roots: Path, split: str, drawn: float = 0.1, heads: float = 0.0, pool: int = 500
) -> Subjects:
    """Return people of a split of the light stage, with shares of drawn figures and of heads.

    Args:
        roots: folders of lit views.
        split: `train`, `val` or `test`.
        drawn: share of drawn figures.
        heads: share of people who end at the neck.
        pool: people held in memory.
    """
    stage = StageSubjects(roots, split)
    return Subjects(stage.render, stage.count, drawn=drawn, heads=heads, pool=pool)


def stage_backgrounds(assets: Path, split: str) -> Backgrounds:
    """Return backgrounds in ACEScg whose places belong to the split; stills serve training only."""
    folder = assets / "hdri"
    maps = [_read_working(folder / f"{name}_1k.hdr") for name in environments.names(split)]
    stills = (
        [_read_working(path) for path in sorted((assets / "backgrounds").glob("*.exr"))]
        if split == "train"
        else []
    )
    return Backgrounds(maps, stills)


def _read_working(path: Path) -> F32:
    return np.asarray(read_rgb(path) @ TO_WORKING.T, np.float32)
