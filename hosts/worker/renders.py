"""Renders, one after the other, in a thread of their own: whatever they do, the worker answers."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from relume.cache import MemoryCache
from relume.errors import Cancelled, InputError, RelumeError, UsageError, blame
from relume.evaluate import Evaluator
from relume.graph import Graph
from relume.hosts.farm.memory import Limit, TooLarge
from relume.hosts.worker.images import Images
from relume.hosts.worker.outputs import Number, Picture, areas, results
from relume.hosts.worker.requests import Missing, Request
from relume.hosts.worker.segments import Segment
from relume.hosts.worker.stop import between_layers
from relume.hosts.worker.wire import LARGEST_PAYLOAD, Malformed
from relume.image import Image
from relume.node import Registry

log = logging.getLogger(__name__)

_OFTEN = 0.05
"""Seconds between two events of progress."""


class Room(RelumeError):
    """A segment is too small for what is to be written to it."""

    def __init__(self, segment: str, bytes: int) -> None:
        self.segment = segment
        self.bytes = bytes
        super().__init__(f"the segment '{segment}' is too small: {bytes} bytes are needed")


class Host(Protocol):
    """The client a render is for."""

    def send(self, message: Mapping[str, Any], payload: Iterable[memoryview] = ()) -> None:
        """Send an answer."""

    def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event, where the client keeps up."""

    def segment(self, name: str) -> Segment:
        """Return memory the client lent."""


@dataclass(slots=True, eq=False)
class Render:
    """A render, from its request to its one answer.

    Attributes:
        host: who asked.
        id: the number of the request.
        request: what was asked.
        graph: the graph with the host's images wired in.
        externals: these images.
    """

    host: Host
    id: int
    request: Request
    graph: Graph
    externals: Mapping[str, Image]
    notices: list[str] = field(default_factory=list)
    _answered: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_over(self) -> bool:
        """Return whether it was answered, so that nobody waits for the rest."""
        return self._answered

    def cancel(self) -> bool:
        """Answer it as cancelled, now; return False where it was answered before."""
        return self.fail(Cancelled("cancelled"))

    def fail(self, error: RelumeError) -> bool:
        """Answer it with an error; return False where it was answered before."""
        with self._lock:
            if self._answered:
                return False
            self._answered = True
            self.host.send(refusal(self.id, error))
            return True

    def finish(self, found: list[Picture | Number], seconds: float, computed: list[str]) -> None:
        """Write the pixels and answer, unless it was answered before."""
        with self._lock:
            # From here until the answer the segments are the worker's.
            if self._answered:
                return
            outputs, payload = self._write(found)
            self._answered = True
            self.host.send(
                {
                    "id": self.id,
                    "ok": True,
                    "outputs": outputs,
                    "seconds": round(seconds, 6),
                    "computed": computed,
                    "notices": self.notices,
                },
                payload,
            )

    def tell(self, event: str, **fields: Any) -> None:
        """Tell the host how it goes."""
        if not self._answered:
            self.host.tell({"id": self.id, "event": event, **fields})

    def notice(self, node: str, frame: int, text: str) -> None:
        """Tell the host something worth reading."""
        self.notices.append(f"node {node}, frame {frame}: {text}")
        self.tell("notice", node=node, frame=frame, text=text)

    def _write(
        self, found: list[Picture | Number]
    ) -> tuple[list[dict[str, Any]], list[memoryview]]:
        places = areas(found)
        ends: dict[str, int] = {}
        for picture, (segment, start) in zip(found, places, strict=True):
            if isinstance(picture, Picture):
                end = start + 4 * picture.shape.count
                ends[segment] = max(ends.get(segment, 0), end)
        for segment, end in ends.items():
            if segment and self.host.segment(segment).size < end:
                raise Room(segment, end)
        if ends.get("", 0) > LARGEST_PAYLOAD:
            raise Malformed(f"{ends['']} bytes are too many for one answer")
        payload = np.empty(ends.get("", 0) // 4, np.float32)
        entries: list[dict[str, Any]] = []
        for picture, (segment, start) in zip(found, places, strict=True):
            entry = picture.fields()
            if isinstance(picture, Picture):
                entry["offset"] = start
                count = picture.shape.count
                if segment:
                    entry["segment"] = segment
                    picture.write(self.host.segment(segment).floats(start, count))
                else:
                    picture.write(payload[start // 4 : start // 4 + count])
            entries.append(entry)
        return entries, [payload.data.cast("B")] if payload.size else []


class _Computed:
    """A cache of what was computed: what a host lent is kept as long as it is lent, no longer.

    Args:
        cache: where results are kept.
        lent: images of the host.
    """

    def __init__(self, cache: MemoryCache, lent: Iterable[Image]) -> None:
        self._cache = cache
        self._lent = list(lent)

    def get(self, key: str) -> Any | None:
        """Return a result, or None."""
        return self._cache.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a result, unless it is an image that was lent."""
        if not any(item is image for item in value for image in self._lent):
            self._cache.put(key, value)


class Renders:
    """Carries renders out in the order they come.

    Args:
        registry: the node types.
        images: what hosts lent; given up when memory is short.
        max_memory: GiB the worker may hold; 0 for no limit.
    """

    def __init__(self, registry: Registry, images: Images, max_memory: float) -> None:
        self.registry = registry
        self.cache = MemoryCache()
        self.computed: Counter[str] = Counter()
        """How often each type of node ran."""
        self.done = 0
        """Renders carried out."""
        self._images = images
        self._limit = Limit(max_memory, [self.cache])
        self._waiting: deque[Render] = deque()
        self._current: Render | None = None
        self._changed = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="renders", daemon=True)
        self._thread.start()

    def add(self, render: Render) -> None:
        """Put a render at the end of the queue."""
        with self._changed:
            self._waiting.append(render)
            self._changed.notify()

    def pending(self) -> list[Render]:
        """Return the renders that wait for their answer, oldest first."""
        with self._changed:
            current = [self._current] if self._current else []
            return [one for one in (*current, *self._waiting) if not one.is_over()]

    def is_idle(self) -> bool:
        """Return whether nothing runs or waits, not even what was cancelled."""
        with self._changed:
            return self._current is None and not self._waiting

    def close(self) -> None:
        """Cancel everything and take nothing new."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        for render in self.pending():
            render.cancel()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._current = None
                while not self._waiting and not self._ends:
                    self._changed.wait()
                if self._ends:
                    return
                self._current = self._waiting.popleft()
            self._carry_out(self._current)

    def _carry_out(self, render: Render) -> None:
        if render.is_over():
            return
        start = time.perf_counter()
        try:
            found, computed = self._evaluate(render)
            render.finish(found, time.perf_counter() - start, computed)
        except RelumeError as error:
            render.fail(error)
        except MemoryError:
            render.fail(TooLarge("there is not enough memory", way_out="Work at a smaller size"))
        except Exception as error:
            log.exception("a render failed")
            render.fail(RelumeError(f"{type(error).__name__}: {error}"))
        self.done += 1

    def _evaluate(self, render: Render) -> tuple[list[Picture | Number], list[str]]:
        request = render.request
        if request.settings.device != "cpu":
            from relume.hosts.cli.job import check_device

            check_device(request.settings.device)
        self._limit.check(self._relieve)
        evaluator = Evaluator(
            render.graph,
            self.registry,
            request.settings,
            caches=[_Computed(self.cache, render.externals.values())],
            externals=render.externals,
            on_progress=self._reporter(render),
            is_cancelled=render.is_over,
            on_notice=render.notice,
        )
        frame = request.frame or 0
        found: list[Picture | Number] = []
        with between_layers(render.is_over) if self._has_networks(render) else nullcontext():
            try:
                for wanted in request.wanted:
                    with blame(wanted.output.partition(".")[0], frame):
                        found += results(evaluator.evaluate(wanted.output, frame), wanted)
            finally:
                for name, times in evaluator.computed.items():
                    self.computed[render.graph.nodes[name].type] += times
        return found, list(evaluator.computed)

    def _has_networks(self, render: Render) -> bool:
        names = [output.partition(".")[0] for output in render.request.outputs]
        needed = render.graph.order(names)
        return any(self.registry[render.graph.nodes[name].type].weights for name in needed)

    def _reporter(self, render: Render) -> Callable[[str, int, float], None]:
        last, at = "", 0.0

        def report(node: str, frame: int, fraction: float) -> None:
            nonlocal last, at
            now = time.monotonic()
            if fraction >= 1.0:
                self._limit.check(self._relieve)
            if render.request.progress and (node != last or fraction >= 1.0 or now - at >= _OFTEN):
                last, at = node, now
                render.tell("progress", node=node, frame=frame, fraction=fraction)

        return report

    def _relieve(self) -> None:
        self._images.clear()


def refusal(id: int | None, error: RelumeError) -> dict[str, Any]:
    """Return the answer that tells of an error."""
    described: dict[str, Any] = {"kind": _kind(error), "message": str(error)}
    if error.node:
        described["node"] = error.node
    if error.frame is not None:
        described["frame"] = error.frame
    if isinstance(error, Missing):
        described["serials"] = error.serials
    if isinstance(error, Room):
        described |= {"segment": error.segment, "bytes": error.bytes}
    return {"id": id, "ok": False, "error": described}


_KINDS: tuple[tuple[type[RelumeError], str], ...] = (
    (Cancelled, "cancelled"),
    (Missing, "images"),
    (Room, "room"),
    (TooLarge, "memory"),
    (Malformed, "protocol"),
    (InputError, "input"),
    (UsageError, "usage"),
)


def _kind(error: RelumeError) -> str:
    return next((kind for cls, kind in _KINDS if isinstance(error, cls)), "failed")
