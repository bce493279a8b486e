"""A transport lit by other programs, from its file, is what `relume shade` makes of it.

Blender is real where it is installed. Nuke is not: what the gizmo says is read from its text and
worked out here, so that the arithmetic is tested and Nuke's understanding of the text is not.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.colour import convert
from relume.hosts.cli import main
from relume.hosts.nuke import beauty_gizmo
from relume.hosts.nuke.transport_gizmo import gizmo
from relume.image import DATA, Image, Layers
from relume.light import latlong
from relume.media.read import read
from relume.media.write import write
from relume.shading.phong import phong_transport
from relume.shading.transport_file import pack
from relume.shading.types import EXPONENTS, HARMONICS, Transport

GROUP = Path(__file__).parents[1] / "hosts/blender/addon/transport_group.py"
RGB = ("R", "G", "B")
LIT = ["--light-rotation", "130", "--light-exposure", "-1"]

Picture = dict[str, np.ndarray]
"""Channel → H×W, rows top to bottom."""


def subject(height: int = 40, width: int = 56) -> Transport:
    """Return a transport with every weight in use and normals that face everywhere."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width] / height - 0.5
    inside = (np.hypot(x - 0.2, y) < 0.45)[..., None]
    alpha = np.where(inside, rng.uniform(0.1, 1, inside.shape), 0).astype(np.float32)
    normals = rng.normal(size=(height, width, 3))
    normals[:3, :, :2] *= 1e-3
    normals = (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)
    colours = rng.lognormal(-1, 1, (2, height, width, 3)).astype(np.float32)
    base = phong_transport(
        Image(colours[0], RGB),
        Image(alpha, ("A",), colour=DATA),
        Image(normals * (alpha > 0), ("X", "Y", "Z"), colour=DATA),
        Image(colours[1], RGB),
    )
    count = len(base.index)
    return replace(
        base,
        diffuse=rng.uniform(0.3, 1.1, count).astype(np.float32),
        specular=rng.uniform(0, 0.3, (len(EXPONENTS), count)).astype(np.float32),
        residual=rng.normal(0, 0.1, (HARMONICS, count)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transport, light maps, and what `relume shade` makes of them."""
    folder = tmp_path_factory.mktemp("transport")
    write(folder / "transport.exr", pack(subject()), depth="half")
    pixels = np.random.default_rng(5).lognormal(0, 1, (32, 64, 3)).astype(np.float32)
    pixels[10:12, 3:5] = (300, 200, 100)
    write(folder / "studio.exr", {"rgba": Image(pixels, RGB)}, depth="float")
    transport, studio = str(folder / "transport.exr"), str(folder / "studio.exr")
    space = ["--light-space", "lin_ap1_scene"]
    assert main(["light", studio, *space, "--out", str(folder / "maps.exr")]) == 0
    for name, knobs in {"shaded": [], "turned": LIT}.items():
        out = ["--depth", "float", "--out", str(folder / f"{name}.exr")]
        assert main(["shade", transport, "--light", studio, *space, *knobs, *out]) == 0
    return folder


def same(found: np.ndarray, wanted: np.ndarray, share: float = 1e-2) -> None:
    """Check that two pictures differ by no more than a share of the larger one's maximum."""
    worst = float(np.abs(found - wanted).max())
    assert worst <= share * np.abs(wanted).max(), worst / np.abs(wanted).max()


def test_stripes_of_the_file_are_the_harmonics_of_the_light(files: Path) -> None:
    """The whole of the light is in one file; independent sum over the environment's texels."""
    layers = read(files / "maps.exr").layers
    stripes = layers["harmonics"].rgb[64, 8::16]
    pixels = read(files / "studio.exr").layers["rgba"].rgb.astype(np.float64)
    theta = (np.arange(32) + 0.5) * np.pi / 32
    solid = np.diff(-np.cos(np.arange(33) * np.pi / 32)) * np.pi / 32
    phi = (np.arange(64) + 0.5) * np.pi / 32 - np.pi
    y = np.broadcast_to(np.cos(theta)[:, None], (32, 64))
    z = -np.cos(phi) * np.sin(theta)[:, None]
    constant, up, front = 0.5 / np.sqrt(np.pi), np.sqrt(0.75 / np.pi) * y, np.sqrt(0.75 / np.pi) * z
    for index, function in ((0, constant), (2, up), (3, front)):
        total = (pixels * (function * solid[:, None])[..., None]).sum((0, 1))
        # The file is half, the sum takes a texel for a point.
        np.testing.assert_allclose(stripes[index], total, rtol=5e-3)


def test_the_arithmetic_on_the_page_is_what_shade_does(files: Path) -> None:
    page = GROUP.parents[3] / "docs" / "transport.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    snippet: dict[str, Any] = {}
    exec(code, snippet)
    transport, light, wanted = (
        {name: image.pixels for name, image in read(files / f"{file}.exr").layers.items()}
        for file in ("transport", "maps", "shaded")
    )
    found = snippet["relit"](transport, light, latlong.look_up)
    same(found, wanted["relit"][:, :, :3], 1e-3)


@pytest.mark.usefixtures("weights")
def test_shading_from_a_half_file_is_relighting_to_half(assets: Path, tmp_path: Path) -> None:
    plate = str(assets / "photos" / "astronaut.png")
    given = ["--proxy", "4", "--out", str(tmp_path / "{}.exr")]
    light = ["--light", "rig:rembrandt"]

    def run(command: str, *arguments: str) -> None:
        assert main([command, *(each.format(command) for each in arguments)]) == 0

    run("relight", plate, *light, "--depth", "float", *given)
    run("analyse", plate, *given)
    transport = str(tmp_path / "analyse.exr")
    run("shade", transport, *light, "--depth", "float", "--out", str(tmp_path / "shade.exr"))
    whole = read(tmp_path / "relight.exr").layers
    shaded = read(tmp_path / "shade.exr").layers
    for name in ("relit", "diffuse", "specular", "residual"):
        # Products of two and three numbers rounded to 11 bits; the residual is a sum of sixteen.
        same(shaded[name].pixels, whole[name].pixels, 2**-9 if name != "residual" else 2**-8)


# Blender


def blender(name: str) -> str:
    """Return the Python of an environment that has Blender's module, or skip."""
    default = {"RELUME_BPY": "bpyenv", "RELUME_BPY5": "bpyenv5"}[name]
    python = os.environ.get(name, str(Path(__file__).parents[2] / default / "bin" / "python"))
    if not Path(python).is_file():
        pytest.skip(f"no Blender: set {name} to a Python that imports bpy")
    return python


@pytest.mark.parametrize("name", ["RELUME_BPY", "RELUME_BPY5"])
@pytest.mark.parametrize(
    ("reference", "knobs"),
    [("shaded", ()), ("turned", tuple(LIT))],
)
def test_blender_lights_it_with_stock_nodes(
    name: str, reference: str, knobs: tuple[str, ...], files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "blender.exr"
    inputs = [str(files / "transport.exr"), str(files / "maps.exr"), str(out)]
    done = subprocess.run(
        [blender(name), str(GROUP), "--", *inputs, *knobs],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = convert(read(files / f"{reference}.exr").layers["relit"], "lin_rec709_scene")
    same(read(out).layers["rgba"].pixels, wanted.pixels)


def test_blender_refuses_files_of_two_colour_spaces(files: Path, tmp_path: Path) -> None:
    other = tmp_path / "maps.exr"
    maps = read(files / "maps.exr").layers
    write(other, Layers({n: replace(i, colour="lin_rec709_scene") for n, i in maps.items()}))
    done = subprocess.run(
        [
            blender("RELUME_BPY"),
            str(GROUP),
            "--",
            str(files / "transport.exr"),
            str(other),
            "x.exr",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "lin_ap1_scene and maps.exr in lin_rec709_scene" in done.stderr


# Nuke

NUKE = ("red", "green", "blue", "alpha")
SHORT = dict(zip("rgba", NUKE, strict=True))


def nodes_of(script: str) -> list[tuple[str, dict[str, str], list[int]]]:
    """Return class, knobs and inputs of each node: inputs are places in the list."""
    found: list[tuple[str, dict[str, str], list[int]]] = []
    stack: list[int] = []
    named: dict[str, int] = {}
    lines = iter(script.splitlines())
    for line in lines:
        words = line.split()
        if words[:1] == ["push"]:
            stack.append(named[words[1].removeprefix("$")])
        elif words[:1] == ["set"]:
            assert words[2:] == ["[stack", "0]"]
            named[words[1]] = stack[-1]
        elif line.endswith(" {"):
            knobs: dict[str, str] = {}
            for inner in lines:
                if inner == "}":
                    break
                name, _, value = inner.strip().partition(" ")
                if name != "addUserKnob":
                    knobs[name] = value.strip('"')
            if words[0] != "Gizmo":
                inputs = [stack.pop() for _ in range(int(knobs["inputs"]))]
                stack.append(len(found))
                found.append((words[0], knobs, inputs))
            else:
                found.append((words[0], knobs, []))
    return found


FUNCTIONS: dict[str, Any] = {
    "atan2": np.arctan2,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "abs": np.abs,
    "cos": np.cos,
    "sin": np.sin,
    "pow": np.power,
    "clamp": np.clip,
    "pi": np.pi,
}


def worked_out(
    formula: str, look: Callable[[str], Any], knobs: Mapping[str, float], given: Mapping[str, Any]
) -> Any:
    """Return the value of an expression in Nuke's syntax, of which Python's is a superset here."""

    def value(name: str) -> Any:
        if name.startswith("parent."):
            return knobs[name.removeprefix("parent.")]
        if name in given:
            return given[name]
        return FUNCTIONS[name] if name in FUNCTIONS else look(name)

    names = list(dict.fromkeys(re.findall(r"[A-Za-z_][A-Za-z_0-9]*(?:\.[a-z_]+)?", formula)))
    code = re.sub(
        r"[A-Za-z_][A-Za-z_0-9]*(?:\.[a-z_]+)?", lambda m: f"v[{names.index(m[0])}]", formula
    )
    return eval(code, {"__builtins__": {}}, {"v": [value(name) for name in names]})


def channel(image: Picture | None, name: str, shape: tuple[int, int]) -> np.ndarray:
    """Return a channel under Nuke's name; what is not there is black."""
    if image is None:
        return np.zeros(shape)
    layer, _, colour = name.rpartition(".")
    return image.get(f"{layer or 'rgba'}.{SHORT.get(colour, colour)}", np.zeros(shape))


def render(script: str, inputs: Mapping[str, Picture | None], **set: float) -> Picture:
    """Return what a gizmo makes of pictures, by the few classes of node that it uses."""
    nodes = nodes_of(script)
    assert {kind for kind, *_ in nodes} <= {
        "Gizmo", "Input", "Shuffle", "Expression", "MergeExpression", "STMap", "Switch", "Output",
    }  # fmt: skip
    head = nodes[0][1]
    knobs = {name: float(text) for name, text in head.items() if re.fullmatch(r"[-0-9.]+", text)}
    knobs |= {"part": 0.0} | {name: float(value) for name, value in set.items()}
    made: list[Picture | None] = []
    for kind, own, wires in nodes:
        got = [made[wire] for wire in wires]
        made.append(_result(kind, own, got, inputs, knobs))
    last = made[-1]
    assert last is not None
    return last


def _result(
    kind: str,
    own: Mapping[str, str],
    got: list[Picture | None],
    inputs: Mapping[str, Picture | None],
    knobs: Mapping[str, float],
) -> Picture | None:
    if kind == "Gizmo":
        return None
    if kind == "Input":
        return inputs[own["name"]]
    if kind == "Output":
        return got[0]
    if kind == "Switch":
        return got[int(worked_out(own["which"].strip("{}"), str, knobs, {}))]
    if kind == "Shuffle":
        assert got[0] is not None
        layer = [name for name in got[0] if name.startswith(own["in"] + ".")]
        assert layer, f"the picture has no layer {own['in']}"
        return {f"rgba.{to}": got[0][name] for to, name in zip(NUKE, layer, strict=False)}
    if kind == "STMap":
        assert (own["filter"], own["uv"]) == ("Impulse", "rgb")
        source, place = got
        assert source is not None
        assert place is not None
        height, width = source["rgba.red"].shape
        column = np.floor(np.float32(place["rgba.red"]) * width).astype(int)
        row = height - 1 - np.floor(np.float32(place["rgba.green"]) * height).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        return {name: np.where(inside, plane[row, column], 0) for name, plane in source.items()}
    main_input = got[0]
    assert main_input is not None
    shape = next(iter(main_input.values())).shape
    sides = {"": got[0]} if kind == "Expression" else {"B": got[0], "A": got[1]}

    def look(name: str) -> np.ndarray:
        side = "" if kind == "Expression" else name[0]
        return channel(sides[side], name.removeprefix(side), shape)

    given: dict[str, Any] = {}
    for number in range(4):
        if f"temp_name{number}" in own:
            name = own[f"temp_name{number}"]
            given[name] = worked_out(own[f"temp_expr{number}"], look, knobs, given)
    result = dict(main_input)
    for number, colour in enumerate(NUKE):
        if f"expr{number}" in own:
            value = worked_out(own[f"expr{number}"], look, knobs, given)
            # Nuke keeps pictures in float.
            result[f"rgba.{colour}"] = np.broadcast_to(np.float32(value), shape)
    return result


def in_nuke(file: Path) -> Picture:
    """Return the channels of a file by the names that Nuke gives them."""
    long = dict(zip("RGBA", NUKE, strict=True))
    return {
        f"{name}.{long.get(each, each.lower())}": image.pixels[:, :, number]
        for name, image in read(file).layers.items()
        for number, each in enumerate(image.channels)
    }


@pytest.mark.parametrize(
    ("reference", "knobs"), [("shaded", {}), ("turned", {"rotation": 130, "exposure": -1})]
)
def test_the_gizmo_says_the_same_arithmetic(
    files: Path, reference: str, knobs: dict[str, float]
) -> None:
    inputs = {
        "transport": in_nuke(files / "transport.exr"),
        "light": in_nuke(files / "maps.exr"),
        "view": None,
    }
    layers = read(files / f"{reference}.exr").layers
    for part, name in enumerate(("relit", "diffuse", "specular", "residual")):
        found = render(gizmo(), inputs, part=part, **knobs)
        same(np.dstack([found[f"rgba.{c}"] for c in NUKE[:3]]), layers[name].rgb)
        np.testing.assert_array_equal(found["rgba.alpha"], layers["matte"].take("A")[..., 0])


def test_the_gizmo_adds_the_light_of_the_plate(files: Path) -> None:
    transport = in_nuke(files / "transport.exr")
    light = in_nuke(files / "maps.exr")
    dark = {"diffuse": 0, "specular": 0, "residual": 0, "original": 0.5}
    found = render(gizmo(), {"transport": transport, "light": light, "view": None}, **dark)
    wanted = 0.5 * transport["foreground.green"] * transport["matte.alpha"]
    np.testing.assert_allclose(found["rgba.green"], wanted, rtol=1e-6)


def test_the_gizmo_knows_a_view(files: Path) -> None:
    """Straight at the camera is the same with the view wired, elsewhere it is not."""
    transport, light = in_nuke(files / "transport.exr"), in_nuke(files / "maps.exr")
    shape = transport["matte.alpha"].shape
    straight = {f"rgba.{c}": np.full(shape, v) for c, v in zip(NUKE, (0, 0, 1, 0), strict=True)}
    aside = {f"rgba.{c}": np.full(shape, v) for c, v in zip(NUKE, (0.6, 0, 0.8, 0), strict=True)}
    none, same_view, other = (
        render(gizmo(), {"transport": transport, "light": light, "view": view}, part=2)["rgba.red"]
        for view in (None, straight, aside)
    )
    np.testing.assert_array_equal(none, same_view)
    assert np.abs(none - other).max() > 0.1 * np.abs(none).max()


def test_the_beauty_is_the_sum_of_its_passes(files: Path) -> None:
    """Parts or lights, any gains, over any background; all gains at 1 are what relume rendered."""
    passes = in_nuke(files / "shaded.exr")
    rng = np.random.default_rng(3)
    shape = passes["matte.alpha"].shape
    behind = {f"rgba.{c}": rng.normal(0.5, 1, shape).astype(np.float32) for c in NUKE}
    for number in (1, 2, 3):
        for c in NUKE[:3]:
            passes[f"relit_light{number}.{c}"] = rng.normal(0, 9, shape).astype(np.float32)
    beauty = beauty_gizmo.gizmo()
    empty = {name: np.zeros(shape, np.float32) for name in behind}
    whole = render(beauty, {"passes": passes, "background": empty}, mode=0)
    for c in NUKE:
        np.testing.assert_allclose(whole[f"rgba.{c}"], passes[f"relit.{c}"], atol=2e-5, rtol=1e-5)
    gains = {"diffuse": 0.5, "specular": 3.0, "residual": -1.0}
    graded = render(beauty, {"passes": passes, "background": behind}, mode=0, **gains)
    left = 1 - passes["matte.alpha"]
    for c in NUKE[:3]:
        wanted = sum(gain * passes[f"{part}.{c}"] for part, gain in gains.items())
        wanted = wanted + left * behind[f"rgba.{c}"]
        np.testing.assert_allclose(graded[f"rgba.{c}"], wanted, rtol=1e-4, atol=1e-5)
    lights = {"gain_a": 2.0, "gain_b": 0.0, "gain_c": 0.25}
    desk = render(beauty, {"passes": passes, "background": behind}, mode=1, **lights)
    for c in NUKE[:3]:
        wanted = 2 * passes[f"relit_light1.{c}"] + 0.25 * passes[f"relit_light3.{c}"]
        wanted = wanted + left * behind[f"rgba.{c}"]
        np.testing.assert_allclose(desk[f"rgba.{c}"], wanted, rtol=1e-4, atol=1e-5)
    alpha = passes["matte.alpha"] + left * behind["rgba.alpha"]
    np.testing.assert_allclose(desk["rgba.alpha"], alpha, rtol=1e-5)
