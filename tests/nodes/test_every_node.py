"""What every node promises: a complete declaration, and pixels that are never clamped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relume.evaluate import Context, Settings
from relume.frames import Shot
from relume.geometry.camera import Camera
from relume.image import Box, Image, Layers
from relume.knobs import Knob, OutputFile
from relume.light.prefilter import prefilter
from relume.light.types import Environment, Light, LightMaps
from relume.node import In, Many, Node, Port
from relume.nodes.registry import REGISTRY
from relume.render import Deliverable
from relume.shading.phong import phong_transport
from relume.shading.types import Transport

EVERY = pytest.mark.parametrize("cls", REGISTRY.values(), ids=list(REGISTRY))
SIZES = {"square": (24, 24), "odd": (37, 53), "one pixel": (1, 1), "a row": (1, 40)}
LOW, HIGH = -5.0, 1e4


@EVERY
def test_the_declaration_is_complete(cls: type[Node]):
    assert cls.doc().splitlines()[0].endswith("."), "the first line is a sentence"
    assert cls.version >= 1
    assert cls.category
    assert cls.outputs()
    for name, member in cls.members(Knob).items() | cls.members(Port).items():
        assert member.doc.endswith("."), f"{name} needs a sentence"
    for name, knob in cls.knobs().items():
        if not isinstance(knob, OutputFile):
            assert knob.check(knob.json(knob.default)) == knob.default, name


@EVERY
def test_the_schema_is_json_and_makes_the_node(cls: type[Node]):
    import json

    schema = json.loads(json.dumps(cls.schema()))
    node = cls("n", {k: v["default"] for k, v in schema["knobs"].items()})
    assert dict(node.values) == dict(cls("n").values)


class Scene:
    """A subject that fills the middle of a picture, with extreme values in and around it."""

    def __init__(self, height: int, width: int) -> None:
        rng = np.random.default_rng(5)
        rgb = rng.lognormal(-1.5, 1.0, (height, width, 3)).astype(np.float32)
        flat = rgb.reshape(-1, 3)
        flat[0] = HIGH
        flat[-1] = LOW
        y, x = np.mgrid[0:height, 0:width]
        radius = np.hypot((y - (height - 1) / 2) / height, (x - (width - 1) / 2) / width)
        alpha = np.clip((0.45 - radius) * 8, 0, 1).astype(np.float32)[..., None]
        # A data window that is not the display window.
        self.windows: dict[str, Any] = {
            "data": Box(7, -3, 7 + width, -3 + height),
            "display": Box(0, 0, width + 20, height + 9),
            "metadata": {"owner": "test"},
        }
        self.plate = Image(rgb, ("R", "G", "B"), **self.windows)
        self.matte = Image(alpha, ("A",), colour="data", **self.windows)
        self.rgba = Image(
            np.concatenate((rgb * alpha, alpha), 2),
            ("R", "G", "B", "A"),
            alpha="premultiplied",
            **self.windows,
        )
        normals = np.dstack((x / width - 0.5, 0.5 - y / height, np.ones_like(x)))
        normals = normals / np.linalg.norm(normals, axis=2, keepdims=True)
        self.normals = Image(
            np.where(alpha > 0, normals, 0).astype(np.float32),
            ("X", "Y", "Z"),
            colour="data",
            **self.windows,
        )
        light = rng.lognormal(0, 1, (16, 32, 3)).astype(np.float32)
        light[3, 5] = 1e5
        self.environment = Environment(Image(light, ("R", "G", "B")))

    def value(self, port: In) -> Any:
        """Return what a port of this name and type takes."""
        by_name = {
            "matte": self.matte,
            "guide": self.matte,
            "keep": None,
            "reject": None,
            "normals": self.normals,
            "foreground": self.rgba if port.optional else self.plate,
        }
        if port.name in by_name:
            return by_name[port.name]
        for kind, make in (
            (Image, lambda: self.plate),
            (float, lambda: 0.5),
            (Environment, lambda: self.environment),
            (LightMaps, lambda: prefilter(self.environment, height=16)),
            (Light, lambda: prefilter(self.environment, height=16)),
            (Camera, lambda: None),
            (Transport, self.transport),
            (Layers, lambda: Layers({"rgba": self.rgba})),
        ):
            if any(issubclass(t, kind) for t in port.types):
                return make()
        raise AssertionError(f"no example of {port.type_name}")

    def transport(self) -> Transport:
        return phong_transport(self.plate, self.matte, self.normals, self.plate)

    def inputs(self, cls: type[Node]) -> dict[str, Any]:
        values = {name: self.value(port) for name, port in cls.inputs().items()}
        if "image" in values:
            values["image"] = self.rgba
        if cls.id in ("over", "light_wrap"):
            values["foreground"] = self.rgba
        for name, port in cls.inputs().items():
            if port.is_window and port.frames != "first":
                values[name] = (values[name],) * (port.frames[1] - port.frames[0] + 1)
        many = {n for n, p in cls.inputs().items() if isinstance(p, Many)}
        return {n: {"one": v} if n in many else v for n, v in values.items()}


def context() -> Context:
    return Context(
        frame=1,
        settings=Settings(Shot(1, 1), threads=1),
        node="n",
        working_space="lin_ap1_scene",
        externals={"s": Scene(5, 5).plate},
    )


def run(cls: type[Node], scene: Scene, **knobs: Any) -> tuple[Any, ...]:
    result = cls("n", knobs).compute(context(), **scene.inputs(cls))
    return tuple(result) if len(cls.outputs()) > 1 else (result,)


def images(values: Any) -> list[Image]:
    """Return every image in a result."""
    if isinstance(values, Image):
        return [values]
    if isinstance(values, Deliverable):
        return images(values.layers)
    if isinstance(values, Environment):
        return [values.image]
    if isinstance(values, dict | Layers):
        return [image for value in values.values() for image in images(value)]
    if isinstance(values, Transport):
        return [values.foreground, values.matte, values.normals, values.albedo]
    if isinstance(values, tuple):
        return [image for value in values for image in images(value)]
    return []


FROM_FILES = {"onnx_matte", "read", "read_environment", "read_matte", "read_transport"}
KNOBS: dict[str, dict[str, Any]] = {
    "crop": {"x": 7, "y": -3, "width": 999, "height": 999},
    "reformat": {"width": 61, "height": 33},
    "input": {"serial": "s"},
    "light_rig": {},
}
COMPUTED = pytest.mark.parametrize(
    "cls", [c for i, c in REGISTRY.items() if i not in FROM_FILES], ids=str
)


@pytest.mark.parametrize("size", SIZES)
@COMPUTED
def test_extreme_values_odd_sizes_and_windows_pass(cls: type[Node], size: str):
    scene = Scene(*SIZES[size])
    result = run(cls, scene, **KNOBS.get(cls.id, {}))
    for image in images(result):
        assert image.pixels.dtype == np.float32
        assert np.isfinite(image.pixels).all()
        if cls.id not in KNOBS and "plate" in cls.inputs() | {"plate": 0} and image.metadata:
            assert image.display == scene.windows["display"]
            assert image.data == scene.windows["data"]


CARRIES = ["adjust_light", "colour_space", "crop", "defocus", "foreground", "grade",
           "light_wrap", "match_grain", "match_levels", "original_light", "over", "phong",
           "premult", "reformat", "relight", "shuffle", "unpremult", "write"]  # fmt: skip


@pytest.mark.parametrize("id", CARRIES)
def test_values_far_outside_0_to_1_survive(id: str):
    scene = Scene(24, 24)
    solid = np.ones_like(scene.matte.pixels)
    scene.matte = scene.matte.like(solid)
    scene.rgba = scene.rgba.like(np.concatenate((scene.plate.pixels, solid), 2))
    scene.normals = scene.normals.like(
        np.broadcast_to(np.float32([0, 0, 1]), scene.plate.pixels.shape)
    )
    found = images(run(REGISTRY[id], scene, **KNOBS.get(id, {})))
    if found:
        assert max(float(image.pixels.max()) for image in found) > 0.5 * HIGH
        assert min(float(image.pixels.min()) for image in found) < 0.5 * LOW


def test_no_two_nodes_share_a_name():
    assert len({cls.__name__ for cls in REGISTRY.values()}) == len(REGISTRY)


def test_knobs_of_a_scene_are_real():
    assert set(KNOBS) | FROM_FILES | set(CARRIES) <= set(REGISTRY)
    assert replace(Scene(1, 1).plate) is not None
