"""Light groups: any number of lights, a pass each, and no network for a change of light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.cache import MemoryCache
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.image import DATA, Image
from relume.light.types import OriginalLight as Original
from relume.media.write import write
from relume.nodes.recipes import Backdrop, Lighting, Plate, relight_graph
from relume.nodes.registry import REGISTRY
from relume.nodes.relight import Relight
from relume.shading.phong import phong_transport

LIGHTS = {
    "key": "rig:rembrandt",
    "rim": {"preset": "rim", "key_azimuth": 20.0},
    "sky": "sky.exr",
    "original": "original",
}
NETWORKS = {name for name, node in REGISTRY.items() if node.weights}


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A small plate with a matte, under four lights of every kind, over a picture."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[0:48, 0:64] + 0.5) / 48 - 0.5
    alpha = np.float32(x * x * 0.6 + y * y < 0.12)[..., None]
    rgb = tuple("RGB")
    write("plate.exr", {"rgba": Image(rng.uniform(0.1, 0.5, (48, 64, 3)).astype("f4"), rgb)})
    write("matte.exr", {"matte": Image(alpha, ("A",), colour=DATA)})
    write("sky.exr", {"rgba": Image(rng.lognormal(0, 1, (16, 32, 3)).astype("f4"), rgb)})
    made = relight_graph(
        Plate("plate.exr", matte="matte.exr"),
        Lighting(LIGHTS, {"exposure": 0.5}, {"rim": {"gain": [0.2, 0.4, 0.8], "rotate": 40.0}}),
        "out.exr",
        Backdrop("plate.exr"),
    )
    made.check(REGISTRY)
    return made


def passes_of(graph: Graph, cache: MemoryCache) -> tuple[Any, set[str]]:
    """Return the passes of a graph, and the nodes that had to run for them."""
    evaluator = Evaluator(graph, REGISTRY, Settings(Shot(1, 1), threads=1), caches=[cache])
    passes = evaluator.evaluate("relight.passes", 1)
    return passes, set(evaluator.computed)


CHANGES = ("key_light.gain=2", "rim_light.rotate=70", "sky_light.blur=8", "sky_light.exposure=3",
           "original_light.gain=0.1", "relight.gloss=1.5", "relight.original=0",
           "relight.residual_gain=0.2")  # fmt: skip


@pytest.mark.usefixtures("weights")
def test_no_change_of_light_or_look_runs_a_network(graph: Graph):
    cache = MemoryCache()
    _, ran = passes_of(graph, cache)
    assert {graph.nodes[name].type for name in ran} >= {"normals", "albedo", "transport"}
    for change in CHANGES:
        target, _, value = change.partition("=")
        graph.set(target, value, REGISTRY)
        _, ran = passes_of(graph, cache)
        assert ran == {target.partition(".")[0], "relight"}, change
        assert not {graph.nodes[name].type for name in ran} & NETWORKS


@pytest.mark.usefixtures("weights")
def test_a_pass_each_that_only_its_own_gain_changes(graph: Graph):
    cache = MemoryCache()
    before, _ = passes_of(graph, cache)
    graph.set("rim_light.gain", "0.4,0.8,1.6", REGISTRY)
    after, _ = passes_of(graph, cache)
    for name in LIGHTS:
        factor = 2 if name == "rim" else 1
        np.testing.assert_array_equal(
            after[f"relit_{name}"].pixels, factor * before[f"relit_{name}"].pixels
        )
    groups = sum(after[f"relit_{name}"].pixels.astype(np.float64) for name in LIGHTS)
    beauty = sum(after[name].pixels for name in ("diffuse", "specular", "residual"))
    np.testing.assert_allclose(groups, beauty, atol=1e-5 * np.abs(beauty).max(), rtol=0)


def test_adjustments_for_all_and_for_one(graph: Graph):
    assert graph.nodes["key_light"].knobs == {"exposure": 0.5}
    assert graph.nodes["rim_light"].knobs == {
        "exposure": 0.5, "gain": [0.2, 0.4, 0.8], "rotate": 40.0,
    }  # fmt: skip
    again = Graph.from_json(graph.to_json(REGISTRY), REGISTRY)
    assert again.nodes["rim_light"].knobs == graph.nodes["rim_light"].knobs


class Hears:
    """A context that remembers what it is told."""

    threads = 1

    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(("limit", "speaks"), [(30.0, True), (179.0, False), (180.0, False)])
def test_the_skin_guard_speaks_and_changes_nothing(limit: float, speaks: bool):
    skin = np.broadcast_to(np.float32((0.62, 0.5, 0.42)), (8, 8, 3))
    rgb = tuple("RGB")
    transport = phong_transport(
        Image(skin * np.float32([0.6, 1.0, 0.7]), rgb),
        Image(np.ones((8, 8, 1), np.float32), ("A",), colour=DATA),
        Image(np.broadcast_to(np.float32((0, 0, 1)), (8, 8, 3)), ("X", "Y", "Z"), colour=DATA),
        Image(skin, rgb),
    )
    warm = Original(gain=np.float32([2.0, 0.8, 1.0]))
    hears = Hears()
    found = Relight("relight", {"skin_hue_limit": limit}).compute(
        hears,
        transport=transport,
        lights={"original": warm},  # type: ignore[arg-type]
    )
    assert any("hue of skin" in text for text in hears.said) is speaks
    np.testing.assert_allclose(found.relit.rgb, skin * np.float32([1.2, 0.8, 0.7]), rtol=1e-5)
