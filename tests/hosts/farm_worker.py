"""Nodes that are slow or end their process, graphs of them, and a worker that knows them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from relume.context import Context
from relume.errors import InputError
from relume.image import Image
from relume.knobs import Float, Ints, Text
from relume.node import In, Node, Out, Registry
from relume.nodes.registry import REGISTRY as PRODUCT


class Slow(Node):
    """Take time."""

    id, version, category = "slow", 1, "Test"
    image = In(Image, "Any picture.")
    out = Out(Image, "The same picture.")
    seconds = Float(0.05, "How long.", min=0, max=60)
    uses_frame = True

    def compute(self, ctx: Context, image: Image) -> Image:
        """Sleep."""
        time.sleep(self.seconds)
        return image


class Poison(Node):
    """End the process, as a fault in a library or a lack of memory would."""

    id, version, category = "poison", 1, "Test"
    image = In(Image, "Any picture.")
    out = Out(Image, "The same picture.")
    frames = Ints((0,), "Where.")
    uses_frame = True

    def compute(self, ctx: Context, image: Image) -> Image:
        """Die at some frames."""
        if ctx.frame in self.frames:
            os.kill(os.getpid(), signal.SIGKILL)
        return image


class Fickle(Node):
    """Fail at some frames as often as files are missing in a folder, then pass."""

    id, version, category = "fickle", 1, "Test"
    image = In(Image, "Any picture.")
    out = Out(Image, "The same picture.")
    frames = Ints((0,), "Where.")
    times = Ints((1,), "How often.")
    folder = Text("", "Where it counts.", affects=False)
    uses_frame = True

    def compute(self, ctx: Context, image: Image) -> Image:
        """Fail so often."""
        for number in range(self.times[0] if ctx.frame in self.frames else 0):
            name = f"{self.folder}/{ctx.frame}.{number}"
            if not os.path.exists(name):  # noqa: PTH110
                os.close(os.open(name, os.O_CREAT))
                raise InputError("the disk was away")
        return image


class Expose(Node):
    """Multiply by 2^anchor."""

    id, version, category = "expose", 1, "Test"
    image = In(Image, "Any picture.")
    anchor = In(float, "Stops.")
    out = Out(Image, "The exposed picture.")

    def compute(self, ctx: Context, image: Image, anchor: float) -> Image:
        """Expose."""
        return image.like(image.pixels * 2.0**anchor)


def chain(**nodes: dict[str, Any]) -> dict[str, Any]:
    """Return plate → nodes given, each reading the one before → out/x.####.exr."""
    before = "plate"
    found: dict[str, Any] = {"plate": {"type": "read", "knobs": {"file": "plate.####.exr"}}}
    for name, node in nodes.items():
        found[name] = {"inputs": {"image": before}} | node
        before = name
    found["out"] = {
        "type": "write",
        "knobs": {"file": "out/x.####.exr", "depth": "float"},
        "inputs": {"layers": {"rgba": before}},
    }
    return {"relume": 1, "nodes": found}


REGISTRY = Registry([*PRODUCT.values(), Slow, Poison, Fickle, Expose])

if __name__ == "__main__":
    from relume.hosts.farm.worker import main

    code = main(REGISTRY)
    os._exit(code)
