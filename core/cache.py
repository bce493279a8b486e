"""Where computed results are kept: in memory under a byte limit, and on disk between processes."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from relume.errors import UsageError

GIB = 1 << 30

_ABANDONED = 3600.0
"""Seconds after which an unfinished file is taken for that of a process that was killed."""


def size_of(value: object) -> int:
    """Return the bytes of every array and tensor in a value; shared arrays are counted once."""
    seen: dict[int, int] = {}
    _measure(value, seen)
    return sum(seen.values()) + 512


def _measure(value: object, seen: dict[int, int]) -> None:
    if isinstance(value, np.ndarray):
        root = value
        while isinstance(root.base, np.ndarray):
            root = root.base
        seen[id(root)] = root.nbytes
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            _measure(getattr(value, field.name), seen)
    elif isinstance(value, Mapping):
        for item in value.values():
            _measure(item, seen)
    elif isinstance(value, list | tuple):
        for item in value:
            _measure(item, seen)
    else:
        size = getattr(value, "nbytes", 0)
        seen[id(value)] = size if isinstance(size, int) else 0


class MemoryCache:
    """Results by key; the least recently used go first when the limit is reached.

    Args:
        limit: bytes to keep at most; a larger single result is not kept.
    """

    def __init__(self, limit: int = 2 * GIB) -> None:
        self.limit = limit
        self.used = 0
        self._entries: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Any | None:
        """Return a result, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: str, value: Any) -> None:
        """Keep a result."""
        size = size_of(value)
        with self._lock:
            if key in self._entries:
                self.used -= self._entries.pop(key)[1]
            if size > self.limit:
                return
            self._entries[key] = (value, size)
            self.used += size
            self._shrink()

    def clear(self) -> None:
        """Drop every result."""
        with self._lock:
            self._entries.clear()
            self.used = 0

    def resize(self, limit: int) -> None:
        """Change the limit and drop what no longer fits."""
        with self._lock:
            self.limit = limit
            self._shrink()

    def _shrink(self) -> None:
        while self.used > self.limit and self._entries:
            self.used -= self._entries.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._entries)


class DiskCache:
    """Results by key as files that any process of the same user may read and write.

    A result is one `.npz`: its arrays, and a JSON description of the values around them. There is
    no pickle, so a file of somebody else's making can at worst be refused.

    Args:
        folder: where the files lie; made with mode 0700.
        limit: bytes to keep at most; the files read longest ago go first, a larger single result
            is not kept.
        types: the wire types that may be stored, by class name.

    Raises:
        UsageError: the folder cannot be made, or others may write to it.
    """

    def __init__(
        self, folder: str | Path, types: Mapping[str, type], limit: int = 20 * GIB
    ) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self.types = dict(types)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.stat()
        except OSError as error:
            raise UsageError(f"cannot use the cache folder {folder}: {error.strerror}") from None
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise UsageError(
                f"others may write to the cache folder {folder}",
                way_out="Choose a folder of your own with mode 0700",
            )

    def get(self, key: str) -> Any | None:
        """Return a result, or None where there is none or its file is damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                tree = json.loads(bytes(archive["tree"]).decode())
                value = self._build(tree, archive)
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file raises, its result can be computed again
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return value

    def put(self, key: str, value: Any) -> None:
        """Keep a result; a full disk only means that it is not kept."""
        if size_of(value) > self.limit:
            return
        arrays: dict[str, Any] = {}
        try:
            tree = self._describe(value, arrays)
        except TypeError:
            return
        arrays["tree"] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # Unlike `relume.files.replacing`: threads may keep the same result at once, nobody else
            # may read it, and what a crash loses is computed again.
            handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **arrays)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._shrink()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"

    def _shrink(self) -> None:
        files = []
        for path in (*self.folder.glob("??/*.npz"), *self.folder.glob("??/.*.tmp")):
            with suppress(OSError):  # another process may have removed it
                status = path.stat()
                if path.suffix == ".npz":
                    files.append((status.st_mtime, status.st_size, path))
                elif status.st_mtime < time.time() - _ABANDONED:
                    path.unlink()
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files, key=lambda entry: entry[0]):
            if used <= self.limit:
                break
            with suppress(OSError):
                path.unlink()
            used -= size

    def _describe(self, value: Any, arrays: dict[str, Any]) -> Any:
        """Return JSON for a value, its arrays moved to `arrays`."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:  # NumPy would pickle it
                raise TypeError("an array of objects cannot be stored")
            name = f"a{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, np.generic):
            return value.item()
        kind = type(value).__name__
        known = self.types.get(kind) is type(value)
        names = getattr(value, "_fields", None)
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value) if field.init]
        if known and names is not None:
            fields = {name: self._describe(getattr(value, name), arrays) for name in names}
            return {"type": kind, "fields": fields}
        if type(value) in (list, tuple):
            return {kind: [self._describe(item, arrays) for item in value]}
        if isinstance(value, Mapping) and (known or type(value) in (dict, MappingProxyType)):
            pairs = [
                [self._describe(k, arrays), self._describe(v, arrays)] for k, v in value.items()
            ]
            return {"map": pairs, "kind": kind if known else "dict"}
        raise TypeError(f"{kind} cannot be stored")

    def _build(self, tree: Any, archive: Mapping[str, Any]) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "array" in tree:
            return archive[tree["array"]]
        if "type" in tree:
            fields = {k: self._build(v, archive) for k, v in tree["fields"].items()}
            return self.types[tree["type"]](**fields)
        if "map" in tree:
            pairs = {self._build(k, archive): self._build(v, archive) for k, v in tree["map"]}
            return pairs if tree["kind"] == "dict" else self.types[tree["kind"]](pairs)
        if "list" in tree:
            return [self._build(item, archive) for item in tree["list"]]
        return tuple(self._build(item, archive) for item in tree["tuple"])
