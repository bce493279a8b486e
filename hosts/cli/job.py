"""Render a graph as one call of the command asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import click

from relume.errors import Exit, InputError, RelumeError, UsageError
from relume.evaluate import Cache
from relume.graph import Graph
from relume.hosts.cli.app import Session
from relume.hosts.cli.progress import Reporter


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
        from relume.nodes.registry import REGISTRY

        graph.check(REGISTRY)
        if self.shot:
            graph.shot = self.shot
        if self.print_graph:
            click.echo(graph.to_json(REGISTRY), nl=False)
            return Exit.DONE
        return self._render(graph, caches)

    def _render(self, graph: Graph, caches: list[Cache] | None) -> int:
        from relume import notices
        from relume.cache import MemoryCache
        from relume.evaluate import Evaluator, Settings
        from relume.nodes.registry import REGISTRY
        from relume.render import exit_code, render, resolve_shot, sinks

        frames = self._frames(graph)
        targets = sinks(graph, REGISTRY)
        _check_tokens(graph, targets, frames)
        check_device(self.device)
        shot = resolve_shot(graph, REGISTRY, frames)
        graph.shot = str(shot)
        settings = Settings(shot=shot, device=self.device)
        if self.threads:
            settings = Settings(shot=shot, device=self.device, threads=self.threads)
        session = click.get_current_context().find_object(Session) or Session()
        notices.forget()
        steps = len(graph.order(list(targets)))
        with Reporter(len(frames) * len(targets), steps, debug=session.debug) as reporter:
            try:
                with _terminates():
                    for some in _chunks(frames, self.chunk):
                        evaluator = Evaluator(
                            graph,
                            REGISTRY,
                            settings,
                            caches=caches or [MemoryCache(), *disk_cache(self.cache)],
                            on_progress=reporter.progress,
                            on_notice=reporter.notice,
                        )
                        render(
                            evaluator,
                            some,
                            overwrite=self.overwrite,
                            skip_existing=self.skip_existing,
                            fail_fast=self.fail_fast,
                            on_frame=reporter.frame,
                        )
                        if self.fail_fast and reporter.failed:
                            break
            except RelumeError as error:
                if error not in reporter.failed:
                    raise
                return error.exit_code  # it has been told, and it is the same for every frame
        reporter.summary()
        return exit_code(reporter.reports)

    def _frames(self, graph: Graph) -> list[int]:
        """Return the frames asked for, else those of the first sequence the graph reads."""
        from relume.frames import Shot
        from relume.media.sequence import existing_frames, format_frames, parse_frames

        if self.frames:
            return list(parse_frames(self.frames))
        pattern, offset = _first_sequence(graph)
        if pattern:
            found = [frame - offset for frame in existing_frames(pattern)]
            if not found:
                raise InputError(f"there is no frame of {pattern}", way_out="Check the path")
            if graph.shot:
                shot = Shot.parse(graph.shot)
                found = [frame for frame in found if shot.first <= frame <= shot.last]
            gaps = sorted(set(range(found[0], found[-1] + 1)) - set(found)) if found else []
            if gaps:
                click.echo(
                    f"Warning: {pattern} has no frame {format_frames(gaps)}; left out.", err=True
                )
            if not found:
                raise InputError(
                    f"no frame of {pattern} lies in the shot {graph.shot}", way_out="Check --shot"
                )
            return found
        if graph.shot:
            shot = Shot.parse(graph.shot)
            return list(range(shot.first, shot.last + 1))
        return [1]


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
    from relume.cache import DiskCache
    from relume.nodes.registry import WIRE_TYPES

    return [DiskCache(folder, WIRE_TYPES)]


def _first_sequence(graph: Graph) -> tuple[str, int]:
    """Return the first file pattern with a frame token that the graph reads, and its offset."""
    from relume.knobs import File
    from relume.media.sequence import is_sequence
    from relume.nodes.registry import REGISTRY

    for name, node in graph.nodes.items():
        for key in REGISTRY.find(node.type, name).members(File):
            pattern = node.knobs.get(key)
            if isinstance(pattern, str) and is_sequence(pattern):
                offset = node.knobs.get("offset", 0)
                return pattern, offset if isinstance(offset, int) else 0
    return "", 0


def _check_tokens(graph: Graph, targets: Mapping[str, str], frames: Sequence[int]) -> None:
    """Refuse to write several frames to one file."""
    from relume.media.sequence import is_sequence

    for name, knob in targets.items():
        file = str(graph.nodes[name].knobs[knob])
        if len(frames) > 1 and not is_sequence(file):
            raise UsageError(
                f"{len(frames)} frames cannot be written to the one file {file}",
                way_out="Put #### in the name, or ask for a single frame with --frames",
                node=name,
            )


def _chunks(frames: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    size = size or len(frames)
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


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
