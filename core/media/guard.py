"""Never harm: which file may be written, and whether one is already what it should be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from relume.errors import InputError, RelumeError, UsageError
from relume.media.metadata import FINGERPRINT, VERSION
from relume.media.read import open_image, verify

_DESCRIPTION = re.compile(r"relume (\S+) fingerprint (\S*)")
"""How TIFF and JPEG, which keep no attributes of ours, carry the fingerprint."""


def check_target(
    path: str | Path, *, inputs: Iterable[str | Path] = (), overwrite: bool = False
) -> None:
    """Refuse to write where that would harm.

    Args:
        path: the file to write.
        inputs: every file the graph reads.
        overwrite: whether a file that relume did not write may be replaced. An input never is.

    Raises:
        UsageError: the target is an input, also through a link; or a file that relume did not
            write; or its folder cannot be written to.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder", way_out="Name a file")
    folder = _first_existing(target.parent)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written in {folder}", way_out="Choose another folder")
    if not os.path.lexists(target):
        return
    for source in inputs:
        if _same(target, source):
            raise UsageError(
                f"{target} is read by this graph, so it is not written over",
                way_out="Choose another name",
            )
    if not overwrite and fingerprint_of(target) is None:
        raise UsageError(
            f"{target} exists and relume did not write it",
            way_out="Choose another name, or use --overwrite",
        )


def fingerprint_of(path: str | Path) -> str | None:
    """Return the fingerprint relume wrote into a file ("" where it had none), or None."""
    try:
        with open_image(path) as source:
            spec = source.spec()
            stored = spec.getattribute(FINGERPRINT)
            if stored is not None or spec.getattribute(VERSION) is not None:
                return str(stored or "")
            found = _DESCRIPTION.fullmatch(str(spec.getattribute("ImageDescription") or ""))
            return found[2] if found else None
    except RelumeError:
        return None


def describe(version: str, fingerprint: str) -> str:
    """Return the image description that carries a fingerprint where no attribute can."""
    return f"relume {version} fingerprint {fingerprint}"


def is_current(path: str | Path, fingerprint: str) -> bool:
    """Return whether a file carries the fingerprint and reads to its last line."""
    if not fingerprint or fingerprint_of(path) != fingerprint:
        return False
    try:
        verify(path)
    except InputError:
        return False
    return True


def _same(target: Path, source: str | Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        # One of them is missing or a broken link; what it points at must not be made either.
        return os.path.realpath(target) == os.path.realpath(source)


def _first_existing(folder: Path) -> Path:
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder
