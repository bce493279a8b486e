"""Jobs on a Dask cluster of this machine: a scheduler and two workers, as processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relume.errors import Exit
from relume.hosts.cli import main

Plates = Callable[..., None]
FRAMES = range(1, 25)

pytest.importorskip("distributed", reason="Dask distributed (the extra [cluster]) is not installed")


class Dask:
    """A scheduler and two workers.

    Args:
        folder: where they work.
        tls: what protects their connections; empty for nothing.
    """

    def __init__(self, folder: Path, tls: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = os.environ | (tls or {})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        scheme = "tls" if tls else "tcp"
        self.address = f"{scheme}://127.0.0.1:{port}"
        where = ["--host", f"{scheme}://127.0.0.1", "--port", str(port)]
        self.processes = [self._start("scheduler", *where)]
        for _ in range(2):
            self.processes.append(
                self._start("worker", self.address, "--nthreads", "1", "--no-nanny")
            )
        self._run(
            "import sys; from distributed import Client;"
            "Client(sys.argv[1], timeout=60).wait_for_workers(2, timeout=60)"
        )

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        """The workers that are alive."""
        return [process for process in self.processes[1:] if process.poll() is None]

    def busy_worker(self) -> tuple[subprocess.Popen[bytes], list[int]]:
        """Return a worker that has begun something, and the processes that do it."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for process in self.workers:
                lists = Path(f"/proc/{process.pid}/task").glob("*/children")
                children = [int(pid) for found in lists for pid in found.read_text().split()]
                if children:
                    return process, children
            time.sleep(0.02)
        raise AssertionError("no worker has begun anything")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"distributed.cli.dask_{words[0]}",
                    *words[1:],
                    "--no-dashboard",
                ],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def _run(self, code: str) -> None:
        command = [sys.executable, "-c", code, self.address]
        subprocess.run(command, check=True, env=self.environment)


@pytest.fixture
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    cluster = Dask(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


def files() -> dict[str, bytes]:
    found = (path for path in sorted(Path("out").iterdir()) if not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in found}


def test_a_cluster_renders_the_same_files_though_a_worker_is_killed(
    dask: Dask, graded: Path, plates: Plates
) -> None:
    plates(*FRAMES, size=(300, 400))
    assert main(["run", "graph.json", "--threads", "1"]) == Exit.DONE
    before = files()
    for path in Path("out").iterdir():
        path.unlink()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "relume", "run", "graph.json", "--cluster", dask.address,
            "--chunk", "4", "--log", "log.jsonl",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    _, children = dask.busy_worker()
    os.kill(children[0], signal.SIGKILL)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert len(dask.workers) == 2, "a process that dies takes no worker of Dask with it"
    dask.busy_worker()[0].kill()
    out, errors = process.communicate(timeout=120)
    assert process.returncode == Exit.DONE, errors
    assert files() == before
    assert first.startswith("frame ") and "24 frames done" in out
    assert "anyone who reaches it can run code" in errors
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert sorted(line["frame"] for line in lines) == list(FRAMES)


@pytest.fixture
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of Dask for a certificate made for the occasion."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=relume", "-keyout", "key.pem", "-out", "cert.pem",
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    settings = {"CA_FILE": folder / "cert.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {f"{role}__CERT": folder / "cert.pem", f"{role}__KEY": folder / "key.pem"}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in settings.items()}


def test_a_protected_cluster_lists_what_fails(
    tls: dict[str, str], tmp_path_factory: pytest.TempPathFactory, graded: Path, plates: Plates
) -> None:
    plates(1, 2, 4)
    dask = Dask(tmp_path_factory.mktemp("dask"), tls)
    command = [sys.executable, "-m", "relume", "run", "graph.json", "--frames", "1-4"]
    try:
        done = subprocess.run(
            [*command, "--retries", "0", "--cluster", dask.address],
            env=dask.environment,
            capture_output=True,
            text=True,
        )
    finally:
        dask.close()
    assert done.returncode == Exit.FRAMES_FAILED, done.stderr
    assert "Failed: 3." in done.stderr
    assert "not protected" not in done.stderr
    assert list(files()) == [f"graded.000{frame}.exr" for frame in (1, 2, 4)]


def test_an_address_that_is_none(
    graded: Path, plates: Plates, capsys: pytest.CaptureFixture[str]
) -> None:
    plates(1)
    assert main(["run", "graph.json", "--cluster", "scheduler:8786"]) == Exit.USAGE
    assert "tls://host:8786" in capsys.readouterr().err
