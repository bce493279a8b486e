"""What Nuke finds: gizmos, a toolset, layers and a menu, all of them text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relume.hosts.install import Host
from relume.hosts.nuke import beauty_gizmo, effect_gizmo, transport_gizmo
from relume.hosts.ofx.generate import table
from relume.node import Registry

FOLDER = "relume"


def source(registry: Registry) -> dict[str, bytes]:
    """Return the files by path.

    Args:
        registry: the node types whose effects Nuke shall have.
    """
    effects = table(registry)["effects"]
    texts = {f"gizmos/{effect_gizmo.name(e)}.gizmo": effect_gizmo.gizmo(e) for e in effects}
    texts[f"gizmos/{beauty_gizmo.NAME}.gizmo"] = beauty_gizmo.gizmo()
    texts[f"gizmos/{transport_gizmo.NAME}.gizmo"] = transport_gizmo.gizmo()
    for effect in effects:
        if set(beauty_gizmo.PARTS) <= set(effect_gizmo.layers(effect)):
            label = effect["label"].removeprefix("Relume ").capitalize()
            texts[f"ToolSets/Relume/{label} and beauty.nk"] = _toolset(effect)
    texts["init.py"] = _init()
    texts["menu.py"] = _menu(effects)
    return {path: text.encode() for path, text in texts.items()}


def _toolset(effect: Mapping[str, Any]) -> str:
    """Return an effect whose passes are put together again, over what is behind it."""
    gizmo, beauty = effect_gizmo.name(effect), beauty_gizmo.NAME
    return "\n".join(
        [
            "set cut_paste_input [stack 0]",
            "version 13.0 v1",
            "push $cut_paste_input",
            f"{gizmo} {{",
            f" name {gizmo}1",
            " selected true",
            "}",
            f"set {gizmo}1 [stack 0]",
            "push 0",
            f"push ${gizmo}1",
            f"{beauty} {{",
            " inputs 2",
            f" name {beauty}1",
            " selected true",
            "}",
            "",
        ]
    )


def _init() -> str:
    layers = {
        layer: [f"{layer}.{channel}" for channel in channels]
        for layer, channels in effect_gizmo.LAYERS.values()
    }
    layers |= {x: [f"{x}.{c}" for c in effect_gizmo.COLOUR] for x in beauty_gizmo.light_layers()}
    lines = ['"""relume in Nuke: its gizmos, and the layers they fill."""', "", "import nuke", ""]
    lines.append('nuke.pluginAddPath("./gizmos")')
    lines += [f"nuke.Layer({layer!r}, {channels!r})" for layer, channels in layers.items()]
    return "\n".join(lines) + "\n"


def _menu(effects: list[dict[str, Any]]) -> str:
    entries = [(e["label"].removeprefix("Relume ").capitalize(), effect_gizmo.name(e))
               for e in effects]  # fmt: skip
    entries += [
        ("Beauty from passes", beauty_gizmo.NAME),
        ("Light a transport", transport_gizmo.NAME),
    ]
    lines = ['"""relume in Nuke: the menu of nodes."""', "", "import nuke", ""]
    lines.append('relume = nuke.menu("Nodes").addMenu("Relume")')
    for label, gizmo in entries:
        command = f"nuke.createNode({gizmo!r})"
        lines.append(f"relume.addCommand({label!r}, {command!r})")
    return "\n".join(lines) + "\n"


def _files() -> dict[str, bytes]:
    from relume.nodes.registry import REGISTRY

    return {f"{FOLDER}/{path}": content for path, content in source(REGISTRY).items()}


def _check(folder: Path) -> list[str]:
    """Return what keeps Nuke from finding an installation, a sentence each."""
    place = folder / FOLDER
    named = [Path(part) for part in os.environ.get("NUKE_PATH", "").split(os.pathsep) if part]
    own = folder / "init.py"
    if place in named or (own.is_file() and FOLDER in own.read_text(encoding="utf-8")):
        return []
    return [f"Nuke does not look in {place}: add it to $NUKE_PATH, or to {own} {_LINE}."]


_LINE = 'the line nuke.pluginAddPath("./relume")'

HOST = Host(
    title="Nuke",
    folder=lambda: Path.home() / ".nuke",
    files=_files,
    after="Name the folder relume in $NUKE_PATH, or add to the init.py beside it "
    f"{_LINE}. The effects inside the gizmos come with `relume host install ofx`.",
    check=_check,
)
