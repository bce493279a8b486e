"""Packs for a machine that has torch and little else: they hold what a training there needs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from relume.training.lights import Pool, lamp, studio
from relume.training.lit import LitView, write_lit
from relume.training.pack import pack
from relume.training.relight_nets import read_by

pytestmark = pytest.mark.usefixtures("weights")

MISSING = ("OpenImageIO", "PyOpenColorIO", "click", "fileseq", "pydantic", "rich", "trimesh")
"""What such a machine has not."""

RUN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import relume
assert relume.__file__.startswith({code!r}), relume.__file__
from relume.training import relight_nets
sys.argv = ["relight_nets", "{name}", "lit", "runs", "--shipped"]
sys.argv += ["--steps", "1", "--size", "64", "--batch", "1"]
relight_nets.main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of lit views: three people that are a red disc."""
    rng = np.random.default_rng(3)
    pool = Pool([lamp(studio(rng)) for _ in range(4)])
    monkeypatch.setattr("relume.training.pack.pool", lambda split, data: pool)
    y, x = np.mgrid[0:64, 0:64]
    inside = np.hypot(y - 32, x - 32) < 24
    index = np.flatnonzero(inside).astype(np.int32)
    normals = np.zeros((64, 64, 3), np.float32)
    normals[inside] = (0, 0, 1)
    shape = (4, len(index), 3)
    view = LitView(
        name="00000",
        alpha=inside.astype(np.float32),
        normals=normals,
        albedo=inside[..., None] * np.float32([0.6, 0.2, 0.1]),
        labels=inside.astype(np.uint8),
        index=index,
        lamps=np.arange(4, dtype=np.int32),
        diffuse=rng.uniform(0.1, 0.5, shape).astype(np.float16),
        specular=np.zeros(shape, np.float16),
        transfer=np.zeros((len(index), 16), np.float16),
        meta={"fov": 30.0},
    )
    for split, count in (("train", 3), ("val", 1)):
        for number in range(count):
            write_lit(tmp_path / "lit" / split / f"{number:05d}.npz", view)
    return tmp_path


@pytest.mark.parametrize("name", ["albedo", "express"])
def test_a_pack_trains_where_there_is_only_torch(name: str, folder: Path) -> None:
    archive = folder / "pack.tar.xz"
    assert pack(archive, folder / "lit", None, [name], lights=2, held=1) == 3
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    there = folder / "relume-pack"
    held = {path.stem for path in (there / "code/relume/weights").glob("*.safetensors")}
    assert held == {name, *read_by(name)}
    code = RUN.format(missing=set(MISSING), code=str(there / "code"), name=name)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=there,
        env={"PYTHONPATH": str(there / "code"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"{name} 1 steps" in result.stderr
    assert (there / "runs" / name / "checkpoint.pt").exists()
