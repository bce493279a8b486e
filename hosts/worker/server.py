"""The worker: lets its own user's clients in, and leaves when nobody needs it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from relume.cache import GIB
from relume.context import Settings
from relume.errors import OutputError, UsageError
from relume.frames import Shot
from relume.hosts.farm.memory import resident
from relume.hosts.worker import client
from relume.hosts.worker.client import PROTOCOL
from relume.hosts.worker.images import Images
from relume.hosts.worker.renders import Renders
from relume.hosts.worker.session import Session
from relume.node import Registry

log = logging.getLogger(__name__)

IDLE = 900.0
_BEAT = 1.0
_IMAGES = 1.0
"""GiB of images that hosts may lend."""

_CLIENTS = 64
_TAKEN = 10.0
"""Seconds to wait for a worker that is just leaving."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files by which clients find the worker; see PROTOCOL.md.

    Attributes:
        folder: where they lie, its user's alone.
    """

    folder: Path

    @classmethod
    def find(cls) -> Place:
        """Return the place of this user, made where it is missing.

        Raises:
            UsageError: others may use it, or its path is too long.
        """
        try:
            return cls(client.worker_folder())
        except client.RelumeError as error:
            raise UsageError(str(error)) from None

    def file(self, ending: str) -> Path:
        """Return one of the files."""
        return self.folder / f"worker-{PROTOCOL}.{ending}"


class Taken(Exception):
    """Another worker serves already."""


def default_memory() -> float:
    """Return half the memory this process may have, in GiB."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        most = min(most, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return most / 2 / GIB


@dataclass(slots=True)
class Options:
    """How a worker works.

    Attributes:
        idle: seconds without a request after which it leaves; 0 for never.
        max_memory: GiB it may hold; 0 for no limit.
        tcp: whether it listens on the loopback interface instead of a Unix socket.
        device: where networks run unless a request says otherwise.
        threads: threads of a network unless a request says otherwise; 0 for every core.
    """

    idle: float = IDLE
    max_memory: float = field(default_factory=default_memory)
    tcp: bool = False
    device: str = "cpu"
    threads: int = 0


class Server:
    """A worker that listens.

    Args:
        place: where clients find it.
        registry: the node types.
        options: how it works.

    Raises:
        Taken: another worker serves there.
        OutputError: the place cannot be written to.
    """

    def __init__(self, place: Place, registry: Registry, options: Options) -> None:
        self.place = place
        self.registry = registry
        self.options = options
        settings = Settings(Shot(1, 1), options.device)
        if options.threads:
            settings = Settings(Shot(1, 1), options.device, threads=options.threads)
        self.settings = settings
        self.token = secrets.token_hex(16)
        self.images = Images(int(min(_IMAGES, (options.max_memory or default_memory()) / 8) * GIB))
        self._began = time.monotonic()
        self._touched = self._began
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._held = _take(place)
        try:
            self._listener = self._listen()
        except OSError as error:
            self._held.close()
            raise OutputError(f"cannot listen in {place.folder}: {error.strerror}") from error
        self.renders = Renders(registry, self.images, options.max_memory)

    @property
    def address(self) -> str:
        """Where it listens, as clients read it."""
        if self.options.tcp:
            host, port = self._listener.getsockname()
            return f"tcp:{host}:{port}"
        return f"unix:{self.place.file('sock')}"

    def run(self) -> None:
        """Serve until `stop`, or until nobody needs the worker."""
        try:
            # A client that finds the file may connect at once: the socket listens already.
            _write(self.place.file("json"), self._introduction())
            threading.Thread(target=self._accept, name="accept", daemon=True).start()
            while not self._ends.wait(_BEAT):
                for render in self.renders.pending():
                    render.tell("alive")
                self.images.buffers.tidy()
                if self._is_idle():
                    log.info("nobody asked for anything in %.0f s", self.options.idle)
                    break
        finally:
            self._close()

    def stop(self) -> None:
        """Let `run` return."""
        self._ends.set()

    def touch(self) -> None:
        """Note that somebody needs the worker."""
        self._touched = time.monotonic()

    def left(self, session: Session) -> None:
        """Forget a client, and what it lent where this was its last connection."""
        with self._lock:
            self._sessions.discard(session)
            others = {other.client for other in self._sessions}
        if session.client not in others:
            self.images.forget(session.client)

    def stats(self) -> dict[str, Any]:
        """Return what the worker holds and has done."""
        with self._lock:
            sessions = [session for session in self._sessions if session.client]
        images, image_bytes = self.images.held()
        return {
            "pid": os.getpid(),
            "clients": len(sessions),
            "images": images,
            "segments": sum(session.segments() for session in sessions),
            "image_bytes": image_bytes,
            "cache_bytes": self.renders.cache.used,
            "resident_bytes": resident(),
            "renders": self.renders.done,
            "uptime": round(time.monotonic() - self._began, 3),
            "computed": dict(self.renders.computed),
        }

    def _listen(self) -> socket.socket:
        if self.options.tcp:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
        else:
            path = self.place.file("sock")
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
        listener.listen(16)
        return listener

    def _introduction(self) -> bytes:
        found = {
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "token": self.token,
            "address": self.address,
        }
        return json.dumps(found).encode()

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._ends.wait(0.1):  # closed, or out of file descriptors for now
                    return
                continue
            with self._lock:
                welcome = len(self._sessions) < _CLIENTS and not self._ends.is_set()
            if not welcome or not _is_own_user(connection):
                connection.close()
                continue
            if self.options.tcp:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, connection)
            with self._lock:
                self._sessions.add(session)
            threading.Thread(target=session.run, name="session", daemon=True).start()

    def _is_idle(self) -> bool:
        if not self.renders.is_idle():
            self.touch()
        if not self.options.idle:
            return False
        return time.monotonic() - self._touched > self.options.idle

    def _close(self) -> None:
        self._ends.set()
        for ending in ("json", "sock"):
            self.place.file(ending).unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.renders.close()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()
        self._held.close()


def _take(place: Place) -> IO[bytes]:
    """Hold the lock of the place: who holds it serves, and whoever dies lets go of it.

    Raises:
        Taken: another worker serves.
        OutputError: the lock cannot be made.
    """
    try:
        file = place.file("lock").open("ab")
    except OSError as error:
        raise OutputError(f"cannot write to {place.folder}: {error.strerror}") from error
    end = time.monotonic() + _TAKEN
    while not _lock(file):
        # The one that holds it may be on its way out.
        if _answers(place) or time.monotonic() > end:
            file.close()
            raise Taken
        time.sleep(0.05)
    return file


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _answers(place: Place) -> bool:
    """Return whether a worker lets somebody connect."""
    try:
        kind, _, where = json.loads(place.file("json").read_text())["address"].partition(":")
        target: Any = where
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        if kind != "unix":
            host, _, port = where.rpartition(":")
            target = (host, int(port))
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(target)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _is_own_user(connection: socket.socket) -> bool:
    """Return whether the other end of a Unix socket is a process of this worker's user."""
    if connection.family != getattr(socket, "AF_UNIX", None) or not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return bool(uid == os.getuid())


def _write(path: Path, content: bytes) -> None:
    # Unlike `relume.files.replacing`: the token is its user's alone from the first byte, and need
    # not outlive the machine's next start.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


@contextmanager
def logging_to(place: Place) -> Iterator[Path]:
    """Write the log to a file, and what libraries print, where nobody sees it otherwise."""
    path = place.file("log")
    with suppress(OSError):
        if path.stat().st_size > 1 << 20:
            path.replace(place.file("old.log"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if not sys.stderr.isatty():
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    stream = os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    root = logging.getLogger("relume")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield path
    finally:
        root.removeHandler(handler)
        stream.close()
