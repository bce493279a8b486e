"""What every knob is: a descriptor with a default, a doc, a check and keys over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, overload

from relume.errors import UsageError

T = TypeVar("T")


class Knob(Generic[T]):
    """One value of a node, as a descriptor: the declaration on the class, the value on an instance.

    Args:
        default: value where the graph does not set one.
        doc: what it does, a sentence for the tooltip.
        unit: physical unit (`stops`, `degrees`, `px`, …); hosts scale `px` with their proxy.
        affects: whether the value changes the output; labels and file targets do not.
    """

    kind = "text"
    animates = False

    def __init__(self, default: T, doc: str, *, unit: str = "", affects: bool = True) -> None:
        self.default = default
        self.doc = doc
        self.unit = unit
        self.affects = affects
        self.name = ""
        self.owner = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = owner.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = instance.__dict__["_values"][self.name]
        return value

    def __set__(self, instance: object, value: T) -> None:
        raise AttributeError(f"{self.owner}.{self.name} is set when the node is made")

    def check(self, value: object) -> T:
        """Return the value in the knob's type.

        Raises:
            UsageError: the value has the wrong type or is out of range.
        """
        raise NotImplementedError

    def refuse(self, value: object, expected: str) -> UsageError:
        """Return the error that names the node, the knob, the value and what is allowed."""
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "…"
        return UsageError(
            f"{self.owner}.{self.name} = {shown} is not {expected}",
            way_out=f"Give {expected}" + (f", in {self.unit}" if self.unit else ""),
        )

    def parse(self, text: str) -> Any:
        """Return the JSON value that `text` on a command line stands for."""
        return text

    def schema(self) -> dict[str, Any]:
        """Return the declaration as JSON, for hosts and documentation."""
        entry: dict[str, Any] = {"kind": self.kind, "default": self.json(self.default)}
        if self.unit:
            entry["unit"] = self.unit
        if not self.affects:
            entry["affects"] = False
        entry["doc"] = self.doc
        return entry

    def json(self, value: T) -> Any:
        """Return a checked value as JSON writes it."""
        return list(value) if isinstance(value, tuple) else value

    @property
    def expects(self) -> str:
        """What is allowed, in words, for tables and messages."""
        return self.kind

    def at(self, stored: object, frame: int) -> T:
        """Return the value at a frame.

        Args:
            stored: a constant, or `{"keys": [[frame, value], …], "interp": "linear" | "hold"}`.
            frame: frame number.

        Raises:
            UsageError: the value, a key or the interpolation is not valid.
        """
        if not (isinstance(stored, Mapping) and "keys" in stored):
            return self.check(stored)
        keys = sorted((int(f), self.check(v)) for f, v in self.keys(stored))
        before = [key for key in keys if key[0] <= frame]
        after = [key for key in keys if key[0] > frame]
        if not before:
            return after[0][1]
        if not after or stored.get("interp", "linear") == "hold" or not self.animates:
            return before[-1][1]
        (f0, v0), (f1, v1) = before[-1], after[0]
        return self.mix(v0, v1, (frame - f0) / (f1 - f0))

    def keys(self, stored: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the keys of an animated value.

        Raises:
            UsageError: it is not a list of [frame, value] pairs, a frame comes twice, or there is
                an unknown field.
        """
        keys = stored.get("keys")
        good = (
            isinstance(keys, list)
            and keys
            and all(isinstance(k, list | tuple) and len(k) == 2 and type(k[0]) is int for k in keys)
            and len({k[0] for k in keys}) == len(keys)
            and stored.get("interp", "linear") in ("linear", "hold")
            and set(stored) <= {"keys", "interp"}
        )
        if not good:
            expected = (
                'animated as {"keys": [[frame, value], …], "interp": "linear" or "hold"}, '
                "one key a frame"
            )
            raise self.refuse(dict(stored), expected)
        return keys  # type: ignore[return-value]

    def mix(self, a: T, b: T, amount: float) -> T:
        """Return the value between two keys."""
        return a
