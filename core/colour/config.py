"""The OCIO configuration in force: the user's `$OCIO`, else the pinned one."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import PyOpenColorIO as ocio

from relume.errors import InputError
from relume.ocio import PINNED

_lock = threading.RLock()
_VARIABLE = re.compile(rb"[$%]\{?(\w+)")
_loaded: dict[tuple[str, int, int], ocio.Config] = {}


def user_config_path() -> str | None:
    """Return `$OCIO`, a path or an `ocio://` URI, or None where it is unset or empty."""
    return os.environ.get("OCIO") or None


def config() -> ocio.Config:
    """Return the configuration in force; it is loaded once and again only when its file changes.

    Raises:
        InputError: `$OCIO` names a file that is missing or is no configuration.
    """
    where = user_config_path() or PINNED
    with _lock:
        key = (where, *_stamp(where))
        if key not in _loaded:
            try:
                _loaded[key] = ocio.Config.CreateFromFile(where)
            except ocio.Exception as error:
                raise InputError(
                    f"$OCIO names {where}, which is not an OCIO configuration "
                    f"({_first_sentence(error)})",
                    way_out="Correct the configuration, or unset $OCIO to use relume's own",
                ) from error
        return _loaded[key]


@lru_cache(maxsize=1)
def pinned() -> ocio.Config:
    """Return the pinned configuration, the bridge by which interop ids reach any other."""
    return ocio.Config.CreateFromFile(PINNED)


def config_digest() -> str:
    """Return a hash of everything a conversion depends on, for cache keys and fingerprints.

    It covers the text of the configuration, its context variables and the content of every LUT
    it names, and no path or time, so it is equal wherever the show is copied.
    """
    where = user_config_path() or PINNED
    return _hash(where, *_stamp(where))


@lru_cache(maxsize=16)
def _hash(where: str, mtime_ns: int, size: int) -> str:
    del mtime_ns, size  # they only tell one state of the file from the next
    loaded = config()
    digest = hashlib.sha256()
    if where.startswith("ocio://"):
        digest.update(where.encode())
        return digest.hexdigest()
    text = Path(where).read_bytes()
    digest.update(text)
    context = loaded.getCurrentContext()
    # The context holds the whole environment; only what the text names can change a pixel.
    for name in sorted({match.decode() for match in _VARIABLE.findall(text)}):
        digest.update(f"{name}={context.resolveStringVar(f'${{{name}}}')}\0".encode())
    for source in sorted(_lut_files(loaded)):
        digest.update(source.encode())
        try:
            digest.update(Path(context.resolveFileLocation(source)).read_bytes())
        except (ocio.Exception, OSError):
            continue  # OCIO names the missing LUT when a conversion asks for it
    return digest.hexdigest()


def _stamp(where: str) -> tuple[int, int]:
    if where.startswith("ocio://"):
        return 0, 0
    try:
        stat = Path(where).stat()
    except OSError as error:
        raise InputError(
            f"$OCIO names {where}, which cannot be read ({error.strerror})",
            way_out="Set $OCIO to a configuration that exists, or unset it to use relume's own",
        ) from error
    return stat.st_mtime_ns, stat.st_size


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _lut_files(loaded: ocio.Config) -> set[str]:
    """Return the LUT files that any transform of the configuration names."""
    transforms: list[ocio.Transform | None] = []
    for space in loaded.getColorSpaces(ocio.SEARCH_REFERENCE_SPACE_ALL, ocio.COLORSPACE_ALL):
        transforms += [
            space.getTransform(ocio.COLORSPACE_DIR_TO_REFERENCE),
            space.getTransform(ocio.COLORSPACE_DIR_FROM_REFERENCE),
        ]
    for view in loaded.getViewTransforms():
        transforms += [
            view.getTransform(ocio.VIEWTRANSFORM_DIR_TO_REFERENCE),
            view.getTransform(ocio.VIEWTRANSFORM_DIR_FROM_REFERENCE),
        ]
    for look in loaded.getLooks():
        transforms += [look.getTransform(), look.getInverseTransform()]
    return {source for transform in transforms for source in _files_in(transform)}


def _files_in(transform: ocio.Transform | None) -> Iterator[str]:
    if isinstance(transform, ocio.FileTransform):
        yield transform.getSrc()
    elif isinstance(transform, ocio.GroupTransform):
        for part in transform:
            yield from _files_in(part)
