# SPDX-License-Identifier: GPL-3.0-or-later
"""The Relume editor's menu of nodes and its panel."""

from __future__ import annotations

from typing import Any

import bpy

from . import operators, tree

_menus: list[Any] = []


class RELUME_PT_run(bpy.types.Panel):
    """Run, stop, and what went wrong."""

    bl_label = "Relume"
    bl_space_type = "NODE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Relume"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Return whether this is a Relume editor."""
        return bool(context.space_data.tree_type == tree.TREE)

    def draw(self, context: Any) -> None:
        """Draw the buttons."""
        layout = self.layout
        ntree = operators.tree_of(context)
        column = layout.column(align=True)
        for scope, text, icon in (
            ("STILL", "Run This Frame", "RENDER_STILL"),
            ("SEQUENCE", "Run Sequence", "RENDER_ANIMATION"),
            ("CLIP", "Run Clip", "TRACKER"),
        ):
            column.operator("relume.evaluate", text=text, icon=icon).scope = scope
        column.operator("relume.cancel", icon="CANCEL")
        layout.operator("relume.to_compositor", icon="NODE_COMPOSITING")
        layout.operator("relume.read_clip", icon="FILE_MOVIE")
        column = layout.column(align=True)
        column.operator("relume.open_graph", icon="FILE_FOLDER")
        column.operator("relume.save_graph", icon="FILE_TICK")
        column = layout.column(align=True)
        column.operator("relume.transport_group", icon="NODETREE")
        column.operator("relume.reload_nodes", icon="FILE_REFRESH")
        if ntree is not None and ntree.problem:
            box = layout.box().column()
            for line in _wrapped(ntree.problem):
                box.label(text=line)


def add_menu(self: Any, context: Any) -> None:
    """Draw the categories in the menu Add."""
    if context.space_data.tree_type == tree.TREE:
        for menu in _menus:
            self.layout.menu(menu.bl_idname)
        _entry(self.layout, tree.OUTPUT, "Image Output")


def register() -> None:
    """Make a menu for each category of nodes."""
    categories: dict[str, list[tuple[str, str]]] = {}
    for id, declaration in tree.declared.items():
        entry = (tree.node_name(id), id.replace("_", " ").title())
        categories.setdefault(declaration["category"], []).append(entry)
    for category, entries in categories.items():
        menu = _menu(category, entries)
        bpy.utils.register_class(menu)
        _menus.append(menu)
    bpy.utils.register_class(RELUME_PT_run)
    bpy.types.NODE_MT_add.append(add_menu)


def unregister() -> None:
    """Remove the menus and the panel."""
    bpy.types.NODE_MT_add.remove(add_menu)
    bpy.utils.unregister_class(RELUME_PT_run)
    while _menus:
        bpy.utils.unregister_class(_menus.pop())


def _menu(category: str, entries: list[tuple[str, str]]) -> type:
    def draw(self: Any, context: Any) -> None:
        del context
        for kind, text in entries:
            _entry(self.layout, kind, text)

    name = f"RELUME_MT_{category.lower().replace(' ', '_')}"
    return type(
        name,
        (bpy.types.Menu,),
        {"bl_idname": name, "bl_label": category, "draw": draw},
    )


def _entry(layout: Any, kind: str, text: str) -> None:
    made = layout.operator("node.add_node", text=text)
    made.type, made.use_transform = kind, True


def _wrapped(text: str, width: int = 40) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
