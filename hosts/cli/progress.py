"""What the user sees while frames are rendered: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import click
from typing_extensions import override

from relume.errors import RelumeError
from relume.notices import log
from relume.render import FrameReport


class Display(Protocol):
    """The moving part of the report."""

    def node(self, name: str, frame: int, fraction: float) -> None:
        """Show which node works at which frame."""

    def file(self, report: FrameReport) -> None:
        """Show that a file is finished."""

    def above(self) -> AbstractContextManager[None]:
        """Make room for lines of text."""


class Reporter:
    """Reports a render: progress, what is worth a look (once), failures, and a summary.

    Frame lines and the summary go to stdout, everything else to stderr.

    Args:
        files: how many files will be written.
        steps: how many nodes there are behind a file.
        debug: whether failures come with a traceback.
    """

    def __init__(self, files: int, steps: int, *, debug: bool = False) -> None:
        self.files = files
        self.debug = debug
        self.reports: list[FrameReport] = []
        self._told: dict[str, _Told] = {}
        self._start = time.perf_counter()
        terminal = sys.stderr.isatty()
        self._display: Display = _Bar(files, steps) if terminal else _quiet(files)
        self._lines = not (terminal and sys.stdout.isatty())
        self._log = _Handler(self)
        self._level = log.level

    def __enter__(self) -> Reporter:
        log.addHandler(self._log)
        self._level = log.level
        log.setLevel(logging.INFO)
        if isinstance(self._display, _Bar):
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._display, _Bar):
            self._display.stop()
        log.setLevel(self._level)
        log.removeHandler(self._log)

    @property
    def failed(self) -> list[RelumeError]:
        """The errors of the files that failed."""
        return [report.error for report in self.reports if report.error is not None]

    def progress(self, node: str, frame: int, fraction: float) -> None:
        """Show which node works at which frame."""
        self._display.node(node, frame, fraction)

    def notice(self, node: str, frame: int, text: str) -> None:
        """Tell a sentence about a node; the like at other frames is only counted."""
        self._once(frame, f"node {node}: {text}")

    def frame(self, report: FrameReport) -> None:
        """Report a finished, skipped or failed file."""
        self.reports.append(report)
        self._display.file(report)
        for warning in report.warnings:
            self._once(report.frame, f"node {report.node}: {warning}")
        if report.error is not None:
            self._fail(report.error)
        elif self._lines:
            with self._display.above():
                click.echo(f"frame {report.frame}: {report.path} ({_what(report)})")

    def summary(self) -> None:
        """Say how many frames are done and which are not."""
        from relume.media.sequence import format_frames

        for told in self._told.values():
            if others := told.frames - {told.first}:
                frames = format_frames(others)
                click.echo(f"Warning: {_sentence(told.text)} Likewise: {frames}.", err=True)
        by_status = {
            status: [report for report in self.reports if report.status == status]
            for status in ("done", "skipped", "failed")
        }
        seconds = time.perf_counter() - self._start
        counts = [f"{_frames(len(found))} {status}" for status, found in by_status.items() if found]
        done = len(by_status["done"])
        each = f", {seconds / done:.1f} s a frame" if done > 1 else ""
        click.echo(f"{', '.join(counts) or 'Nothing to do'} in {seconds:.1f} s{each}.")
        if by_status["failed"] and len(self.reports) > 1:
            failed = format_frames(report.frame for report in by_status["failed"])
            click.echo(f"Failed: {failed}. Run it again with --skip-existing for these.", err=True)

    def _fail(self, error: RelumeError) -> None:
        with self._display.above():
            if self.debug:
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            click.echo(f"Error: {error}", err=True)

    def _once(self, frame: int, text: str) -> None:
        # Sentences that differ in their figures alone say the same thing.
        key = re.sub(r"\d+", "#", text)
        if key in self._told:
            self._told[key].frames.add(frame)
            return
        self._told[key] = _Told(text, frame)
        with self._display.above():
            click.echo(f"Warning: frame {frame}, {_sentence(text)}", err=True)

    def said(self, text: str) -> None:
        """Tell what the core says about the job as a whole; it says it once."""
        with self._display.above():
            click.echo(_sentence(text), err=True)


@dataclass(slots=True)
class _Told:
    """A sentence that was told of a frame, and the others it is true of as well."""

    text: str
    first: int
    frames: set[int] = field(default_factory=set)


class _Handler(logging.Handler):
    """Brings what the core says through `logging` to the reporter."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.reporter = reporter

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.reporter.said(record.getMessage())


def _quiet(files: int) -> Display:
    """Return what stands for the moving part where there is no terminal."""
    from relume.hosts.farm.openjd import PROGRESS, Progress

    return Progress(files) if os.environ.get(PROGRESS) == "openjd" else _Nothing()


class _Nothing:
    """No moving part."""

    def node(self, name: str, frame: int, fraction: float) -> None:
        """Show nothing."""

    def file(self, report: FrameReport) -> None:
        """Show nothing."""

    @contextmanager
    def above(self) -> Iterator[None]:
        """Leave the lines as they are."""
        yield


class _Bar:
    """A bar over all frames that also names the frame and the node at work."""

    def __init__(self, files: int, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.steps = max(steps, 1)
        self._finished = 0
        self._begun: set[str] = set()
        self._bar = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[files]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=files * self.steps, done=0, files=files)

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def node(self, name: str, frame: int, fraction: float) -> None:
        """Name the node and move the bar by its share of the frame."""
        self._begun.add(name)
        within = min(len(self._begun) - 1 + fraction, self.steps)
        self._bar.update(
            self._task,
            description=f"frame {frame}  {name}",
            completed=self._finished * self.steps + within,
        )

    def file(self, report: FrameReport) -> None:
        """Move the bar to the end of the frame."""
        self._finished += 1
        self._begun.clear()
        self._bar.update(self._task, completed=self._finished * self.steps, done=self._finished)

    @contextmanager
    def above(self) -> Iterator[None]:
        """Take the bar away while lines are written."""
        self._bar.stop()
        yield
        self._bar.start()


def _what(report: FrameReport) -> str:
    return "is current" if report.status == "skipped" else f"{report.seconds:.1f} s"


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."
