"""Put what an application needs in place, say what was written, and take exactly that away again.

Each application is a module that holds a `HOST`; `HOSTS` names them. What was written stands in a
manifest beside it, and where, in the user's own configuration.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from relume import __version__
from relume.errors import InputError, OutputError, UsageError
from relume.files import write_whole
from relume.node import check_names

HOSTS = {
    "blender": "relume.hosts.blender.extension",
    "client": "relume.hosts.worker.install",
    "comfyui": "relume.hosts.comfyui.install",
    "nuke": "relume.hosts.nuke.install",
    "ofx": "relume.hosts.ofx.install",
}
"""Name on the command line → module with a `HOST`."""


@dataclass(frozen=True, slots=True)
class Host:
    """How relume is put into an application.

    Attributes:
        title: the application, for messages.
        folder: returns the folder in which the application looks, for this user; raises
            UsageError, whose way out is --dir, where that cannot be known.
        files: returns what is written: path below the folder, with `/` → content.
        after: a sentence on what is left to do by hand, or empty.
        check: returns what is wrong with an installation in a folder beyond files that are
            missing or changed, a sentence each.
    """

    title: str
    folder: Callable[[], Path]
    files: Callable[[], Mapping[str, bytes]]
    after: str = ""
    check: Callable[[Path], list[str]] = lambda folder: []


def find(name: str) -> Host:
    """Return a host.

    Raises:
        UsageError: there is none of that name.
    """
    check_names(None, "host", [name], HOSTS)
    host: Host = importlib.import_module(HOSTS[name]).HOST
    return host


def install(name: str, folder: Path | None = None) -> tuple[Path, list[Path]]:
    """Write the files of a host, in place of those of an earlier installation.

    Args:
        name: of the host.
        folder: where; where the application looks by default.

    Returns:
        The folder, and every file written.

    Raises:
        UsageError: a file is there that relume did not write.
        OutputError: a file cannot be written.
    """
    host = find(name)
    folder = (folder or host.folder()).expanduser().absolute()
    files = {_relative(path): content for path, content in host.files().items()}
    before = _manifest(name, folder)
    for path in files:
        if (folder / path).exists() and path not in before["files"]:
            raise UsageError(
                f"{folder / path} exists, and relume did not write it",
                way_out="Move it away, or give another folder with --dir",
            )
    _remember_command()
    try:
        made = [*before["folders"], *_make_folders(folder, files)]
        manifest = {
            "relume": __version__,
            "host": name,
            "folders": list(dict.fromkeys(made)),
            "files": {path: _digest(content) for path, content in files.items()},
        }
        # Should writing break off, the manifest still names everything there may be to remove.
        both = {**before["files"], **{path: _digest(content) for path, content in files.items()}}
        write_whole(folder / _name(name), _text({**manifest, "files": both}))
        for path, content in files.items():
            write_whole(folder / path, content)
        for path in before["files"].keys() - files.keys():
            (folder / path).unlink(missing_ok=True)
        write_whole(folder / _name(name), _text(manifest))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    _remember(name, folder)
    return folder, [folder / path for path in files]


def uninstall(name: str, folder: Path | None = None) -> tuple[list[Path], list[Path]]:
    """Remove what `install` wrote, and nothing else.

    Args:
        name: of the host.
        folder: where; where it was installed last by default.

    Returns:
        The files removed, and those kept because somebody changed them.

    Raises:
        InputError: it is not installed there.
        OutputError: a file cannot be removed.
    """
    folder = where(name, folder)
    manifest = _manifest(name, folder)
    if not manifest["files"]:
        raise InputError(
            f"{name} is not installed in {folder}", way_out="Name the folder with --dir"
        )
    removed, kept = [], []
    try:
        for path, digest in manifest["files"].items():
            file = folder / path
            if file.is_file() and _digest(file.read_bytes()) != digest:
                kept.append(file)
            elif file.is_file():
                file.unlink()
                removed.append(file)
        (folder / _name(name)).unlink()
        for path in reversed(manifest["folders"]):
            with suppress(OSError):  # something of another's making lies in it
                (folder / path).rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {error.filename}: {error.strerror}") from error
    _forget(name, folder)
    return removed, kept


def problems(name: str, folder: Path | None = None) -> tuple[Path, list[str]]:
    """Return the folder of an installation and what is wrong with it, a sentence each."""
    host, folder = find(name), where(name, folder)
    manifest = _manifest(name, folder)
    if not manifest["files"]:
        return folder, [f"It is not installed there; run `relume host install {name}`."]
    found = []
    if manifest["relume"] != __version__:
        found.append(
            f"It is that of relume {manifest['relume']}, this is {__version__}; "
            f"run `relume host install {name}` again."
        )
    for path, digest in manifest["files"].items():
        file = folder / path
        if not file.is_file():
            found.append(f"{file} is missing.")
        elif _digest(file.read_bytes()) != digest:
            found.append(f"{file} was changed.")
    return folder, found + host.check(folder)


def worker_problems() -> list[str]:
    """Return what keeps applications from rendering, a sentence each; starts a worker to see."""
    from relume.hosts.worker.client import RelumeError, Worker

    try:
        with Worker("relume host check") as worker:
            worker.connect()
            version = worker.about["relume"]
    except RelumeError as error:
        return [str(error)]
    if version != __version__:
        return [
            f"The worker that runs is of relume {version}, this is {__version__}; end it with "
            "`relume worker --stop`."
        ]
    return []


def where(name: str, folder: Path | None = None) -> Path:
    """Return the folder named, that of the last installation, or the application's."""
    host = find(name)
    if folder is None:
        last = [Path(entry["folder"]) for entry in _installed() if entry["host"] == name]
        folder = last[-1] if last else host.folder()
    return folder.expanduser().absolute()


def command() -> list[str]:
    """Return the command that starts this relume."""
    return [sys.executable, "-m", "relume"]


def configuration() -> Path:
    """Return the folder of relume's configuration of this user."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if sys.platform == "win32":
        base = base or os.environ.get("APPDATA", "")
    return (Path(base) if base else Path.home() / ".config") / "relume"


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(f"{path!r} is not a path below the folder of the host")
    return str(pure)


def _make_folders(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Make the folders that the files need; return the new ones, outermost first, from `folder`."""
    made = [] if folder.is_dir() else ["."]
    folder.mkdir(parents=True, exist_ok=True)
    needed = {str(p) for path in files for p in PurePosixPath(path).parents if p.parts}
    for path in sorted(needed):
        if not (folder / path).is_dir():
            (folder / path).mkdir()
            made.append(path)
    return made


def _name(host: str) -> str:
    return f".relume-{host}.json"


def _manifest(name: str, folder: Path) -> dict[str, Any]:
    found = _read(folder / _name(name))
    if isinstance(found, dict) and {"relume", "folders", "files"} <= set(found):
        return found
    return {"relume": "", "folders": [], "files": {}}


def _remember_command() -> None:
    """Let every client start the worker of this installation."""
    _configure("command", "\n".join(command()).encode() + b"\n")


def _remember(name: str, folder: Path) -> None:
    entry = {"host": name, "folder": str(folder)}
    others = [other for other in _installed() if other != entry]
    _configure("hosts.json", _text([*others, entry]))


def _forget(name: str, folder: Path) -> None:
    others = [entry for entry in _installed() if entry != {"host": name, "folder": str(folder)}]
    if others:
        _configure("hosts.json", _text(others))
        return
    for file in ("hosts.json", "command"):
        (configuration() / file).unlink(missing_ok=True)
    with suppress(OSError):  # something of another's making lies in it
        configuration().rmdir()


def _installed() -> list[dict[str, str]]:
    found = _read(configuration() / "hosts.json")
    return found if isinstance(found, list) else []


def _configure(name: str, content: bytes) -> None:
    write_whole(configuration() / name, content)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
