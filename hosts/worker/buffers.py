"""Memory for large arrays, used again: new pages cost more than what is copied into them."""

from __future__ import annotations

import mmap
import threading
import weakref
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Arrays whose memory comes back when nothing looks at them any more.

    Args:
        limit: bytes of unused memory to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._held = 0
        # A finaliser may run in any thread, and within any line of this class.
        self._lock = threading.RLock()

    def array(self, count: int) -> NDArray[np.float32]:
        """Return an array of `count` numbers, whatever was in them."""
        memory = self._take(4 * count) or mmap.mmap(-1, max(4 * count, 1))
        array = np.frombuffer(memory, np.float32, count)
        weakref.finalize(array, self._give, memory).atexit = False
        return array

    def clear(self) -> None:
        """Give unused memory back to the system."""
        with self._lock:
            self._free.clear()
            self._held = 0

    def _take(self, size: int) -> mmap.mmap | None:
        with self._lock:
            for key, memory in self._free.items():
                if len(memory) == size:
                    del self._free[key]
                    self._held -= size
                    return memory
        return None

    def _give(self, memory: mmap.mmap) -> None:
        with self._lock:
            self._free[id(memory)] = memory
            self._held += len(memory)
            while self._held > self._limit:
                _, oldest = self._free.popitem(last=False)
                self._held -= len(oldest)
