"""Render a graph as one call of the command asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import click

from relume import notices
from relume.cache import DiskCache, MemoryCache
from relume.errors import Exit, RelumeError, UsageError
from relume.evaluate import Cache, Evaluator, Settings
from relume.graph import Graph
from relume.hosts.cli.app import Session
from relume.hosts.cli.frames import check_tokens, frames_of
from relume.hosts.cli.progress import Reporter
from relume.nodes.registry import REGISTRY, WIRE_TYPES
from relume.render import FrameReport, exit_code, render, resolve_shot, sinks


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
        chunk: frames to work through before the memory is emptied; 0 for all.
        print_graph: print the graph instead of rendering it.
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
        shot = resolve_shot(graph, REGISTRY, frames)
        graph.shot = str(shot)
        settings = Settings(shot, self.device)
        if self.threads:
            settings = replace(settings, threads=self.threads)
        session = click.get_current_context().find_object(Session) or Session()
        steps = len(graph.order(list(targets)))
        memory = MemoryCache()
        notices.forget()
        with Reporter(len(frames) * len(targets), steps, debug=session.debug) as reporter:

            def finished(report: FrameReport) -> None:
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
                with _terminates():
                    render(
                        evaluator,
                        frames,
                        overwrite=self.overwrite,
                        skip_existing=self.skip_existing,
                        fail_fast=self.fail_fast,
                        on_frame=finished,
                    )
            except KeyboardInterrupt:
                reporter.summary()
                raise
            except RelumeError as error:
                if error not in reporter.failed:
                    raise
                return error.exit_code  # it has been told, and it is the same for every frame
        reporter.summary()
        return exit_code(reporter.reports)


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
def _terminates() -> Iterator[None]:
    """Let a farm's SIGTERM end the render as Ctrl-C does: the frame in hand is cleared away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
