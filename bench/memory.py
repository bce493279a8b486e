"""Peak memory of a whole command, and whether memory grows from frame to frame."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import skimage.data

SIZES = {"1920 × 1080": (1920, 1080), "4096 × 2160": (4096, 2160)}
FRAMES = (50, 100, 200, 400)

_STEADY = """
import resource, sys
from pathlib import Path
from relume.cache import MemoryCache
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.render import render

turn = {"keys": [[1, 0.0], [400, 360.0]]}
lighting = Lighting({"key": "rig:rembrandt"}, adjust={"rotate": turn})
graph = relight_graph(Plate("small.png"), lighting, "out.####.exr")
settings = Settings(Shot(1, 400))
evaluator = Evaluator(graph, REGISTRY, settings, caches=[MemoryCache(64 << 20)])

def report(done):
    Path(done.path).unlink()
    if done.frame in FRAMES:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(done.frame, pages * resource.getpagesize() / 2**20, flush=True)

render(evaluator, range(1, 401), on_frame=report)
"""


def portrait(path: Path, width: int, height: int) -> None:
    """Write the demo's photograph, enlarged to fill the height, in the middle of a plate."""
    photograph = oiio.ImageBuf(np.ascontiguousarray(skimage.data.astronaut()))
    person = oiio.ImageBufAlgo.resize(photograph, roi=oiio.ROI(0, height, 0, height))
    plate = np.full((height, width, 3), 0.4, np.float32)
    left = (width - height) // 2
    plate[:, left : left + height] = person.get_pixels("float")
    oiio.ImageBuf(plate).write(str(path), "uint8")


def mask(path: Path, width: int, height: int) -> None:
    """Write a rough mask of the person in `portrait`, so that no figure hangs on finding one."""
    y, x = np.mgrid[0:height, 0:width]
    head = np.hypot((x - 0.47 * height - (width - height) / 2) / 0.12, (y - 0.2 * height) / 0.15)
    body = np.hypot((x - width / 2) / 0.42, (y - 0.85 * height) / 0.45)
    inside = np.minimum(head, body) < height
    oiio.ImageBuf(inside.astype(np.float32)[..., None]).write(str(path), "uint8")


def peak(command: list[str], folder: Path) -> tuple[float, float]:
    """Return the peak resident memory of a command in GiB, and its seconds."""
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_maxrss / 2**20, time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        relume = [sys.executable, "-m", "relume"]
        print("Peak of the whole process, files included\n")
        print("| command | plate | GiB | s |")
        print("|---|---|---:|---:|")
        for title, size in SIZES.items():
            portrait(folder / "plate.png", *size)
            mask(folder / "mask.png", *size)
            for command in (["matte"], ["relight", "--light", "rig:rembrandt"]):
                words = [*relume, *command, "plate.png", "--mask", "mask.png"]
                words += ["--out", f"{command[0]}.exr", "--overwrite"]
                gib, seconds = peak(words, folder)
                print(f"| {command[0]} | {title} | {gib:.2f} | {seconds:.1f} |", flush=True)
        portrait(folder / "small.png", 256, 256)
        print("\nResident while a light turns, a frame at a time, cache limited to 64 MiB\n")
        print("| frames done | MiB |")
        print("|---:|---:|")
        code = f"FRAMES = {FRAMES}\n{_STEADY}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
        )
        for line in done.stdout.splitlines():
            frame, mebibytes = line.split()
            print(f"| {frame} | {float(mebibytes):.0f} |")


if __name__ == "__main__":
    main()
