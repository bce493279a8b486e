"""What the process holds in memory, and a limit that gives way before it fails."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from relume.cache import GIB, MemoryCache
from relume.errors import Exit, RelumeError
from relume.evaluate import Cache

_PAGE = os.sysconf("SC_PAGE_SIZE")


class TooLarge(RelumeError):
    """A frame needs more memory than the job may use."""

    exit_code = Exit.FRAMES_FAILED


def resident() -> int:
    """Return the bytes this process holds in memory; where nobody counts, the most it ever held."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except OSError:
        return _largest()


def peak() -> int:
    """Return the most bytes this process held since `forget_peak`, or since it began."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return _largest()


def forget_peak() -> None:
    """Begin a new peak, on systems that can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _largest() -> int:
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def give_back() -> None:
    """Return what is free to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Limit:
    """A limit on the memory of this process: caches are dropped first, then the frame fails.

    Args:
        gib: the limit in GiB; 0 for none.
        caches: what can be dropped.
    """

    def __init__(self, gib: float, caches: Iterable[Cache] = ()) -> None:
        self.bytes = int(gib * GIB)
        self.memories = [cache for cache in caches if isinstance(cache, MemoryCache)]
        self.dropped = 0
        """How often caches were dropped."""
        if self.bytes:
            for memory in self.memories:
                memory.resize(min(memory.limit, self.bytes // 4))

    def check(self, relieve: Callable[[], None]) -> None:
        """Drop the caches where the process holds more than it may.

        Args:
            relieve: finishes what is waiting to be written.

        Raises:
            TooLarge: that was not enough.
        """
        if not self.bytes or resident() <= self.bytes:
            return
        self.dropped += 1
        relieve()
        for memory in self.memories:
            memory.clear()
        give_back()
        held = resident()
        if held > self.bytes:
            raise TooLarge(
                f"{held / GIB:.2f} GiB are in use and --max-memory is {self.bytes / GIB:g}",
                way_out="Raise it, use --proxy, or take a machine with more memory",
            )
