"""What the wheel holds, and what an import costs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOPS = {"core": "relume"} | {
    name: f"relume.{name}" for name in ("hosts", "nodes", "ocio", "training")
}
HEAVY = ("torch", "OpenImageIO", "PyOpenColorIO", "scipy", "click", "rich")


def setuptools() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["tool"]["setuptools"]
    return table


def package_of(folder: Path) -> str:
    top, *rest = folder.relative_to(ROOT).parts
    return ".".join([TOPS[top], *rest])


def folders_with(pattern: str) -> set[Path]:
    return {
        path.parent
        for top in TOPS
        for path in (ROOT / top).rglob(pattern)
        if "__pycache__" not in path.parts
    }


def test_the_packages_are_the_folders():
    listed = setuptools()["packages"]
    assert listed == sorted(listed)
    assert set(listed) == {package_of(folder) for folder in folders_with("__init__.py")}


def test_no_module_lies_outside_a_package():
    assert folders_with("*.py") == folders_with("__init__.py")


def test_every_top_folder_has_its_import_name():
    assert {name: folder for folder, name in TOPS.items()} == setuptools()["package-dir"]


def test_every_data_file_is_in_the_wheel():
    listed = setuptools()["package-data"]
    carried = {
        path
        for package, patterns in listed.items()
        for folder in folders_with("__init__.py")
        if package_of(folder) == package
        for pattern in patterns
        for path in folder.glob(pattern)
    }
    data = {
        path
        for top in TOPS
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert data - carried == set()


@pytest.mark.parametrize(
    "modules", ["relume", "relume.graph, relume.evaluate, relume.cache, relume.node"]
)
def test_an_import_brings_no_heavy_library(modules):
    code = f"import sys, {modules}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
