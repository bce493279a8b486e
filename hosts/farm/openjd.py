"""What Open Job Description asks of a task: its frame ranges, and lines that report progress."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from relume.errors import UsageError
from relume.media.sequence import format_frames
from relume.render import FrameReport

PROGRESS = "RELUME_PROGRESS"
"""Environment variable; `openjd` makes every render report as a job's task must."""

_PART = re.compile(r"(-?\d+)(?:-(-?\d+)(?::(\d+))?)?")


def to_range(frames: Iterable[int]) -> str:
    """Return frames as OpenJD writes them, `1001-1100:2,1200`: fileseq's `:` is another thing."""
    return format_frames(frames).replace("x", ":")


def from_range(text: str) -> tuple[int, ...]:
    """Read a range as OpenJD writes it.

    Returns:
        The frames, ascending, each once.

    Raises:
        UsageError: the text is none.
    """
    frames: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        step = int(match[3] or 1) if match else 0
        if not match or not step:
            raise UsageError(
                f"'{text}' is no frame range of Open Job Description",
                way_out="Write it as 1001-1100, 1001-1100:2 or 1001-1005,1010",
            )
        first = int(match[1])
        frames |= set(range(first, int(match[2] or first) + 1, step))
    if not frames:
        raise UsageError(f"'{text}' is no frame", way_out="The first comes before the last")
    return tuple(sorted(frames))


class Progress:
    """Reports a render in the lines that an OpenJD worker looks for on stdout.

    Args:
        files: how many files will be written.
    """

    def __init__(self, files: int) -> None:
        self.files = max(files, 1)
        self._finished = 0
        self._failed = 0

    def node(self, name: str, frame: int, fraction: float) -> None:
        """Report nothing: a line for every node would drown the log."""

    def file(self, report: FrameReport) -> None:
        """Report how far the task is, and why it will fail."""
        self._finished += 1
        click.echo(f"openjd_progress: {100.0 * self._finished / self.files:.1f}")
        if report.error is None:
            click.echo(f"openjd_status: frame {report.frame}: {report.status}")
            return
        self._failed += 1
        others = f" ({self._failed} frames failed so far)" if self._failed > 1 else ""
        reason = " ".join(str(report.error).split())
        where = "" if f"frame {report.frame}" in reason else f"frame {report.frame}: "
        click.echo(f"openjd_fail: {where}{reason}{others}")

    @contextmanager
    def above(self) -> Iterator[None]:
        """Leave the lines as they are."""
        yield
