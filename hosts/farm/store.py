"""Bring files to where versions are kept: all of them, whole, under a number of their own."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from relume.errors import Exit, InputError, OutputError, RelumeError
from relume.files import is_full, sync

_BYTES = 1 << 20


class Taken(RelumeError):
    """The version exists already."""

    exit_code = Exit.VERIFICATION


def next_version(folder: Path) -> int:
    """Return the number after the highest version in a folder, reserved ones included.

    Raises:
        OutputError: the folder cannot be read.
    """
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return 1
    except OSError as error:
        raise OutputError(
            f"cannot publish to {folder}: {error.strerror}", way_out="Choose another folder"
        ) from error
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(r"v(\d+)", name))]
    return max(numbers, default=0) + 1


def version_name(number: int) -> str:
    """Return the name of a version's folder."""
    return f"v{number:03d}"


def sha256(path: str | Path) -> str:
    """Return the checksum of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def store(files: Mapping[str, tuple[Path, str]], target: Path) -> None:
    """Copy files to a new folder, which appears complete or not at all.

    They are copied to a hidden folder beside the target and read back; only then is the target
    reserved, by making its folder, and replaced by the hidden one in one step. A crash leaves the
    sources as they were and at most the hidden folder, or an empty one that was reserved.

    Args:
        files: name → source and its checksum.
        target: the folder; it must not exist.

    Raises:
        Taken: somebody else published it.
        InputError: a source is gone, or has changed since its checksum was taken.
        OutputError: a copy is not what its source is, or the disk is full.
    """
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.staging")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, (source, checksum) in files.items():
            _copy(source, staging / name, checksum)
        sync(staging)
        _reserve(target)
        try:
            staging.rename(target)
        except OSError:
            with suppress(OSError):
                target.rmdir()
            raise
        sync(target.parent)
    except OSError as error:
        full = is_full(error, target.parent)
        raise OutputError(
            f"cannot publish to {target}: {'the disk is full' if full else error.strerror}",
            way_out="Check the folder and its disk; nothing was published",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _reserve(target: Path) -> None:
    try:
        target.mkdir()
    except FileExistsError:
        raise Taken(
            f"{target} was published by somebody else meanwhile",
            way_out="Publish again under the next version",
        ) from None


def _copy(source: Path, copy: Path, checksum: str) -> None:
    digest = hashlib.sha256()
    try:
        original = source.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}") from error
    with original, copy.open("xb") as file:
        while block := original.read(_BYTES):
            digest.update(block)
            file.write(block)
    sync(copy)
    if digest.hexdigest() != checksum:
        raise InputError(
            f"{source} changed while it was published", way_out="Publish when it is finished"
        )
    if sha256(copy) != checksum:
        raise OutputError(
            f"the copy of {source} is not what was written",
            way_out="Check the disk it was copied to; nothing was published",
        )
