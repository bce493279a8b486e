"""The bundle in the folder where OpenFX applications look."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from relume.errors import UsageError
from relume.hosts.install import Host
from relume.hosts.ofx.build import LIBRARY, TABLE, bundle
from relume.hosts.ofx.generate import text
from relume.nodes.registry import REGISTRY


def _folder() -> Path:
    """Return the first folder of `$OFX_PLUGIN_PATH`, else `~/OFX`.

    Raises:
        UsageError: there is no bundle for this system.
    """
    if sys.platform != "linux":
        raise UsageError("the OpenFX bundle is built on Linux only, so far")
    named = [part for part in os.environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if part]
    return Path(named[0]) if named else Path.home() / "OFX"


def _check(folder: Path) -> list[str]:
    """Return what is wrong with an installed bundle, a sentence each."""
    found = []
    try:
        library = ctypes.CDLL(str(folder / LIBRARY))
        if not library.OfxGetNumberOfPlugins():
            found.append("The bundle loads and shows no effects.")
    except OSError as error:
        found.append(f"The bundle does not load: {error}.")
    table = folder / TABLE
    if table.is_file() and table.read_text(encoding="utf-8") != text(REGISTRY):
        found.append("The nodes have changed since; run `relume host install ofx` again.")
    return found


HOST = Host(
    title="OpenFX",
    folder=_folder,
    files=lambda: bundle(REGISTRY),
    after="Name the folder in OFX_PLUGIN_PATH where applications start. The effects are in the "
    "group Relume.",
    check=_check,
)
