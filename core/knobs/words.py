"""Knobs of a switch, a word or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from relume.knobs.base import Knob


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
