"""Pack what a bare GPU machine needs to go on training: torch, numpy and scipy, no network.

`python -m relume.training.pack OUT.tar.xz --lit LIT --runs RUNS [--assets ASSETS --wheels DIR]`

Without assets as many lit views travel as fit; with them the light stage itself does, and makes
any number of views there.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume import weights
from relume.errors import UsageError
from relume.training.lights import Pool
from relume.training.lit import LitView, pool, read_lit, write_lit
from relume.training.relight_nets import read_by
from relume.training.stage.dataset import list_views
from relume.training.trainer import CHECKPOINT, LOG

LIMIT = 60_000_000
"""Bytes that a pack may take."""

_ASSETS = ("makehuman/**/*",)

_CODE = ("relume", "relume.training", "relume.ocio")
"""Packages that go into a pack; of `relume` what is no package of another layer."""

_LAYERS = ("nodes", "hosts", "training", "ocio")

_README = """\
# relume training pack

Needs Python 3.11 or newer with torch, numpy, scipy and safetensors; nothing is fetched.
{views} of {known} training views are inside, {held} for validation, and {lights} lights.

    tar xJf {archive} && cd relume-pack
    export PYTHONPATH=$PWD/code
{commands}

Each command goes on from `runs/NAME/checkpoint.pt` where there is one and can be killed at any
time; a `--seed` must stay what it was ({seed}). With `--shipped` one that has none begins with the
weights that ship, which are inside, as are those of the networks whose answers it reads. Bring back
`runs/*/checkpoint.pt` and `runs/*/log.jsonl`; where only small files travel,
`split -b 15M checkpoint.pt checkpoint.pt.` there and `cat checkpoint.pt.* > checkpoint.pt` here.
Then, where the whole project is installed:

    python -m relume.training.release runs STAGE core/weights

{making}"""

_MAKING = """\
Making more views needs trimesh, embreex and OpenImageIO (`wheels/`, if packed, fits one version of
Python; `pip install --no-index --find-links wheels trimesh embreex OpenImageIO`){where}:

    python3 -m relume.training.stage make stage --count 1000
    python3 -m relume.training.lit stage lit
"""


def pack(
    out: Path,
    lit: Path,
    runs: Path | None,
    names: Iterable[str] = ("normals", "albedo", "transport"),
    *,
    assets: Path | None = None,
    wheels: Path | None = None,
    limit: int = LIMIT,
    lights: int = 3,
    held: int = 4,
) -> int:
    """Write the archive and return how many training views fitted.

    Args:
        out: the `.tar.xz` to write.
        lit: folder of lit views.
        runs: folder of runs to resume; None starts afresh.
        names: networks to train.
        assets: folder of the stage's assets, to make views there.
        wheels: folder of wheels for that machine's Python.
        limit: bytes the archive may take.
        lights: lights a view keeps.
        held: validation views.

    Raises:
        UsageError: what was asked for does not fit.
    """
    names = tuple(names)
    entries = list(_code())
    # What a network reads or learns from is wanted too, as it ships if there is no run of it.
    wanted = dict.fromkeys(name for each in names for name in (*read_by(each), each))
    for name in wanted:
        manifest = weights.find(name)
        for path in (manifest, manifest.with_suffix(".safetensors")):
            entries.append((f"code/relume/weights/{path.name}", path.read_bytes()))
        for path in (runs / name / CHECKPOINT, runs / name / LOG) if runs is not None else ():
            if path.exists():
                entries.append((f"runs/{name}/{path.name}", path.read_bytes()))
    pools = {split: pool(split, lit) for split in ("train", "val")}
    entries += [(f"lit/lights_{split}.npz", _lights(lamps)) for split, lamps in pools.items()]
    for path in list_views(lit, "val")[:held]:
        entries.append((f"lit/val/{path.name}", _view(path, lights, out.parent)))
    for folder, name, kinds in ((assets, "assets", _ASSETS), (wheels, "wheels", ("*.whl",))):
        for path in sorted(p for kind in kinds for p in folder.glob(kind)) if folder else ():
            if path.is_file():
                entries.append((f"{name}/{path.relative_to(folder or '')}", path.read_bytes()))
    spent = sum(_size(data) for _, data in entries) + 20_000
    known = list_views(lit, "train")
    # Every third view first, then those between: whatever fits is spread over all people.
    fitted = 0
    for path in [view for first in range(3) for view in known[first::3]]:
        data = _view(path, lights, out.parent)
        size = _size(data)
        if spent + size > limit:
            break
        entries.append((f"lit/train/{path.name}", data))
        spent += size
        fitted += 1
    readme = _README.format(
        views=fitted,
        known=len(known),
        held=min(held, len(list_views(lit, "val"))),
        lights=sum(len(lamps) for lamps in pools.values()),
        archive=out.name,
        commands="\n".join(
            f"    python3 -m relume.training.relight_nets {name} lit runs --device cuda"
            " --size 256 --batch 32 --steps 30000 --workers 12"
            for name in names
        ),
        seed=1,
        making=_MAKING.format(
            where=", and `export RELUME_ASSETS=$PWD/assets`" if assets else " and the assets"
        ),
    )
    entries.append(("README.md", readme.encode()))
    with tarfile.open(out, "w:xz", preset=1) as archive:
        for name, data in entries:
            info = tarfile.TarInfo(f"relume-pack/{name}")
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    if out.stat().st_size > limit:
        raise UsageError(
            f"the pack takes {out.stat().st_size} bytes of {limit}",
            way_out="Name fewer networks with --name, or leave out the assets",
            file=str(out),
        )
    return fitted


def _code() -> Iterator[tuple[str, bytes]]:
    """Yield the package's sources in the folders that Python imports them from.

    They may lie in a checkout's folders or, installed, in one.
    """
    for package in _CODE:
        root = Path(next(iter(import_module(package).__path__)))
        for path in sorted(root.rglob("*.py")):
            inside = path.relative_to(root)
            if package != "relume" or inside.parts[0] not in _LAYERS:
                yield f"code/{package.replace('.', '/')}/{inside.as_posix()}", path.read_bytes()
    # The package asks for its version, which only an installed one has.
    release = version("relume")
    metadata = f"Metadata-Version: 2.1\nName: relume\nVersion: {release}\n"
    yield f"code/relume-{release}.dist-info/METADATA", metadata.encode()


def _lights(lamps: Pool) -> bytes:
    """Return a pool without its maps, which the reader convolves again."""
    buffer = io.BytesIO()
    images = np.stack([np.clip(each.radiance, 0, 6e4) for each in lamps.lamps])
    np.savez(buffer, radiance=_coarse(images.astype(np.float16), 4))
    return buffer.getvalue()


def _view(path: Path, lights: int, scratch: Path) -> bytes:
    """Return a lit view with fewer lights and shorter mantissas."""
    view = read_lit(path)
    small = LitView(
        name=view.name,
        alpha=view.alpha,
        normals=_coarse(view.normals.astype(np.float16), 3).astype(np.float32),
        albedo=_coarse(view.albedo.astype(np.float16), 4).astype(np.float32),
        labels=view.labels,
        index=view.index,
        lamps=view.lamps[:lights],
        diffuse=_coarse(view.diffuse[:lights], 4),
        specular=_coarse(view.specular[:lights], 5),
        transfer=_coarse(view.transfer, 5),
        meta=view.meta,
    )
    temporary = scratch / f".{view.name}.pack.npz"
    try:
        write_lit(temporary, small)
        return temporary.read_bytes()
    finally:
        temporary.unlink(missing_ok=True)


def _coarse(values: NDArray[np.float16], bits: int) -> NDArray[np.float16]:
    """Round the last bits of half-precision mantissas away, so that they compress."""
    raw = np.ascontiguousarray(values).view(np.uint16).astype(np.uint32) + (1 << (bits - 1))
    kept = (raw >> bits << bits).astype(np.uint16).view(np.float16)
    return np.where(np.isfinite(kept), kept, values)


def _size(data: bytes) -> int:
    # Fast, and never below what the archive makes of it.
    return len(zlib.compress(data, 1)) + 512


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="relume.training.pack", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lit", type=Path, required=True, help="folder of lit views")
    parser.add_argument("--runs", type=Path, help="folder of runs to go on with")
    parser.add_argument(
        "--name", action="append", help="a network; normals, albedo and transport by default"
    )
    parser.add_argument("--limit", type=int, default=LIMIT, help="bytes")
    parser.add_argument("--assets", type=Path, help="pack the light stage's assets too")
    parser.add_argument("--wheels", type=Path, help="pack wheels for that machine's Python")
    given = parser.parse_args()
    names = given.name or ("normals", "albedo", "transport")
    count = pack(
        given.out,
        given.lit,
        given.runs,
        names,
        assets=given.assets,
        wheels=given.wheels,
        limit=given.limit,
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB, {count} training views")


if __name__ == "__main__":
    main()
