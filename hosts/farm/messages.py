"""Reports of frames as plain JSON: between processes, and in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relume.errors import Exit, InputError, OutputError, RelumeError, UsageError
from relume.render import FrameReport


class FrameFailed(RelumeError):
    """A frame failed in another process, in a way that is neither its input nor its output."""

    exit_code = Exit.FRAMES_FAILED


_KINDS: dict[str, type[RelumeError]] = {
    kind.__name__: kind for kind in (InputError, OutputError, UsageError)
}


def error_to_dict(error: RelumeError) -> dict[str, Any]:
    """Return an error as JSON."""
    kind = next((name for name, cls in _KINDS.items() if isinstance(error, cls)), "")
    return {
        "kind": kind,
        "message": error.message,
        "way_out": error.way_out,
        "file": error.file,
        "frame": error.frame,
        "node": error.node,
    }


def error_from_dict(found: Mapping[str, Any]) -> RelumeError:
    """Return the error that `error_to_dict` described."""
    return _KINDS.get(found["kind"], FrameFailed)(
        found["message"],
        way_out=found["way_out"],
        file=found["file"],
        frame=found["frame"],
        node=found["node"],
    )


def to_dict(report: FrameReport) -> dict[str, Any]:
    """Return a report as JSON."""
    return {
        "frame": report.frame,
        "node": report.node,
        "path": report.path,
        "status": report.status,
        "seconds": round(report.seconds, 4),
        "nodes": {name: round(seconds, 4) for name, seconds in report.nodes.items()},
        "peak_memory": report.peak_memory,
        "sha256": report.digest,
        "attempts": report.attempts,
        "worker": report.worker,
        "warnings": list(report.warnings),
        "error": None if report.error is None else error_to_dict(report.error),
    }


def from_dict(found: Mapping[str, Any]) -> FrameReport:
    """Return the report that `to_dict` described."""
    return FrameReport(
        node=found["node"],
        frame=found["frame"],
        path=found["path"],
        status=found["status"],
        error=None if found["error"] is None else error_from_dict(found["error"]),
        seconds=found["seconds"],
        warnings=list(found["warnings"]),
        nodes=dict(found["nodes"]),
        peak_memory=found["peak_memory"],
        digest=found["sha256"],
        attempts=found["attempts"],
        worker=found["worker"],
    )
