"""What a user's matting network wants and gives, read from a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError, UsageError
from relume.node import check_names

PLATE, CLEAN_PLATE, TRIMAP, CLASSES, HINT = (
    "plate",
    "clean_plate",
    "trimap",
    "trimap_classes",
    "hint",
)
ALPHA, FOREGROUND = "alpha", "foreground"

SOURCES = {PLATE: 3, CLEAN_PLATE: 3, TRIMAP: 1, CLASSES: 3, HINT: 1}
"""What can be fed, and in how many channels."""

RESULTS = {ALPHA: 1, FOREGROUND: 3, TRIMAP: 1, CLASSES: 3}
"""What can be taken, and from how many channels."""

_WAY_OUT = "`relume nodes onnx_matte` and the guide for pipeline TDs describe the adapter"


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What one input of the network gets.

    Attributes:
        sources: of `SOURCES`, their channels one after the other; empty for a constant.
        low: what 0 becomes.
        high: what 1 becomes, before mean and deviation.
        mean: subtracted from colours, per channel.
        deviation: colours are then divided by it.
        reverse: whether colours are B, G, R.
        constant: the value of an input that is no picture.
    """

    sources: tuple[str, ...] = (PLATE,)
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    reverse: bool = False
    constant: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """What one output of the network is.

    Attributes:
        result: of `RESULTS`.
        logits: whether a sigmoid is still to come.
        low: what stands for 0.
        high: what stands for 1.
    """

    result: str
    logits: bool = False
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """How to call a network.

    Attributes:
        inputs: input → what it gets.
        outputs: output → what it is.
        planar: N, C, H, W; N, H, W, C otherwise.
        linear: whether the network reads linear Rec. 709 rather than sRGB.
        clip: whether it is given no values beyond 0 and 1.
        anchored: whether it is given the plate at the shot's exposure anchor.
        long_side: length to scale the longer side to; 0 for as it is.
        short_side: the same for the shorter side.
        multiple: sides are continued to multiples of this.
    """

    inputs: Mapping[str, Feed]
    outputs: Mapping[str, Take]
    planar: bool = True
    linear: bool = False
    clip: bool = True
    anchored: bool = False
    long_side: int = 0
    short_side: int = 0
    multiple: int = 1

    @property
    def sources(self) -> set[str]:
        """Everything that is fed."""
        return {source for feed in self.inputs.values() for source in feed.sources}


def load_adapter(path: str | Path) -> Adapter:
    """Read an adapter.

    Raises:
        InputError: the file is missing or no JSON.
        UsageError: a field is unknown, missing or of no meaning.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", way_out="Check the path", file=str(path)
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error})", file=str(path)) from error
    try:
        return parse_adapter(document)
    except UsageError as error:
        raise error.locate(file=str(path)) from None


_FIELDS = ("inputs", "outputs", "layout", "encoding", "clip", "exposure", "size", "note")
_FEED = ("from", "range", "mean", "std", "order", "value", "shape")
_TAKE = ("is", "logits", "range")
_SIZE = ("long_side", "short_side", "multiple")


def parse_adapter(document: Any) -> Adapter:
    """Return the adapter that a JSON document describes.

    Raises:
        UsageError: a field is unknown, missing or of no meaning.
    """
    fields = _object(document, "the adapter", _FIELDS)
    inputs = _object(fields.get("inputs"), "inputs")
    outputs = _object(fields.get("outputs"), "outputs")
    takes = {name: _take(name, entry) for name, entry in outputs.items()}
    size = _object(fields.get("size", {}), "size", _SIZE)
    if "long_side" in size and "short_side" in size:
        raise _wrong("size", "given by long_side or by short_side, not by both")
    adapter = Adapter(
        {name: _feed(name, entry) for name, entry in inputs.items()},
        takes,
        planar=_word(fields, "layout", ("NCHW", "NHWC")) == "NCHW",
        linear=_word(fields, "encoding", ("srgb", "linear")) == "linear",
        clip=_switch(fields, "clip", True),
        anchored=_word(fields, "exposure", ("plate", "anchor")) == "anchor",
        long_side=_count(size, "long_side", 0),
        short_side=_count(size, "short_side", 0),
        multiple=_count(size, "multiple", 1),
    )
    if PLATE not in adapter.sources:
        raise _wrong("inputs", f"complete without one that is {PLATE}")
    if ALPHA not in {take.result for take in takes.values()}:
        raise _wrong("outputs", f"complete without one that is {ALPHA}")
    return adapter


def _feed(name: str, entry: Any) -> Feed:
    where = f"inputs.{name}"
    if isinstance(entry, str | list):
        entry = {"from": entry}
    fields = _object(entry, where, _FEED)
    if "value" in fields:
        try:
            value = np.asarray(fields["value"], np.float32)
            return Feed((), constant=np.broadcast_to(value, fields.get("shape", value.shape)))
        except (TypeError, ValueError):
            raise _wrong(f"{where}.value", "a number or a list of them in this shape") from None
    given = fields.get("from", PLATE)
    sources = tuple(given) if isinstance(given, list) else (given,)
    for source in sources:
        if source not in SOURCES:
            raise _wrong(f"{where}.from", f"one or several of {', '.join(SOURCES)}")
    deviation = _numbers(fields, "std", where, (1.0, 1.0, 1.0))
    if 0.0 in deviation:
        raise _wrong(f"{where}.std", "three numbers other than 0")
    low, high = _numbers(fields, "range", where, (0.0, 1.0))
    return Feed(
        sources,
        low,
        high,
        _numbers(fields, "mean", where, (0.0, 0.0, 0.0)),
        deviation,
        _word(fields, "order", ("RGB", "BGR"), where) == "BGR",
    )


def _take(name: str, entry: Any) -> Take:
    where = f"outputs.{name}"
    fields = _object({"is": entry} if isinstance(entry, str) else entry, where, _TAKE)
    result = fields.get("is")
    if result not in RESULTS:
        raise _wrong(f"{where}.is", f"one of {', '.join(RESULTS)}")
    low, high = _numbers(fields, "range", where, (0.0, 1.0))
    if low == high:
        raise _wrong(f"{where}.range", "two different numbers")
    return Take(result, _switch(fields, "logits", False), low, high)


def _object(value: Any, what: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(what, "an object")
    if known is not None:
        check_names(None, f"field of {what}", value, dict.fromkeys(known))
    return value


def _word(fields: Mapping[str, Any], name: str, words: tuple[str, ...], where: str = "") -> str:
    """Return a word, the first by default."""
    value = fields.get(name, words[0])
    if value not in words:
        raise _wrong(f"{where}.{name}".lstrip("."), f"one of {', '.join(words)}")
    return str(value)


def _switch(fields: Mapping[str, Any], name: str, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _count(fields: Mapping[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    if type(value) is not int or value < default:
        raise _wrong(f"size.{name}", "a whole number of at least 1")
    return value


def _numbers(
    fields: Mapping[str, Any], name: str, where: str, default: tuple[float, ...]
) -> tuple[float, ...]:
    value = fields.get(name, default)
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != len(default) or not np.isfinite(numbers).all():
        raise _wrong(f"{where}.{name}", f"{len(default)} numbers")
    return numbers


def _wrong(what: str, expected: str) -> UsageError:
    return UsageError(f"{what} of the adapter is not {expected}", way_out=_WAY_OUT)
