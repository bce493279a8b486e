"""Seconds of every node of a full relight at 1080p, pixels in memory, beside pymatting."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from memory import mask, portrait
from timing import best

from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.render import render

SIZE = (1920, 1080)
ROUNDS = 3
ANALYSIS = ("normals", "albedo", "transport", "analysis")
"""Nodes that analyse the subject, in either profile."""


def measure(folder: Path, profile: str = "best") -> tuple[dict[str, float], float, Evaluator]:
    """Return the seconds of each node, those of writing, and the evaluator."""
    plate = Plate(str(folder / "plate.png"), mask=str(folder / "mask.png"), profile=profile)
    lighting = Lighting({"key": "rig:rembrandt"})
    graph = relight_graph(plate, lighting, str(folder / "relit.exr"))
    evaluator = Evaluator(graph, REGISTRY, Settings(Shot(1, 1), threads=2))
    start = time.perf_counter()
    report = render(evaluator, [1], overwrite=True)[0]
    if report.error is not None:
        raise report.error
    everything = time.perf_counter() - start
    return dict(evaluator.seconds), everything - sum(evaluator.seconds.values()), evaluator


def analysis(seconds: dict[str, float]) -> float:
    """Return the seconds of the nodes that analyse the subject."""
    return sum(seconds.get(node, 0.0) for node in ANALYSIS)


def reference(evaluator: Evaluator) -> float:
    """Return the seconds pymatting takes for the foreground alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatting import estimate_foreground_ml

    plate = evaluator.evaluate("plate", 1).rgb.astype(np.float64)
    matte = evaluator.evaluate("matte.matte", 1).pixels[..., 0].astype(np.float64)
    return best(lambda: estimate_foreground_ml(plate, matte), ROUNDS)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait(folder / "plate.png", *SIZE)
        mask(folder / "mask.png", *SIZE)
        runs, fast = [], []
        for _ in range(ROUNDS):
            runs.append(measure(folder))
            fast.append(analysis(measure(folder, "fast")[0]))
        nodes, writing, evaluator = min(runs, key=lambda run: sum(run[0].values()))
        covered = float((evaluator.evaluate("matte.matte", 1).pixels > 0).mean())
        files = {"plate", "mask"}
        in_memory = sum(seconds for node, seconds in nodes.items() if node not in files)
        matte = nodes["matte"] + nodes["foreground"]
        print(f"Full relight at 1080p, 2 threads, best of {ROUNDS}; {covered:.0%} covered\n")
        print("| what | s | aim |\n|---|---:|---:|")
        print(f"| matte and foreground | {matte:.2f} | 1.0 |")
        print(f"| pymatting estimate_foreground_ml alone | {reference(evaluator):.2f} | |")
        print(f"| full relight in memory, all passes | {in_memory:.2f} | 4 |")
        print(f"| its analysis: normals, albedo, transport | {analysis(nodes):.2f} | |")
        print(f"| the same in the fast profile | {min(fast):.2f} | |")
        print(f"| reading | {sum(nodes[node] for node in files & set(nodes)):.2f} | |")
        print(f"| keys and writing the EXR | {writing:.2f} | |")
        print("\n| node | s |\n|---|---:|")
        for node, seconds in sorted(nodes.items(), key=lambda item: -item[1]):
            if seconds >= 0.005:
                print(f"| {node} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
