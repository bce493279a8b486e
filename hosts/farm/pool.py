"""Render a job on several workers; those that die are replaced, and nothing is lost."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from relume.context import Notice
from relume.errors import Cancelled, OutputError, RelumeError
from relume.hosts.farm.chunk import Chunk
from relume.hosts.farm.ledger import Ledger
from relume.hosts.farm.messages import FrameFailed, error_from_dict, from_dict
from relume.hosts.farm.pipeline import OnFrame
from relume.render import FrameReport

GRACE = 20.0
"""Seconds that a worker may take to give up a frame before it is killed."""

_FALSE_STARTS = 3


class Worker(Protocol):
    """A process that renders chunks, or what stands for one."""

    def send(self, chunk: str) -> None:
        """Hand over a chunk; a worker that is gone is noticed by its last answer."""

    def close(self) -> None:
        """Ask it to give up what it does and end."""

    def kill(self) -> None:
        """End it now."""


Answer = dict[str, Any]
"""What a worker says: see `relume.hosts.farm.worker`; and at its end, `died` with a reason."""

Start = Callable[[Callable[[Answer], None]], Worker]
"""Starts a worker that calls back with its answers, from any thread."""


@dataclass(slots=True, eq=False)
class Listener:
    """Who hears of a job.

    Attributes:
        frame: called with each file's report as it comes.
        notice: called with (node, frame, sentence) for what is worth reading.
        said: called with a sentence about the whole job.
        is_cancelled: whether to stop.
    """

    frame: OnFrame
    notice: Notice = lambda node, frame, text: None
    said: Callable[[str], None] = lambda text: None
    is_cancelled: Callable[[], bool] = lambda: False


class Book:
    """The reports of a job: one a file, each told once.

    Args:
        job: the job.
        outputs: the nodes that write a file a frame.
        listener: who hears of it.
    """

    def __init__(self, job: Chunk, outputs: Iterable[str], listener: Listener) -> None:
        self.files = [(node, frame) for frame in job.frames for node in outputs]
        self.reports: dict[tuple[str, int], FrameReport] = {}
        self.outputs = list(outputs)
        self.listener = listener
        self.fail_fast = job.options.fail_fast
        self.is_stopped = False

    def enter(self, report: FrameReport) -> None:
        """Note a report, and tell it where the file has none."""
        file = report.node, report.frame
        if file in self.reports:
            return
        self.reports[file] = report
        self.listener.frame(report)
        self.is_stopped |= self.fail_fast and report.error is not None

    def fail(self, frames: Iterable[int], error: RelumeError) -> None:
        """Note that frames failed without a report of their own."""
        for frame in frames:
            for node in self.outputs:
                failed = type(error)(
                    error.message, way_out=error.way_out, frame=frame, node=error.node
                )
                self.enter(FrameReport(node, frame, "", "failed", failed))

    def missing(self, frames: Iterable[int]) -> list[int]:
        """Return the frames that have a file without a report."""
        return [f for f in frames if any((node, f) not in self.reports for node in self.outputs)]

    def in_order(self) -> list[FrameReport]:
        """Return the reports in the order of the job."""
        return [self.reports[file] for file in self.files if file in self.reports]


def killed(times: int, reason: str) -> FrameFailed:
    """Return the error of a frame that took its workers with it."""
    return FrameFailed(
        f"it ended the process that rendered it, {times} times ({reason})",
        way_out="Render it alone to see why; often there is not enough memory",
    )


@dataclass(slots=True, eq=False)
class _Post:
    """A worker, and the frames it has in hand."""

    worker: Worker
    is_ready: bool = False
    frames: tuple[int, ...] = ()


class Pool:
    """Hands out a job's frames to workers until every file has a report.

    Args:
        job: the job, with all of its frames.
        outputs: the nodes that write a file a frame.
        start: starts a worker.
        listener: who hears of it.
        workers: how many may work at a time, asked again and again.
        size: frames to hand out at a time.
    """

    def __init__(
        self,
        job: Chunk,
        outputs: Sequence[str],
        start: Start,
        listener: Listener,
        *,
        workers: Callable[[], int],
        size: int,
    ) -> None:
        self.job = job
        self.book = Book(job, outputs, listener)
        self.ledger = Ledger(job.frames, size, deaths=1 + job.options.retries)
        self.deaths = 0
        """How many workers died."""
        self._start = start
        self._listener = listener
        self._workers = workers
        self._answers: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
        self._posts: dict[int, _Post] = {}
        self._hired = 0
        self._false_starts = 0

    def run(self) -> list[FrameReport]:
        """Render the job.

        Returns:
            One report a file, in the order of the job.

        Raises:
            UsageError: the graph or its targets are refused.
            Cancelled: the user asked to stop; finished frames are kept.
            OutputError: no worker can be started.
        """
        try:
            while not self.book.is_stopped and (self.ledger or self._busy):
                self._hire()
                self._hand_out()
                self._hear(0.2)
                if self._listener.is_cancelled():
                    raise Cancelled("cancelled")
        except BaseException as error:
            if not isinstance(error, Cancelled):
                self._listener.frame = lambda report: None
            raise
        finally:
            self._dismiss()
        return self.book.in_order()

    @property
    def _busy(self) -> bool:
        return any(post.frames for post in self._posts.values())

    def _hire(self) -> None:
        """Start a worker for each portion that nobody is free to take."""
        free = sum(not post.frames for post in self._posts.values())
        wanted = min(self._workers() - len(self._posts), len(self.ledger) - free)
        for _ in range(wanted):
            number = self._hired
            self._hired += 1
            self._posts[number] = _Post(self._start(partial(self._post, number)))

    def _post(self, number: int, answer: Answer) -> None:
        self._answers.put((number, answer))

    def _hear(self, seconds: float) -> None:
        """Wait for an answer and act on it."""
        try:
            number, answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return
        post = self._posts.get(number)
        if post is None:
            return
        if "report" in answer:
            self.book.enter(from_dict(answer["report"]))
        elif "notice" in answer:
            self._listener.notice(*answer["notice"])
        elif "said" in answer:
            self._listener.said(answer["said"])
        elif "died" in answer:
            del self._posts[number]
            self._bury(post, answer["died"])
        else:
            self._free(post, answer)

    def _hand_out(self) -> None:
        """Give each worker that is free its next portion.

        One may have become free before another's death brought its frames back.
        """
        for post in self._posts.values():
            if post.is_ready and not post.frames and self.ledger:
                post.frames = self.ledger.take()
                post.worker.send(replace(self.job, frames=post.frames).to_json())

    def _free(self, post: _Post, answer: Answer) -> None:
        """Note that a worker is ready, or done with its portion."""
        self._false_starts = 0
        post.is_ready = True
        if "refused" in answer:
            error = error_from_dict(answer["refused"])
            if not self.book.reports:
                raise error
            self.book.fail(self.book.missing(post.frames), error)
        post.frames = ()

    def _bury(self, post: _Post, reason: str) -> None:
        """Take back what a dead worker had in hand."""
        self.deaths += 1
        if not post.is_ready:
            self._false_starts += 1
            if self._false_starts >= _FALSE_STARTS:
                raise OutputError(
                    f"no worker can be started: {reason}",
                    way_out="Run a frame without --jobs to see why",
                )
        given_up = self.ledger.lost(self.book.missing(post.frames))
        self.book.fail(given_up, killed(self.ledger.deaths, reason))

    def _dismiss(self) -> None:
        """Let every worker give up what it does; what it finished meanwhile is still reported."""
        for post in self._posts.values():
            post.worker.close()
        end = time.monotonic() + GRACE
        while self._posts and time.monotonic() < end:
            try:
                number, answer = self._answers.get(timeout=0.2)
            except queue.Empty:
                continue
            if "report" in answer:
                self.book.enter(from_dict(answer["report"]))
            elif "died" in answer:
                del self._posts[number]
        for post in self._posts.values():
            post.worker.kill()
