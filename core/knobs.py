"""Knobs: the typed, documented values of a node, each declared once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, overload

from typing_extensions import override

from relume.errors import UsageError

T = TypeVar("T")
Interp = Literal["linear", "hold"]


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


def _number(value: object) -> float | None:
    """Return a finite number as float, or None for anything else (bool and NaN included)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _span(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" of at least {low:g}"
    if math.isinf(low):
        return f" of at most {high:g}"
    return f" from {low:g} to {high:g}"


class _Ranged(Knob[T]):
    """A knob of one or more numbers within a range."""

    def __init__(
        self,
        default: T,
        doc: str,
        *,
        min: float = -math.inf,
        max: float = math.inf,
        unit: str = "",
        affects: bool = True,
    ) -> None:
        super().__init__(default, doc, unit=unit, affects=affects)
        self.min = min
        self.max = max

    @override
    def schema(self) -> dict[str, Any]:
        entry = super().schema()
        for name, bound in (("min", self.min), ("max", self.max)):
            if math.isfinite(bound):
                entry[name] = bound
        return entry

    @override
    def parse(self, text: str) -> Any:
        values = [_parse_number(part) for part in text.replace(" ", ",").split(",") if part]
        return values[0] if len(values) == 1 else values


def _parse_number(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


class Float(_Ranged[float]):
    """A real number."""

    kind = "float"
    animates = True

    @override
    def check(self, value: object) -> float:
        number = _number(value)
        if number is None or not self.min <= number <= self.max:
            raise self.refuse(value, self.expects)
        return number

    @override
    def mix(self, a: float, b: float, amount: float) -> float:
        return a + (b - a) * amount

    @property
    @override
    def expects(self) -> str:
        return "a number" + _span(self.min, self.max)


class OptionalFloat(_Ranged[float | None]):
    """A real number, or nothing: the node then finds the value itself."""

    kind = "optional_float"
    animates = True

    @override
    def check(self, value: object) -> float | None:
        if value is None:
            return None
        number = _number(value)
        if number is None or not self.min <= number <= self.max:
            raise self.refuse(value, self.expects)
        return number

    @override
    def mix(self, a: float | None, b: float | None, amount: float) -> float | None:
        return a if a is None or b is None else a + (b - a) * amount

    @override
    def parse(self, text: str) -> Any:
        return None if text in ("", "none", "null") else super().parse(text)

    @property
    @override
    def expects(self) -> str:
        return "a number" + _span(self.min, self.max) + " or null"


class Int(_Ranged[int]):
    """A whole number."""

    kind = "int"
    animates = True

    @override
    def check(self, value: object) -> int:
        if type(value) is not int or not self.min <= value <= self.max:
            raise self.refuse(value, self.expects)
        return value

    @override
    def mix(self, a: int, b: int, amount: float) -> int:
        return round(a + (b - a) * amount)

    @property
    @override
    def expects(self) -> str:
        return "a whole number" + _span(self.min, self.max)


class Bool(Knob[bool]):
    """A switch."""

    kind = "bool"

    @override
    def check(self, value: object) -> bool:
        if type(value) is not bool:
            raise self.refuse(value, self.expects)
        return value

    @override
    def parse(self, text: str) -> Any:
        words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
        return words.get(text.lower(), text)

    @property
    @override
    def expects(self) -> str:
        return "true or false"


class Choice(Knob[str]):
    """One of a few words."""

    kind = "choice"

    def __init__(
        self, default: str, doc: str, *, choices: Sequence[str], affects: bool = True
    ) -> None:
        super().__init__(default, doc, affects=affects)
        self.choices = tuple(choices)

    @override
    def check(self, value: object) -> str:
        if value not in self.choices:
            raise self.refuse(value, self.expects)
        return str(value)

    @override
    def schema(self) -> dict[str, Any]:
        return super().schema() | {"choices": list(self.choices)}

    @property
    @override
    def expects(self) -> str:
        return "one of " + ", ".join(choice or "''" for choice in self.choices)


class Text(Knob[str]):
    """A line of text."""

    kind = "text"

    @override
    def check(self, value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise self.refuse(value, self.expects)
        return value

    @property
    @override
    def expects(self) -> str:
        return "text"


class File(Text):
    """An input file or sequence (`%04d`, `####`); its content, not its name, is what matters."""

    kind = "file"


class OutputFile(Text):
    """A file or sequence to write; never part of a key."""

    kind = "output_file"

    def __init__(self, default: str, doc: str) -> None:
        super().__init__(default, doc, affects=False)


class ColourSpace(Text):
    """A colour space by interop id, name, alias or role; empty where the file decides."""

    kind = "colour_space"


class _Tuple(_Ranged[tuple[T, ...]]):
    """Several numbers, of a fixed count if `length` is given."""

    length: int | None = None
    element: type = float

    @override
    def check(self, value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise self.refuse(value, self.expects)
        numbers = [_number(v) for v in value]
        good = all(
            n is not None
            and self.min <= n <= self.max
            and (self.element is float or type(v) is int)
            for n, v in zip(numbers, value, strict=True)
        )
        if not good or (self.length is not None and len(value) != self.length):
            raise self.refuse(value, self.expects)
        return tuple(self.element(v) for v in value)

    @override
    def parse(self, text: str) -> Any:
        values = super().parse(text)
        return values if isinstance(values, list) else [values]

    @property
    @override
    def expects(self) -> str:
        what = "numbers" if self.element is float else "whole numbers"
        count = f"{self.length} " if self.length is not None else "a list of "
        return count + what + _span(self.min, self.max)


class Ints(_Tuple[int]):
    """A list of whole numbers."""

    kind = "ints"
    element = int


class Floats(_Tuple[float]):
    """A list of real numbers."""

    kind = "floats"
    animates = True

    @override
    def mix(self, a: tuple[float, ...], b: tuple[float, ...], amount: float) -> tuple[float, ...]:
        if len(a) != len(b):
            return a
        return tuple(x + (y - x) * amount for x, y in zip(a, b, strict=True))


class Colour(Floats):
    """Three factors or values on R, G, B, scene-linear, unbounded."""

    kind = "colour"
    length = 3

    @override
    def parse(self, text: str) -> Any:
        values = super().parse(text)
        return values * 3 if len(values) == 1 else values


class OptionalColour(_Ranged[tuple[float, ...] | None]):
    """Three factors or values on R, G, B, or nothing: the node then finds them itself."""

    kind = "optional_colour"

    @override
    def check(self, value: object) -> tuple[float, ...] | None:
        if value is None:
            return None
        numbers = [_number(v) for v in value] if isinstance(value, list | tuple) else []
        checked = tuple(n for n in numbers if n is not None and self.min <= n <= self.max)
        if len(checked) != 3 or len(numbers) != 3:
            raise self.refuse(value, self.expects)
        return checked

    @override
    def parse(self, text: str) -> Any:
        if text in ("", "none", "null"):
            return None
        values = super().parse(text)
        return values if isinstance(values, list) else [values] * 3

    @property
    @override
    def expects(self) -> str:
        return "3 numbers" + _span(self.min, self.max) + " or null"


class Texts(Knob[tuple[str, ...]]):
    """A list of words."""

    kind = "texts"

    @override
    def check(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self.refuse(value, self.expects)
        return tuple(value)

    @override
    def parse(self, text: str) -> Any:
        return [part.strip() for part in text.split(",") if part.strip()]

    @property
    @override
    def expects(self) -> str:
        return "a list of words"
