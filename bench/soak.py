"""What only shows after a long time: memory, what the runner adds, and workers that are killed.

`python bench/soak.py [--frames N] [--size WIDTHxHEIGHT] [--kills N] [steady|overhead|killed …]`
runs parts of it, or shorter ones. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import skimage.data

from relume.cache import MemoryCache
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.farm.chunk import Chunk, run_chunk
from relume.hosts.farm.ledger import size_for
from relume.hosts.farm.local import Process
from relume.hosts.farm.memory import resident
from relume.hosts.farm.pool import Answer, Listener, Pool
from relume.hosts.farm.prepare import absolute, settle
from relume.hosts.farm.runner import Options, run_frames
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.render import FrameReport

PARTS = ("steady", "overhead", "killed")


def plates(folder: Path, frames: int, size: tuple[int, int]) -> str:
    """Write a portrait that drifts across the plate, and return the pattern of its files."""
    width, height = size
    photograph = oiio.ImageBuf(np.ascontiguousarray(skimage.data.astronaut()))
    person = oiio.ImageBufAlgo.resize(photograph, roi=oiio.ROI(0, height, 0, height))
    pixels = person.get_pixels("float")
    room = width - height

    def draw(frame: int) -> None:
        plate = np.full((height, width, 3), 0.4, np.float32)
        left = room * (frame % 100) // 100
        plate[:, left : left + height] = pixels
        oiio.ImageBuf(plate).write(str(folder / f"plate.{frame:04d}.png"), "uint8")

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(1, frames + 1)))
    return str(folder / "plate.####.png")


def relighting(pattern: str, frames: int, out: str) -> Evaluator:
    """Return the whole relight, its light turning once around, settled for a job."""
    turn = {"keys": [[1, 0.0], [max(frames, 2), 360.0]]}
    lighting = Lighting({"key": "rig:rembrandt"}, adjust={"rotate": turn})
    graph = relight_graph(Plate(pattern), lighting, out)
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
        if report.error is not None:
            raise report.error
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


def overhead(folder: Path, frames: int, size: tuple[int, int]) -> bool:
    """Print what the runner adds to computing alone, in turns within one run."""
    frames = min(frames, 40)
    evaluator = relighting(plates(folder, frames, size), frames, str(folder / "out.####.exr"))
    (write,) = evaluator.graph.find(REGISTRY["write"])

    def alone(frame: int) -> None:
        evaluator.evaluate(write, frame)

    def seconds(work: Callable[[], object]) -> float:
        for cache in evaluator.caches:
            if isinstance(cache, MemoryCache):
                cache.clear()
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    some = [range(first, min(first + 10, frames + 1)) for first in range(1, frames + 1, 10)]
    alone(1)
    computing = running = 0.0
    for part in some:
        computing += seconds(lambda part=part: [alone(frame) for frame in part])
        running += seconds(
            lambda part=part: run_frames(
                evaluator, part, Options(overwrite=True), lambda report: None
            )
        )
    added = running / computing - 1.0
    print("| | s a frame |\n|---|---:|")
    print(f"| read and computed, nothing written | {computing / frames:.3f} |")
    print(f"| the runner: also fingerprint, write, sync, checksum | {running / frames:.3f} |")
    print(f"\nThe runner adds {100 * added:+.1f} %, at most 10 % are allowed.")
    return added <= 0.10


def killed(folder: Path, frames: int, size: tuple[int, int], kills: int) -> bool:
    """Render undisturbed, then while random workers are killed, and compare the pixels."""
    pattern = plates(folder, frames, size)
    jobs = []
    for name in ("calm", "wild"):
        evaluator = relighting(pattern, frames, str(folder / name / "x.####.exr"))
        document: Graph = evaluator.graph
        jobs.append(
            Chunk(
                document.to_json(REGISTRY), f"1-{frames}", tuple(range(1, frames + 1)),
                options=Options(retries=2),
            )
        )  # fmt: skip
    start = time.perf_counter()
    run_chunk(jobs[0].to_json())
    calm = time.perf_counter() - start
    crew: dict[int, Process] = {}
    dead: set[int] = set()
    chance = random.Random(1)
    told = 0

    def hire(answer: Callable[[Answer], None]) -> Process:
        process = Process(answer)
        crew[process.pid] = process
        return process

    def on_frame(report: FrameReport) -> None:
        nonlocal told
        told += 1
        if len(dead) < kills and told >= (len(dead) + 1) * frames // (kills + 1):
            pid = chance.choice(sorted(set(crew) - dead))
            dead.add(pid)
            os.kill(pid, signal.SIGKILL)

    start = time.perf_counter()
    pool = Pool(
        jobs[1], evaluator.graph.find(REGISTRY["write"]), hire, Listener(on_frame),
        workers=lambda: 2, size=size_for(frames, 2),
    )  # fmt: skip
    reports = pool.run()
    wild = time.perf_counter() - start
    good = sum(report.status == "done" for report in reports)
    same = sum(
        alike(folder / "calm" / f"x.{frame:04d}.exr", folder / "wild" / f"x.{frame:04d}.exr")
        for frame in range(1, frames + 1)
    )
    print(
        f"{len(dead)} workers killed in {frames} frames: {good} good, {same} identical to an "
        f"undisturbed run; {calm:.0f} s in one process undisturbed, {wild:.0f} s in two disturbed."
    )
    return good == same == frames


def alike(one: Path, other: Path) -> bool:
    """Return whether two files hold the same channels and values."""
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
    good = True
    for part in words.parts or PARTS:
        print(f"\n## {part}\n", flush=True)
        given = tuple(int(side) for side in words.size.split("x")) if words.size else None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if part == "steady":
                good &= steady(folder, words.frames or 1000, given or (480, 270))
            elif part == "overhead":
                good &= overhead(folder, words.frames or 40, given or (1920, 1080))
            elif part == "killed":
                good &= killed(folder, words.frames or 200, given or (960, 540), words.kills)
            else:
                parser.error(f"there is no part '{part}'")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
