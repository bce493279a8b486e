"""Images that hosts lend: kept under the client's serial until it, or the memory, is gone."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import cast

import numpy as np
from numpy.typing import NDArray

from relume.cache import GIB
from relume.errors import InputError
from relume.hosts.farm.memory import TooLarge
from relume.hosts.worker.buffers import Buffers
from relume.hosts.worker.fields import Fields
from relume.image import DATA, AlphaState, Box, Image
from relume.media.repair import not_finite, repair

LAYOUTS = ("interleaved", "planar")
ROWS = ("top_down", "bottom_up")
_LARGEST = 1 << 17
_MOST = 4
_TOKENS = 10_000

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """How pixels lie in memory.

    Attributes:
        width: columns.
        height: rows.
        channels: channels.
        layout: `interleaved` or `planar`.
        rows: `top_down` or `bottom_up`.
    """

    width: int
    height: int
    channels: int
    layout: str
    rows: str

    @property
    def count(self) -> int:
        """Numbers in all."""
        return self.width * self.height * self.channels

    def view(self, flat: F32) -> F32:
        """Return `count` numbers as H×W×C, rows top to bottom, without a copy."""
        if self.layout == "planar":
            planes = flat.reshape(self.channels, self.height, self.width)
            pixels = planes.transpose(1, 2, 0)
        else:
            pixels = flat.reshape(self.height, self.width, self.channels)
        return pixels[::-1] if self.rows == "bottom_up" else pixels


@dataclass(frozen=True, slots=True)
class Loan:
    """What a client says of an image it lends.

    Attributes:
        serial: the client's name for it.
        shape: how its pixels lie.
        channels: their names.
        colour: colour space, or `data`.
        alpha: whether R, G, B are multiplied by A.
        data: the window the pixels cover, y down.
        display: the window a viewer shows.
        pixel_aspect: width of a pixel over its height.
        segment: name of the segment the pixels lie in; empty where they are the payload.
        offset: where they begin in it.
    """

    serial: str
    shape: Shape
    channels: tuple[str, ...]
    colour: str
    alpha: AlphaState
    data: Box
    display: Box
    pixel_aspect: float
    segment: str
    offset: int

    @classmethod
    def read(cls, fields: Fields) -> Loan:
        """Read an `image` request.

        Raises:
            UsageError: a field is missing, unknown or out of range.
        """
        serial = fields.text("serial")
        width = fields.whole("width", least=1, most=_LARGEST)
        height = fields.whole("height", least=1, most=_LARGEST)
        channels = tuple(fields.channels("channels"))
        shape = Shape(
            width, height, len(channels),
            fields.choice("layout", LAYOUTS, "interleaved"),
            fields.choice("rows", ROWS, "top_down"),
        )  # fmt: skip
        x = fields.whole("x", 0, least=-(1 << 24), most=1 << 24)
        y = fields.whole("y", 0, least=-(1 << 24), most=1 << 24)
        data = Box(x, y, x + width, y + height)
        display = fields.window("display")
        light = bool({"R", "G", "B"} & set(channels)) or ("Y" in channels and "X" not in channels)
        return cls(
            serial=serial,
            shape=shape,
            channels=channels,
            colour=fields.text("colour", None if light else DATA),
            alpha=cast(
                AlphaState, fields.choice("alpha", ("premultiplied", "straight"), "premultiplied")
            ),
            data=data,
            display=Box(*display) if display else data,
            pixel_aspect=fields.number("pixel_aspect", 1.0, least=0.01, most=100.0),
            segment=fields.text("segment", "", longest=64),
            offset=fields.whole("offset", 0, least=0),
        )

    def image(self, flat: F32, memory: F32) -> tuple[Image, list[str]]:
        """Return the image, and what was wrong with its pixels.

        Args:
            flat: the pixels as the client has them.
            memory: as many numbers, for the image to keep.

        Raises:
            InputError: no pixel is finite.
            UsageError: the colour space is unknown.
        """
        from relume.colour import canonical

        colour = DATA if self.colour == DATA else canonical(self.colour)
        # A client may write to its memory at any time: what is looked at must be a copy.
        pixels = memory.reshape(self.shape.height, self.shape.width, self.shape.channels)
        pixels[...] = self.shape.view(flat)
        notices = []
        bad = not_finite(pixels)
        if bad is not None:
            if bad.all():
                raise InputError(f"no pixel of the image '{self.serial}' is finite")
            pixels, mended = repair(pixels, bad)
            plural = "s" if mended > 1 else ""
            notices.append(f"{mended} pixel{plural} NaN or infinite, repaired from neighbours")
        image = Image(
            pixels,
            self.channels,
            colour=colour,
            alpha=self.alpha,
            data=self.data,
            display=self.display,
            pixel_aspect=self.pixel_aspect,
        )
        return image, notices


@dataclass(slots=True)
class Lent:
    """An image in the worker's hands.

    Attributes:
        token: what the worker calls it in keys; other pixels have another.
        image: the image.
        turn: how many renders its client had asked for when it last mattered.
    """

    token: str
    image: Image
    turn: int


class Images:
    """The images of all clients; any thread may use them.

    Args:
        limit: bytes to keep; beyond it those used longest ago go first. What a client has lent
            since its last render stays, up to four times as much.
    """

    def __init__(self, limit: int) -> None:
        self.buffers = Buffers(limit // 4)
        self._limit = limit
        self._turns: Counter[str] = Counter()
        self._used = 0
        self._lock = threading.Lock()
        self._lent: OrderedDict[tuple[str, str], Lent] = OrderedDict()
        self._numbers = count(1)
        self._tokens: OrderedDict[tuple[str, str], str] = OrderedDict()

    def put(self, client: str, serial: str, image: Image) -> None:
        """Keep an image, in place of an earlier one of that serial.

        An image that was given up for want of memory has its old token when it comes again, so that
        what was computed from it still counts; one that takes the place of another has a new one.

        Raises:
            TooLarge: the images of one render take more than there is for them.
        """
        with self._lock:
            if (client, serial) in self._lent:
                self._drop((client, serial))
            token = self._tokens.pop((client, serial), None) or f"{client} {next(self._numbers)}"
            self._tokens[client, serial] = token
            if len(self._tokens) > _TOKENS:
                self._tokens.popitem(last=False)
            self._lent[client, serial] = Lent(token, image, self._turns[client])
            self._used += image.pixels.nbytes
            for key, lent in list(self._lent.items()):
                if self._used > self._limit and lent.turn < self._turns[key[0]]:
                    self._pop(key)
            if self._used > _MOST * self._limit:
                for key in [key for key in self._lent if key[0] == client]:
                    self._pop(key)  # so that a smaller render is possible
                raise TooLarge(
                    f"the images of one render take more than {_MOST * self._limit / GIB:.1f} GiB",
                    way_out="Work at a smaller size, or raise --max-memory",
                )

    def get(self, client: str, serial: str) -> Lent | None:
        """Return an image, or None."""
        with self._lock:
            lent = self._lent.get((client, serial))
            if lent is not None:
                self._lent.move_to_end((client, serial))
                lent.turn = self._turns[client]
            return lent

    def rendered(self, client: str) -> None:
        """Note that a client has asked for a render, all of whose images were there."""
        with self._lock:
            self._turns[client] += 1

    def drop(self, client: str, serials: Iterable[str]) -> None:
        """Forget images; unknown ones are skipped."""
        with self._lock:
            for serial in serials:
                self._drop((client, serial))

    def forget(self, client: str) -> None:
        """Forget all images of a client."""
        with self._lock:
            self._turns.pop(client, None)
            for key in [key for key in self._tokens if key[0] == client]:
                self._drop(key)

    def clear(self) -> None:
        """Forget everything: clients lend again what they still need."""
        with self._lock:
            self._lent.clear()
            self._used = 0
        self.buffers.tidy(0)

    def held(self) -> tuple[int, int]:
        """Return how many images there are, and their bytes."""
        with self._lock:
            return len(self._lent), self._used

    def _drop(self, key: tuple[str, str]) -> None:
        self._tokens.pop(key, None)
        self._pop(key)

    def _pop(self, key: tuple[str, str]) -> None:
        lent = self._lent.pop(key, None)
        if lent is not None:
            self._used -= lent.image.pixels.nbytes
