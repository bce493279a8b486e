"""How long a newcomer waits: import, help, and the heavy libraries beside."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
CASES = {
    "python, nothing else": ["-c", "pass"],
    "import relume": ["-c", "import relume"],
    "import relume.evaluate": ["-c", "import relume.evaluate"],
    "relume --help": ["-m", "relume", "--help"],
    "relume relight --help": ["-m", "relume", "relight", "--help"],
    "import numpy (reference)": ["-c", "import numpy"],
    "import torch (reference)": ["-c", "import torch"],
}


def seconds(arguments: list[str]) -> float:
    """Return the median wall time of a fresh interpreter, its files already in the page cache."""
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    print(f"Start-up: whole process, median of {RUNS}\n")
    print("| what | ms |")
    print("|---|---:|")
    for name, arguments in CASES.items():
        print(f"| {name} | {1000 * seconds(arguments):.0f} |", flush=True)


if __name__ == "__main__":
    main()
