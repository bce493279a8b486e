# SPDX-License-Identifier: GPL-3.0-or-later
"""A compositor node group that lights a transport, from nodes that Blender brings along.

Neither relume nor a graphics card is needed: `relume analyse` wrote the transport, `relume light`
the light maps, and what is left is arithmetic, which docs/transport.md of relume writes down.
Blender's text editor runs this file as it is, and so does a command line:

    blender -b -P transport_group.py -- transport.exr maps.exr relit.exr

It needs Blender 4.5 or newer.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import bpy

NAME = "Relume Transport"
"""The group. It is made of the two below."""

PLACE = "Relume Lat-long Place"
LOOK_UP = "Relume Lat-long Look-up"

LOBES = (1, 16, 32, 64)
MAPS = ("diffuse", *(f"specular_{exponent:03d}" for exponent in LOBES))
HARMONICS = "harmonics"
COEFFICIENTS = tuple(f"transport_{number:02d}" for number in range(6))
PASSES = ("relit", "diffuse", "specular", "residual")

TRANSPORT = ("albedo", "foreground", "matte", "normal", *COEFFICIENTS)
LIGHT = (*MAPS, HARMONICS)
"""Inputs that are wired by name to the layers of the two files."""

SPACES = {
    "lin_ap1_scene": "ACEScg",
    "lin_ap0_scene": "ACES2065-1",
    "lin_rec709_scene": "Linear Rec.709",
    "lin_rec2020_scene": "Linear Rec.2020",
}
"""Colour spaces of relume's files, by their names in Blender."""

COLOUR, VECTOR, VALUE = "NodeSocketColor", "NodeSocketVector", "NodeSocketFloat"
TURNED = ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3))
"""(l, m) of the pairs of harmonics that change into one another when the light turns."""

Operand = Any
"""A socket, a number, or three numbers."""


class Builder:
    """Writes formulas as nodes of a group.

    Every node stands one column to the right of what it reads.
    """

    def __init__(self, name: str, inputs: Sequence[tuple[str, str, Any, str]]) -> None:
        """Start an empty group.

        Args:
            name: the group; one that is there already is written anew, and stays wired.
            inputs: name, type of socket, default (None for none) and what it is for.
        """
        known = bpy.data.node_groups.get(name)
        self.tree = known or bpy.data.node_groups.new(name, "CompositorNodeTree")
        self.tree.nodes.clear()
        self.columns: dict[str, int] = {}
        self.rows: dict[int, int] = {}
        wanted = [entry[0] for entry in inputs]
        for item in list(self.tree.interface.items_tree):
            if item.in_out == "OUTPUT" or item.name not in wanted:
                self.tree.interface.remove(item)
        for socket, kind, default, help in inputs:
            if self._interface(socket) is None:
                made = self.tree.interface.new_socket(socket, in_out="INPUT", socket_type=kind)
                made.description = help
                if default is not None:
                    made.default_value = default
        self.inputs = self.node("NodeGroupInput")

    def __getitem__(self, name: str) -> Any:
        """Return the socket of an input of the group."""
        return self.inputs.outputs[name]

    def math(self, operation: str, *operands: Operand) -> Any:
        """Return a number worked out of numbers."""
        node = self.node("ShaderNodeMath", *operands, operation=operation)
        return node.outputs["Value"]

    def vector(self, operation: str, *operands: Operand) -> Any:
        """Return a vector, or for DOT_PRODUCT a number, worked out of vectors."""
        node = self.node("ShaderNodeVectorMath", *operands, operation=operation)
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def scaled(self, vector: Operand, factor: Operand) -> Any:
        """Return a vector times a number."""
        return self.vector("SCALE", vector, None, None, factor)

    def mixed(self, a: Operand, b: Operand, part: Operand) -> Any:
        """Return a · (1 − part) + b · part."""
        return self.vector("ADD", a, self.scaled(self.vector("SUBTRACT", b, a), part))

    def total(self, vectors: Sequence[Operand]) -> Any:
        """Return the sum of vectors."""
        first, *rest = vectors
        for vector in rest:
            first = self.vector("ADD", first, vector)
        return first

    def separated(self, vector: Operand) -> tuple[Any, Any, Any]:
        """Return the three numbers of a vector."""
        return tuple(self.node("ShaderNodeSeparateXYZ", vector).outputs)

    def combined(self, *numbers: Operand) -> Any:
        """Return a vector of three numbers."""
        return self.node("ShaderNodeCombineXYZ", *numbers).outputs["Vector"]

    def channels(self, colour: Operand) -> list[Any]:
        """Return red, green, blue and alpha."""
        return list(self.node("CompositorNodeSeparateColor", colour).outputs)

    def size(self, image: Operand) -> Any:
        """Return width and height of a picture as a vector."""
        return self.node("CompositorNodeImageInfo", image).outputs["Dimensions"]

    def pixel(self, image: Operand, place: Operand) -> Any:
        """Return the pixel of a picture at a place, unfiltered.

        Args:
            image: the picture.
            place: u to the right and v up, 0 to 1 each, and 1: Map UV takes it for coverage.
        """
        node = self.node("CompositorNodeMapUV", image, place)
        if hasattr(node, "filter_type"):
            node.filter_type = "NEAREST"
        else:
            node.inputs["Interpolation"].default_value = "Nearest"
        return node.outputs["Image"]

    def group(self, tree: Any, *operands: Operand) -> Any:
        """Return the outputs of another group."""
        return self.node("CompositorNodeGroup", *operands, node_tree=tree).outputs

    def finish(self, outputs: Sequence[tuple[str, str, Any]]) -> Any:
        """Give the group its outputs and return it.

        Args:
            outputs: name, type of socket and what it shows.
        """
        for name, kind, _ in outputs:
            self.tree.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)
        self.node("NodeGroupOutput", *(operand for *_, operand in outputs))
        return self.tree

    def _interface(self, name: str) -> Any:
        for item in self.tree.interface.items_tree:
            if item.name == name and item.in_out == "INPUT":
                return item
        return None

    def node(self, kind: str, *operands: Operand, **properties: Any) -> Any:
        """Return a new node, its inputs wired to operands (None for what is left alone).

        Args:
            kind: Blender's name of the node's class.
            operands: one for each input, from the first on.
            properties: of the node.
        """
        node = self.tree.nodes.new(kind)
        for name, value in properties.items():
            # Before any link: they say which sockets there are.
            setattr(node, name, value)
        column = 0
        for socket, operand in zip(node.inputs, operands, strict=False):
            if operand is None:
                continue
            if isinstance(operand, bpy.types.NodeSocket):
                self.tree.links.new(operand, socket)
                column = max(column, self.columns[operand.node.name] + 1)
            else:
                socket.default_value = operand
        self.columns[node.name] = column
        row = self.rows[column] = self.rows.get(column, 0) + 1
        node.location = (200 * column, -220 * row)
        node.hide = bool(operands)
        return node


def place_group() -> Any:
    """Return the group that says where a direction lies in a lat-long map.

    Four pixels and how far the direction is from the first of them: what Blender's own filters make
    of the seam and the poles would be seen, so that the four are mixed by hand.
    """
    make = Builder(
        PLACE,
        [
            ("Direction", VECTOR, None, "+X right, +Y up, +Z to the camera; any length above 0"),
            ("Rotation", VALUE, 0.0, "Turns of the light about +Y"),
            ("Size", VECTOR, (256.0, 128.0, 0.0), "Width and height of the map"),
        ],
    )
    x, y, z = make.separated(make["Direction"])
    width, height, _ = make.separated(make["Size"])
    turn = make.math("DIVIDE", make.math("ARCTAN2", x, make.math("MULTIPLY", z, -1)), math.tau)
    u = make.math("SUBTRACT", make.math("ADD", turn, 0.5), make["Rotation"])
    flat = make.math("SQRT", make.math("MULTIPLY_ADD", x, x, make.math("MULTIPLY", z, z)))
    v = make.math("DIVIDE", make.math("ARCTAN2", flat, y), math.pi)
    column = make.math("SUBTRACT", make.math("MULTIPLY", u, width), 0.5)
    row = make.math("SUBTRACT", make.math("MULTIPLY", v, height), 0.5)
    left, top = make.math("FLOOR", column), make.math("FLOOR", row)
    last = make.math("SUBTRACT", height, 1)
    places = []
    for down in (0, 1):
        wanted = make.math("ADD", top, down)
        found = make.math("MINIMUM", make.math("MAXIMUM", wanted, 0), last)
        # Beyond a pole the map goes on, half a turn away.
        over = make.math("ABSOLUTE", make.math("SUBTRACT", wanted, found))
        around = make.math("MULTIPLY", over, make.math("DIVIDE", width, 2))
        down_to = make.math(
            "SUBTRACT", 1, make.math("DIVIDE", make.math("ADD", found, 0.5), height)
        )
        for right in (0, 1):
            at = make.math("ADD", make.math("ADD", left, right + 0.5), around)
            across = make.math("FLOORED_MODULO", make.math("DIVIDE", at, width), 1)
            places.append(make.combined(across, down_to, 1))
    parts = make.math("SUBTRACT", column, left), make.math("SUBTRACT", row, top)
    return make.finish(
        [
            *((name, VECTOR, place) for name, place in zip("ABCD", places, strict=True)),
            ("Right", VALUE, parts[0]),
            ("Down", VALUE, parts[1]),
        ]
    )


def look_up_group() -> Any:
    """Return the group that mixes four pixels of a map."""
    make = Builder(
        LOOK_UP,
        [
            ("Map", COLOUR, None, "A lat-long map"),
            *((name, VECTOR, None, "Place of a pixel") for name in "ABCD"),
            ("Right", VALUE, 0.0, "From A to B"),
            ("Down", VALUE, 0.0, "From A to C"),
        ],
    )
    a, b, c, d = (make.pixel(make["Map"], make[name]) for name in "ABCD")
    upper, lower = make.mixed(a, b, make["Right"]), make.mixed(c, d, make["Right"])
    return make.finish([("Light", VECTOR, make.mixed(upper, lower, make["Down"]))])


def transport_group() -> Any:
    """Return the group that lights a transport."""
    place, look_up = place_group(), look_up_group()
    make = Builder(
        NAME,
        [
            ("albedo", COLOUR, None, "Layer of the transport"),
            ("foreground", COLOUR, None, "Layer of the transport; needed for Original only"),
            ("matte", VALUE, 0.0, "Layer of the transport"),
            ("normal", VECTOR, None, "Layer of the transport"),
            *((name, COLOUR, None, "Layer of the transport") for name in COEFFICIENTS),
            *((name, COLOUR, None, "Layer of the light maps") for name in LIGHT),
            ("view", VECTOR, (0.0, 0.0, 1.0), "Layer of a transport that knows its camera"),
            ("Rotation", VALUE, 0.0, "Degrees; light behind the subject moves to screen right"),
            ("Exposure", VALUE, 0.0, "Stops on the light"),
            ("Diffuse", VALUE, 1.0, "Factor on the diffuse part"),
            ("Specular", VALUE, 1.0, "Factor on the specular part"),
            ("Residual", VALUE, 1.0, "Factor on shadow, bounce and subsurface"),
            ("Original", VALUE, 0.0, "Amount of the light the plate was filmed under"),
        ],
    )
    weights = [number for name in COEFFICIENTS for number in make.channels(make[name])]
    turns = make.math("DIVIDE", make["Rotation"], 360)
    gain = make.math("POWER", 2, make["Exposure"])
    normal = make["normal"]
    # A light is looked up only where there is a normal: there its square is 1, elsewhere 0.
    there = make.math("GREATER_THAN", make.vector("DOT_PRODUCT", normal, normal), 0)
    lit = make.math("MULTIPLY", make.math("MULTIPLY", make["matte"], there), gain)
    tint = make.vector("MULTIPLY", make["albedo"], (1, 1, 1))

    def light(map: str, places: Any) -> Any:
        return make.group(look_up, make[map], *places)["Light"]

    at_normal = make.group(place, normal, turns, make.size(make["diffuse"]))
    body = make.vector("MULTIPLY", tint, light("diffuse", at_normal))
    facing = make.math("MULTIPLY", make.vector("DOT_PRODUCT", normal, make["view"]), 2)
    mirror = make.vector("SUBTRACT", make.scaled(normal, facing), make["view"])
    at_mirror = make.group(place, mirror, turns, make.size(make[MAPS[1]]))
    shine = make.total(
        [
            make.scaled(light(map, at_mirror), weight)
            for map, weight in zip(MAPS[1:], weights[1:5], strict=True)
        ]
    )
    around = make.total(
        [
            make.scaled(coefficient, weight)
            for coefficient, weight in zip(_harmonics(make, turns), weights[5:21], strict=True)
        ]
    )
    matte = make.math("MULTIPLY", make["matte"], gain)
    original = make.scaled(
        make["foreground"], make.math("MULTIPLY", make["matte"], make["Original"])
    )
    parts = {
        "diffuse": make.scaled(
            make.scaled(body, weights[0]), make.math("MULTIPLY", lit, make["Diffuse"])
        ),
        "specular": make.scaled(shine, make.math("MULTIPLY", lit, make["Specular"])),
        "residual": make.vector(
            "ADD",
            make.scaled(
                make.vector("MULTIPLY", tint, around),
                make.math("MULTIPLY", matte, make["Residual"]),
            ),
            original,
        ),
    }
    beauty = make.separated(make.total(list(parts.values())))
    relit = make.node("CompositorNodeCombineColor", *beauty, make["matte"]).outputs["Image"]
    return make.finish(
        [("relit", COLOUR, relit), *((name, COLOUR, part) for name, part in parts.items())]
    )


def _harmonics(make: Builder, turns: Any) -> list[Any]:
    """Return the sixteen coefficients of the light, turned, a vector each."""
    # A place is a picture where it comes out of one: MapUV answers a lone vector with one pixel.
    nowhere = make.vector("MULTIPLY", make["normal"], (0, 0, 0))
    light = [
        make.pixel(make[HARMONICS], make.vector("ADD", nowhere, ((index + 0.5) / 16, 0.5, 1)))
        for index in range(16)
    ]
    angle = make.math("MULTIPLY", turns, math.tau)
    for degree, m in TURNED:
        even, odd = degree * (degree + 1) + m, degree * (degree + 1) - m
        cosine = make.math("COSINE", make.math("MULTIPLY", angle, m))
        sine = make.math("SINE", make.math("MULTIPLY", angle, m))
        light[even], light[odd] = (
            make.vector("ADD", make.scaled(light[even], cosine), make.scaled(light[odd], sine)),
            make.vector(
                "SUBTRACT", make.scaled(light[odd], cosine), make.scaled(light[even], sine)
            ),
        )
    return light


def add_to(tree: Any, transport: Any, light: Any, space: str = "ACEScg") -> Any:
    """Put both files, the group and the way to the scene's colours into a compositor tree.

    Args:
        tree: the tree.
        transport: image of a transport.
        light: image of light maps, in the colour space of the transport.
        space: that colour space, by its name in Blender.

    Returns:
        The output socket with the relit picture, premultiplied, in the scene's linear space.
    """
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = transport_group()
    group.location, group.width = (350, 0), 220
    for image, layers, height in ((transport, TRANSPORT, 0), (light, LIGHT, -400)):
        # The arithmetic belongs into the space of the files, hence no conversion on the way in.
        image.colorspace_settings.name = "Non-Color"
        node = tree.nodes.new("CompositorNodeImage")
        node.image, node.location = image, (0, height)
        if image.source == "SEQUENCE":
            node.frame_duration = image.frame_duration
            node.use_auto_refresh = True
        missing = [layer for layer in layers if layer not in node.outputs]
        if missing:
            raise RuntimeError(
                f"{image.name} has no layer '{missing[0]}': "
                "is it from `relume analyse` or `relume light`?"
            )
        for layer in layers:
            tree.links.new(node.outputs[layer], group.inputs[layer])
        if "view" in node.outputs:
            tree.links.new(node.outputs["view"], group.inputs["view"])
    convert = tree.nodes.new("CompositorNodeConvertColorSpace")
    convert.from_color_space = space
    convert.location = (650, 0)
    tree.links.new(group.outputs["relit"], convert.inputs[0])
    return convert.outputs[0]


def compositor(scene: Any) -> Any:
    """Return the compositor tree of a scene, made where there is none."""
    if hasattr(scene, "compositing_node_group"):
        if scene.compositing_node_group is None:
            tree = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type=COLOUR)
            scene.compositing_node_group = tree
        return scene.compositing_node_group
    scene.use_nodes = True
    return scene.node_tree


def show(tree: Any, socket: Any) -> None:
    """Make a socket the picture of the compositor."""
    kind = "CompositorNodeComposite" if bpy.app.version < (5, 0) else "NodeGroupOutput"
    for node in tree.nodes:
        if node.bl_idname == kind:
            break
    else:
        node = tree.nodes.new(kind)
        node.location = (900, 0)
    tree.links.new(socket, node.inputs[0])


def main(arguments: Sequence[str]) -> None:
    """Light a transport and write the picture."""
    parser = argparse.ArgumentParser(
        prog="transport_group.py",
        description="Light a transport with Blender alone; the picture is in Blender's own "
        "scene-linear space, RGBA float, premultiplied.",
    )
    parser.add_argument("transport", help="an EXR of `relume analyse`")
    parser.add_argument("light", help="an EXR of `relume light`, in the same colour space")
    parser.add_argument("out", help="the picture to write, an EXR")
    for name, help in (("rotation", "degrees"), ("exposure", "stops")):
        parser.add_argument(f"--light-{name}", type=float, default=0.0, help=help)
    options = parser.parse_args(arguments)
    scene = bpy.context.scene
    tree = compositor(scene)
    tree.nodes.clear()
    files = [Path(file).resolve() for file in (options.transport, options.light)]
    spaces = [header(file).get("colorInteropID", b"lin_ap1_scene").decode() for file in files]
    if spaces[0] != spaces[1] or spaces[0] not in SPACES:
        raise SystemExit(
            f"{files[0].name} is in {spaces[0]} and {files[1].name} in {spaces[1]}: write both "
            f"with the same --output-space, one of {', '.join(SPACES)}"
        )
    transport, light = (bpy.data.images.load(str(file)) for file in files)
    picture = add_to(tree, transport, light, SPACES[spaces[0]])
    for node in tree.nodes:
        if node.bl_idname == "CompositorNodeGroup":
            node.inputs["Rotation"].default_value = options.light_rotation
            node.inputs["Exposure"].default_value = options.light_exposure
    show(tree, picture)
    x0, y0, x1, y1 = struct.unpack("<4i", header(files[0])["dataWindow"])
    scene.render.resolution_x, scene.render.resolution_y = x1 - x0 + 1, y1 - y0 + 1
    scene.render.resolution_percentage = 100
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.render.filepath = str(Path(options.out).resolve())
    bpy.ops.render.render(write_still=True)


def header(file: Path) -> dict[str, bytes]:
    """Return the attributes of an OpenEXR file as they are stored; Blender shows none of them.

    Args:
        file: the file; of several parts, the first counts.
    """
    with file.open("rb") as stream:
        if stream.read(4) != b"v/1\x01":
            raise RuntimeError(f"{file.name} is no OpenEXR file")
        stream.read(4)
        found = {}
        while name := _word(stream):
            _word(stream)
            found[name] = stream.read(*struct.unpack("<i", stream.read(4)))
    return found


def _word(stream: BinaryIO) -> str:
    letters = iter(lambda: stream.read(1), b"\0")
    return b"".join(letters).decode("latin-1")


if __name__ == "__main__":
    if "--" in sys.argv:
        main(sys.argv[sys.argv.index("--") + 1 :])
    else:
        transport_group()
