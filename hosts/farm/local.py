"""Workers as processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from relume.hosts.farm.pool import Answer

COMMAND = (sys.executable, "-P", "-m", "relume.hosts.farm.worker")
"""What starts a worker; `-P`, so that no file of the folder it runs in is taken for a module."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Process:
    """A worker in a process of its own.

    Args:
        answer: called with what it says, in a thread of its own.
        threads: threads that its libraries may use.
        command: what starts it.
    """

    def __init__(
        self, answer: Callable[[Answer], None], threads: int = 1, command: Sequence[str] = COMMAND
    ) -> None:
        self._answer = answer
        # Ctrl-C reaches every process of a terminal; whoever hands out the frames decides.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | dict.fromkeys(_THREADS, str(threads)),
                text=True,
                encoding="utf-8",
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, chunk: str) -> None:
        """Hand over a chunk; a worker that is gone is noticed by its last answer."""
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.write(chunk + "\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """Ask it to give up what it does and end."""
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._listener.join()

    def _listen(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as answers:
            for line in answers:
                # The last line of a process that was killed may be half a line.
                with suppress(ValueError):
                    self._answer(json.loads(line))
        self.close()
        self._answer({"died": _told(self._process.wait())})


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Processes:
    """Starts workers as processes of this machine.

    Args:
        threads: threads of each.
        command: what starts one.
    """

    def __init__(self, threads: int = 1, command: Sequence[str] = COMMAND) -> None:
        self.threads = threads
        self.command = command

    def __call__(self, answer: Callable[[Answer], None]) -> Process:
        """Start a worker."""
        return Process(answer, self.threads, self.command)
