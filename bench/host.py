"""What the worker adds to a render at 1080p, RGBA float, and how soon a cancel is back."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import OpenImageIO as oiio
from memory import mask, portrait

from relume.hosts.worker.client import Cancelled, Output, Picture, Worker
from relume.nodes.recipes import Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY

SIZE = (1920, 1080)
WINDOW = (0, 0, *SIZE)
SPACE = "lin_ap1_scene"
ROUNDS = 21
WARM = 36
"""Rounds until the worker has taken in as many images as it keeps."""

CANCELS = 7


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a picture as R, G, B, A."""
    image = oiio.ImageBuf(str(path)).get_pixels("float")
    rgba = np.ones((*image.shape[:2], 4), np.float32)
    rgba[..., : min(3, image.shape[2])] = image[..., :3]
    return rgba


def cheap() -> dict[str, Any]:
    """Return a graph that hardly computes anything."""
    nodes = {"plate": {"type": "input"}, "same": {"type": "premult", "inputs": {"image": "plate"}}}
    return {"relume": 1, "nodes": nodes}


def relit(folder: Path) -> dict[str, Any]:
    """Return the full relight, its plate and mask lent by the host."""
    plate = Plate("plate.png", mask=str(folder / "mask.png"))
    graph = relight_graph(plate, Lighting({"key": "rig:rembrandt"}), "relit.exr")
    found: dict[str, Any] = json.loads(graph.to_json(REGISTRY))
    found["nodes"]["plate"] = {"type": "input"}
    del found["nodes"]["write"]
    return found


def overhead(worker: Worker, render: Callable[[int], None]) -> tuple[float, float, float]:
    """Return ms a round takes beside computing, median and least, and of computing, median."""
    added, computed = [], []
    for number in range(ROUNDS + WARM):
        start = time.perf_counter()
        render(number)
        whole = time.perf_counter() - start
        computed.append(worker.report["seconds"] * 1e3)
        added.append(whole * 1e3 - computed[-1])
    return median(added[WARM:]), min(added[WARM:]), median(computed[WARM:])


def cancel(worker: Worker, graph: dict[str, Any], source: Picture) -> tuple[float, float]:
    """Return ms until a cancelled matte is back, and until the worker is free for the next one."""
    stop = threading.Event()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.perf_counter())
        stop.set()

    def on_progress(node: str, frame: int, fraction: float) -> None:
        if node == "matte" and fraction == 0.0:
            threading.Timer(0.2, ask).start()

    serial = f"cancel{time.perf_counter()}"
    try:
        worker.render(
            graph, 1, [Output("matte.matte")], inputs={"plate": serial}, images={serial: source},
            is_cancelled=stop.is_set, on_progress=on_progress,
        )  # fmt: skip
        raise SystemExit("the matte was done before it could be cancelled")
    except Cancelled:
        back = time.perf_counter()
    worker.render(cheap(), 1, [Output("same")], inputs={"plate": serial}, images={serial: source})
    return 1e3 * (back - asked[0]), 1e3 * (time.perf_counter() - asked[0])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["RELUME_WORKER_DIR"] = str(folder / "worker")
        portrait(folder / "plate.png", *SIZE)
        mask(folder / "mask.png", *SIZE)
        source = pixels(folder / "plate.png")
        picture = Picture(source, *SIZE, colour=SPACE, rows="bottom_up")
        shown = np.empty_like(source)
        wanted = [Output("same", channels="RGBA", window=WINDOW, rows="bottom_up")]
        relight = [Output("relight.relit", channels="RGBA", window=WINDOW, colour=SPACE)]
        graph = relit(folder)

        def take(found: Any) -> None:
            shown[...] = np.frombuffer(found[0].pixels, np.float32).reshape(shown.shape)

        def new_image(number: int) -> None:
            serial = f"plate{number}"
            take(worker.render(
                cheap(), 1, wanted, inputs={"plate": serial}, images={serial: picture}
            ))  # fmt: skip

        def known_image(number: int) -> None:
            take(worker.render(
                cheap(), 1, wanted, inputs={"plate": "one"}, images={"one": picture}
            ))  # fmt: skip

        def new_light(number: int) -> None:
            graph["nodes"]["key_light"]["knobs"] = {"exposure": 0.01 * number}
            take(worker.render(
                graph, 1, relight, inputs={"plate": "one"}, images={"one": picture}
            ))  # fmt: skip

        with Worker("bench", command=[sys.executable, "-m", "relume"]) as worker:
            start = time.perf_counter()
            worker.connect()
            started = time.perf_counter() - start
            print(f"1080p, RGBA float, rows upwards; median of {ROUNDS}\n")
            print("| render | beside computing, ms | least, ms | aim | computing, ms |")
            print("|---|---:|---:|---:|---:|")
            for title, render in (
                ("another image each time, there and back", new_image),
                ("an image the worker has", known_image),
                ("the light changed: relight of an image it has", new_light),
            ):
                added, least, computed = overhead(worker, render)
                print(f"| {title} | {added:.1f} | {least:.1f} | 25 | {computed:.1f} |", flush=True)
            rounds = [cancel(worker, graph, picture) for _ in range(CANCELS)]
            print("\n| cancel in the middle of a matte | median, ms | longest, ms | aim |")
            print("|---|---:|---:|---:|")
            for title, times, aim in (
                ("until the host has its answer", [back for back, _ in rounds], "200"),
                ("until the next render is done", [free for _, free in rounds], ""),
            ):
                print(f"| {title} | {median(times):.0f} | {max(times):.0f} | {aim} |")
            print(f"\nStart of a worker, until it answers: {started:.2f} s")
            worker.shut_down()


if __name__ == "__main__":
    main()
