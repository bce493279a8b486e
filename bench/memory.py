"""Peak memory of a whole command; `bench/soak.py` looks at a thousand frames."""

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


if __name__ == "__main__":
    main()
