"""Channels of a file and layers of an image: `albedo.R` is channel R of the layer `albedo`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MAIN = "rgba"
"""The layer whose channels carry no prefix in a file: R, G, B, A."""

_MAIN_NAMES = frozenset({"", "rgba", "rgb", "main"})

_LETTERS = {"red": "R", "green": "G", "blue": "B", "alpha": "A"} | {c: c.upper() for c in "rgbaxyz"}

_ORDER = ("R", "G", "B", "A", "X", "Y", "Z")

_NUMBERS = re.compile(
    r"""n|normals?|p|pos|position|pworld|pref|points?|z|depth|zdepth|motion|motionvectors?|vectors?
    |forward|backward|velocity|flow|uvs?|st|matte|mask|alpha|trimap|.*id|crypto.*|roughness|variance
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Layers that hold numbers even where their channels are called R, G, B."""


def sort_channels(names: Mapping[int, str], part: str = "") -> dict[str, dict[str, int]]:
    """Sort the channels of a file into layers.

    The prefix of a channel is its layer; channels without one belong to the layer of their part,
    and R, G, B, A of the first part to `rgba`. `Z` beside colour is the layer `depth`; any
    other stray channel is a layer of its own.

    Args:
        names: index in the file → name of a channel, in the order of the file.
        part: the layer that a channel without a prefix belongs to, "" for the main one.

    Returns:
        Layer → channel → index; channels in the order R, G, B, A, X, Y, Z, others.
    """
    layers: dict[str, dict[str, int]] = {}
    for index, name in names.items():
        prefix, _, channel = name.rpartition(".")
        layer = prefix or part
        layer = MAIN if layer.lower() in _MAIN_NAMES else layer
        letter = _LETTERS.get(channel.lower(), channel)
        channels = layers.setdefault(layer, {})
        # Two spellings of one letter: the first has it, the second keeps its own.
        channels.setdefault(channel if letter in channels else letter, index)
    main = layers.pop(MAIN, {})
    kept = _main_channels(main)
    strays = {name: index for name, index in main.items() if name not in kept}
    ordered = {MAIN: {name: main[name] for name in kept}} if kept else {}
    ordered |= {layer: _in_order(channels) for layer, channels in layers.items()}
    for name, index in strays.items():
        layer = "depth" if name == "Z" else name
        ordered.setdefault(layer, {}).setdefault(name, index)
    return ordered


def holds_colour(layer: str, channels: Sequence[str]) -> bool:
    """Return whether a layer holds light rather than numbers, by its name and channels."""
    if layer == MAIN:
        return bool({"R", "G", "B"} & set(channels)) or ("Y" in channels and "X" not in channels)
    last = layer.rpartition(".")[2]
    return {"R", "G", "B"} <= set(channels) and not _NUMBERS.fullmatch(last)


def file_channels(layer: str, channels: Sequence[str]) -> list[str]:
    """Return the names that a layer's channels have in a file."""
    return list(channels) if layer == MAIN else [f"{layer}.{channel}" for channel in channels]


def _main_channels(channels: dict[str, int]) -> list[str]:
    if {"R", "G", "B"} & channels.keys():
        choice = ["R", "G", "B", "A"]
    elif {"X", "Y", "Z"} <= channels.keys():
        choice = ["X", "Y", "Z"]
    else:
        choice = ["Y", "A"]
    return [name for name in choice if name in channels]


def _in_order(channels: dict[str, int]) -> dict[str, int]:
    known = [name for name in _ORDER if name in channels]
    return {name: channels[name] for name in (*known, *(n for n in channels if n not in known))}
