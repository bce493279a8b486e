"""A subject joined with its background over time: measured once a shot, the same bits always."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from relume.context import Context
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.image import DATA, Image, Layers
from relume.media.write import write
from relume.nodes.match_grain import MatchGrain
from relume.nodes.match_levels import MatchLevels
from relume.nodes.over import Over
from relume.nodes.premult import Premult
from relume.nodes.read import Read
from relume.nodes.read_matte import ReadMatte
from relume.nodes.recipes.integration import Integration
from relume.nodes.registry import REGISTRY
from relume.nodes.shuffle import Shuffle

SHOT = Shot(1001, 1004)
RGB = ("R", "G", "B")
SIZE = (96, 128)


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """A cut-out before a grainy background that becomes darker from frame to frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    alpha = np.float32(np.clip(20 - np.hypot(x - 64, y - 48), 0, 1))[..., None]
    write(tmp_path / "matte.exr", {"matte": Image(alpha, ("A",), colour=DATA)}, depth="float")
    front = np.float32((0.4, 0.3, 0.2)) + rng.normal(0, 0.002, (*SIZE, 3))
    write(tmp_path / "front.exr", {"rgba": Image(np.float32(front), RGB)}, depth="float")
    for frame in range(SHOT.first, SHOT.last + 1):
        level = (0.2 + 0.5 * x / SIZE[1])[..., None] * (SHOT.last + 1 - frame) / 4 + 0.05
        grainy = level * np.float32((0.9, 1, 1.2)) + rng.normal(0, 0.02, (*SIZE, 3))
        name = tmp_path / f"back.{frame}.exr"
        write(name, {"rgba": Image(np.float32(grainy), RGB)}, depth="float")
    made = Graph()
    made.add("front", Read, {"file": str(tmp_path / "front.exr")})
    made.add("matte", ReadMatte, {"file": str(tmp_path / "matte.exr")})
    made.add("back", Read, {"file": str(tmp_path / "back.####.exr")})
    rgba = {"sources": ["R", "G", "B", "b.A"], "names": ["R", "G", "B", "A"]}
    made.add("straight", Shuffle, rgba, image="front", b="matte")
    made.add("cut", Premult, image="straight")
    join = Integration(levels={}, wrap={"radius": 6.0}, grain={"mode": "replace"})
    subject = join.add(made, "cut", "passes", "back", 1)
    # There is no light to wire here.
    wires = made.nodes["levels"].inputs
    made.nodes["levels"].inputs = {k: v for k, v in wires.items() if k != "light"}
    made.add("over", Over, foreground=subject, background="back")
    made.check(REGISTRY)
    return made


def rendered(graph: Graph, frames: Iterable[int], threads: int = 1) -> dict[int, np.ndarray]:
    """Return frames as one process renders them."""
    evaluator = Evaluator(graph, REGISTRY, Settings(SHOT, threads=threads))
    return {frame: evaluator.evaluate("over", frame).pixels for frame in frames}


def test_the_same_bits_whatever_part_of_the_shot_is_rendered(graph: Graph):
    whole = rendered(graph, [1001, 1002, 1003, 1004])
    parts = rendered(graph, [1004], threads=3) | rendered(graph, [1002, 1001])
    for frame, pixels in parts.items():
        np.testing.assert_array_equal(pixels, whole[frame])


def test_the_levels_are_those_of_the_first_frame(graph: Graph):
    evaluator = Evaluator(graph, REGISTRY, Settings(SHOT, threads=1))
    first, last = (evaluator.evaluate("levels", frame).pixels for frame in (1001, 1004))
    np.testing.assert_array_equal(first, last)
    assert not np.array_equal(first, evaluator.evaluate("cut", 1001).pixels)


def test_grain_moves_unless_the_background_is_a_still(graph: Graph):
    def laid(frame: int) -> np.ndarray:
        evaluator = Evaluator(graph, REGISTRY, Settings(SHOT, threads=1))
        grain, wrap = (evaluator.evaluate(name, frame).pixels for name in ("grain", "wrap"))
        return np.asarray(grain - wrap)[36:60, 52:76, :3].reshape(-1)

    assert abs(np.corrcoef(laid(1001), laid(1002))[0, 1]) < 0.1
    assert laid(1001).std() == pytest.approx(0.02, rel=0.15)
    graph.set("grain.moving", "false", REGISTRY)
    assert np.corrcoef(laid(1001), laid(1002))[0, 1] > 0.9


def notices(node: MatchLevels | MatchGrain, **inputs: object) -> tuple[Image, list[str]]:
    """Return what a node makes of inputs, and what it says."""
    said: list[str] = []
    context = Context(
        frame=1,
        settings=Settings(Shot(1, 1), threads=1),
        node="n",
        working_space="lin_ap1_scene",
        on_notice=lambda node, frame, text: said.append(text),
    )
    return node.compute(context, **inputs), said


def test_what_cannot_be_measured_is_said_and_nothing_is_changed():
    nobody = Image(np.zeros((32, 32, 4), np.float32), (*RGB, "A"), alpha="premultiplied")
    flat = Image(np.full((32, 32, 3), 0.5, np.float32), RGB)
    found, said = notices(
        MatchLevels("n"), image=nobody, sample=nobody, background=flat, light=None
    )
    assert found is nobody
    assert "too little of the picture" in said[0]
    found, said = notices(MatchGrain("n"), image=flat, background=flat, sample=None)
    assert found is flat
    assert "no grain" in said[0]


def test_the_light_on_the_subject_is_what_white_looks_like():
    rng = np.random.default_rng(1)
    colour = rng.uniform(0.1, 0.5, (32, 32, 3)).astype(np.float32)
    solid = Image(np.concatenate((colour, np.ones((32, 32, 1))), 2), (*RGB, "A"))
    warm = np.broadcast_to(np.float32((2.0, 1.0, 0.5)), (32, 32, 3))
    passes = Layers({"diffuse_light": Image(warm, RGB)})
    behind = Image(rng.uniform(0, 1, (64, 64, 3)).astype(np.float32), RGB)
    node = MatchLevels("n", {"black": 0.0, "white": 1.0})
    found, said = notices(node, image=solid, sample=solid, background=behind, light=passes)
    assert not said
    gain = (found.rgb / colour)[0, 0]
    # The background is grey on the mean, so the warm light is taken back.
    np.testing.assert_allclose(gain / gain[1], (0.5, 1.0, 2.0), rtol=0.1)
