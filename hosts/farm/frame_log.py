"""The log of a job: what became of every frame, a line of JSON each."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from relume.errors import OutputError
from relume.hosts.farm.messages import to_dict
from relume.notices import once
from relume.render import FrameReport


class FrameLog:
    """A log of frames, a line of JSON each, which several processes may append to.

    A line goes to the system in one piece, at the end of the file: lines of other processes come
    before or after it, never within. A log that cannot be written ends no render.

    Args:
        path: the file; missing folders are made.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(
                f"cannot write the log {path}: {error.strerror}", way_out="Choose another file"
            ) from None

    def add(self, report: FrameReport) -> None:
        """Append a report."""
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")} | to_dict(report)
        if report.error is not None:
            entry["error"]["text"] = str(report.error)
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        try:
            written = os.write(self._file, line)
            problem = "" if written == len(line) else "the disk is full"
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            once(f"The log {self.path} cannot be written: {problem}.", "log", str(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)
