"""One client: greet it, answer its requests, and clean up after it, however it leaves."""

from __future__ import annotations

import hmac
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from relume import __version__
from relume.errors import RelumeError
from relume.hosts.worker.client import PROTOCOL
from relume.hosts.worker.fields import Fields
from relume.hosts.worker.images import Loan
from relume.hosts.worker.renders import Render, refusal
from relume.hosts.worker.requests import Request
from relume.hosts.worker.segments import Segment
from relume.hosts.worker.wire import (
    LARGEST_PAYLOAD,
    LONGEST_BODY,
    LONGEST_GREETING,
    Ended,
    Malformed,
    Message,
    Wire,
)

if TYPE_CHECKING:
    from relume.hosts.worker.server import Server

log = logging.getLogger(__name__)

_GREETING = 5.0
"""Seconds a client has to say who it is."""

_SEGMENTS = 64


class Refused(RelumeError):
    """A client that is not let in.

    Args:
        kind: `token` or `version`.
        message: why.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Session:
    """A connection of a client.

    Args:
        server: the worker.
        connection: the socket.
    """

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self.server = server
        self.client = ""
        """What connections of one process share; empty until it has said so."""
        self.name = ""
        self._wire = Wire(connection)
        self._lends = connection.family == getattr(socket, "AF_UNIX", None)
        self._segments: dict[str, Segment] = {}
        self._last = 0
        self._lock = threading.Lock()
        self._answers: dict[str, Callable[[int, Fields, Message], Mapping[str, Any] | None]] = {
            "ping": self._ping,
            "nodes": self._nodes,
            "open": self._open,
            "segment": self._segment,
            "drop": self._drop,
            "image": self._image,
            "render": self._render,
            "cancel": self._cancel,
            "stats": self._stats,
            "shutdown": self._shutdown,
        }

    def run(self) -> None:
        """Answer requests until the client leaves."""
        try:
            if self._greet():
                while self._answer():
                    pass
        except Ended:
            pass
        except Malformed as error:
            self.send(refusal(None, error))
        except Exception:
            log.exception("a connection failed")
        finally:
            self._leave()

    def close(self) -> None:
        """End the connection."""
        self._wire.close()

    def send(self, message: Mapping[str, Any], payload: Iterable[memoryview] = ()) -> None:
        """Send an answer."""
        self._wire.send(message, payload)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Send an event, where the client keeps up."""
        self._wire.tell(event)

    def segment(self, name: str) -> Segment:
        """Return memory the client lent.

        Raises:
            Malformed: it lent none of that name.
        """
        with self._lock:
            if name not in self._segments:
                raise Malformed(f"there is no segment '{name}'")
            return self._segments[name]

    def segments(self) -> int:
        """Return how many segments the client lends."""
        return len(self._segments)

    def _greet(self) -> bool:
        message = self._wire.receive(LONGEST_GREETING, _GREETING)
        message.close()
        if message.payload:
            raise Malformed("a greeting has no payload")
        fields = Fields(message.fields, "hello")
        self._last = id = fields.whole("id", least=1)
        try:
            if fields.text("op") != "hello":
                raise Malformed("the first request is not hello")
            if not hmac.compare_digest(fields.text("token").encode(), self.server.token.encode()):
                raise Refused("token", "relume's worker does not know this client")
            protocol = fields.whole("protocol")
            if protocol != PROTOCOL:
                raise Refused(
                    "version",
                    f"this client speaks version {protocol} of the protocol and relume "
                    f"{__version__} version {PROTOCOL}: install both from the same relume",
                )
            client = fields.text("client", longest=64)
            self.name = fields.text("name", "")
            fields.end()
        except Refused as error:
            answer = refusal(id, error)
            self.send({**answer, "error": {**answer["error"], "kind": error.kind}})
            return False
        except Malformed as error:
            self.send(refusal(id, error))
            return False
        self.client = client
        log.info("%s has connected", self.name or "a client")
        self.send(
            {
                "id": id,
                "ok": True,
                "protocol": PROTOCOL,
                "relume": __version__,
                "pid": os.getpid(),
                "segments": self._lends,
            }
        )
        return True

    def _answer(self) -> bool:
        """Answer one request; return whether to go on."""
        message = self._wire.receive(LONGEST_BODY)
        id = None
        self.server.touch()
        try:
            fields = Fields(message.fields, "a request")
            id = fields.whole("id", least=1)
            if id <= self._last:
                raise Malformed(f"the id {id} is not larger than {self._last}")
            self._last = id
            op = fields.text("op")
            if op not in self._answers:
                raise Malformed(f"there is no operation '{op[:40]}'")
            answer = self._answers[op](id, fields, message)
            if answer is not None:
                self.send({"id": id, "ok": True, **answer})
        except RelumeError as error:
            self.send(refusal(id, error))
        except MemoryError:
            self.send(refusal(id, RelumeError("there is not enough memory")))
        except (Ended, OSError):
            return False
        except Exception as error:
            log.exception("a request failed")
            self.send(refusal(id, RelumeError(f"{type(error).__name__}: {error}")))
        finally:
            message.close()
            if message.payload:
                self._wire.skip(message.payload)
            self.server.touch()
        return True

    def _leave(self) -> None:
        for render in self._own():
            render.cancel()
        with self._lock:
            segments, self._segments = self._segments, {}
        for segment in segments.values():
            segment.close()
        self._wire.release()
        self.server.left(self)

    def _own(self) -> list[Render]:
        return [render for render in self.server.renders.pending() if render.host is self]

    def _ping(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        fields.end()
        return {}

    def _nodes(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        fields.end()
        return {"nodes": {name: node.schema() for name, node in self.server.registry.items()}}

    def _open(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        registry = self.server.registry
        request = Request.to_open(fields, registry, self.server.settings)
        types = {}
        for reference in request.outputs:
            _, output = request.graph.source(registry, reference)
            types[reference] = output.type_name
        return {
            "json": request.document,
            "inputs": request.lent_frames(registry),
            "outputs": types,
        }

    def _segment(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        name = fields.text("segment", longest=64)
        size = fields.whole("bytes", least=1)
        fields.end()
        if not self._lends or len(message.descriptors) != 1:
            raise Malformed("a segment needs one file descriptor, over a Unix socket")
        if name not in self._segments and len(self._segments) >= _SEGMENTS:
            raise Malformed(f"a client may lend {_SEGMENTS} segments and no more")
        segment = Segment(message.descriptors[0], size)
        with self._lock:
            before = self._segments.pop(name, None)
            self._segments[name] = segment
        if before is not None:
            before.close()
        return {}

    def _drop(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        segments = fields.entries("segments", str, [])
        serials = fields.entries("serials", str, [])
        fields.end()
        self.server.images.drop(self.client, serials)
        with self._lock:
            dropped = [self._segments.pop(name, None) for name in segments]
        for segment in dropped:
            if segment is not None:
                segment.close()
        return {}

    def _image(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        loan = Loan.read(fields)
        fields.end()
        count = loan.shape.count
        if loan.segment:
            flat = self.segment(loan.segment).floats(loan.offset, count)
        else:
            if message.payload != 4 * count or message.payload > LARGEST_PAYLOAD:
                raise Malformed(f"the payload has {message.payload} bytes, not {4 * count}")
            flat = np.empty(count, np.float32)
            message.payload = 0
            self._wire.fill(flat.data.cast("B"))
        images = self.server.images
        image, notices = loan.image(flat, images.buffers.array(count))
        images.put(self.client, loan.serial, image)
        return {"notices": notices}

    def _render(self, id: int, fields: Fields, message: Message) -> None:
        server = self.server
        self.tell({"id": id, "event": "alive"})
        request = Request.to_render(fields, server.registry, server.settings)
        graph, externals = request.lend(server.registry, server.images, self.client)
        server.images.rendered(self.client)
        server.renders.add(Render(self, id, request, graph, externals))

    def _cancel(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        target = fields.whole("target", least=1) if fields.has("target") else None
        fields.end()
        chosen = [render for render in self._own() if target in (None, render.id)]
        return {"cancelled": [render.id for render in chosen if render.cancel()]}

    def _stats(self, id: int, fields: Fields, message: Message) -> Mapping[str, Any]:
        fields.end()
        return self.server.stats()

    def _shutdown(self, id: int, fields: Fields, message: Message) -> None:
        fields.end()
        for render in self.server.renders.pending():
            render.cancel()
        self.send({"id": id, "ok": True})
        self.server.stop()
