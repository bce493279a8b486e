"""What a page looks at: frames analysed or read in the background, one after another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relume.cache import GIB, MemoryCache
from relume.colour import convert
from relume.compositing.merge import over
from relume.compositing.resample import Fit
from relume.errors import InputError
from relume.evaluate import Cache, Evaluator, Settings
from relume.graph import Graph
from relume.hosts.view.look import Subject
from relume.hosts.view.packing import pack_frame
from relume.image import Image
from relume.nodes.recipes import Lighting
from relume.nodes.registry import REGISTRY
from relume.shading.types import Transport

KEPT = GIB
"""Bytes of packed frames to keep."""


@dataclass(slots=True, eq=False)
class Job:
    """A frame on its way.

    Attributes:
        frame: the frame.
        stop: set to cancel it.
        result: the packed frame, once there is one.
        node: the node that works at present.
        done: nodes that are through.
        steps: nodes in all.
        fraction: how much of the present node is done.
    """

    frame: int
    stop: threading.Event = field(default_factory=threading.Event)
    result: Future[bytes] = field(default_factory=Future)
    node: str = ""
    done: int = 0
    steps: int = 0
    fraction: float = 0.0

    def progress(self, node: str, frame: int, fraction: float) -> None:
        """Note how far it is."""
        del frame
        self.node = node
        finished = fraction >= 1.0
        self.done += finished
        self.fraction = 0.0 if finished else fraction

    @property
    def status(self) -> dict[str, Any]:
        """How far it is, for the page."""
        share = (self.done + self.fraction) / self.steps if self.steps else 0.0
        return {"frame": self.frame, "node": self.node, "fraction": min(1.0, share)}


class Session:
    """The frames of a subject.

    Args:
        subject: the plate or transport.
        frames: its frames, ascending.
        settings: what the evaluation fixes.
        caches: more caches, such as one on disk.
    """

    def __init__(
        self,
        subject: Subject,
        frames: Sequence[int],
        settings: Settings,
        caches: Sequence[Cache] = (),
    ) -> None:
        self.subject = subject
        self.frames = list(frames)
        self.settings = settings
        self.graph = self._graph()
        self._caches: list[Cache] = [MemoryCache(), *caches]
        self._pool = ThreadPoolExecutor(1, "relume-view")
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._packed: OrderedDict[int, bytes] = OrderedDict()

    def _graph(self) -> Graph:
        graph = self.subject.graph(Lighting({"original": "original"}), "", self.subject.backdrop)
        graph.check(REGISTRY)
        return graph

    def request(self, frame: int) -> bytes | Job:
        """Return a packed frame, or the job that will bring it.

        Raises:
            InputError: there is no such frame.
        """
        if frame not in self.frames:
            raise InputError(f"there is no frame {frame}")
        with self._lock:
            if frame in self._packed:
                self._packed.move_to_end(frame)
                return self._packed[frame]
            job = self._jobs.get(frame)
            if job is None or job.stop.is_set():
                job = self._jobs[frame] = Job(frame)
                self._pool.submit(self._work, job)
            return job

    def forget(self, job: Job) -> None:
        """Let go of a job that failed and whose failure is told: asked again, it is tried again."""
        with self._lock:
            if self._jobs.get(job.frame) is job:
                del self._jobs[job.frame]

    def cancel(self, frame: int | None = None) -> None:
        """Stop the job of a frame, or all of them."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if frame in (None, job.frame)]
        for job in jobs:
            job.stop.set()

    def close(self) -> None:
        """Stop everything and let go of it."""
        self.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: Job) -> None:
        """Bring a frame, or keep its failure until it is told."""
        try:
            packed = self._bring(job)
        except BaseException as error:
            job.result.set_exception(error)
            return
        with self._lock:
            if self._jobs.get(job.frame) is job:
                del self._jobs[job.frame]
            self._packed[job.frame] = packed
            while sum(map(len, self._packed.values())) > KEPT and len(self._packed) > 1:
                self._packed.popitem(last=False)
        job.result.set_result(packed)

    def _bring(self, job: Job) -> bytes:
        evaluator = Evaluator(
            self.graph,
            REGISTRY,
            self.settings,
            caches=self._caches,
            on_progress=job.progress,
            is_cancelled=job.stop.is_set,
        )
        job.steps = len(evaluator.pending(self.subject.transport, job.frame))
        transport: Transport = evaluator.evaluate(self.subject.transport, job.frame)
        pictures = {}
        if not self.subject.is_transport:
            plate: Image = evaluator.evaluate("plate", job.frame)
            pictures["plate"] = self._alone(plate, transport.foreground)
        if self.subject.backdrop is not None:
            behind: Image = evaluator.evaluate("background", job.frame)
            fit = self.subject.backdrop.over.get("fit", "none")
            pictures["picture"] = self._alone(behind, transport.foreground, fit)
        return pack_frame(transport, pictures)

    def _alone(self, background: Image, like: Image, fit: Fit = "none") -> Image:
        """Return a background in a frame's windows, as Over puts it behind nothing."""
        clear = np.zeros((like.height, like.width, 4), np.float32)
        nothing = like.like(clear, ("R", "G", "B", "A"), alpha="premultiplied")
        return over(nothing, convert(background, self.graph.working_space), fit)
