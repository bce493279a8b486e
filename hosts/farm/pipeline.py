"""Render frames so that reading and writing overlap computing; the order and pixels stay."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from relume.cache import MemoryCache
from relume.errors import Cancelled, RelumeError
from relume.evaluate import Evaluator
from relume.hosts.farm.memory import Limit, TooLarge, forget_peak, peak
from relume.knobs import File
from relume.render import FrameReport, Output, Renderer

_WAITING = 2
"""Frames computed and not yet written: more would only hold memory."""

OnFrame = Callable[[FrameReport], None]


@dataclass(slots=True, eq=False)
class _Ahead:
    """A file prepared, with what reading for it said and cost."""

    output: Output
    notices: list[tuple[str, int, str]] = field(default_factory=list)
    nodes: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Three stages, each with one thread: prepare and read, compute, write.

    While a frame is computed, the next one's target is checked, its fingerprint found and its
    files read into the evaluator's memory, and the frame before is written. Computing stays in
    the calling thread. An error met while reading ahead is left to the frame it belongs to.

    Args:
        renderer: the steps of a frame.
        limit: on memory.
        stops_at: whether nothing is written or reported after a file.
    """

    def __init__(
        self, renderer: Renderer, limit: Limit, stops_at: Callable[[FrameReport], bool]
    ) -> None:
        self.renderer = renderer
        self.limit = limit
        self.stops_at = stops_at
        evaluator = renderer.evaluator
        self._reads_ahead = any(isinstance(cache, MemoryCache) for cache in evaluator.caches)
        self._on_progress = evaluator.on_progress
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._writing: deque[Future[FrameReport | None]] = deque()
        self._on_frame: OnFrame = lambda report: None
        self._fault: Exception | None = None
        self._is_stopped = False
        evaluator.on_progress = self._progress

    def run(self, files: Iterable[tuple[str, int]], on_frame: OnFrame) -> None:
        """Render files, and report each in the order given.

        Args:
            files: node and frame of each.
            on_frame: called in this thread.

        Raises:
            Cancelled: the user asked to stop; a frame that is being written is finished.
        """
        self._on_frame = on_frame
        wanted = list(files)
        readers = ThreadPoolExecutor(1, "relume-read")
        writers = ThreadPoolExecutor(1, "relume-write")
        try:
            following: Future[_Ahead] | None = None
            for position, file in enumerate(wanted):
                ahead = following.result() if following else self._prepare(file, None)
                following = None
                if self._is_stopped:
                    break
                if position + 1 < len(wanted):
                    following = readers.submit(self._prepare, wanted[position + 1], file)
                self._compute(ahead)
                self._writing.append(writers.submit(self._write, ahead.output))
                self._report(leave=_WAITING)
            self._report()
        except Cancelled:
            if self._fault is not None:
                raise self._fault from None
            raise
        finally:
            readers.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)
            finished = [future for future in self._writing if not future.cancelled()]
            self._writing.clear()
            for future in finished:
                self._tell(future)

    def _report(self, leave: int = 0) -> None:
        """Report files that are written, waiting until only so many are not."""
        while self._writing and (len(self._writing) > leave or self._writing[0].done()):
            self._writing[0].result()  # a wait that is interrupted loses nothing
            self._tell(self._writing.popleft())

    def _tell(self, future: Future[FrameReport | None]) -> None:
        report = future.result()
        if report is None or self._fault is not None:
            return
        try:
            self._on_frame(report)
        except Exception as error:
            self._fault = error
            raise

    def _progress(self, node: str, frame: int, fraction: float) -> None:
        if fraction in (0.0, 1.0):  # between nodes
            try:
                self.limit.check(relieve=self._report)
                self._report(leave=_WAITING)
            except TooLarge as error:
                raise error.locate(node=node, frame=frame) from None
            except Exception as error:
                # Whoever listens failed, not the frame that happens to be computed.
                raise Cancelled("nobody takes the reports") from error
        if self._on_progress:
            self._on_progress(node, frame, fraction)

    def _prepare(self, file: tuple[str, int], before: tuple[str, int] | None) -> _Ahead:
        """Prepare a file; while the one before it is computed, read what only this one needs."""
        ahead = _Ahead(self.renderer.prepare(*file))
        if ahead.output.is_open and before and self._reads_ahead and not self.limit.dropped:
            self._read(file, before, ahead)
        return ahead

    def _read(self, file: tuple[str, int], before: tuple[str, int], ahead: _Ahead) -> None:
        ours = self.renderer.evaluator
        evaluator = Evaluator(
            ours.graph,
            ours.registry,
            ours.settings,
            caches=ours.caches,
            is_cancelled=ours.is_cancelled,
            on_notice=lambda *notice: ahead.notices.append(notice),
        )
        try:
            theirs = evaluator.pending(*before)
            for key, (name, frame) in evaluator.pending(*file).items():
                node = evaluator.registry.find(evaluator.graph.nodes[name].type)
                if key not in theirs and not node.inputs() and node.members(File):
                    evaluator.evaluate(f"{name}.{next(iter(node.outputs()))}", frame)
        except Exception:
            # It happens again when the frame is computed, and is told there.
            ahead.notices.clear()
        ahead.nodes = evaluator.seconds

    def _compute(self, ahead: _Ahead) -> None:
        output = ahead.output
        output.report.worker = self._worker
        if not output.is_open:
            return
        for notice in ahead.notices:
            if self.renderer.evaluator.on_notice:
                self.renderer.evaluator.on_notice(*notice)
        output.report.nodes.update(ahead.nodes)
        forget_peak()
        self.renderer.compute(output)
        output.report.peak_memory = peak()

    def _write(self, output: Output) -> FrameReport | None:
        """Write a file and return its report; files come here one at a time and in order."""
        from relume.media.identity import content_digest

        if self._is_stopped:
            return None
        self.renderer.write(output)
        report = output.report
        if output.is_open:
            try:
                report.digest = content_digest(report.path)
            except RelumeError as error:
                report.status = "failed"
                report.error = error.locate(node=report.node, frame=report.frame)
        self._is_stopped = self.stops_at(report)
        return report
