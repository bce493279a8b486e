"""Mattes and foregrounds of large frames: seconds by the clock and of the processor, peak memory.

Each row is a process of its own, so that none sees another's memory; the weights are loaded and
the process is warm before anything is timed. Two threads, or OMP_NUM_THREADS.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")

HEIGHT, WIDTH = 1080, 1920

ROWS = {
    "matte and foreground, nothing given": (1, "alone"),
    "PlateMatte and foreground, hand-held": (1, "plate"),
    "matte and foreground, nothing given, 4K": (2, "alone"),
    "PlateMatte and foreground, hand-held, 4K": (2, "plate"),
}


def run(scale: int, kind: str) -> None:
    """Time a row and print it."""
    import numpy as np
    import torch
    from matting import frame, network

    from relume.exposure import measure_anchor
    from relume.image import Image
    from relume.matting.foreground import estimate_layers
    from relume.matting.network import estimate_matte
    from relume.matting.plate_matte import plate_matte

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    small, alpha, _ = frame()
    model, _ = network()

    def large(pixels: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(pixels.repeat(scale, 0).repeat(scale, 1))

    plate = Image(large(small.pixels), ("R", "G", "B"))
    band = np.where(alpha <= 0, 0, np.where(alpha >= 1, 1, 0.5)).astype(np.float32)
    guide = Image(large(band[..., None]), ("A",), "data")
    # The subject is drawn by formulas: the guide finds it, whatever the weights.
    behind = Image(np.roll(plate.pixels, (2 * scale, 3 * scale), (0, 1)), ("R", "G", "B"))
    anchor = measure_anchor(plate)

    def work() -> None:
        if kind == "alone":
            matte = estimate_matte(plate, anchor, guide, model).matte
        else:
            matte = plate_matte(plate, behind, anchor, guide, model).matte
        estimate_layers(plate.pixels, matte.pixels[:, :, 0])

    work()
    walls, processors = [], []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{min(walls):.2f} | {min(processors):.2f} | {peak:.2f}")


def main() -> None:
    print(f"{os.environ['OMP_NUM_THREADS']} threads, best of 3\n")
    print("| what | wall s | processor s | peak GiB |")
    print("|---|---:|---:|---:|")
    for name, (scale, kind) in ROWS.items():
        words = [sys.executable, __file__, str(scale), kind]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        print(f"| {name} | {done.stdout.strip()} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(int(sys.argv[1]), sys.argv[2])
    else:
        main()
