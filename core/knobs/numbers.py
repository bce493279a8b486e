"""Knobs of one number."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from typing_extensions import override

from relume.knobs.base import Knob

T = TypeVar("T")


def finite(value: object) -> float | None:
    """Return a finite number as float, or None for anything else (bool and NaN included)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def span(low: float, high: float) -> str:
    """Return a range in words, to follow what is counted."""
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" of at least {low:g}"
    if math.isinf(low):
        return f" of at most {high:g}"
    return f" from {low:g} to {high:g}"


class Ranged(Knob[T]):
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


class Float(Ranged[float]):
    """A real number."""

    kind = "float"
    animates = True

    @override
    def check(self, value: object) -> float:
        number = finite(value)
        if number is None or not self.min <= number <= self.max:
            raise self.refuse(value, self.expects)
        return number

    @override
    def mix(self, a: float, b: float, amount: float) -> float:
        return a + (b - a) * amount

    @property
    @override
    def expects(self) -> str:
        return "a number" + span(self.min, self.max)


class OptionalFloat(Ranged[float | None]):
    """A real number, or nothing: the node then finds the value itself."""

    kind = "optional_float"
    animates = True

    @override
    def check(self, value: object) -> float | None:
        if value is None:
            return None
        number = finite(value)
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
        return "a number" + span(self.min, self.max) + " or null"


class Int(Ranged[int]):
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
        return "a whole number" + span(self.min, self.max)
