"""Workers on a Dask cluster.

Dask finds a machine for each portion, and another when that one dies. On the machine a process of
relume's own renders it, so a frame that ends its process leaves the Dask worker standing. Results
are files; what travels is JSON in both directions.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from relume.errors import OutputError, UsageError
from relume.hosts.farm.local import Process
from relume.hosts.farm.messages import error_to_dict
from relume.hosts.farm.pool import Answer, Worker

_CAPACITY_HOLDS = 5.0
"""Seconds before the cluster is asked again how many threads it has."""


class _Child:
    """A process on a Dask worker that renders one chunk after the other."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._process = Process(self._answers.put, threads)
        self._is_ready = False

    def render(self, chunk: str) -> list[Answer]:
        """Return everything the process said about a chunk; after `died` it is gone."""
        said: list[Answer] = []
        if self._is_ready:
            self._process.send(chunk)
        while True:
            answer = self._answers.get()
            if "ready" in answer:
                self._is_ready = True
                self._process.send(chunk)
                continue
            said.append(answer)
            if {"end", "refused", "died"} & set(answer):
                return said


_idle: list[_Child] = []
_turn = threading.Lock()


def render(chunk: str) -> str:
    """Render a chunk in a child of this process, which is kept for the next one.

    Args:
        chunk: what `Chunk.to_json` wrote.

    Returns:
        JSON of what the child said, as `relume.hosts.farm.worker` describes it.
    """
    threads = int(json.loads(chunk)["threads"])
    with _turn:
        child = next((child for child in _idle if child.threads == threads), None)
        if child is not None:
            _idle.remove(child)
    child = child or _Child(threads)
    said = child.render(chunk)
    if "died" not in said[-1]:
        with _turn:
            _idle.append(child)
    return json.dumps(said)


class Cluster:
    """A Dask cluster, as a starter of workers.

    Args:
        address: of the scheduler, `tls://host:8786`. Certificates come from Dask's configuration.
        said: called with a warning.

    Raises:
        UsageError: Dask is not installed, or the scheduler cannot be reached.
    """

    def __init__(self, address: str, said: Callable[[str], None]) -> None:
        try:
            import distributed
        except ModuleNotFoundError:
            raise UsageError(
                "--cluster needs Dask distributed, which is not installed",
                way_out="pip install 'relume[cluster]'",
            ) from None
        scheme, separator, _ = address.partition("://")
        if not separator or scheme not in ("tls", "tcp"):
            raise UsageError(
                f"'{address}' is no address of a Dask scheduler",
                way_out="Write --cluster tls://host:8786",
            )
        if scheme == "tcp":
            said(
                f"{address} is not protected: anyone who reaches it can run code on every worker. "
                "Use tls:// outside a network of your own"
            )
        try:
            connect: Any = distributed.Client
            self._client = connect(address, timeout=20, set_as_default=False)
        except Exception as error:  # Dask raises what its connection raised
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UsageError(
                f"the scheduler {address} cannot be reached ({reason})",
                way_out="Check the address, and for tls:// the certificates of Dask",
            ) from None
        self._capacity = 1
        self._asked = -_CAPACITY_HOLDS

    def __call__(self, answer: Callable[[Answer], None]) -> Worker:
        """Return a worker: a place for one portion at a time, wherever Dask puts it."""
        answer({"ready": 0})
        return _Place(self._client, answer)

    def capacity(self) -> int:
        """Return how many portions the cluster can work on at a time."""
        now = time.monotonic()
        if now - self._asked >= _CAPACITY_HOLDS:
            self._asked = now
            with suppress(Exception):  # a scheduler out of reach is noticed when it is needed
                self._capacity = max(1, sum(self._client.nthreads().values()))
        return self._capacity

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(Exception):
            self._client.close(timeout=5)


class _Place:
    """A place for one portion at a time on a cluster."""

    def __init__(self, client: Any, answer: Callable[[Answer], None]) -> None:
        self._client = client
        self._answer = answer
        self._future: Any = None

    def send(self, chunk: str) -> None:
        """Hand over a chunk.

        Raises:
            OutputError: the scheduler is gone.
        """
        try:
            if self._client.status != "running":
                raise ConnectionError(self._client.status)
            # Not pure: the same portion may have to be rendered again.
            self._future = self._client.submit(render, chunk, pure=False)
        except Exception as error:
            raise OutputError(
                f"the scheduler of the cluster is gone ({error})",
                way_out="Finished frames are kept: run it again with --skip-existing",
            ) from error
        self._future.add_done_callback(self._done)

    def _done(self, future: Any) -> None:
        if future is not self._future:
            return
        try:
            for said in json.loads(future.result()):
                self._answer(said)
        except Exception as error:
            from distributed.scheduler import KilledWorker

            if isinstance(error, KilledWorker) or future.cancelled():
                self._answer({"died": "its machines were lost"})
                return
            refused = UsageError(
                f"the cluster's workers cannot render ({type(error).__name__}: {error})",
                way_out="Install the same relume on all of them",
            )
            self._answer({"refused": error_to_dict(refused)})

    def close(self) -> None:
        """Give up the portion, if nobody has begun it, and leave."""
        future, self._future = self._future, None
        if future is not None:
            with suppress(Exception):
                future.cancel()
        self._answer({"died": "closed"})

    def kill(self) -> None:
        """Do nothing: it has left."""
