"""Hashes that name a result before it is computed, and prove what a file was made from."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(*parts: object) -> str:
    """Return a hash of JSON-like values: equal values give equal text on every machine."""
    # Escaped to ASCII, so that a file name that is not UTF-8 can be hashed as well.
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _plain(value: object) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a key")
