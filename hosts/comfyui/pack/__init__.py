# SPDX-License-Identifier: GPL-3.0-or-later
"""relume in ComfyUI: every node of its declarations, and four that ComfyUI needs besides."""

from __future__ import annotations

import json
from pathlib import Path

from comfy_api.latest import ComfyExtension, io

from .bridge import bridges
from .schema import node_class


class Relume(ComfyExtension):
    """The nodes of nodes.json, which the pack was put together with."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the classes of the nodes."""
        text = (Path(__file__).parent / "nodes.json").read_text(encoding="utf-8")
        found = json.loads(text)
        declared = [
            node_class(declaration, found["wires"]) for declaration in found["nodes"].values()
        ]
        return [*declared, *bridges()]


async def comfy_entrypoint() -> Relume:
    """Return what ComfyUI asks a pack for."""
    return Relume()
