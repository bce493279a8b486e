"""Imports run hosts → nodes → core and training → core, and never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "ocio": set(),
    "core": {"core", "ocio"},
    "nodes": {"nodes", "core", "ocio"},
    "training": {"training", "core", "ocio"},
    # `relume train` is a command, and so the one way from a host into training.
    "hosts": {"hosts", "nodes", "core", "ocio", "training"},
}

HOSTS_ONLY = {"click", "rich", "pyblish"}
"""What puts words on a screen or belongs to a pipeline; a node must run without."""

EXCEPTIONS = {"core/__main__.py": {"relume.hosts.cli"}}
"""`python -m relume` is the command."""


def files() -> list[Path]:
    return sorted(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    """Return the dotted name a file is imported by."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    if rest[-1] == "__init__":
        rest.pop()
    return ".".join(["relume", *([] if folder == "core" else [folder]), *rest])


def imports(source: str, package: str) -> Iterator[str]:
    """Yield every module that source code imports, inside functions and by name as well.

    Args:
        source: Python.
        package: package the file lies in, which relative imports start from.
    """
    for item in ast.walk(ast.parse(source)):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = item.module or ""
            if item.level:
                parents = package.split(".")[: len(package.split(".")) - item.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            # `from relume import nodes` imports a package, `from relume.node import In` a name.
            yield base
            yield from (f"{base}.{alias.name}" for alias in item.names)
        elif isinstance(item, ast.Call) and ast.unparse(item.func).endswith(
            ("import_module", "__import__")
        ):
            yield from (arg.value for arg in item.args[:1] if isinstance(arg, ast.Constant))


def layer_of(module: str) -> str:
    """Return the layer a module of relume belongs to."""
    second = module.split(".")[1] if "." in module else ""
    return second if second in MAY_IMPORT and second != "core" else "core"


def faults(name: str, source: str) -> list[str]:
    """Return what a file imports against the rules."""
    layer = name.split("/")[0]
    path = ROOT / name
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    wrong = []
    for imported in imports(source, package):
        top = imported.split(".")[0]
        allowed = any(
            imported == prefix or imported.startswith(prefix + ".")
            for prefix in EXCEPTIONS.get(name, ())
        )
        if allowed:
            continue
        if top in MAY_IMPORT:
            wrong.append(f"{name} imports {imported}: write relume.{imported}")
        elif top == "relume" and layer_of(imported) not in MAY_IMPORT[layer]:
            wrong.append(f"{name} imports {imported}")
        elif top in HOSTS_ONLY and layer != "hosts":
            wrong.append(f"{name} imports {imported}, which is for hosts")
    return wrong


def test_no_file_imports_against_the_order():
    assert len(files()) > 50
    found = [
        fault
        for path in files()
        for fault in faults(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/new.py", "from relume.nodes.read import Read"),
        ("core/new.py", "from relume import nodes"),
        ("core/new.py", "def f():\n    import relume.hosts.cli"),
        ("core/new.py", "import importlib\nimportlib.import_module('relume.training')"),
        ("core/new.py", "from .nodes import read"),
        ("core/light/new.py", "from ..hosts import cli"),
        ("core/light/__init__.py", "from ..nodes import read"),
        ("core/new.py", "import click"),
        ("core/new.py", "from core import image"),
        ("nodes/new.py", "from relume.hosts import cli"),
        ("nodes/new.py", "import relume.training.losses"),
        ("nodes/new.py", "from rich.progress import Progress"),
        ("training/new.py", "from relume.nodes.registry import REGISTRY"),
        ("training/new.py", "import nodes"),
        ("ocio/new.py", "from relume.errors import UsageError"),
        ("core/__main__.py", "from relume.hosts.farm import main"),
    ],
)
def test_the_check_sees_what_is_forbidden(name, source):
    assert faults(name, source)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/new.py", "from relume.node import Node\nfrom relume.ocio import PINNED"),
        ("core/new.py", "from relume import errors, light\nimport numpy"),
        ("core/light/new.py", "from . import types\nfrom ..image import Image"),
        (
            "nodes/new.py",
            "from relume.light.types import Light\nfrom relume.nodes.read import Read",
        ),
        ("hosts/new.py", "import click\nfrom relume.training import trainer"),
        ("training/new.py", "from relume.weights import load"),
        ("core/__main__.py", "from relume.hosts.cli import main"),
    ],
)
def test_the_check_lets_pass_what_is_allowed(name, source):
    assert faults(name, source) == []
