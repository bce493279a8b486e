"""Frames on a socket, as PROTOCOL.md describes them: the worker's end."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from relume.errors import UsageError

HEADER = struct.Struct("<4sIQ")
MAGIC = b"RLM1"
LONGEST_GREETING = 1 << 16
LONGEST_BODY = 1 << 24
LARGEST_PAYLOAD = 1 << 31

_PATIENCE = 10.0
"""Seconds in which a client must take, or go on sending, a part of a frame."""

_DESCRIPTORS = 4


class Malformed(UsageError):
    """What a client sent is not the protocol."""


class Ended(Exception):
    """The client has left."""


@dataclass(slots=True)
class Message:
    """One frame.

    Attributes:
        fields: the body.
        payload: bytes of payload that follow, not read yet.
        descriptors: file descriptors that came along; whoever takes one removes it.
    """

    fields: dict[str, Any]
    payload: int = 0
    descriptors: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        while self.descriptors:
            os.close(self.descriptors.pop())


class Wire:
    """A client's socket: one thread reads, any may write.

    Args:
        connection: the socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = threading.Lock()
        self._ended = False
        # A client that takes nothing must not hold up the worker for ever.
        wait = struct.pack("ll", int(_PATIENCE), 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)

    def close(self) -> None:
        """End the connection; a thread that reads it sees `Ended`."""
        self._ended = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket, once no thread reads it."""
        self.close()
        with self._sending:
            self._socket.close()

    def receive(self, longest: int, patience: float | None = None) -> Message:
        """Wait for a frame and return it.

        Args:
            longest: bytes its body may have.
            patience: seconds to wait for its first byte; None for ever.

        Raises:
            Malformed: the bytes are no frame.
            Ended: the client has left, or stopped in the middle of a frame.
        """
        if not self._readable(patience):
            raise Ended
        message = Message({})
        try:
            magic, length, message.payload = HEADER.unpack(self._header(message.descriptors))
            if magic != MAGIC:
                raise Malformed("a frame does not begin with RLM1")
            if not 0 < length <= longest:
                raise Malformed(f"a body of {length} bytes is not between 1 and {longest}")
            if message.payload > LARGEST_PAYLOAD:
                raise Malformed(f"a payload of {message.payload} bytes is too large")
            body = bytearray(length)
            self.fill(memoryview(body))
            message.fields = _parse(bytes(body))
        except BaseException:
            message.close()
            raise
        return message

    def fill(self, view: memoryview) -> None:
        """Read as many bytes as a buffer has.

        Raises:
            Ended: the client left before.
        """
        while view:
            if not self._readable(_PATIENCE):
                raise Ended
            try:
                got = self._socket.recv_into(view)
            except OSError:
                got = 0
            if not got:
                raise Ended
            view = view[got:]

    def skip(self, count: int) -> None:
        """Read bytes that nobody wants.

        Raises:
            Ended: the client left before.
        """
        rest = bytearray(min(count, 1 << 20))
        while count:
            part = min(count, len(rest))
            self.fill(memoryview(rest)[:part])
            count -= part

    def send(self, message: Mapping[str, Any], payload: Iterable[memoryview] = ()) -> None:
        """Send a frame; one that the client does not take in time ends the connection."""
        parts = list(payload)
        # Half a surrogate pair, in a name that is sent back, has no UTF-8.
        body = json.dumps(message, ensure_ascii=False, allow_nan=False).encode(errors="replace")
        head = HEADER.pack(MAGIC, len(body), sum(part.nbytes for part in parts))
        with self._sending:
            if self._ended:
                return
            try:
                self._socket.sendall(head + body)
                for part in parts:
                    self._socket.sendall(part)
            except OSError:
                self.close()

    def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event, unless the client is behind with reading: then it does without."""
        ready = select.poll()
        with suppress(OSError, ValueError):
            ready.register(self._socket, select.POLLOUT)
            if ready.poll(0):
                self.send(event)

    def _readable(self, seconds: float | None) -> bool:
        ready = select.poll()
        try:
            ready.register(self._socket, select.POLLIN)
            return bool(ready.poll(None if seconds is None else seconds * 1000.0))
        except (OSError, ValueError):
            raise Ended from None

    def _header(self, descriptors: list[int]) -> bytes:
        room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, extra, flags, _ = self._socket.recvmsg(
                HEADER.size, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except OSError:
            raise Ended from None
        for level, kind, content in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                descriptors += numbers
        if flags & socket.MSG_CTRUNC:
            raise Malformed("too many file descriptors came with a frame")
        if not data:
            raise Ended
        head = bytearray(HEADER.size)
        head[: len(data)] = data
        self.fill(memoryview(head)[len(data) :])
        return bytes(head)


def _parse(body: bytes) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        fields = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Malformed("a body is no JSON object")
    return fields
