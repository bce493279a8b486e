# SPDX-License-Identifier: GPL-3.0-or-later
"""The Relume node editor: a tree, sockets and nodes made from the declarations.

The nodes are of a tree of their own. They are never nodes of the compositor, which does not survive
nodes written in Python.
"""

from __future__ import annotations

import colorsys
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import bpy

from . import properties

TREE = "RelumeTree"
OUTPUT = "RelumeNodeOutput"
INPUT = "input"
"""The node type whose image is lent by Blender."""

Declarations = Mapping[str, Mapping[str, Any]]

_made: list[type] = []
declared: dict[str, Mapping[str, Any]] = {}
"""The declarations that the classes were made from."""


class RelumeTree(bpy.types.NodeTree):
    """Relight people in plates and pull their mattes."""

    bl_idname = TREE
    bl_label = "Relume"
    bl_icon = "LIGHT_SUN"

    problem: bpy.props.StringProperty(name="Problem", description="What went wrong last")
    note: bpy.props.StringProperty(name="Note", description="Kept in the graph")
    working_space: bpy.props.StringProperty(
        name="Working Space", description="Colour space the graph works in; empty for relume's own"
    )

    def update(self) -> None:
        """Keep one free socket, and one only, wherever any number of links is taken."""
        for node in self.nodes:
            if isinstance(node, RelumeNode):
                node.tidy()


class RelumeSocket:
    """A socket of the Relume editor."""

    colour: ClassVar[tuple[float, float, float, float]]
    is_linked: bool
    is_output: bool
    port: bpy.props.StringProperty(description="Port of the node")
    key: bpy.props.StringProperty(
        name="Name", description="Name of this link: letters, digits and _", default=""
    )
    many: bpy.props.BoolProperty()

    def draw(self, context: Any, layout: Any, node: Any, text: str) -> None:
        """Draw the name, to be edited where any number of links is taken."""
        del context, node
        if self.many and self.is_linked and not self.is_output:
            layout.prop(self, "key", text="")
        else:
            layout.label(text=text)

    def draw_color(self, context: Any, node: Any) -> tuple[float, float, float, float]:
        """Return the colour of the socket."""
        del context, node
        return self.colour

    @classmethod
    def draw_color_simple(cls) -> tuple[float, float, float, float]:
        """Return the colour of the socket."""
        return cls.colour


class RelumeNode:
    """A node of the Relume editor."""

    declaration: ClassVar[Mapping[str, Any]]
    bl_label: ClassVar[str]
    inputs: Any
    outputs: Any

    @classmethod
    def poll(cls, tree: Any) -> bool:
        """Return whether the node may be in a tree."""
        return bool(tree.bl_idname == TREE)

    def init(self, context: Any) -> None:
        """Give a new node its sockets."""
        del context
        self.name = self.declaration["id"]
        self.width = 190
        for name, port in self.declaration["inputs"].items():
            _socket(self.inputs, name, port)
        for name, port in self.declaration["outputs"].items():
            _socket(self.outputs, name, port)

    def draw_buttons(self, context: Any, layout: Any) -> None:
        """Draw the knobs."""
        del context
        column = layout.column()
        if self.declaration["id"] == INPUT:
            column.template_ID(self, "picture", open="image.open")
        for name, knob in self.declaration["knobs"].items():
            if self.declaration["id"] == INPUT and name == "serial":
                continue
            row = column.row(align=True)
            if knob["kind"].startswith(properties.OPTIONAL):
                row.prop(self, properties.switch(name), text="")
                row = row.row(align=True)
                row.enabled = properties.is_set(self, name, knob)
            row.prop(self, properties.attribute(name))

    def draw_label(self) -> str:
        """Return the title."""
        return f"{self.bl_label} ({self.name})"

    def tidy(self) -> None:
        """Keep one free socket for each port that takes any number of links."""
        for name, port in self.declaration["inputs"].items():
            if not port["many"]:
                continue
            sockets = [socket for socket in self.inputs if socket.port == name]
            if not sockets:
                continue  # a new node, which gets its sockets one after the other
            taken = {socket.key for socket in sockets if socket.is_linked}
            for socket in sockets:
                if socket.is_linked and not socket.key:
                    source = socket.links[0].from_socket
                    socket.key = _free(_word(source.node.name), taken)
                    taken.add(socket.key)
            spare = [socket for socket in sockets if not socket.is_linked]
            for socket in spare[1:]:
                self.inputs.remove(socket)
            if spare:
                spare[0].key = ""
            else:
                _socket(self.inputs, name, port)


class RelumeNodeOutput(bpy.types.Node):
    """An image of Blender that shows what is wired here."""

    bl_idname = OUTPUT
    bl_label = "Image Output"
    bl_icon = "IMAGE_DATA"

    image_name: bpy.props.StringProperty(
        name="Image",
        default="relume",
        description="Image to fill; of several layers, each is the image NAME.LAYER",
    )
    layer: bpy.props.StringProperty(
        name="Layer", description="Layer to show of several; empty for all of them"
    )

    @classmethod
    def poll(cls, tree: Any) -> bool:
        """Return whether the node may be in a tree."""
        return bool(tree.bl_idname == TREE)

    def init(self, context: Any) -> None:
        """Give a new node its socket."""
        del context
        self.inputs.new(socket_name("Image"), "image")

    def draw_buttons(self, context: Any, layout: Any) -> None:
        """Draw the properties."""
        del context
        layout.prop(self, "image_name")
        layout.prop(self, "layer")


def stored() -> Declarations:
    """Return the declarations that came with the extension."""
    text = (Path(__file__).parent / "nodes.json").read_text(encoding="utf-8")
    found: Declarations = json.loads(text)
    return found


def register(declarations: Declarations) -> None:
    """Make the classes of nodes from declarations, in place of those there are."""
    unregister()
    declared.update(declarations)
    kinds = {"Image"}
    for declaration in declarations.values():
        for port in (*declaration["inputs"].values(), *declaration["outputs"].values()):
            kinds.add(_first(port["type"]))
    classes: list[type] = [RelumeTree, *(_socket_class(kind) for kind in sorted(kinds))]
    classes += [RelumeNodeOutput, *(_node_class(each) for each in declarations.values())]
    for made in classes:
        bpy.utils.register_class(made)
        _made.append(made)


def unregister() -> None:
    """Remove the classes."""
    while _made:
        bpy.utils.unregister_class(_made.pop())
    declared.clear()


def node_name(id: str) -> str:
    """Return Blender's name of the class of a node type."""
    return f"RelumeNode_{id}"


def socket_name(kind: str) -> str:
    """Return Blender's name of the class of a socket."""
    return f"RelumeSocket{kind.capitalize() if kind.islower() else kind}"


def add_socket(node: Any, port: str) -> Any:
    """Return one more socket of a port that takes any number of links."""
    return _socket(node.inputs, port, node.declaration["inputs"][port])


def _node_class(declaration: Mapping[str, Any]) -> type:
    annotations = properties.properties(declaration["knobs"])
    if declaration["id"] == INPUT:
        annotations["picture"] = bpy.props.PointerProperty(
            type=bpy.types.Image, name="Image", description="The image that relume gets"
        )
    return type(
        node_name(declaration["id"]),
        (RelumeNode, bpy.types.Node),
        {
            "__annotations__": annotations,
            "__doc__": declaration["doc"],
            "bl_idname": node_name(declaration["id"]),
            "bl_label": declaration["id"].replace("_", " ").title(),
            "bl_description": declaration["doc"].partition("\n\n")[0].replace("\n", " "),
            "declaration": declaration,
        },
    )


def _socket_class(kind: str) -> type:
    # A colour that is the same in every session, and far enough from the others.
    hue = zlib.crc32(kind.encode()) % 360 / 360
    return type(
        socket_name(kind),
        (RelumeSocket, bpy.types.NodeSocket),
        {
            "__annotations__": dict(RelumeSocket.__annotations__),
            "bl_idname": socket_name(kind),
            "bl_label": kind,
            "colour": (*colorsys.hsv_to_rgb(hue, 0.55, 0.85), 1.0),
        },
    )


def _socket(sockets: Any, name: str, port: Mapping[str, Any]) -> Any:
    made = sockets.new(socket_name(_first(port["type"])), name)
    made.port, made.many = name, port.get("many", False)
    if hasattr(made, "description"):
        made.description = port["doc"]
    return made


def _first(kinds: str) -> str:
    return kinds.partition(" or ")[0]


def _word(name: str) -> str:
    word = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
    return word if word[:1].isalpha() else f"n{word}"


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def name_in_graph(node: Any) -> str:
    """Return the name of a node in a graph."""
    return _word(node.name)
