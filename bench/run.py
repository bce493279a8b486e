"""Print every table in turn. Each runs in a process of its own, so that none sees another's memory.

`python bench/run.py [NAME …]` runs only those named.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TABLES = (
    "imports",
    "light",
    "matting",
    "matte_sizes",
    "trimap",
    "relight",
    "finish",
    "chain",
    "host",
    "memory",
    "quality",
)


def machine() -> str:
    """Return what the figures were measured on, in a line."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        model = names[0] if names else model
    libraries = ", ".join(f"{name} {version(name)}" for name in ("relume", "numpy", "torch"))
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores; Python {platform.python_version()}, {libraries}"


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        print(
            f"There is no table '{unknown[0]}'. The tables are: {', '.join(TABLES)}.",
            file=sys.stderr,
        )
        return 2
    print(machine(), flush=True)
    failed = []
    for name in names or TABLES:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, HERE / f"{name}.py"]).returncode:
            failed.append(name)
    if failed:
        print(f"\nThese tables failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
