"""What only shows after a long time: memory, what the runner adds, and workers that are killed.

`python bench/soak.py [--frames N] [--size WIDTHxHEIGHT] [--kills N] [PART …]` runs parts of it, or
shorter ones: steady, overhead, killed, cluster. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import OpenImageIO as oiio
import skimage.data
from memory import mask

from relume.cache import MemoryCache
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.hosts.farm.chunk import Chunk, run_chunk
from relume.hosts.farm.launch import Crew, share
from relume.hosts.farm.ledger import size_for
from relume.hosts.farm.local import Process
from relume.hosts.farm.memory import resident
from relume.hosts.farm.pool import Answer, Listener, Pool
from relume.hosts.farm.prepare import absolute, settle
from relume.hosts.farm.runner import Options, run_frames
from relume.hosts.farm.worker import use_threads
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.render import FrameReport

PARTS = ("steady", "overhead", "killed", "cluster")


def plates(folder: Path, frames: int, size: tuple[int, int]) -> Plate:
    """Write a portrait that drifts across the plate, and its mask; return both as sequences."""
    width, height = size
    photograph = oiio.ImageBuf(np.ascontiguousarray(skimage.data.astronaut()))
    person = oiio.ImageBufAlgo.resize(photograph, roi=oiio.ROI(0, height, 0, height))
    pixels = person.get_pixels("float")
    mask(folder / "mask.png", width, height)
    middle = oiio.ImageBuf(str(folder / "mask.png")).get_pixels("float")
    room = width - height

    def draw(frame: int) -> None:
        plate = np.full((height, width, 3), 0.4, np.float32)
        left = room * (frame % 100) // 100
        plate[:, left : left + height] = pixels
        oiio.ImageBuf(plate).write(str(folder / f"plate.{frame:04d}.png"), "uint8")
        inside = np.roll(middle, left - room // 2, axis=1)
        oiio.ImageBuf(inside).write(str(folder / f"mask.{frame:04d}.png"), "uint8")

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(1, frames + 1)))
    return Plate(str(folder / "plate.####.png"), mask=str(folder / "mask.####.png"))


def relighting(plate: Plate, frames: int, out: str, **write: object) -> Evaluator:
    """Return the whole relight, its light turning once around, settled for a job."""
    turn = {"keys": [[1, 0.0], [max(frames, 2), 360.0]]}
    lighting = Lighting({"key": "rig:rembrandt"}, adjust={"rotate": turn})
    graph = relight_graph(plate, lighting, {"file": out, **write})
    evaluator = Evaluator(
        graph, REGISTRY, Settings(Shot(1, frames), threads=1), caches=[MemoryCache(256 << 20)]
    )
    evaluator.graph = absolute(settle(evaluator), REGISTRY)
    return evaluator


def steady(folder: Path, frames: int, size: tuple[int, int]) -> bool:
    """Print the memory held while frames go by; it must not grow after the hundredth."""
    evaluator = relighting(plates(folder, frames, size), frames, str(folder / "out.####.exr"))
    base = min(100, max(frames // 4, 1))
    marks = sorted({base, frames // 2, frames * 3 // 4, frames})
    held: dict[int, int] = {}

    def on_frame(report: FrameReport) -> None:
        told(report)
        Path(report.path).unlink()
        if report.frame in marks:
            held[report.frame] = resident()

    run_frames(evaluator, range(1, frames + 1), Options(), on_frame)
    print("| frames done | MiB |\n|---:|---:|")
    for frame, held_bytes in held.items():
        print(f"| {frame} | {held_bytes / 2**20:.0f} |")
    grown = held[frames] / held[base] - 1.0
    print(f"\nFrom frame {base} to {frames}: {100 * grown:+.1f} %, at most 5 % are allowed.")
    return grown <= 0.05


@dataclass(slots=True)
class Spent:
    """Seconds on the clock, of the thread that computes, and of all processors together."""

    wall: float = 0.0
    thread: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed(spent: Spent) -> Iterator[None]:
    """Add what the block takes."""
    wall, thread, cpu = time.perf_counter(), time.thread_time(), processors()
    yield
    spent.wall += time.perf_counter() - wall
    spent.thread += time.thread_time() - thread
    spent.cpu += processors() - cpu


def processors() -> float:
    """Return the seconds that processors have worked for this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def overhead(folder: Path, frames: int, size: tuple[int, int]) -> bool:
    """Print what the runner adds to computing alone, in turns within one run.

    The clock is what the user waits for, where nothing else runs. On a busy machine the thread that
    computes says what the clock would with a second core free, since reading and writing have
    threads of their own; all processors together say what a machine without one would need.
    """
    plate = plates(folder, frames, size)
    use_threads(1)

    def render(evaluator: Evaluator, part: range) -> None:
        run_frames(evaluator, part, Options(overwrite=True), told)

    def unwritten(evaluator: Evaluator, part: range) -> None:
        with mock.patch("relume.media.write.write", return_value=[]):
            render(evaluator, part)

    def alone(evaluator: Evaluator, part: range) -> None:
        (write,) = evaluator.graph.find(REGISTRY["write"])
        for frame in part:
            evaluator.evaluate(write, frame)

    cases: dict[str, tuple[Callable[[Evaluator, range], None], dict[str, object]]] = {
        "read and computed, nothing written": (alone, {}),
        "the runner, every pass, zips": (render, {}),
        "the runner, all but writing": (unwritten, {}),
        "the runner, every pass, uncompressed": (render, {"compression": "none"}),
        "the runner, RGBA alone, zips": (render, {"passes": ["rgba"]}),
    }
    spent = {name: Spent() for name in cases}
    evaluators = {
        name: relighting(plate, frames, str(folder / "out.####.exr"), **knobs)
        for name, (_, knobs) in cases.items()
    }
    alone(evaluators[next(iter(cases))], range(1, 2))
    for first in range(1, frames + 1, 10):
        part = range(first, min(first + 10, frames + 1))
        for name, (work, _) in cases.items():
            for cache in evaluators[name].caches:
                if isinstance(cache, MemoryCache):
                    cache.clear()
            with timed(spent[name]):
                work(evaluators[name], part)
    base = next(iter(spent.values()))
    print("| s a frame | clock | | computing thread | | all processors | |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, took in spent.items():
        cells = [
            f"{mine / frames:.3f} | {mine / theirs - 1.0:+.1%}"
            for mine, theirs in (
                (took.wall, base.wall), (took.thread, base.thread), (took.cpu, base.cpu)
            )
        ]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")
    runner = spent["the runner, every pass, zips"]
    added = runner.wall / base.wall - 1.0
    held_up = runner.thread / base.thread - 1.0
    print(
        f"\nThe runner adds {added:+.1%} on the clock at a load of {os.getloadavg()[0]:.1f} and "
        f"{held_up:+.1%} to the computing thread; at most 10 % are allowed of each."
    )
    return max(added, held_up) <= 0.10


def told(report: FrameReport) -> None:
    """Stop at a frame that failed."""
    if report.error is not None:
        raise report.error


Disturbed = Callable[[Evaluator, int, int], tuple[list[FrameReport], int]]
"""Renders a job of so many frames while so many workers are killed: its reports, and the deaths."""


def killed(folder: Path, frames: int, size: tuple[int, int], kills: int, work: Disturbed) -> bool:
    """Render undisturbed, then while random workers are killed, and compare the pixels."""
    plate = plates(folder, frames, size)
    calm, wild = (
        relighting(plate, frames, str(folder / name / "x.####.exr")) for name in ("calm", "wild")
    )
    start = time.perf_counter()
    run_chunk(chunk_of(calm, frames).to_json())
    quiet = time.perf_counter() - start
    start = time.perf_counter()
    reports, deaths = work(wild, frames, kills)
    seconds = time.perf_counter() - start
    good = sum(report.status == "done" for report in reports)
    same = sum(
        alike(folder / "calm" / f"x.{frame:04d}.exr", folder / "wild" / f"x.{frame:04d}.exr")
        for frame in range(1, frames + 1)
    )
    print(
        f"{deaths} workers killed in {frames} frames: {good} good, {same} identical to an "
        f"undisturbed run; {quiet:.0f} s in one process undisturbed, {seconds:.0f} s in two "
        "disturbed."
    )
    return good == same == frames and deaths == kills


def chunk_of(evaluator: Evaluator, frames: int) -> Chunk:
    """Return all frames of a job."""
    document = evaluator.graph.to_json(REGISTRY)
    options = Options(retries=2)
    return Chunk(document, f"1-{frames}", tuple(range(1, frames + 1)), options=options)


class Killer:
    """Ends random workers with SIGKILL, at equal distances of a job.

    Args:
        kills: how many.
        frames: of the job.
        workers: finds the process ids of those that are alive.
    """

    def __init__(self, kills: int, frames: int, workers: Callable[[], set[int]]) -> None:
        self.dead: set[int] = set()
        self._marks = [frames * number // (kills + 1) for number in range(1, kills + 1)]
        self._workers = workers
        self._chance = random.Random(1)
        self._told = 0

    def __call__(self, report: FrameReport) -> None:
        """Hear of a frame, and end a worker where it is time."""
        self._told += 1
        if len(self.dead) < len(self._marks) and self._told >= self._marks[len(self.dead)]:
            alive = sorted(self._workers() - self.dead)
            if alive:  # else the next frame's report comes when there is one
                pid = self._chance.choice(alive)
                self.dead.add(pid)
                os.kill(pid, signal.SIGKILL)


def on_processes(job: Evaluator, frames: int, kills: int) -> tuple[list[FrameReport], int]:
    """Render on two processes of this machine while they are killed."""
    crew: set[int] = set()
    killer = Killer(kills, frames, lambda: crew)

    def hire(answer: Callable[[Answer], None]) -> Process:
        process = Process(answer)
        crew.add(process.pid)
        return process

    pool = Pool(
        chunk_of(job, frames), job.graph.find(REGISTRY["write"]), hire, Listener(killer),
        workers=lambda: 2, size=size_for(frames, 2),
    )  # fmt: skip
    return pool.run(), len(killer.dead)


def on_dask(job: Evaluator, frames: int, kills: int) -> tuple[list[FrameReport], int]:
    """Render on a scheduler and two worker processes while these are killed; nannies restart them.

    What a killed worker had begun goes with it: its child ends when nobody reads its answers.
    """
    from distributed import Client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"

    def start(kind: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, "--no-dashboard"]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet)

    with tempfile.TemporaryDirectory() as folder:
        crew = [start("scheduler", "--host", "tcp://127.0.0.1", "--port", port)]
        crew += [start("worker", address, "--nthreads", "1") for _ in range(2)]
        try:
            with Client(address, timeout=60, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=120)

                def workers() -> set[int]:
                    found = client.run(os.getpid, on_error="ignore")
                    return set(found.values())

                killer = Killer(kills, frames, workers)
                options = Options(retries=2)
                reports = share(
                    job, range(1, frames + 1), options, Crew(cluster=address), Listener(killer)
                )
        finally:
            for process in reversed(crew):
                process.terminate()
            for process in crew:
                process.wait()
    return reports, len(killer.dead)


def alike(one: Path, other: Path) -> bool:
    """Return whether two files hold the same channels and values."""
    if one.read_bytes() == other.read_bytes():
        return True
    a, b = oiio.ImageBuf(str(one)), oiio.ImageBuf(str(other))
    names = a.spec().channelnames == b.spec().channelnames
    return bool(names and np.array_equal(a.get_pixels("half"), b.get_pixels("half")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--frames", type=int, help="instead of 1,000, or 200 where workers die")
    parser.add_argument("--size", help="of the plates, WIDTHxHEIGHT")
    parser.add_argument("--kills", type=int, default=8)
    words = parser.parse_args()
    disturbed = {"killed": on_processes, "cluster": on_dask}
    good = True
    for part in words.parts or PARTS:
        print(f"\n## {part}\n", flush=True)
        given = tuple(int(side) for side in words.size.split("x")) if words.size else None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if part == "steady":
                good &= steady(folder, words.frames or 1000, given or (480, 270))
            elif part == "overhead":
                good &= overhead(folder, words.frames or 40, given or (960, 540))
            elif part in disturbed:
                work, frames = disturbed[part], words.frames or 200
                good &= killed(folder, frames, given or (960, 540), words.kills, work)
            else:
                parser.error(f"there is no part '{part}'")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
