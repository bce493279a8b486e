"""Build the OpenFX bundle with CMake and the compiler of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from relume.errors import OutputError, UsageError
from relume.hosts.ofx.generate import text
from relume.node import Registry

BUNDLE = "Relume.ofx.bundle"

LIBRARY = f"{BUNDLE}/Contents/Linux-x86-64/Relume.ofx"

TABLE = f"{BUNDLE}/Contents/Resources/relume.json"

_SOURCES = Path(__file__).parent


def missing_tools() -> list[str]:
    """Return the programs that are needed to build and are not there."""
    return [name for name in ("cmake", "c++") if shutil.which(name) is None]


def build(folder: Path, registry: Registry, options: Sequence[str] = ()) -> Path:
    """Build the bundle in a folder, with the effects of a registry, and return it.

    Args:
        folder: where to build; made if missing.
        registry: the node types.
        options: more for CMake, such as `-DRELUME_SANITIZE=ON`.

    Raises:
        UsageError: there is no CMake or no C++ compiler.
        OutputError: it cannot be built.
    """
    missing = missing_tools()
    if missing:
        raise UsageError(
            f"the OpenFX bundle is built here, and there is no {' and no '.join(missing)}",
            way_out="Install them: `sudo apt-get install cmake g++`",
        )
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "relume.json"
    table.write_text(text(registry), encoding="utf-8")
    _run(["cmake", "-S", str(_SOURCES), "-B", str(folder), f"-DRELUME_TABLE={table}", *options])
    _run(["cmake", "--build", str(folder)])
    return folder / BUNDLE


def bundle(registry: Registry) -> Mapping[str, bytes]:
    """Return the files of a freshly built bundle.

    Raises:
        UsageError: there is no CMake or no C++ compiler.
        OutputError: it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="relume-ofx-") as folder:
        build(Path(folder), registry)
        return {name: (Path(folder) / name).read_bytes() for name in (LIBRARY, TABLE)}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        found = next((line for line in lines if "error" in line.lower()), "".join(lines[-1:]))
        raise OutputError(f"the OpenFX bundle cannot be built: {found.strip()}")
