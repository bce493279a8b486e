"""Things a user should know once, such as a guessed colour space: through `logging`, not print.

Hosts attach a handler to the logger `relume`; nothing is written where they do not.
"""

from __future__ import annotations

import logging
import threading

log = logging.getLogger("relume")

_lock = threading.Lock()
_told: set[tuple[str, ...]] = set()


def once(message: str, *key: str, level: int = logging.INFO) -> None:
    """Log a sentence the first time this process meets `key`.

    Args:
        message: the sentence.
        key: what makes it new; the message itself where it is left out.
        level: a level of `logging`.
    """
    with _lock:
        if (key or (message,)) in _told:
            return
        _told.add(key or (message,))
    log.log(level, message)


def forget() -> None:
    """Let every notice be told again, as a new job should."""
    with _lock:
        _told.clear()
