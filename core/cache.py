"""Where computed results are kept: in memory under a byte limit, and on disk between processes."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relume.errors import UsageError

GIB = 1 << 30


def size_of(value: object) -> int:
    """Return the bytes of every array in a value (shared arrays are counted once)."""
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
        limit: bytes to keep at most; the files read longest ago go first.
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
            with np.load(path, allow_pickle=False) as archive:
                tree = json.loads(bytes(archive["tree"]).decode())
                value = self._build(tree, archive)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            path.unlink(missing_ok=True)
            return None
        return value

    def put(self, key: str, value: Any) -> None:
        """Keep a result; a full disk only means that it is not kept."""
        arrays: dict[str, Any] = {}
        try:
            tree = self._describe(value, arrays)
        except TypeError:
            return
        buffer = io.BytesIO()
        np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8), **arrays)
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(buffer.getbuffer())
                Path(temporary).replace(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                return
        except OSError:
            return
        self._shrink()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"

    def _shrink(self) -> None:
        files = []
        for path in self.folder.glob("??/*.npz"):
            try:
                status = path.stat()
            except OSError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files, key=lambda entry: entry[0]):
            if used <= self.limit:
                break
            path.unlink(missing_ok=True)
            used -= size

    def _describe(self, value: Any, arrays: dict[str, Any]) -> Any:
        """Return JSON for a value, its arrays moved to `arrays`."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, np.generic):
            return value.item()
        if dataclasses.is_dataclass(value) and type(value).__name__ in self.types:
            fields = [f.name for f in dataclasses.fields(value)]
            items = [self._describe(getattr(value, name), arrays) for name in fields]
            return {"type": type(value).__name__, "fields": dict(zip(fields, items, strict=True))}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {"tuple": [self._describe(item, arrays) for item in value]}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self._describe(item, arrays) for item in value]}
        if isinstance(value, Mapping):
            pairs = [
                [self._describe(k, arrays), self._describe(v, arrays)] for k, v in value.items()
            ]
            kind = type(value).__name__ if type(value).__name__ in self.types else "dict"
            return {"map": pairs, "kind": kind}
        raise TypeError(f"{type(value).__name__} cannot be stored")

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
