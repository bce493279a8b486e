"""The Blender extension put together: the add-on, the worker's client and the declarations.

`python -m relume.hosts.blender.extension FOLDER` writes its source, which Blender's own tool turns
into an archive: `blender --command extension build --source-dir FOLDER`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from relume import __version__
from relume.errors import UsageError
from relume.hosts.install import Host
from relume.hosts.worker.install import client_source
from relume.node import Node

ID = "relume"
OLDEST = (4, 5)

ADDON = Path(__file__).parent / "addon"


def source(registry: Mapping[str, type[Node]]) -> dict[str, bytes]:
    """Return the extension's files by name.

    Args:
        registry: the node types that Blender shall have.
    """
    files = {path.name: path.read_bytes() for path in sorted(ADDON.iterdir()) if path.is_file()}
    manifest = files["blender_manifest.toml"].decode()
    files["blender_manifest.toml"] = manifest.replace('"0.0.0"', f'"{__version__}"').encode()
    files["relume_client.py"] = client_source()
    schemas = {id: node.schema() for id, node in registry.items()}
    files["nodes.json"] = json.dumps(schemas, ensure_ascii=False, indent=1).encode()
    return files


def write(folder: Path, registry: Mapping[str, type[Node]]) -> None:
    """Write the extension's source into a folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in source(registry).items():
        (folder / name).write_bytes(content)


def user_folder() -> Path:
    """Return the folder of extensions of this user, of the newest Blender that was started.

    Raises:
        UsageError: no Blender of a version that will do was ever started.
    """
    if given := os.environ.get("BLENDER_USER_EXTENSIONS"):
        return Path(given) / "user_default"
    if sys.platform == "darwin":
        base = Path.home() / "Library/Application Support/Blender"
    elif sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", Path.home())) / "Blender Foundation/Blender"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "blender"
    versions = [path for path in base.glob("*") if _version(path.name) >= OLDEST]
    if not versions:
        raise UsageError(
            f"no Blender {OLDEST[0]}.{OLDEST[1]} or newer has been started by this user",
            way_out="Start it once, or name a folder of extensions with --dir",
        )
    return max(versions, key=lambda path: _version(path.name)) / "extensions" / "user_default"


def _version(name: str) -> tuple[int, ...]:
    parts = name.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def _files() -> dict[str, bytes]:
    from relume.nodes.registry import REGISTRY

    return {f"{ID}/{name}": content for name, content in source(REGISTRY).items()}


HOST = Host(
    title="Blender",
    folder=user_folder,
    files=_files,
    after="Start Blender, and switch Relume on in Preferences, Add-ons.",
)


def main(arguments: Sequence[str]) -> int:
    """Write the source to the folder named on the command line; return the exit code."""
    from relume.nodes.registry import REGISTRY

    if len(arguments) != 1:
        error = UsageError(
            "one folder is wanted",
            way_out="Run `python -m relume.hosts.blender.extension FOLDER`",
        )
        print(error, file=sys.stderr)
        return error.exit_code
    write(Path(arguments[0]), REGISTRY)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
