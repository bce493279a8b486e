"""Which file it is, and what is in it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from relume.errors import InputError

_REMEMBERED = 100_000
_lock = threading.Lock()
_digests: OrderedDict[FileIdentity, str] = OrderedDict()


class FileIdentity(NamedTuple):
    """What tells one state of a file from the next without reading it.

    Attributes:
        path: absolute path.
        size: bytes.
        mtime_ns: time of the last change in nanoseconds.
    """

    path: str
    size: int
    mtime_ns: int


def identify(path: str | Path) -> FileIdentity:
    """Return the identity of a file, for cache keys.

    Raises:
        InputError: there is no such file.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", way_out="Check the path", file=str(path)
        ) from error
    return FileIdentity(str(Path(path).absolute()), status.st_size, status.st_mtime_ns)


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, for fingerprints that survive copying.

    It is read once for each identity the file has had in this process.

    Raises:
        InputError: the file cannot be read.
    """
    identity = identify(path)
    with _lock:
        if identity in _digests:
            return _digests[identity]
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", way_out="Check the path", file=str(path)
        ) from error
    with _lock:
        _digests[identity] = digest
        while len(_digests) > _REMEMBERED:
            _digests.popitem(last=False)
    return digest


def utf8_name(path: str | Path) -> str:
    """Return a file name as OpenImageIO takes it.

    Raises:
        InputError: the name is not UTF-8.
    """
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the name of {name.encode(errors='replace').decode()} is not UTF-8",
            way_out="Rename the file",
        ) from error
    return name
