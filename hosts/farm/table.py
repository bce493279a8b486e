"""The table at the end of a run: where the time went, and what failed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relume.render import FrameReport

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 12
"""Nodes and failures shown; a log has all of them."""


def node_table(reports: Sequence[FrameReport]) -> Table:
    """Return the seconds of every node, the slowest first, and of files around them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    done = [report for report in reports if report.status == "done"]
    seconds: dict[str, list[float]] = defaultdict(list)
    for report in done:
        for node, once in report.nodes.items():
            seconds[node].append(once)
        seconds["(files)"].append(max(report.seconds - sum(report.nodes.values()), 0.0))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("node", overflow="fold")
    for title in ("frames", "mean s", "longest s", "share"):
        table.add_column(title, justify="right")
    total = sum(sum(spent) for spent in seconds.values()) or 1.0
    ranked = sorted(seconds.items(), key=lambda entry: -sum(entry[1]))
    for node, spent in ranked[:_SHOWN]:
        table.add_row(
            node,
            str(len(spent)),
            f"{sum(spent) / len(spent):.3f}",
            f"{max(spent):.3f}",
            f"{100.0 * sum(spent) / total:.0f} %",
        )
    return table


def failure_table(reports: Sequence[FrameReport]) -> Table:
    """Return the failures, those with the same reason in one row."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from relume.media.sequence import format_frames

    # The same reason names another file at each frame.
    reasons: dict[str, list[FrameReport]] = defaultdict(list)
    for report in reports:
        if report.error is not None:
            reasons[re.sub(r"\d+", "#", report.error.message)].append(report)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("failed")
    table.add_column("since", overflow="fold")
    for alike in list(reasons.values())[:_SHOWN]:
        reason = alike[0].error.message if alike[0].error else ""
        table.add_row(format_frames(report.frame for report in alike), Text(reason))
    return table


def peak_line(reports: Sequence[FrameReport]) -> str:
    """Return the most memory a process held, as a sentence; nothing where nobody looked."""
    most = max((report.peak_memory for report in reports), default=0)
    workers = len({report.worker for report in reports if report.worker})
    if not most:
        return ""
    of = f" in the largest of {workers} processes" if workers > 1 else ""
    return f"Peak memory {most / 2**30:.2f} GiB{of}."


def show(reports: Sequence[FrameReport]) -> None:
    """Print the tables on stdout."""
    import sys

    from rich.console import Console
    from rich.markup import escape

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100, highlight=False)
    if any(report.status == "done" for report in reports):
        console.print(node_table(reports))
    if any(report.error is not None for report in reports):
        console.print(failure_table(reports))
    line = peak_line(reports)
    if line:
        console.print(escape(line))
