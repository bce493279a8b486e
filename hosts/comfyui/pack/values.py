# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels on a wire of relume: an output of a graph, and the pictures that were lent to it.

Nodes only put a graph together. It is rendered, by the worker, where pixels are asked for, so that
nothing is computed twice and the graph is the one a farm renders.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .relume_client import Picture, RelumeError

SRGB = "srgb_rec709_scene"
"""What an IMAGE of ComfyUI holds unless somebody says otherwise."""

DATA = "data"

_numbers = itertools.count(1)


class Batch:
    """Frames that ComfyUI lends.

    Args:
        pixels: B×H×W×C, one frame of the shot each; a single one holds for every frame.
        channels: their names, such as RGB or A.
        colour: colour space, or `data`.
        alpha: `straight` or `premultiplied`.
        first: number of the first frame.
    """

    def __init__(
        self,
        pixels: torch.Tensor,
        channels: str,
        colour: str,
        alpha: str = "straight",
        first: int = 1,
    ) -> None:
        self.pixels = pixels
        self.first = first
        self._fields = {"channels": channels, "colour": colour, "alpha": alpha}
        # Other pixels need another name, so a name is never used again.
        self._serial = f"comfyui {next(_numbers)}"

    @property
    def frames(self) -> range:
        """The frames there are."""
        return range(self.first, self.first + len(self.pixels))

    def serials(self) -> Any:
        """Return the name of the frame that holds for all, or of each frame."""
        if len(self.pixels) == 1:
            return f"{self._serial} 0"
        return {frame: f"{self._serial} {frame - self.first}" for frame in self.frames}

    def pictures(self) -> dict[str, Any]:
        """Return what lends a frame to the worker, by its name."""
        return {
            f"{self._serial} {number}": (lambda number=number: self._picture(number))
            for number in range(len(self.pixels))
        }

    def _picture(self, number: int) -> Picture:
        frame = self.pixels[number].detach().to("cpu", torch.float32).contiguous().numpy()
        height, width, _ = frame.shape
        return Picture(frame, width, height, **self._fields)


@dataclass(frozen=True)
class Value:
    """An output of a graph, not rendered yet.

    Attributes:
        nodes: the graph's nodes by name.
        reference: `node.output`.
        lent: name of an Input node → its frames.
        type: what the output is, as the declaration names it.
    """

    nodes: Mapping[str, Any]
    reference: str
    lent: Mapping[str, Batch] = field(default_factory=dict)
    type: str = "Image"

    @property
    def graph(self) -> dict[str, Any]:
        """The document that a farm renders."""
        return {"relume": 1, "nodes": dict(self.nodes)}

    def frames(self, text: str = "") -> range:
        """Return the frames to render.

        Args:
            text: such as 1001-1010; empty for those of the batches, or frame 1 without one.

        Raises:
            RelumeError: the text is no range, or two batches have other frames.
        """
        if text.strip():
            first, _, last = text.strip().partition("-")
            if not (first.isdecimal() and (last or first).isdecimal()):
                raise RelumeError(f"'{text}' is no range of frames such as 1001-1010.", "usage")
            found = range(int(first), int(last or first) + 1)
            if not found:
                raise RelumeError(f"The frames '{text}' end before they begin.", "usage")
            return found
        spans = {batch.frames for batch in self.lent.values() if len(batch.pixels) > 1}
        if len(spans) > 1:
            shown = " and ".join(sorted(f"{span[0]}-{span[-1]}" for span in spans))
            raise RelumeError(
                f"The batches that meet here have other frames: {shown}. Give them the same "
                "length and first frame.",
                "usage",
            )
        if spans:
            return spans.pop()
        return next((batch.frames for batch in self.lent.values()), range(1, 2))


def taken(given: Any, port: Mapping[str, Any], key: str, name: str) -> Value:
    """Return what was wired to a port as a value of relume.

    Args:
        given: a value of relume, an IMAGE of B×H×W×3 or 4, or a MASK of B×H×W. An IMAGE is sRGB,
            or stored numbers where the port takes those; in a MASK, 1 is the subject.
        port: its declaration.
        key: name of the port; normals are vectors.
        name: for the Input node, unlike any other of the graph.
    """
    if isinstance(given, Value):
        return given
    if given.ndim == 3:
        return lent(name, Batch(given[..., None], "A", DATA))
    colour = DATA if port["colour"] == DATA else SRGB
    channels = "XYZA" if key == "normals" else "RGBA"
    return lent(name, Batch(given, channels[: given.shape[-1]], colour))


def lent(name: str, batch: Batch) -> Value:
    """Return a batch as a value, under the name of its Input node."""
    return Value({name: {"type": "input"}}, f"{name}.image", {name: batch})


def joined(name: str, entry: Mapping[str, Any], fed: Iterable[Value]) -> Value:
    """Return a node on top of the values that feed it; its outputs are `name.output`."""
    nodes: dict[str, Any] = {}
    batches: dict[str, Batch] = {}
    for value in fed:
        nodes.update(value.nodes)
        batches.update(value.lent)
    nodes[name] = dict(entry)
    return Value(nodes, name, batches)


@dataclass(frozen=True)
class Layer:
    """A rendered layer.

    Attributes:
        name: of the layer; empty where there is one only.
        pixels: H×W×C of the data window, float32, neither clamped nor rounded.
        channels: their names.
        fields: all else the worker says: `x`, `y`, `display`, `pixel_aspect`, `colour`, `alpha`.
    """

    name: str
    pixels: np.ndarray
    channels: tuple[str, ...]
    fields: Mapping[str, Any]
