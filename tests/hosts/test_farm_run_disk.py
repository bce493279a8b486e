"""A disk that is full or read-only, files cut short or locked: the next run completes the job."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


def run(*options: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "relume", "run", "graph.json", "--skip-existing"]
    return subprocess.run([*command, *options], capture_output=True, text=True)


def frames_are_those_of_the_plates(*frames: int) -> None:
    names = [f"graded.{frame:04d}.exr" for frame in frames]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    for frame, name in zip(frames, names, strict=True):
        plate = read(f"plate.{frame:04d}.exr").layer().pixels
        np.testing.assert_array_equal(read(f"out/{name}").layer().pixels, plate)


@pytest.mark.parametrize("options", [(), ("--jobs", "2", "--retries", "0")])
def test_a_plate_that_is_still_being_copied(
    options: tuple[str, ...], graded: Path, plates: Plates
) -> None:
    plates(1, 2, 3)
    plate = Path("plate.0002.exr")
    whole = plate.read_bytes()
    plate.write_bytes(whole[:-100])
    done = run("--frames", "1-3", *options)
    assert done.returncode == Exit.FRAMES_FAILED
    assert "frame 2" in done.stderr and "plate.0002.exr" in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "graded.0001.exr", "graded.0003.exr",
    ]  # fmt: skip
    plate.write_bytes(whole)
    done = run("--frames", "1-3", *options)
    assert done.returncode == Exit.DONE
    assert "1 frame done, 2 frames skipped" in done.stdout
    frames_are_those_of_the_plates(1, 2, 3)


def test_frames_that_one_is_locked_out_of(graded: Path, plates: Plates) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:  # whom no mode keeps out
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv, which takes root's keys away, is not installed")
        lost = "-dac_override,-dac_read_search"
        prefix = ("setpriv", "--bounding-set", lost, "--inh-caps", lost)
    plates(1, 2, 3)
    assert run("--frames", "3").returncode == Exit.DONE
    plate, target = Path("plate.0002.exr"), Path("out/graded.0003.exr")
    plate.chmod(0)
    target.chmod(0)
    done = run("--frames", "1-3", prefix=prefix)
    assert done.returncode == Exit.FRAMES_FAILED, done.stderr
    assert "plate.0002.exr: Permission denied" in done.stderr
    assert "graded.0003.exr" in done.stderr and "Failed: 2-3." in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "graded.0001.exr", "graded.0003.exr",
    ]  # fmt: skip
    plate.chmod(0o644)
    target.chmod(0o644)
    assert run("--frames", "1-3", prefix=prefix).returncode == Exit.DONE
    frames_are_those_of_the_plates(1, 2, 3)
