"""Images as they travel between nodes: one layer of float32 pixels and what is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError

AlphaState = Literal["straight", "premultiplied", "none"]
Pixels = NDArray[np.float32]

GREY = ("Y", "L", "I", "A", "R", "G", "B")
"""Names under which a picture of a single channel is a grey one."""

DATA = "data"
"""The colour of a layer that holds numbers rather than light: never colour converted."""


@dataclass(frozen=True, slots=True)
class Box:
    """A pixel window, half open, y down as in the file: `x0 <= x < x1`, `y0 <= y < y1`."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise UsageError(f"the window {self} has no pixels")

    @classmethod
    def of_size(cls, width: int, height: int) -> Box:
        """Return the window of the given size at the origin."""
        return cls(0, 0, width, height)

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def intersect(self, other: Box) -> Box | None:
        """Return the pixels in both windows, or None."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        x1, y1 = min(self.x1, other.x1), min(self.y1, other.y1)
        return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def slices(self, inside: Box) -> tuple[slice, slice]:
        """Return the rows and columns of an array covering `inside` that this window takes.

        Raises:
            ValueError: this window reaches out of `inside`, where a slice would wrap around.
        """
        if self.intersect(inside) != self:
            raise ValueError(f"the window {self} is not inside {inside}")
        return (
            slice(self.y0 - inside.y0, self.y1 - inside.y0),
            slice(self.x0 - inside.x0, self.x1 - inside.x0),
        )

    def __str__(self) -> str:
        return f"({self.x0}, {self.y0})-({self.x1}, {self.y1})"


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One layer.

    Attributes:
        pixels: H×W×C float32, C-contiguous, read-only, rows top to bottom; scene-linear and
            unbounded unless `colour` says otherwise.
        channels: C channel names, `("R", "G", "B", "A")`, `("A",)`, `("X", "Y", "Z")` ….
        colour: OCIO interop id such as `lin_ap1_scene`, any colour space name, or `data`.
        alpha: whether R, G, B are multiplied by A; `none` where there is no A.
        data: the window the pixels cover; H×W is its size.
        display: the window a viewer shows.
        pixel_aspect: width of a pixel over its height.
        metadata: attributes of the file the layer came from.
    """

    pixels: Pixels
    channels: tuple[str, ...]
    colour: str = "lin_ap1_scene"
    alpha: AlphaState = "none"
    data: Box = None  # type: ignore[assignment]
    display: Box = None  # type: ignore[assignment]
    pixel_aspect: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pixels = np.ascontiguousarray(self.pixels, dtype=np.float32)
        channels = tuple(self.channels)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] != len(channels):
            raise UsageError(
                f"an image of shape {pixels.shape} cannot carry the channels {', '.join(channels)}"
            )
        if len(set(channels)) != len(channels):
            raise UsageError(f"two channels have the same name: {', '.join(channels)}")
        if pixels is self.pixels or pixels.base is not None:
            # A view, so that marking it read-only does not freeze the caller's array.
            pixels = pixels.view()
        pixels.flags.writeable = False
        data = self.data or Box.of_size(pixels.shape[1], pixels.shape[0])
        if (data.height, data.width) != pixels.shape[:2]:
            raise UsageError(f"pixels of {pixels.shape[:2]} do not fill the data window {data}")
        if "A" not in channels:
            object.__setattr__(self, "alpha", "none")
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "display", self.display or data)
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    @property
    def width(self) -> int:
        """Columns of the data window."""
        return self.data.width

    @property
    def height(self) -> int:
        """Rows of the data window."""
        return self.data.height

    @property
    def is_data(self) -> bool:
        """Whether the layer holds numbers rather than light."""
        return self.colour == DATA

    def has(self, *channels: str) -> bool:
        """Return whether every named channel is there."""
        return set(channels) <= set(self.channels)

    def take(self, *channels: str) -> Pixels:
        """Return the named channels as H×W×len(channels), a view where possible.

        Raises:
            UsageError: a channel is missing.
        """
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise UsageError(
                f"the image has no channel {', '.join(missing)} (it has "
                f"{', '.join(self.channels)})",
                way_out="Choose channels with a Shuffle node",
            )
        index = [self.channels.index(name) for name in channels]
        if index == list(range(index[0], index[0] + len(index))):
            return self.pixels[:, :, index[0] : index[0] + len(index)]
        return self.pixels[:, :, index]

    @property
    def rgb(self) -> Pixels:
        """R, G, B as H×W×3; a grey image of one channel is repeated.

        Raises:
            UsageError: the channels are no colour, such as a depth `Z`.
        """
        if len(self.channels) == 1 and self.channels[0] in GREY:
            return np.repeat(self.pixels, 3, axis=2)
        return self.take("R", "G", "B")

    def like(
        self,
        pixels: Pixels,
        channels: Sequence[str] | None = None,
        *,
        colour: str | None = None,
        alpha: AlphaState | None = None,
    ) -> Image:
        """Return other pixels in this image's windows, aspect and metadata."""
        return replace(
            self,
            pixels=pixels,
            channels=tuple(channels) if channels is not None else self.channels,
            colour=self.colour if colour is None else colour,
            alpha=self.alpha if alpha is None else alpha,
        )


class Layers(Mapping[str, Image]):
    """Ordered layers of one frame, by name."""

    def __init__(self, layers: Mapping[str, Image]) -> None:
        self._layers = dict(layers)

    def __getitem__(self, name: str) -> Image:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)
