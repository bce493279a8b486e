# SPDX-License-Identifier: Apache-2.0
"""Client of relume's worker: one file for any Python from 3.7 on, with nothing but its library.

    worker = Worker("My host")
    plate = Picture(pixels, 1920, 1080, "RGBA", colour="lin_rec709_scene")
    results = worker.render(
        graph, 1001, [Output("relight.relit", channels="RGBA")],
        inputs={"plate": {1001: "plate-1"}}, images={"plate-1": plate},
    )
    results[0].pixels  # float32, valid until the next render

Whatever goes wrong is a `RelumeError`, whose text is for the artist. PROTOCOL.md of
relume.hosts.worker says what travels, and what the fields of pictures and outputs mean.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import shlex
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, TypeVar  # noqa: UP035

PROTOCOL = 1

T = TypeVar("T")

_HEADER = struct.Struct("<4sIQ")
_MAGIC = b"RLM1"
_FLOAT = 4
_LONGEST_PATH = 99

# Numbers of Linux that Python 3.7 has no names for.
_ADD_SEALS, _SEALS = 1033, 0x1 | 0x2 | 0x4
_CLOEXEC, _ALLOW_SEALING = 0x1, 0x2
_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}

_CONNECT, _HELLO, _SOON, _LONG, _SILENCE, _RENDER, _START = 2.0, 5.0, 10.0, 30.0, 20.0, 600.0, 60.0
_POLL = 0.05


class RelumeError(Exception):
    """A failure in words for the artist.

    Attributes:
        kind: what sort of failure, as in the protocol; `worker` where there is none to talk to.
        details: every field of the worker's answer.
    """

    def __init__(
        self, message: str, kind: str = "worker", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = dict(details or {})


class Cancelled(RelumeError):
    """The host asked to stop."""


class _Ended(Exception):
    """The connection ended; `begun` says whether a part of the answer had come."""

    def __init__(self, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class Picture:
    """An image to lend.

    Args:
        pixels: anything with a buffer of float32, tightly packed.
        width: columns.
        height: rows.
        channels: their names, such as "RGBA" or ["X", "Y", "Z"].
        fields: `colour`, `alpha`, `layout`, `rows`, `x`, `y`, `display`, `pixel_aspect`.
    """

    def __init__(
        self, pixels: Any, width: int, height: int, channels: Iterable[str] = "RGBA", **fields: Any
    ) -> None:
        self.pixels = pixels
        self.fields = dict(_given(fields), width=width, height=height, channels=list(channels))


class Output:
    """What is wanted of a graph.

    Args:
        output: `node.output`.
        fields: `layer`, `channels`, `window`, `layout`, `rows`, `colour`, `alpha`.
    """

    def __init__(self, output: str, **fields: Any) -> None:
        self.fields = dict(_given(fields), output=output)
        for key in ("channels", "window"):
            if key in self.fields:
                self.fields[key] = list(self.fields[key])

    @property
    def bytes(self) -> int:
        """Bytes of the pixels, 0 where that is not known before the render."""
        if "window" not in self.fields or "channels" not in self.fields:
            return 0
        x0, y0, x1, y1 = self.fields["window"]
        return int(max(0, x1 - x0) * max(0, y1 - y0) * len(self.fields["channels"]) * _FLOAT)


class Result:
    """An image the worker computed, or a number.

    Attributes:
        pixels: memoryview of float32, ordered as `layout` and `rows` say; valid until the next
            render. None where the output is a number.
        fields: all else that the worker says of it: `output`, `layer`, `width`, `height`, `x`,
            `y`, `display`, `pixel_aspect`, `channels`, `layout`, `rows`, `colour`, `alpha`; or
            `output` and `value`. Each is an attribute as well.
    """

    def __init__(self, fields: Mapping[str, Any], pixels: Any) -> None:
        self.fields = dict(fields)
        self.pixels = pixels

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None


class Worker:
    """The worker of this user, started when it is needed.

    An object may be used by several threads; their requests follow one another.

    Args:
        name: the host, for the worker's log.
        command: arguments that start relume; by default $RELUME_COMMAND, what `relume host
            install` noted, or `relume`.
        client: 32 hex digits that connections of one process share; random by default.
        start: seconds to wait for a worker that had to be started.
    """

    def __init__(
        self,
        name: str = "Python",
        command: Iterable[str] | None = None,
        client: str = "",
        start: float = _START,
    ) -> None:
        self.name = name
        self.command = list(command or [])
        self.client = client or uuid.uuid4().hex
        self.start = start
        self.about: dict[str, Any] = {}
        """What the worker says of itself."""
        self.report: dict[str, Any] = {}
        """Of the last render: `seconds` it computed, what was `computed`, and the `notices`."""
        self._connection: _Connection | None = None
        self._started: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    def connect(self) -> None:
        """Connect, and start a worker if there is none."""
        with self._lock:
            self._connected()

    def ping(self) -> None:
        """Return once the worker has answered."""
        self._ask("ping", {}, _SOON)

    def nodes(self) -> dict[str, Any]:
        """Return the declaration of every node by its id, in the order they are listed."""
        nodes: dict[str, Any] = self._ask("nodes", {}, _LONG)["nodes"]
        return nodes

    def open(
        self,
        graph: Mapping[str, Any],
        outputs: Iterable[str] | None = None,
        frame: int | None = None,
        shot: str | None = None,
        folder: str | None = None,
    ) -> dict[str, Any]:
        """Check a graph; return its `json`, and the `inputs` that `outputs` need at `frame`."""
        wanted = None if outputs is None else list(outputs)
        fields = {"graph": graph, "outputs": wanted, "frame": frame, "shot": shot}
        return self._ask("open", _given(dict(fields, folder=folder)), _LONG)

    def stats(self) -> dict[str, Any]:
        """Return what the worker holds and has done."""
        return self._ask("stats", {}, _SOON)

    def lend(self, serial: str, picture: Picture) -> list[str]:
        """Give the worker an image; return sentences worth showing."""
        with self._lock:
            return self._lend(serial, picture)

    def drop(self, serials: Iterable[str]) -> None:
        """Let the worker forget images."""
        with self._lock:
            names = list(serials)
            self._ask("drop", {"serials": names}, _SOON)
            self._connected().lent.difference_update(names)

    def render(
        self,
        graph: Mapping[str, Any],
        frame: int,
        outputs: Iterable[Output],
        *,
        inputs: Mapping[str, str | Mapping[int, str]] | None = None,
        images: Mapping[str, Picture | Callable[[], Picture]] | None = None,
        shot: str | None = None,
        folder: str | None = None,
        settings: Mapping[str, Any] | None = None,
        on_progress: Callable[[str, int, float], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        timeout: float = _RENDER,
    ) -> list[Result]:
        """Render outputs of a graph at a frame.

        Args:
            graph: the document.
            frame: of the shot.
            outputs: what is wanted.
            inputs: name of an Input node → serial, or → {frame: serial}.
            images: serial → picture, or a function that returns it; asked for what the worker
                does not have.
            shot: such as "1001-1100"; the graph's own by default.
            folder: absolute path that relative ones in the graph start from.
            settings: `threads`, `device`, `precision`.
            on_progress: called with a node's name, a frame, and the fraction that is done.
            on_notice: called with a sentence.
            is_cancelled: asked 20 times a second.
            timeout: seconds in all.

        Returns:
            The images in the order asked for; their pixels are valid until the next render.

        Raises:
            Cancelled: `is_cancelled` said so.
            RelumeError: anything else that goes wrong.
        """
        wanted = list(outputs)
        pictures = dict(images or {})
        fields = _given({"graph": graph, "frame": frame, "shot": shot, "folder": folder})
        fields.update(settings or {})
        fields["inputs"] = _by_text(inputs or {})
        fields["progress"] = on_progress is not None

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "progress" and on_progress:
                on_progress(event["node"], event["frame"], event["fraction"])
            elif event["event"] == "notice" and on_notice:
                on_notice(f"node {event['node']}, frame {event['frame']}: {event['text']}")

        def lend(serial: str) -> None:
            picture = pictures[serial]
            for text in self._lend(serial, picture if isinstance(picture, Picture) else picture()):
                if on_notice:
                    on_notice(text)

        with self._lock:
            end = time.monotonic() + timeout
            room = sum(output.bytes for output in wanted)
            for _ in range(8):
                lent = self._connected().lent
                for serial in sorted(_serials(fields["inputs"]) & pictures.keys() - lent):
                    lend(serial)
                fields["outputs"] = [dict(output.fields) for output in wanted]
                try:
                    return self._render(fields, room, end, on_event, is_cancelled)
                except RelumeError as error:
                    missing = set(error.details.get("serials", ()))
                    if error.kind == "images" and missing <= pictures.keys():
                        self._connected().lent.difference_update(missing)
                    elif error.kind == "room":
                        room = error.details["bytes"]
                    else:
                        raise
            raise RelumeError("relume's worker cannot hold the images of this frame.", "memory")

    def shut_down(self) -> None:
        """End the worker, if there is one, and return once it has left."""
        with self._lock:
            try:
                connection = self._connection or self._open()
                connection.ask("shutdown", {}, _SOON)
                connection.wait_for_end(_SOON)
            except (OSError, _Ended, ValueError, RelumeError):
                pass
            self.close()

    def close(self) -> None:
        """Leave the worker; the next request connects again."""
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _render(
        self,
        fields: dict[str, Any],
        room: int,
        end: float,
        on_event: Callable[[Mapping[str, Any]], None],
        is_cancelled: Callable[[], bool] | None,
    ) -> list[Result]:
        def answer(connection: _Connection) -> list[Result]:
            memory = None
            if connection.segments:
                memory = connection.segment("out", room).view
            for output in fields["outputs"]:
                output.pop("segment", None)
                if memory is not None:
                    output["segment"] = "out"
            limit = max(0.0, end - time.monotonic())
            reply, payload = connection.ask(
                "render", fields, limit, on_event=on_event, is_cancelled=is_cancelled
            )
            self.report = {key: reply[key] for key in ("seconds", "computed", "notices")}
            return [_result(entry, memory or payload) for entry in reply["outputs"]]

        return self._repeated(answer)

    def _lend(self, serial: str, picture: Picture) -> list[str]:
        fields = dict(picture.fields, serial=serial)
        source = memoryview(picture.pixels).cast("B")
        size = fields["width"] * fields["height"] * len(fields["channels"]) * _FLOAT
        if len(source) != size:
            raise RelumeError(
                f"The image '{serial}' has {len(source)} bytes, and its size says {size}.",
                "protocol",
            )

        def answer(connection: _Connection) -> list[str]:
            if connection.segments:
                connection.segment("in", size).view[:size] = source
                reply, _ = connection.ask("image", dict(fields, segment="in"), _SOON)
            else:
                reply, _ = connection.ask("image", fields, _SOON, payload=source)
            connection.lent.add(serial)
            notices: list[str] = reply.get("notices", [])
            return notices

        return self._repeated(answer)

    def _ask(self, op: str, fields: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        with self._lock:
            return self._repeated(lambda connection: connection.ask(op, fields, timeout))[0]

    def _repeated(self, answer: Callable[[_Connection], T]) -> T:
        """Return an answer; ask a new worker where the old one had left before it was asked."""
        for attempt in (0, 1):
            try:
                return answer(self._connected())
            except socket.timeout as error:  # noqa: UP041 - another class before Python 3.10
                self.close()
                raise _silent(_SILENCE) from error
            except (_Ended, OSError) as error:
                self.close()
                if attempt or getattr(error, "begun", False):
                    raise RelumeError(
                        "relume's worker ended in the middle of its work; try again, and see "
                        f"{_log()} if it happens twice."
                    ) from error
            except RelumeError as error:
                if error.kind == "worker":
                    self.close()
                raise
        raise AssertionError

    def _connected(self) -> _Connection:
        if self._connection and self._connection.has_ended():
            self.close()
        if self._connection:
            return self._connection
        try:
            return self._open()
        except (OSError, _Ended, ValueError):
            return self._begin()
        except RelumeError as error:
            if error.kind != "token":
                raise
            return self._begin()

    def _open(self) -> _Connection:
        text = (worker_folder() / f"worker-{PROTOCOL}.json").read_text(encoding="utf-8")
        found = json.loads(text)
        connection = _Connection(found["address"])
        try:
            hello = {"protocol": PROTOCOL, "token": found["token"], "client": self.client}
            reply, _ = connection.ask("hello", dict(hello, name=self.name), _HELLO)
        except BaseException:
            connection.close()
            raise
        connection.segments = reply["segments"] and sys.platform.startswith("linux")
        self.about, self._connection = reply, connection
        return connection

    def _begin(self) -> _Connection:
        """Start a worker and connect to it."""
        command = self.command or _command()
        end = time.monotonic() + self.start
        again = 0.0
        while True:
            if time.monotonic() >= again:
                # One that was leaving when it was found keeps a second from starting.
                self._started = _start(command)
                again = time.monotonic() + 12.0
            code = self._started.poll() if self._started else None
            try:
                return self._open()
            except (OSError, _Ended, ValueError) as error:
                reason: Exception = error
            except RelumeError as error:
                if error.kind != "token":
                    raise
                reason = error
            if code:
                raise RelumeError(
                    f"relume's worker does not start (exit code {code}); run `{_shown(command)} "
                    f"worker` in a terminal to see why, or look in {_log()}."
                ) from reason
            if time.monotonic() > end:
                raise RelumeError(
                    f"relume's worker did not answer within {self.start:.0f} seconds of its "
                    f"start; look in {_log()}."
                ) from reason
            time.sleep(_POLL)


class _Segment:
    """Shared memory of a fixed size, to be lent to the worker.

    Args:
        size: bytes, at least.
        lend: gives the worker the file descriptor and the size.
    """

    def __init__(self, size: int, lend: Callable[[int, int], object]) -> None:
        import fcntl

        self.size = max(size, mmap.PAGESIZE)
        descriptor = _memfd()
        try:
            try:
                os.ftruncate(descriptor, self.size)
                fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS)
                self._map = mmap.mmap(descriptor, self.size)
            except OSError as error:
                raise MemoryError from error
            lend(descriptor, self.size)
        finally:
            os.close(descriptor)
        self.view = memoryview(self._map)

    def close(self) -> None:
        """Let go; pixels that somebody still looks at stay until nobody does."""
        try:
            self.view.release()
            self._map.close()
        except BufferError:
            pass


class _Connection:
    """One connection, and what it has lent."""

    def __init__(self, address: str) -> None:
        kind, _, where = address.partition(":")
        target: Any = where
        if kind == "unix":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            host, _, port = where.rpartition(":")
            target = (host, int(port))
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.segments = False
        self.lent: set[str] = set()
        """Serials of the images that the worker has."""
        self._memory: dict[str, _Segment] = {}
        self._next = 0
        try:
            self._socket.settimeout(_CONNECT)
            self._socket.connect(target)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the connection and let go of its memory."""
        self._socket.close()
        for segment in self._memory.values():
            segment.close()
        self._memory = {}

    def has_ended(self) -> bool:
        """Return whether the worker has left."""
        try:
            return self._readable(0.0) and not self._socket.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the worker has left."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.has_ended():
            time.sleep(_POLL)

    def segment(self, name: str, size: int) -> _Segment:
        """Return shared memory of at least `size` bytes, the same again while it is enough."""
        held = self._memory.get(name)
        if held is not None and held.size >= size:
            return held

        def lend(descriptor: int, size: int) -> None:
            fields = {"segment": name, "bytes": size}
            self.ask("segment", fields, _SOON, descriptor=descriptor)

        try:
            self._memory[name] = _Segment(size, lend)
        except MemoryError as error:
            raise RelumeError(
                f"There is no memory for an image of {size / 2.0**20:.0f} MiB.", "memory"
            ) from error
        if held is not None:
            held.close()
        return self._memory[name]

    def ask(
        self,
        op: str,
        fields: Mapping[str, Any],
        timeout: float,
        *,
        descriptor: int | None = None,
        payload: bytes | memoryview = b"",
        on_event: Callable[[Mapping[str, Any]], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> tuple[dict[str, Any], memoryview]:
        """Send a request; return the answer's fields and payload."""
        number = self._send(op, fields, descriptor, payload)
        end = time.monotonic() + timeout
        begun = stopping = False
        poll = _POLL if is_cancelled else 1.0
        while True:
            quiet = time.monotonic() + _SILENCE
            # Where time is up nothing is waited for: news that keep coming must not prolong it.
            while not self._readable(0.0 if time.monotonic() > end else poll):
                now = time.monotonic()
                if now > min(end, quiet):
                    if now <= quiet and not stopping:
                        self._send("cancel", {"target": number})
                    raise _silent(timeout if now > end else _SILENCE)
                if is_cancelled and not stopping and is_cancelled():
                    self._send("cancel", {"target": number})
                    stopping, end = True, now + _HELLO
            message, data = self._receive(begun)
            begun = True
            if message.get("id") not in (number, None):
                continue
            if "event" in message:
                if on_event and not stopping:
                    on_event(message)
            elif message.get("ok"):
                return message, data
            else:
                raise _refusal(message.get("error") or {})

    def _send(
        self,
        op: str,
        fields: Mapping[str, Any],
        descriptor: int | None = None,
        payload: bytes | memoryview = b"",
    ) -> int:
        self._next += 1
        try:
            body = json.dumps(dict(fields, id=self._next, op=op), allow_nan=False).encode()
        except ValueError as error:
            raise RelumeError("A value of the graph is no finite number.", "usage") from error
        data = _HEADER.pack(_MAGIC, len(body), len(payload)) + body
        self._socket.settimeout(_SILENCE)
        if descriptor is not None:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))
            data = data[self._socket.sendmsg([data], [rights]) :]
        self._socket.sendall(data)
        if len(payload):
            self._socket.sendall(payload)
        return self._next

    def _readable(self, seconds: float) -> bool:
        if hasattr(select, "poll"):  # select() fails in a host with more than 1,024 files open
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(seconds * 1000.0))
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _receive(self, begun: bool) -> tuple[dict[str, Any], memoryview]:
        self._socket.settimeout(_SILENCE)
        magic, length, extra = _HEADER.unpack(self._exactly(_HEADER.size, begun))
        if magic != _MAGIC:
            raise RelumeError("What answers is not relume's worker.")
        body = json.loads(self._exactly(length, True).decode("utf-8"))
        return body, memoryview(self._exactly(extra, True))

    def _exactly(self, count: int, begun: bool) -> bytearray:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            try:
                got = self._socket.recv_into(view)
            except ConnectionError:
                got = 0
            if not got:
                raise _Ended(begun or len(view) < count)
            view = view[got:]
        return data


def worker_folder() -> Path:
    """Return the folder of the worker's socket, made where it is missing.

    Raises:
        RelumeError: others may use it, or its path is too long for a socket.
    """
    given = os.environ.get("RELUME_WORKER_DIR", "")
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
        path = Path(given) if given else base / "relume" / "worker"
        path.mkdir(parents=True, exist_ok=True)
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if given:
        path = Path(given)
    elif runtime and _is_own(Path(runtime)) and _fits(Path(runtime) / "relume"):
        path = Path(runtime) / "relume"
    else:
        path = Path(f"/tmp/relume-{os.getuid()}")
    if not _fits(path):
        raise RelumeError(
            f"The path {path} is too long for a socket; set RELUME_WORKER_DIR to a shorter one."
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise RelumeError(
            f"The folder {path} of relume's worker cannot be used ({error.strerror}); set "
            "RELUME_WORKER_DIR to another."
        ) from error
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not mine or status.st_mode & 0o077:
        raise RelumeError(
            f"Others may use the folder {path} of relume's worker; make it yours alone (mode "
            "0700), or set RELUME_WORKER_DIR to another."
        )
    return path


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f"worker-{PROTOCOL}.sock")) <= _LONGEST_PATH


def _is_own(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _log() -> str:
    try:
        return str(worker_folder() / f"worker-{PROTOCOL}.log")
    except (OSError, RelumeError):
        return "its log"


def _command() -> list[str]:
    """Return the arguments that start relume on this computer."""
    given = os.environ.get("RELUME_COMMAND", "")
    if given:
        return shlex.split(given)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if sys.platform == "win32":
        base = base or os.environ.get("APPDATA", "")
    file = (Path(base) if base else Path.home() / ".config") / "relume" / "command"
    try:
        words = [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    except OSError:
        words = []
    return words or ["relume"]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # What a host sets for its own Python and libraries would break another program's.
    theirs = ("PYTHON", "LD_LIBRARY_PATH", "LD_PRELOAD")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
    # It starts in another folder, where a relative path would name another one.
    environment["RELUME_WORKER_DIR"] = str(worker_folder().absolute())
    options: dict[str, Any] = {"start_new_session": True, "cwd": "/"}
    if sys.platform == "win32":
        options = {"creationflags": 0x00000008 | 0x00000200}  # detached, in a group of its own
    try:
        process = subprocess.Popen(
            [*command, "worker"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=True,
            env=environment,
            **options,
        )
    except OSError as error:
        raise RelumeError(
            f"relume cannot be started as `{_shown(command)}` ({error.strerror}); run `relume "
            "host install`, or set RELUME_COMMAND."
        ) from error
    # It outlives many a client; when it ends, nothing of it shall remain in the host.
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def _shown(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _memfd() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("relume", _CLOEXEC | _ALLOW_SEALING)
    number = _MEMFD_CREATE.get(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLOEXEC | _ALLOW_SEALING
    descriptor = -1 if number is None else int(libc.syscall(number, b"relume", flags))
    if descriptor < 0:
        raise RelumeError("This system has no sealed shared memory (memfd).")
    return descriptor


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _by_text(inputs: Mapping[str, str | Mapping[int, str]]) -> dict[str, str | dict[str, str]]:
    return {
        name: given if isinstance(given, str) else {str(at): given[at] for at in given}
        for name, given in inputs.items()
    }


def _serials(inputs: Mapping[str, str | Mapping[str, str]]) -> set[str]:
    found: set[str] = set()
    for given in inputs.values():
        found.update([given] if isinstance(given, str) else given.values())
    return found


def _silent(seconds: float) -> RelumeError:
    return RelumeError(
        f"relume's worker did not answer within {seconds:.0f} seconds; try again, and see "
        f"{_log()} if it happens twice."
    )


def _refusal(error: Mapping[str, Any]) -> RelumeError:
    kind = error.get("kind", "protocol")
    text = error.get("message", "relume's worker refused without saying why.")
    return (Cancelled if kind == "cancelled" else RelumeError)(text, kind, error)


def _result(entry: Mapping[str, Any], memory: memoryview) -> Result:
    if "value" in entry:
        return Result(entry, None)
    first = entry["offset"]
    last = first + entry["width"] * entry["height"] * len(entry["channels"]) * _FLOAT
    if not 0 <= first <= last <= len(memory):
        raise RelumeError("relume's worker answered with an image beyond its memory.")
    return Result(entry, memory[first:last].cast("f"))
