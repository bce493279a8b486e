"""Options made from knobs: range, default, unit and words stand in the declaration alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from relume.errors import UsageError
from relume.knobs import Bool, Choice, ColourSpace, File, Knob, OutputFile, Texts
from relume.node import Node

F = TypeVar("F", bound=Callable[..., Any])

_METAVARS: dict[type[Knob[Any]], str] = {
    ColourSpace: "SPACE",
    File: "FILE",
    OutputFile: "FILE",
    Texts: "LIST",
}


def knob_option(
    node: type[Node], knob: str, *flags: str, on: str = "", help: str = ""
) -> Callable[[F], F]:
    """Return the option that sets a knob; left out, the knob keeps its own default.

    Args:
        node: the node type that declares the knob.
        knob: its name.
        flags: names of the option, such as `--depth`.
        on: what `knobs_of` finds the value under; the node's id by default.
        help: what the option does, where the knob's own words do not say it.
    """
    declared = node.knobs()[knob]
    words = f"{help or declared.doc}  [{limits(declared)}]"
    name = f"{on or node.id}__{knob}"
    if isinstance(declared, Bool):
        return click.option(*flags, name, is_flag=True, default=None, help=words)
    if isinstance(declared, Choice):
        choices = click.Choice([choice for choice in declared.choices if choice])
        return click.option(*flags, name, type=choices, help=words)
    kind = declared.kind.removeprefix("optional_")
    metavar = _METAVARS.get(type(declared)) or (declared.unit or kind).upper()
    return click.option(*flags, name, metavar=metavar, callback=_reads(declared), help=words)


def _reads(knob: Knob[Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return what turns the text of an option into a value that the knob accepts."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return knob.json(knob.check(knob.parse(text)))
        except UsageError:
            unit = f" in {knob.unit}" if knob.unit else ""
            raise click.BadParameter(
                f"{text!r} is not {knob.expects}{unit}.", context, parameter
            ) from None

    return read


def knobs_of(options: Mapping[str, Any], on: str) -> dict[str, Any]:
    """Return the knob values that were given for one node, by knob."""
    prefix = f"{on}__"
    return {
        name.removeprefix(prefix): value
        for name, value in options.items()
        if name.startswith(prefix) and value is not None
    }


def limits(knob: Knob[Any]) -> str:
    """Return a knob's range, unit and default in words, as click brackets them."""
    parts = []
    low, high = getattr(knob, "min", None), getattr(knob, "max", None)
    if low is not None and high is not None:
        spans = (
            f"from {low:g}" * (abs(low) < float("inf")),
            f"to {high:g}" * (high < float("inf")),
        )
        parts.append(" ".join(filter(None, spans)))
    parts.append(knob.unit)
    parts.append(f"default: {_default(knob)}")
    return "; ".join(filter(None, parts))


def _default(knob: Knob[Any]) -> str:
    value = knob.json(knob.default)
    if value is None:
        return "found by itself"
    if value in ("", []):
        return "empty"
    if isinstance(value, list):
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
