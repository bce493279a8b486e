"""Knobs of several numbers."""

from __future__ import annotations

from typing import Any, TypeVar

from typing_extensions import override

from relume.knobs.numbers import Ranged, finite, span

T = TypeVar("T")


class _Tuple(Ranged[tuple[T, ...]]):
    """Several numbers, of a fixed count if `length` is given."""

    length: int | None = None
    element: type = float

    @override
    def check(self, value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise self.refuse(value, self.expects)
        numbers = [finite(v) for v in value]
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
        return count + what + span(self.min, self.max)


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


class OptionalColour(Ranged[tuple[float, ...] | None]):
    """Three factors or values on R, G, B, or nothing: the node then finds them itself."""

    kind = "optional_colour"

    @override
    def check(self, value: object) -> tuple[float, ...] | None:
        if value is None:
            return None
        numbers = [finite(v) for v in value] if isinstance(value, list | tuple) else []
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
        return "3 numbers" + span(self.min, self.max) + " or null"
