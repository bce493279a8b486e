"""Memory for large arrays, used again: new pages cost more than what is copied into them."""

from __future__ import annotations

import mmap
import threading
import weakref
from collections import deque

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Arrays whose memory comes back when nothing looks at them any more.

    Args:
        limit: bytes of unused memory to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free: list[mmap.mmap] = []
        self._returned: deque[mmap.mmap] = deque()
        self._lock = threading.Lock()

    def array(self, count: int) -> NDArray[np.float32]:
        """Return an array of `count` numbers, whatever was in them."""
        memory = self._take(4 * count) or _new(4 * count)
        array = np.frombuffer(memory, np.float32, count)
        # This runs wherever the last view dies, within any line of any thread: no lock is taken.
        weakref.finalize(array, self._returned.append, memory).atexit = False
        return array

    def tidy(self, limit: int | None = None) -> None:
        """Give unused memory beyond a limit back to the system."""
        most = self._limit if limit is None else limit
        with self._lock:
            self._collect()
            while sum(map(len, self._free)) > most:
                self._free.pop(0)

    def _take(self, size: int) -> mmap.mmap | None:
        with self._lock:
            self._collect()
            for place, memory in enumerate(self._free):
                if len(memory) == size:
                    return self._free.pop(place)
        return None

    def _collect(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())


def _new(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
