"""A worker in this process, and clients of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest

from relume.context import Context
from relume.hosts.worker.client import Output, Picture, Worker
from relume.hosts.worker.server import Server
from relume.image import Image
from relume.knobs import Int
from relume.node import In, Node, Out, Registry
from relume.nodes.registry import REGISTRY


class Gate:
    """Where `Slow` waits: the test sees that it arrived, and lets it go on."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()
        self.passed = 0


GATE = Gate()


class Slow(Node):
    """Wait until the test says so."""

    id, version, category = "slow", 1, "Test"
    image = In(Image, "Any.", optional=True)
    out = Out(Image, "A pixel.")
    number = Int(0, "Another number is another result.")

    def compute(self, ctx: Context, image: Image | None) -> Image:
        GATE.arrived.release()
        assert GATE.open.wait(30)
        ctx.check_cancel()
        GATE.passed += 1
        return image or Image(np.full((1, 1, 1), self.number, np.float32), ("A",), colour="data")


@pytest.fixture
def gate() -> Iterator[Gate]:
    GATE.__init__()  # type: ignore[misc]
    yield GATE
    GATE.open.set()


Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def serve(serving: Any) -> Serve:
    """Return what starts a worker in this process with options, one that knows `Slow`."""

    @contextmanager
    def start(**options: Any) -> Iterator[Server]:
        with serving(Registry([*REGISTRY.values(), Slow]), **options) as server:
            try:
                yield server
            finally:
                # A worker ends once what it renders has.
                GATE.open.set()

    return start


@pytest.fixture
def server(serve: Serve) -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    """A client of a worker in this process."""
    with Worker("test") as client:
        yield client


class Tools:
    """What tests of the worker share."""

    SAME: ClassVar[dict[str, Any]] = {
        "relume": 1,
        "nodes": {
            "plate": {"type": "input"},
            "same": {"type": "premult", "inputs": {"image": "plate"}},
        },
    }
    """A graph that returns the host's image."""

    @staticmethod
    def slow(number: int = 0) -> dict[str, Any]:
        """Return a graph that waits at the gate."""
        node: dict[str, Any] = {"type": "slow", "knobs": {"number": number}}
        return {"relume": 1, "nodes": {"slow": node}}

    @staticmethod
    def picture(pixels: Any, channels: str = "RGBA", **fields: Any) -> Picture:
        """Return H×W×C pixels as a picture to lend."""
        fields = {"colour": "lin_ap1_scene", **fields}
        height, width, _ = pixels.shape
        return Picture(np.ascontiguousarray(pixels), width, height, channels, **fields)

    @staticmethod
    def pixels(result: Any) -> Any:
        """Return a result, interleaved and top down, as H×W×C."""
        flat = np.frombuffer(result.pixels, np.float32)
        return flat.reshape(result.height, result.width, len(result.channels)).copy()

    @classmethod
    def same(cls, worker: Worker, pixels: Any, serial: str = "one", **fields: Any) -> Any:
        """Send pixels there and back."""
        found = worker.render(
            cls.SAME,
            1,
            [Output("same", **fields)],
            inputs={"plate": serial},
            images={serial: cls.picture(pixels)},
        )
        return cls.pixels(found[0])


@pytest.fixture
def tools() -> type[Tools]:
    return Tools


@pytest.fixture
def rgba() -> Any:
    """Scene-linear values below 0 and far above 1."""
    return np.random.default_rng(1).normal(0.5, 40.0, (5, 7, 4)).astype(np.float32)
