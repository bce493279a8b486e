"""Errors an artist or a farm can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """Exit codes of the `relume` command."""

    DONE = 0
    USAGE = 2
    INPUT = 3
    FRAMES_FAILED = 4
    VERIFICATION = 5
    CANCELLED = 130


class RelumeError(Exception):
    """A failure told in one or two sentences: what is wrong, where, and the way out.

    Args:
        message: what is wrong, a sentence without a final full stop.
        way_out: what the user can do about it, a sentence without a final full stop.
        file: the file concerned.
        frame: the frame concerned.
        node: the name of the node in the graph.
    """

    exit_code: Exit = Exit.USAGE

    def __init__(
        self,
        message: str,
        *,
        way_out: str = "",
        file: str | None = None,
        frame: int | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out
        self.file = file
        self.frame = frame
        self.node = node

    def locate(
        self, *, node: str | None = None, frame: int | None = None, file: str | None = None
    ) -> Self:
        """Fill in what the place that raised could not know, and return this error."""
        self.node = self.node or node
        self.frame = self.frame if self.frame is not None else frame
        self.file = self.file or file
        return self

    def __str__(self) -> str:
        where = [
            text
            for text in (
                f"node {self.node}" if self.node else "",
                f"frame {self.frame}" if self.frame is not None else "",
                self.file if self.file and self.file not in self.message else "",
            )
            if text
        ]
        prefix = ", ".join(where) + ": " if where else ""
        return prefix + " ".join(_sentence(text) for text in (self.message, self.way_out) if text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


class UsageError(RelumeError):
    """The request cannot be carried out as asked: bad knob, graph, range or target."""


class InputError(RelumeError):
    """An input is missing, unreadable or unusable."""

    exit_code = Exit.INPUT


class OutputError(RelumeError):
    """A frame could not be written."""

    exit_code = Exit.FRAMES_FAILED


class Cancelled(RelumeError):
    """The user or the host asked to stop."""

    exit_code = Exit.CANCELLED


class NodeFailed(RelumeError):
    """A node failed in a way nobody foresaw."""

    exit_code = Exit.FRAMES_FAILED


@contextmanager
def blame(node: str, frame: int) -> Iterator[None]:
    """Name the node and the frame in whatever goes wrong inside."""
    try:
        yield
    except RelumeError as error:
        error.locate(node=node, frame=frame)
        raise
    except MemoryError as error:
        raise NodeFailed(
            "there is not enough memory",
            way_out="Use --proxy, or a machine with more memory",
            node=node,
            frame=frame,
        ) from error
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise NodeFailed(
            f"{type(error).__name__}: {reason}" if reason else type(error).__name__,
            way_out="This is a fault in relume; --debug shows where",
            node=node,
            frame=frame,
        ) from error
