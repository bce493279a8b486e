"""Memory that a client lends: used only while nobody can take it away under the worker's feet."""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from relume.hosts.worker.wire import Malformed

_GET_SEALS = 1034
_SHRINK, _GROW, _SEAL = 0x2, 0x4, 0x1
LARGEST = 1 << 33


class Segment:
    """A client's `memfd` whose size can never change again.

    Args:
        descriptor: its file descriptor, which stays the caller's.
        size: bytes it must have.

    Raises:
        Malformed: it is no memfd, has another size, or could still be shortened: reading beyond
            its end would then kill the worker.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        if not 0 < size <= LARGEST:
            raise Malformed(f"a segment of {size} bytes is not between 1 and {LARGEST}")
        try:
            seals = fcntl.fcntl(descriptor, _GET_SEALS)
            held = os.fstat(descriptor).st_size
        except OSError:
            raise Malformed("the file descriptor of a segment is no memfd") from None
        if seals & (_SHRINK | _GROW | _SEAL) != _SHRINK | _GROW | _SEAL:
            raise Malformed("a segment lacks the seals F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL")
        if held != size:
            raise Malformed(f"a segment has {held} bytes, not {size}")
        try:
            self._map = mmap.mmap(descriptor, size)
        except (OSError, ValueError) as error:
            raise Malformed(f"a segment cannot be mapped: {error}") from None
        self.size = size

    def floats(self, offset: int, count: int) -> NDArray[np.float32]:
        """Return `count` numbers from a byte offset on, to read and write.

        Raises:
            Malformed: they reach beyond the end.
        """
        if offset < 0 or offset % 4 or count < 0 or offset + 4 * count > self.size:
            raise Malformed(
                f"{4 * count} bytes from {offset} on are not within a segment of {self.size}"
            )
        return np.frombuffer(self._map, np.float32, count, offset)

    def close(self) -> None:
        """Let go; what still looks at the memory keeps it."""
        with suppress(BufferError):
            self._map.close()
