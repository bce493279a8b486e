"""A process that renders chunks: chunks come as JSON on stdin, a line each, answers on stdout.

An answer is one object a line: `ready` once; then for each chunk `notice` and `said` for what is
worth reading, `report` for each file, and at the end `end`, or `refused` with an error. When stdin
ends, or on SIGTERM, the frame in hand is given up and the process ends.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

from typing_extensions import override

from relume.errors import Cancelled, Exit, RelumeError
from relume.hosts.farm.chunk import Chunk, Session
from relume.hosts.farm.messages import error_to_dict, to_dict
from relume.node import Registry
from relume.notices import log


class _Gone(Exception):
    """Nobody reads the answers."""


class _Answers(logging.Handler):
    """Writes answers, and what the core says through `logging`."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__()
        self._file = file
        self._turn = threading.Lock()

    def send(self, **answer: Any) -> None:
        """Write an answer.

        Raises:
            _Gone: nobody reads it.
        """
        try:
            with self._turn:
                self._file.write(json.dumps(answer) + "\n")
                self._file.flush()
        except (OSError, ValueError) as error:
            raise _Gone from error

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.send(said=record.getMessage())


def serve(registry: Registry, requests: IO[str], answers: IO[str]) -> int:
    """Render the chunks that come until there are no more, and return the exit code.

    Args:
        registry: the node types.
        requests: chunks, a line each.
        answers: where answers go.
    """
    stop = threading.Event()
    chunks: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in requests:
            chunks.put(line)
        stop.set()
        chunks.put("")

    def terminate(number: int, frame: object) -> None:
        stop.set()
        chunks.put("")

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)
    session = Session(registry)
    out = _Answers(answers)
    log.addHandler(out)
    log.setLevel(logging.INFO)
    threading.Thread(target=listen, daemon=True).start()
    try:
        out.send(ready=os.getpid())
        while (line := chunks.get()) and not stop.is_set():
            _render(session, line, out, stop)
    except (_Gone, Cancelled):
        pass
    finally:
        log.removeHandler(out)
    return Exit.CANCELLED if stop.is_set() else Exit.DONE


def _render(session: Session, line: str, out: _Answers, stop: threading.Event) -> None:
    try:
        session.run(
            Chunk.from_json(line),
            lambda report: out.send(report=to_dict(report)),
            on_notice=lambda node, frame, text: out.send(notice=[node, frame, text]),
            is_cancelled=stop.is_set,
        )
    except Cancelled:
        raise
    except RelumeError as error:
        out.send(refused=error_to_dict(error))
    else:
        out.send(end=True)


def use_threads(count: int) -> None:
    """Let image files be read and written with so many threads.

    Many workers that each used every core would only wait for one another.
    """
    import OpenImageIO as oiio

    oiio.attribute("threads", count)
    oiio.attribute("exr_threads", count)


def main(registry: Registry | None = None) -> int:
    """Serve on stdin and stdout.

    Args:
        registry: the node types; relume's own by default.
    """
    if registry is None:
        from relume.nodes.registry import REGISTRY

        registry = REGISTRY
    use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    # A library that prints must not write between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return serve(registry, sys.stdin, answers)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A frame that nobody waits for any more need not be finished, nor a network be unloaded.
    os._exit(code)
