"""Render a graph as one call of the command asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self

import click

from relume import notices
from relume.cache import DiskCache, MemoryCache
from relume.errors import Cancelled, Exit, UsageError
from relume.evaluate import Cache, Evaluator, Settings
from relume.graph import Graph
from relume.hosts.cli.app import Session
from relume.hosts.cli.frames import check_tokens, frames_of
from relume.hosts.cli.progress import Reporter
from relume.hosts.farm.frame_log import FrameLog
from relume.hosts.farm.launch import Crew, share
from relume.hosts.farm.pool import Listener
from relume.hosts.farm.prepare import settle
from relume.hosts.farm.runner import Options, run_frames
from relume.hosts.farm.table import show
from relume.nodes.registry import REGISTRY, WIRE_TYPES
from relume.render import FrameReport, exit_code, resolve_shot, sinks

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Job:
    """How to render, whatever the graph.

    Attributes:
        frames: frame range; empty for every frame of the plate there is.
        shot: first and last frame of the shot; empty for the graph's own, else the plate's.
        overwrite: replace files that relume did not write.
        skip_existing: leave current files alone.
        fail_fast: stop at the first frame that fails.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        threads: threads of a network; None for every core.
        cache: folder that keeps results between runs, or empty.
        chunk: frames to work through before the memory is emptied, or to hand to a worker at a
            time; 0 for all, or to choose.
        print_graph: print the graph instead of rendering it.
        table: say at the end where the time went.
        jobs: processes to render with; 0 for this one.
        cluster: address of a Dask scheduler, or empty.
        retries: how often a file that could not be read or written is tried again; None for 2
            where other processes render, else 0.
        max_memory: GiB that a process may hold; 0 for no limit.
        log: file that gets a line of JSON for each frame, or empty.
    """

    frames: str = ""
    shot: str = ""
    overwrite: bool = False
    skip_existing: bool = False
    fail_fast: bool = False
    device: str = "cpu"
    threads: int | None = None
    cache: str = ""
    chunk: int = 0
    print_graph: bool = False
    table: bool = False
    jobs: int = 0
    cluster: str = ""
    retries: int | None = None
    max_memory: float = 0.0
    log: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the job that options of the command line describe."""
        given = {key: options[key] for key in cls.__slots__ if options.get(key) is not None}
        return cls(**given)

    def carry_out(self, graph: Graph, caches: list[Cache] | None = None) -> int:
        """Render a graph, report on it and return the exit code.

        Args:
            graph: the graph; its shot is set.
            caches: caches to share with other renders; those of the job by default.

        Raises:
            RelumeError: nothing can be rendered as asked.
        """
        graph.check(REGISTRY)
        if self.shot:
            graph.shot = self.shot
        if self.print_graph:
            click.echo(graph.to_json(REGISTRY), nl=False)
            return Exit.DONE
        return self._render(graph, caches)

    def _render(self, graph: Graph, caches: list[Cache] | None) -> int:
        frames = frames_of(graph, self.frames)
        targets = sinks(graph, REGISTRY)
        check_tokens(graph, targets, frames)
        check_device(self.device)
        settings = Settings(resolve_shot(graph, REGISTRY, frames), self.device)
        if self.threads or self._is_shared:
            settings = replace(settings, threads=self.threads or 1)
        session = click.get_current_context().find_object(Session) or Session()
        steps = len(graph.order(list(targets)))
        memory = MemoryCache()
        notices.forget()
        with (
            FrameLog(self.log) if self.log else nullcontext() as log,
            Reporter(len(frames) * len(targets), steps, debug=session.debug) as reporter,
        ):

            def finished(report: FrameReport) -> None:
                if log:
                    log.add(report)
                reporter.frame(report)
                if self.chunk and len(reporter.reports) % (self.chunk * len(targets)) == 0:
                    memory.clear()

            evaluator = Evaluator(
                graph,
                REGISTRY,
                settings,
                caches=caches or [memory, *disk_cache(self.cache)],
                on_progress=reporter.progress,
                on_notice=reporter.notice,
            )
            try:
                with _stopping() as evaluator.is_cancelled:
                    evaluator.graph = settle(evaluator)
                    if self._is_shared:
                        listener = Listener(
                            finished, reporter.notice, reporter.said, evaluator.is_cancelled
                        )
                        share(evaluator, frames, self._options, self._crew, listener)
                    else:
                        run_frames(evaluator, frames, self._options, finished)
            except (Cancelled, KeyboardInterrupt):
                reporter.summary()
                raise click.Abort from None
        reporter.summary()
        if self.table and len(reporter.reports) > 1:
            show(reporter.reports)
        return exit_code(reporter.reports)

    @property
    def _is_shared(self) -> bool:
        """Whether other processes render."""
        return bool(self.jobs or self.cluster)

    @property
    def _options(self) -> Options:
        retries = self.retries
        if retries is None:
            retries = 2 if self._is_shared else 0
        return Options(
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            fail_fast=self.fail_fast,
            retries=retries,
            max_memory=self.max_memory,
        )

    @property
    def _crew(self) -> Crew:
        return Crew(self.jobs, self.cluster, self.chunk, self.cache)


def check_device(device: str) -> None:
    """Refuse a device this computer does not have.

    Raises:
        UsageError: there is no such device.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"this computer has no device '{device}' that torch can use",
            way_out="Leave --device out; `relume doctor` lists what there is",
        ) from None


def disk_cache(folder: str) -> list[Any]:
    """Return the cache on disk as a list of one, or an empty list where no folder is named."""
    if not folder:
        return []
    return [DiskCache(folder, WIRE_TYPES)]


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and a farm's SIGTERM end the render between two nodes, with nothing half-written.

    A second one interrupts at once.

    Yields:
        Whether to stop.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def interrupt(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
