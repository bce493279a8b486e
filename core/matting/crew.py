"""Threads that share out the rows of a large system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Self, TypeVar

import numpy as np

_WORTH_SHARING = 4096
"""Rows from which sharing them out costs less than it saves."""

T = TypeVar("T")


class Crew:
    """Threads that share out work; numpy and sparse products let go of the interpreter.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.pool:
            self.pool.shutdown()

    def shares(self, low: int, high: int) -> list[tuple[int, int]]:
        """Split a range into one share a thread, or leave it whole where it is short."""
        count = self.threads if high - low >= _WORTH_SHARING else 1
        return list(pairwise(np.linspace(low, high, count + 1).astype(int).tolist()))

    def each(self, work: Callable[[T], object], pieces: Sequence[T]) -> None:
        """Do the work for every piece."""
        if self.pool and len(pieces) > 1:
            list(self.pool.map(work, pieces))
        else:
            for piece in pieces:
                work(piece)
