"""Views lit beforehand: light is linear, so a dozen lights a view combine into any number.

`python -m relume.training.lit STAGE OUT` lights every view of a stage folder that is not lit yet.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.files import replacing
from relume.shading.types import HARMONICS
from relume.training.lights import TO_WORKING, Pool
from relume.training.stage import lighting
from relume.training.stage.dataset import SPLITS, WIDE, View, list_views, read_view

F32 = NDArray[np.float32]
F16 = NDArray[np.float16]

LIGHTS = 12
"""Lights a view is lit with, unless told otherwise."""

POOLS = {"train": 240, "val": 60, "test": 60}
"""Lights in the pool of each split."""

LARGEST = 6e4
"""What half precision holds."""


@dataclass(slots=True, eq=False)
class LitView:
    """A view and its pictures under some lights of a pool. Colours are ACEScg, values straight.

    Attributes:
        name: of the view's file.
        alpha: H×W coverage.
        normals: H×W×3 camera space, zero outside.
        albedo: H×W×3.
        labels: H×W: 0 background, 1 skin, 2 hair, 3 cloth, 4 eyes, teeth and mouth.
        index: P flat pixels with alpha > 0.
        lamps: L positions in the pool.
        diffuse: L×P×3 body colour under each: albedo, shadow, bounce, subsurface.
        specular: L×P×3.
        transfer: P×16 harmonics of the true diffuse transport, over albedo.
        meta: what the stage says about the view.
    """

    name: str
    alpha: F32
    normals: F32
    albedo: F32
    labels: NDArray[np.uint8]
    index: NDArray[np.int32]
    lamps: NDArray[np.int32]
    diffuse: F16
    specular: F16
    transfer: F16
    meta: dict[str, Any]


def working(view: View) -> View:
    """Return a view with its colours brought from linear Rec.709 to ACEScg."""
    return replace(view, albedo=view.albedo @ TO_WORKING.T, bounce=view.bounce @ TO_WORKING.T)


def pool(split: str, folder: Path) -> Pool:
    """Return the lights of a split: the same ones every time, kept in the folder of lit views."""
    return Pool.stored(folder / f"lights_{split}.npz", split, POOLS[split], seed=7)


def light(path: Path, lights: Pool, count: int = LIGHTS) -> LitView:
    """Light a view of the stage with lights chosen by its name.

    Args:
        path: of the view.
        lights: the pool they are chosen from.
        count: how many; a smaller number's are among those of a larger one.

    Raises:
        UsageError: the pool has not so many.
    """
    if not 0 < count <= len(lights):
        raise UsageError(
            f"a view cannot be lit with {count} of {len(lights)} lights",
            way_out=f"Give a number from 1 to {len(lights)}",
        )
    view = working(read_view(path))
    rng = np.random.default_rng([len(lights), *path.stem.encode()])
    lamps = np.sort(rng.permutation(len(lights))[:count]).astype(np.int32)
    ready = lighting.prepare(view)
    points = view.index
    diffuse = np.zeros((count, len(points), 3), np.float16)
    specular = np.zeros_like(diffuse)
    for place, position in enumerate(lamps):
        lit = lighting.relit(ready, lights[int(position)].radiance)
        diffuse[place] = np.clip(lit.diffuse.reshape(-1, 3)[points], -LARGEST, LARGEST)
        specular[place] = np.clip(lit.specular.reshape(-1, 3)[points], 0, LARGEST)
    return LitView(
        name=path.stem,
        alpha=view.alpha,
        normals=view.normals,
        albedo=view.albedo,
        labels=view.labels,
        index=points,
        lamps=lamps,
        diffuse=diffuse,
        specular=specular,
        transfer=transfer(ready),
        meta=dict(view.meta),
    )


def transfer(ready: lighting.Prepared) -> F16:
    """Return the diffuse response to each harmonic: a white subject lit by that harmonic alone.

    Three harmonics at a time travel in the three colour channels.
    """
    from relume.training.lighting import basis

    white = replace(ready.view, albedo=np.ones_like(ready.view.albedo))
    # The specular part is not wanted; without lobes none is computed.
    white.meta = {**white.meta, "lobes": {}}
    stand_in = replace(ready, view=white)
    planes = basis(64).reshape(64, 128, HARMONICS)
    planes = np.concatenate([planes, np.zeros_like(planes[..., :2])], -1)
    found = [
        lighting.relit(stand_in, np.ascontiguousarray(planes[..., k : k + 3], np.float32))
        .diffuse.reshape(-1, 3)[ready.view.index]
        .astype(np.float16)
        for k in range(0, HARMONICS, 3)
    ]
    return np.concatenate(found, 1)[:, :HARMONICS]


def write_lit(path: Path, view: LitView) -> None:
    """Write a lit view; the file appears whole or not at all."""
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            alpha=np.round(view.alpha * 65535.0).astype(np.uint16),
            normals=view.normals.astype(np.float16),
            albedo=view.albedo.astype(np.float16),
            labels=view.labels,
            index=view.index,
            lamps=view.lamps,
            diffuse=view.diffuse,
            specular=view.specular,
            transfer=view.transfer,
            meta=np.array(json.dumps(view.meta)),
        )


def read_lit(path: Path) -> LitView:
    """Read a lit view."""
    with np.load(path, allow_pickle=False) as stored:
        return LitView(
            name=path.stem,
            alpha=stored["alpha"].astype(np.float32) / np.float32(65535.0),
            normals=stored["normals"].astype(np.float32),
            albedo=stored["albedo"].astype(np.float32),
            labels=stored["labels"],
            index=stored["index"],
            lamps=stored["lamps"],
            diffuse=stored["diffuse"],
            specular=stored["specular"],
            transfer=stored["transfer"],
            meta=json.loads(str(stored["meta"])),
        )


class LitViews:
    """The lit views of one split, kept in memory, looked for again as more appear.

    Args:
        root: folder of the lit splits.
        split: `train`, `val` or `test`.
        rescan: draws between looks at the folder; 0 looks once.
        limit: most views to hold.
    """

    def __init__(self, root: Path, split: str, *, rescan: int = 0, limit: int = 4000) -> None:
        self.root, self.split, self.rescan, self.limit = root, split, rescan, limit
        self._draws = 0
        self._held: dict[Path, LitView] = {}
        self._paths: list[Path] = []
        self._look()

    def _look(self) -> None:
        self._paths = list_views(self.root, self.split)[: self.limit]
        first = sum(int(path.stem) < WIDE for path in self._paths)
        self._casts = [part for part in (range(first), range(first, len(self._paths))) if part]

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[LitView]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> LitView:
        path = self._paths[position]
        if path not in self._held:
            self._held[path] = read_lit(path)
        return self._held[path]

    def draw(self, rng: np.random.Generator) -> LitView:
        """Return a random view, of either of the stage's casts as often as of the other."""
        self._draws += 1
        if self.rescan and self._draws % self.rescan == 0:
            self._look()
        if not self._paths:
            raise FileNotFoundError(f"there are no views in {self.root / self.split}")
        cast = self._casts[int(rng.integers(len(self._casts)))]
        return self[int(rng.choice(cast))]


def light_folder(stage: Path, out: Path, *, wait: bool = False, lights: int = LIGHTS) -> int:
    """Light every view of a stage folder that is not lit yet, and return how many.

    Args:
        stage: folder of the stage's splits.
        out: folder of the lit splits.
        wait: go on looking for new views until ten minutes pass without one.
        lights: how many each is lit with.

    Raises:
        UsageError: a split's pool has not so many.
    """
    done, idle = 0, 0.0
    pools: dict[str, Pool] = {}
    while True:
        fresh = [
            (split, path)
            for split in reversed(SPLITS)
            for path in list_views(stage, split)
            if not (out / split / path.name).exists()
        ]
        for split, path in fresh[: 8 if wait else None]:
            if split not in pools:
                pools[split] = pool(split, out)
            write_lit(out / split / path.name, light(path, pools[split], lights))
            done += 1
        idle = 0.0 if fresh else idle + 5.0
        if not wait or idle > 600.0:
            return done
        if not fresh:
            time.sleep(5.0)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.lit", description=__doc__)
    parser.add_argument("stage", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--wait", action="store_true", help="go on as the stage makes more")
    parser.add_argument("--lights", type=int, default=LIGHTS, metavar="N", help="lights a view")
    given = parser.parse_args()
    lit = light_folder(given.stage, given.out, wait=given.wait, lights=given.lights)
    print(lit, "views lit")


if __name__ == "__main__":
    main()
