"""Read the fields of a request: each of a known type and size, none unknown."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from relume.hosts.worker.wire import Malformed

T = TypeVar("T")

LARGEST = 1 << 40
"""No number in a request means anything beyond."""


class Fields:
    """The fields of a request, taken one by one.

    Args:
        fields: by name.
        what: they belong to, for messages.
    """

    def __init__(self, fields: object, what: str) -> None:
        if not isinstance(fields, dict):
            raise Malformed(f"{what} is no object")
        self._fields: dict[str, Any] = dict(fields)
        self._what = what

    def end(self) -> None:
        """Refuse the fields that nobody took."""
        if self._fields:
            raise self._wrong(next(iter(self._fields)), "is unknown")

    def has(self, name: str) -> bool:
        """Return whether a field is there, and not null."""
        return self._fields.get(name) is not None

    def text(self, name: str, default: str | None = None, *, longest: int = 200) -> str:
        """Take text; an empty one only where that is the default."""
        value: str = self._take(name, str, "text", default)
        if len(value) > longest or (not value and default != ""):
            raise self._wrong(name, f"has {len(value)} characters, not 1 to {longest}")
        return value

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """Take one of several words."""
        value: str = self._take(name, str, "text", default)
        if value not in choices:
            raise self._wrong(name, f"is none of {', '.join(choices)}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Take a truth value."""
        value: bool = self._take(name, bool, "true or false", default)
        return value

    def whole(
        self, name: str, default: int | None = None, *, least: int = -LARGEST, most: int = LARGEST
    ) -> int:
        """Take a whole number."""
        value = self._take(name, int, "a whole number", default)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(name, f"is no whole number from {least} to {most}")
        return value

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """Take a number."""
        value = self._take(name, (int, float), "a number", default)
        if isinstance(value, bool) or not (math.isfinite(value) and least <= value <= most):
            raise self._wrong(name, f"is no number from {least:g} to {most:g}")
        return float(value)

    def entries(self, name: str, kind: type[T], default: list[T] | None = None) -> list[T]:
        """Take a list of values of a type."""
        value = self._take(name, list, "a list", default)
        if not all(type(item) is kind for item in value):
            raise self._wrong(name, f"is no list of {_IN_WORDS[kind]}")
        return list(value)

    def window(self, name: str) -> tuple[int, int, int, int] | None:
        """Take `[x0, y0, x1, y1]`, half open and not empty, or None where it is missing."""
        box = self.entries(name, int, [])
        if not box:
            return None
        if len(box) != 4 or any(abs(edge) > 1 << 24 for edge in box):
            raise self._wrong(name, "is no [x0, y0, x1, y1]")
        if box[2] <= box[0] or box[3] <= box[1]:
            raise self._wrong(name, "has no pixels")
        return box[0], box[1], box[2], box[3]

    def channels(self, name: str, default: list[str] | None = None) -> list[str]:
        """Take channel names: none twice, none empty."""
        names = self.entries(name, str, default)
        if len(names) > 64 or any(not 0 < len(channel) <= 64 for channel in names):
            raise self._wrong(name, "is no list of up to 64 channel names")
        if len(set(names)) != len(names):
            raise self._wrong(name, "names a channel twice")
        return names

    def mapping(self, name: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take an object."""
        return dict(self._take(name, dict, "an object", None if default is None else dict(default)))

    def _take(self, name: str, kind: Any, words: str, default: Any) -> Any:
        value = self._fields.pop(name, None)
        if value is None:
            value = default
        if value is None:
            raise self._wrong(name, "is missing")
        if not isinstance(value, kind):
            raise self._wrong(name, f"is not {words}")
        return value

    def _wrong(self, name: str, fault: str) -> Malformed:
        shown = name if len(name) <= 40 else name[:37] + "…"
        return Malformed(f"the field '{shown}' of {self._what} {fault}")


_IN_WORDS: dict[type, str] = {str: "text", int: "whole numbers", dict: "objects"}
