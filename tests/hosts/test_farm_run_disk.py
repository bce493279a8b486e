"""Jobs on a disk that is full or read-only: nothing half-written, and the next run completes it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relume.errors import Exit
from relume.media.read import read

Plates = Callable[..., None]
RUN = f"'{sys.executable}' -m relume run graph.json --skip-existing"


def on_a_disk(options: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with a file system of its own at `out`, or skip where none can be made."""
    Path("out").mkdir()
    mount = f"mount -t tmpfs -o {options} tmpfs out || exit 99\n"
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare, which makes a file system of its own, is not installed")
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", mount + script], capture_output=True, text=True
    )
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("no file system can be mounted here")
    return done


@pytest.mark.parametrize("jobs", ["", " --jobs 2 --retries 0"])
def test_a_disk_that_fills_up(jobs: str, graded: Path, plates: Plates) -> None:
    plates(*range(1, 9), size=(200, 300))
    done = on_a_disk(
        "size=3m",
        f"""
        {RUN}{jobs}; echo code $?; ls -A out > first.txt
        mount -o remount,size=50m out; {RUN}{jobs}; echo code $?; mkdir whole; cp -a out/. whole
        """,
    )
    first = Path("first.txt").read_text().split()
    assert f"code {int(Exit.FRAMES_FAILED)}" in done.stdout, done.stderr
    assert "the disk is full" in done.stderr
    assert 1 <= len(first) < 8
    assert all(name.startswith("graded.") for name in first)
    assert f"code {int(Exit.DONE)}" in done.stdout, done.stderr
    for frame in range(1, 9):
        ours = read(f"whole/graded.{frame:04d}.exr").layer().pixels
        assert (ours == read(f"plate.{frame:04d}.exr").layer().pixels).all()


@pytest.mark.parametrize("jobs", ["", " --jobs 2"])
def test_a_folder_that_nothing_can_be_written_in(jobs: str, graded: Path, plates: Plates) -> None:
    plates(1, 2, 3)
    done = on_a_disk("size=3m,ro", f"{RUN}{jobs}; echo code $?; ls -A out")
    assert done.stdout.splitlines()[-1] == f"code {int(Exit.USAGE)}"
    assert done.stderr.count("nothing can be written in") == 1
