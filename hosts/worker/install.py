"""The Python client alone, for tools of a studio's own."""

from __future__ import annotations

from pathlib import Path

from relume.errors import UsageError
from relume.hosts.install import Host


def client_source() -> bytes:
    """Return the client, one file for Python 3.7 and newer that needs nothing else."""
    return (Path(__file__).parent / "client.py").read_bytes()


def _nowhere() -> Path:
    raise UsageError("the client has no folder of its own", way_out="Name one with --dir")


HOST = Host(
    title="Python client",
    folder=_nowhere,
    files=lambda: {"relume_client.py": client_source()},
    after="In Python: `from relume_client import Worker`.",
)
