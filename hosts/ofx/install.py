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

SHARED = Path("/usr/OFX/Plugins")


def _folder() -> Path:
    """Return the first folder of `$OFX_PLUGIN_PATH`, else the machine's own if it can be written.

    Raises:
        UsageError: neither is there for this user.
    """
    if sys.platform != "linux":
        raise UsageError("the OpenFX bundle is built on Linux only, so far")
    named = [part for part in os.environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if part]
    if named:
        return Path(named[0])
    nearest = next(p for p in (SHARED, *SHARED.parents) if p.exists())
    if os.access(nearest, os.W_OK):
        return SHARED
    raise UsageError(
        f"OpenFX applications look in {SHARED}, which you may not write to",
        way_out="Run it with sudo, or give a folder with --dir and name it in $OFX_PLUGIN_PATH",
    )


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
    after="Start the application anew: the effects are in the group Relume. An application that "
    "looks elsewhere needs the folder in $OFX_PLUGIN_PATH.",
    check=_check,
)
