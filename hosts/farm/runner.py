"""Render frames in this process: overlapped, tried again where a disk may be to blame."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relume.errors import Cancelled, InputError, OutputError, RelumeError, UsageError
from relume.evaluate import Evaluator
from relume.files import sweep
from relume.hosts.farm.memory import Limit
from relume.hosts.farm.pipeline import OnFrame, Pipeline
from relume.render import FrameReport, Renderer

_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """How frames are rendered; none of it changes a pixel.

    Attributes:
        overwrite: replace files that relume did not write.
        skip_existing: leave files alone that read fully and carry the same fingerprint.
        fail_fast: stop at the first failure, and try nothing again.
        retries: how often a file that could not be read or written is tried again.
        delay: seconds before the first of these; each following one waits twice as long.
        max_memory: GiB that the process may hold; 0 for no limit.
    """

    overwrite: bool = False
    skip_existing: bool = False
    fail_fast: bool = False
    retries: int = 0
    delay: float = 2.0
    max_memory: float = 0.0


def run_frames(
    evaluator: Evaluator, frames: Iterable[int], options: Options, on_frame: OnFrame
) -> list[FrameReport]:
    """Render every output of a graph at the frames given.

    A frame that fails is reported and the others go on. One that could not be read or written is
    tried again after all others, so that waiting for a disk holds nothing up. What an earlier run
    that was killed left in the folders is removed.

    Args:
        evaluator: the graph and what the job fixes.
        frames: frames to render, in this order.
        options: how.
        on_frame: called with each file's report, in order; those tried again come last.

    Returns:
        One report a file.

    Raises:
        UsageError: the graph writes nothing, or its first file is refused: all others would be.
        Cancelled: the user asked to stop; finished frames are kept.
    """
    renderer = Renderer(
        evaluator, frames, overwrite=options.overwrite, skip_existing=options.skip_existing
    )
    files = renderer.files
    for folder in _folders(renderer):
        sweep(folder)

    def is_hopeless(report: FrameReport) -> bool:
        """Return whether the first file is refused, as every other would be."""
        return (report.node, report.frame) == first and isinstance(report.error, UsageError)

    def stops_at(report: FrameReport) -> bool:
        return report.error is not None and (options.fail_fast or is_hopeless(report))

    first = next(iter(files), None)
    pipeline = Pipeline(renderer, Limit(options.max_memory, evaluator.caches), stops_at)
    reports: list[FrameReport] = []
    again: list[tuple[str, int]] = []
    attempt = 1

    def on_file(report: FrameReport) -> None:
        report.attempts = attempt
        if attempt <= options.retries and not options.fail_fast and _may_pass(report.error):
            again.append((report.node, report.frame))
            if evaluator.on_notice:
                evaluator.on_notice(report.node, report.frame, _told_later(report.error))
            return
        reports.append(report)
        if not is_hopeless(report):
            on_frame(report)

    while files:
        pipeline.run(files, on_file)
        if reports and is_hopeless(reports[0]) and reports[0].error is not None:
            raise reports[0].error
        files = list(again)
        again.clear()
        if files:
            _wait(min(options.delay * 2 ** (attempt - 1), _LONGEST_WAIT), evaluator)
        attempt += 1
    return reports


def _folders(renderer: Renderer) -> set[Path]:
    folders = set()
    for file in renderer.files:
        with suppress(RelumeError):  # told when its turn comes
            folders.add(renderer.path(*file).parent)
    return folders


def _may_pass(error: RelumeError | None) -> bool:
    """Return whether what went wrong may be over later: a file still being copied, a full disk."""
    return isinstance(error, InputError | OutputError)


def _told_later(error: RelumeError | None) -> str:
    return f"it is tried again, since {error.message if error else 'it failed'}"


def _wait(seconds: float, evaluator: Evaluator) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if evaluator.is_cancelled and evaluator.is_cancelled():
            raise Cancelled("cancelled")
        time.sleep(min(0.1, seconds))
