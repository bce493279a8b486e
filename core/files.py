"""Files that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relume.errors import OutputError

_LITTLE = 1 << 20
"""Bytes that a disk has left when it counts as full: some writers say nothing of use themselves."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Name a file beside a target, hidden from sequences, that takes its place when all went well.

    It is synced first. Whatever goes wrong, the target is as it was and nothing else is left,
    unless the process is killed: see `sweep`. Missing folders are made.

    Args:
        target: the file to write.

    Raises:
        OutputError: the disk is full, or the file cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except OSError as error:
        # Asked now, while what was written still fills the disk.
        if is_full(error, target.parent):
            raise OutputError(
                f"{target} could not be written: the disk is full",
                way_out="Free some space, or choose another folder",
            ) from error
        raise OutputError(
            f"{target} could not be written ({error.strerror or error})",
            way_out="Check the folder and its disk, or choose another",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that takes the place of a target only once it is whole; see `replacing`.

    Raises:
        OutputError: the disk is full, or the file cannot be written.
    """
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_full(error: OSError, folder: Path) -> bool:
    """Return whether an error in a folder means that its disk is full, or a quota is reached."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    with suppress(OSError):
        disk = shutil.disk_usage(folder)
        # /proc and its like hold nothing, and are not full.
        return disk.total > 0 and disk.free < _LITTLE
    return False


def sweep(folder: Path) -> None:
    """Remove what processes of this machine that were killed had written in part.

    Files of other machines stay: whether somebody still writes them, nobody here can tell.
    """
    ending = re.compile(rf"\..*\.{re.escape(socket.gethostname())}\.(\d+)\.tmp", re.DOTALL)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = ending.fullmatch(entry.name)
            if match and not _is_alive(int(match[1])):
                with suppress(OSError):
                    Path(entry).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
