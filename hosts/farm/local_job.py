"""Run a job bundle on this computer through the command of Open Job Description."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relume.errors import Exit, InputError, UsageError
from relume.hosts.farm.bundle import TEMPLATE, VALUES


def run_bundle(folder: str | Path, changes: Mapping[str, str]) -> int:
    """Run every step of a bundle and return the exit code.

    Args:
        folder: the bundle.
        changes: parameters of the job that differ from those stored.

    Returns:
        0, or 4 where a task failed or the job was not accepted.

    Raises:
        UsageError: openjd is not installed.
        InputError: the folder holds no bundle.
    """
    openjd = executable("openjd")
    values = {"Relume": executable("relume"), **_stored(Path(folder)), **changes}
    command = [openjd, "run", str(Path(folder) / TEMPLATE), "-p", json.dumps(values)]
    process = subprocess.Popen(command)

    def stop(number: int, frame: object) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return Exit.FRAMES_FAILED if code else Exit.DONE


def executable(name: str) -> str:
    """Return a command that was installed with this Python, or one on the path.

    Raises:
        UsageError: there is none.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise UsageError(
            f"the command '{name}' is not installed", way_out="pip install 'relume[farm]'"
        )
    return found


def _stored(folder: Path) -> dict[str, Any]:
    """Return the parameters that a bundle stores."""
    import yaml  # openjd brings it

    try:
        document = yaml.safe_load((folder / VALUES).read_text(encoding="utf-8"))
        return {entry["name"]: str(entry["value"]) for entry in document["parameterValues"]}
    except OSError as error:
        raise InputError(
            f"{folder} is no bundle: {error.strerror}", way_out="Make one with relume farm bundle"
        ) from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{folder / VALUES} holds no parameters") from error
