# SPDX-License-Identifier: GPL-3.0-or-later
"""Relume in Blender: a node editor whose graphs run in relume's worker."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import evaluate, operators, panels, tree


@persistent
def before_render(scene: Any, *unused: Any) -> None:
    """Fill the images of relume for the frame that is about to be rendered."""
    evaluate.before_render(scene)


def register() -> None:
    """Put the editor, its nodes and operators in place."""
    tree.register(tree.stored())
    for operator in operators.CLASSES:
        bpy.utils.register_class(operator)
    panels.register()
    bpy.app.handlers.render_pre.append(before_render)


def unregister() -> None:
    """Take everything away again."""
    bpy.app.handlers.render_pre.remove(before_render)
    panels.unregister()
    for operator in reversed(operators.CLASSES):
        bpy.utils.unregister_class(operator)
    tree.unregister()
    evaluate.worker.close()
