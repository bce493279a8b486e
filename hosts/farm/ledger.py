"""Which frames of a job are still to be done, and which take their workers with them."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence


def chunks(frames: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Return frames in portions of a size, the last one maybe smaller."""
    return [tuple(frames[start : start + size]) for start in range(0, len(frames), size)]


def size_for(frames: int, workers: int) -> int:
    """Return how many frames to hand out at a time.

    Few enough that all workers end together and little is lost with one; several where there are
    thousands, since each portion costs a message.
    """
    return min(max(math.ceil(frames / (workers * 8)), 1), 16)


class Ledger:
    """Hands out frames, and takes back those whose worker died.

    Frames that come back are handed out one by one, after all others: whichever of them kills
    its worker then does so alone, and is given up when it has done so often enough.

    Args:
        frames: every frame of the job, in the order to render them.
        size: frames to hand out at a time.
        deaths: how many workers a frame may take with it.
    """

    def __init__(self, frames: Iterable[int], size: int, deaths: int = 3) -> None:
        self.deaths = deaths
        self._waiting = deque(chunks(list(frames), size))
        self._killed: Counter[int] = Counter()

    def __len__(self) -> int:
        """Return how many portions are still to be handed out."""
        return len(self._waiting)

    def take(self) -> tuple[int, ...]:
        """Return the next frames to render; none where all are handed out."""
        return self._waiting.popleft() if self._waiting else ()

    def lost(self, frames: Sequence[int]) -> list[int]:
        """Take back frames whose worker died before it reported them; return those given up."""
        # Which of several it was nobody knows: only a frame that was alone is held to account.
        if len(frames) == 1:
            self._killed[frames[0]] += 1
            if self._killed[frames[0]] >= self.deaths:
                return list(frames)
        self._waiting.extend((frame,) for frame in frames)
        return []
