"""How long a frame takes: each node of a 1080p relight in memory; reading and writing apart."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from memory import mask, portrait

from relume.cache import MemoryCache
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.media.write import write
from relume.nodes.recipes import Backdrop, Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY

WIDTH, HEIGHT = 1920, 1080
RUNS = 3
AIMS = {"matte": 1000, "relight": 4000}


def frame(folder: Path) -> dict[str, float]:
    """Return the milliseconds of each node of one frame, nothing kept from another."""
    graph = relight_graph(
        Plate(str(folder / "plate.png"), mask=str(folder / "mask.png")),
        Lighting({"key": "rig:rembrandt"}),
        "relit.exr",
        Backdrop("environment"),
    )
    evaluator = Evaluator(graph, REGISTRY, Settings(Shot(1, 1)), caches=[MemoryCache()])
    deliverable = evaluator.evaluate("write", 1)
    start = time.perf_counter()
    write(folder / "relit.exr", deliverable.layers, overwrite=True)
    evaluator.seconds["writing the file"] = time.perf_counter() - start
    return {name: 1000 * seconds for name, seconds in evaluator.seconds.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait(folder / "plate.png", WIDTH, HEIGHT)
        mask(folder / "mask.png", WIDTH, HEIGHT)
        frame(folder)  # loads the weights
        runs = [frame(folder) for _ in range(RUNS)]
    best = {node: min(run[node] for run in runs) for node in runs[0]}
    files = best.pop("plate") + best.pop("mask")
    writing = best.pop("writing the file")
    matte = best["matte"] + best["foreground"]
    print(f"{WIDTH}×{HEIGHT}, {os.cpu_count()} threads, each node at its best of {RUNS}\n")
    print("| what | ms | aim |")
    print("|---|---:|---:|")
    for node, milliseconds in best.items():
        print(f"| {node} | {milliseconds:.0f} | |")
    print(f"| matte and foreground | {matte:.0f} | {AIMS['matte']} |")
    print(f"| **all of it, in memory** | {sum(best.values()):.0f} | {AIMS['relight']} |")
    print(f"| reading plate and mask (PNG) | {files:.0f} | |")
    print(f"| writing every pass (half, zips) | {writing:.0f} | |")


if __name__ == "__main__":
    main()
