"""Evaluation: what runs, how often, on which frames, and how it fails, reports and stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.cache import DiskCache, MemoryCache
from relume.encoding import NETWORK_SPACE
from relume.errors import Cancelled, InputError, NodeFailed, UsageError
from relume.evaluate import Context, Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.image import DATA, Image, Layers
from relume.knobs import File, Float, Text
from relume.light.types import Environment
from relume.node import In, Many, Node, Out, Registry


class Constant(Node):
    id, version, category = "constant", 1, "Test"
    out = Out(float, "The value.")
    value = Float(1.0, "The value.")

    def compute(self, ctx: Context) -> float:
        return self.value


class FrameNumber(Node):
    """The frame; 1003 is a missing plate."""

    id, version, category = "frame_number", 1, "Test"
    uses_frame = True
    out = Out(float, "The frame.")

    def compute(self, ctx: Context) -> float:
        if ctx.frame == 1003:
            raise InputError("the plate is missing", way_out="Render it again")
        return float(ctx.frame)


class Add(Node):
    id, version, category = "add", 1, "Test"
    a = In(float, "One.")
    b = In(float, "Another.", optional=True)
    out = Out(float, "The sum.")

    def compute(self, ctx: Context, a: float, b: float | None) -> float:
        ctx.progress(0.5)
        return a + (b or 0.0)


class Window(Node):
    id, version, category = "window", 1, "Test"
    past = In(float, "Five frames.", frames=(-4, 0))
    start = In(float, "The first frame.", frames="first", optional=True)
    out = Out(tuple, "What arrived.")

    def compute(self, ctx: Context, past: tuple[float, ...], start: float | None) -> Any:
        return past, start


class Around(Node):
    id, version, category = "around", 1, "Test"
    many = Many(float, "Three frames of each.", frames=(-1, 1), optional=True)
    out = Out(dict, "What arrived.")

    def compute(self, ctx: Context, many: Mapping[str, tuple[float, ...]]) -> Any:
        return dict(many)


class Halves(NamedTuple):
    second: float
    first: float


class Split(Node):
    """The fields of its result stand in another order than its ports."""

    id, version, category = "split", 1, "Test"
    value = In(float, "The value.")
    first = Out(float, "A quarter.")
    second = Out(float, "The rest.")

    def compute(self, ctx: Context, value: float) -> Halves:
        return Halves(first=value / 4, second=value * 3 / 4)


class Fail(Node):
    id, version, category = "fail", 1, "Test"
    value = In(float, "Anything.", optional=True)
    out = Out(float, "Nothing.")
    kind = Text("", "What goes wrong.")

    def compute(self, ctx: Context, value: float | None) -> float:
        if self.kind == "input":
            try:
                raise OSError(5, "Input/output error")
            except OSError as error:
                raise InputError("cannot read", file="a.exr") from error
        if self.kind == "memory":
            raise MemoryError
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        if self.kind == "silent":
            raise AssertionError
        raise ZeroDivisionError("divided\nby zero")


class Picture(Node):
    id, version, category = "picture", 1, "Test"
    image = Out(Image, "A pixel.")
    colour = Text("lin_ap1_scene", "Its colour.")

    def compute(self, ctx: Context) -> Image:
        pixel = np.float32([[[0.25, 0.25, 0.25, 0.5]]])
        return Image(pixel, ("R", "G", "B", "A"), self.colour, "premultiplied")


class Wrap(Node):
    id, version, category = "wrap", 1, "Test"
    image = In(Image, "A picture.", colour="any")
    environment = Out(Environment, "As an environment.")
    layers = Out(Layers, "As layers, with one of data.")

    def compute(self, ctx: Context, image: Image) -> Any:
        class Result(NamedTuple):
            environment: Environment
            layers: Layers

        wide = Image(np.repeat(image.pixels, 2, axis=1), image.channels, image.colour)
        data = replace(image, colour=DATA)
        return Result(Environment(wide), Layers({"rgba": image, "matte": data}))


class Look(Node):
    """Hand on what arrived at each kind of port."""

    id, version, category = "look", 1, "Test"
    linear = In((Image, Environment, Layers), "In the working space.")
    data = In((Image, Environment, Layers), "Stored numbers.", colour="data", optional=True)
    any = In((Image, Environment, Layers), "As it comes.", colour="any", optional=True)
    network = In((Image, Environment, Layers), "For networks.", colour="network", optional=True)
    out = Out(dict, "What arrived.")

    def compute(self, ctx: Context, **inputs: Any) -> Any:
        return inputs


class Gather(Node):
    id, version, category = "gather", 1, "Test"
    many = Many(Image, "Pictures.")
    out = Out(dict, "What arrived.")

    def compute(self, ctx: Context, many: Mapping[str, Image]) -> Any:
        return dict(many)


class Ask(Node):
    """Hand on what the context knows."""

    id, version, category = "ask", 1, "Test"
    out = Out(Context, "The context.")

    def compute(self, ctx: Context) -> Context:
        ctx.notice("look here")
        return ctx


class ReadSize(Node):
    id, version, category = "read_size", 1, "Test"
    out = Out(float, "Bytes of the file.")
    file = File("", "A file or a sequence.")

    def compute(self, ctx: Context) -> float:
        return float(Path(self.files(ctx.frame)[0]).stat().st_size)


REGISTRY = Registry(
    [
        Constant,
        FrameNumber,
        Add,
        Window,
        Around,
        Split,
        Fail,
        Picture,
        Wrap,
        Look,
        Gather,
        Ask,
        ReadSize,
    ]
)
SHOT = Shot(1001, 1010)


def evaluator(graph: Graph, **options: Any) -> Evaluator:
    graph.check(REGISTRY)
    return Evaluator(graph, REGISTRY, Settings(SHOT, threads=1), **options)


def diamond() -> Graph:
    graph = Graph()
    graph.add("source", Constant, {"value": 2.0})
    graph.add("left", Add, a="source.out")
    graph.add("right", Add, a="source", b="left")
    graph.add("sum", Add, a="left.out", b="right.out")
    return graph


ONCE = {"source": 1, "left": 1, "right": 1, "sum": 1}


# What runs, and how often.


def test_a_graph_computes_and_nothing_runs_twice():
    run = evaluator(diamond())
    assert run.evaluate("sum.out", 1001) == 6.0
    assert run.computed == ONCE
    assert [run.evaluate("sum", frame) for frame in range(1001, 1101)] == [6.0] * 100
    assert run.evaluate("right.out", 1001) == 4.0
    assert run.computed == ONCE
    assert run.seconds.keys() == ONCE.keys()


@pytest.mark.parametrize("caches", [[], [MemoryCache(limit=0)]], ids=["none", "too small"])
def test_within_a_request_nothing_runs_twice_whatever_the_cache_holds(caches):
    run = evaluator(diamond(), caches=caches)
    run.evaluate("sum", 1001)
    assert run.computed == ONCE
    run.evaluate("sum", 1001)
    assert run.computed == dict.fromkeys(ONCE, 2)


def test_what_is_kept_needs_no_inputs():
    run = evaluator(diamond())
    run.evaluate("sum", 1001)
    kept = run.caches[0].get(run.key("sum", 1001))
    other = evaluator(diamond(), caches=[MemoryCache()])
    other.caches[0].put(other.key("sum", 1001), kept)
    assert other.evaluate("sum", 1001) == 6.0
    assert other.computed == {}


def test_a_second_cache_feeds_the_first_and_another_evaluator(tmp_path):
    disk = DiskCache(tmp_path / "cache", {})
    evaluator(diamond(), caches=[MemoryCache(), disk]).evaluate("sum", 1001)
    fast = MemoryCache()
    run = evaluator(diamond(), caches=[fast, disk])
    assert run.evaluate("sum", 1001) == 6.0
    assert run.computed == {}
    assert fast.get(run.key("sum", 1001)) == (6.0,)


def test_nodes_that_are_alike_share_a_result():
    graph = Graph()
    graph.add("a", Constant)
    graph.add("b", Constant)
    graph.add("sum", Add, a="a", b="b")
    run = evaluator(graph)
    assert run.evaluate("sum", 1001) == 2.0
    assert sum(run.computed.values()) == 2


def test_only_what_depends_on_the_frame_runs_again():
    graph = diamond()
    graph.add("frame", FrameNumber)
    graph.add("moving", Add, a="sum", b="frame")
    run = evaluator(graph)
    assert [run.evaluate("moving", frame) for frame in (1001, 1002, 1001)] == [1007, 1008, 1007]
    assert run.computed == ONCE | {"frame": 2, "moving": 2}


def test_animated_knobs_are_taken_at_the_frame():
    graph = Graph()
    graph.add("ramp", Constant, {"value": {"keys": [[1001, 0.0], [1005, 4.0]]}})
    run = evaluator(graph)
    values = [run.evaluate("ramp", frame) for frame in (1001, 1004, 1005, 1006, 1010)]
    assert values == [0.0, 3.0, 4.0, 4.0, 4.0]
    assert run.computed == {"ramp": 3}


def test_a_chain_longer_than_the_stack_of_python():
    graph = Graph()
    graph.add("n0", Constant)
    for index in range(1, 1500):
        graph.add(f"n{index}", Add, a=f"n{index - 1}")
    assert evaluator(graph).evaluate("n1499", 1001) == 1.0


def test_a_circle_in_an_unchecked_graph_ends_in_an_error():
    graph = Graph()
    graph.add("a", Add, a="b.out")
    graph.add("b", Window, past="a.out")
    run = Evaluator(graph, REGISTRY, Settings(SHOT))
    with pytest.raises(UsageError, match="circle"):
        run.evaluate("a", 1005)


def test_outputs_are_taken_by_name():
    graph = Graph()
    graph.add("four", Constant, {"value": 4.0})
    graph.add("split", Split, value="four")
    graph.add("minus", Add, a="split.second", b="split.first")
    run = evaluator(graph)
    assert (run.evaluate("split.first", 1), run.evaluate("split.second", 1)) == (1.0, 3.0)
    assert run.evaluate("minus", 1) == 4.0
    assert run.computed["split"] == 1


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("sun", "no node 'sun'"),
        ("sum.image", "node sum: there is no output 'image'"),
        ("split", "several outputs: first, second.*'split.first'"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_runs(reference, message):
    graph = diamond()
    graph.add("split", Split, value="sum")
    run = evaluator(graph)
    with pytest.raises(UsageError, match=message):
        run.evaluate(reference, 1001)
    assert run.computed == {}


# Frames.


def windows() -> Graph:
    graph = Graph()
    graph.add("frame", FrameNumber)
    graph.add("still", Constant)
    graph.add("window", Window, past="frame", start="frame")
    graph.add("held", Window, past="still")
    graph.add("around", Around, many={"z": "still", "a": "frame"})
    return graph


@pytest.mark.parametrize(
    ("frame", "past"),
    [
        (1001, (1001, 1001, 1001, 1001, 1001)),
        (1002, (1001, 1001, 1001, 1001, 1002)),
        (1008, (1004, 1005, 1006, 1007, 1008)),
        (1010, (1006, 1007, 1008, 1009, 1010)),
    ],
)
def test_a_window_is_clamped_to_the_shot_whatever_is_rendered(frame, past):
    assert evaluator(windows()).evaluate("window", frame) == (past, 1001)


def test_a_window_shares_its_frames_with_the_next():
    run = evaluator(windows())
    for frame in (1008, 1009, 1010):
        run.evaluate("window", frame)
    assert run.computed == {"frame": 8, "window": 3}  # 1001 and 1004 to 1010


def test_a_window_over_what_never_changes_is_one_result():
    run = evaluator(windows())
    assert run.evaluate("held", 1005) == ((1.0,) * 5, None)
    run.evaluate("held", 1010)
    assert run.computed == {"still": 1, "held": 1}


def test_windows_on_a_port_for_many_keep_names_order_and_frames():
    arrived = evaluator(windows()).evaluate("around", 1010)
    assert arrived == {"z": (1.0, 1.0, 1.0), "a": (1009.0, 1010.0, 1010.0)}
    assert list(arrived) == ["z", "a"]
    graph = Graph()
    graph.add("around", Around)
    assert evaluator(graph).evaluate("around", 1005) == {}


@settings(max_examples=20)
@given(st.permutations(range(1004, 1011)))
def test_the_order_of_frames_and_an_empty_cache_change_nothing(frames):
    run, alone = evaluator(windows()), evaluator(windows(), caches=[])
    for frame in (frame for frame in frames if frame > 1007):
        assert run.evaluate("window", frame) == alone.evaluate("window", frame)


@pytest.mark.parametrize("frame", [1003, 1004, 1007])
def test_a_missing_frame_in_the_window_fails_that_frame(frame):
    run = evaluator(windows())
    with pytest.raises(InputError, match="node frame, frame 1003: the plate is missing") as caught:
        run.evaluate("window", frame)
    assert (caught.value.node, caught.value.frame) == ("frame", 1003)
    assert run.evaluate("window", 1002)[0][-1] == 1002
    assert run.evaluate("window", 1008)[0][0] == 1004


def test_a_missing_file_in_the_window_is_found_without_computing(tmp_path):
    for frame in (1001, 1002, 1004):
        (tmp_path / f"plate.{frame}.exr").write_bytes(b"x" * frame)
    graph = Graph()
    graph.add("plate", ReadSize, {"file": str(tmp_path / "plate.####.exr")})
    graph.add("window", Window, past="plate")
    run = evaluator(graph)
    with pytest.raises(InputError, match=r"node plate, frame 1003.*plate\.1003\.exr") as caught:
        run.evaluate("window", 1004)
    assert caught.value.exit_code == 3
    assert run.computed == {}
    assert run.evaluate("window", 1002)[0] == (1001, 1001, 1001, 1001, 1002)


# Errors.


def failing(kind: str) -> Evaluator:
    graph = Graph()
    graph.add("good", Constant)
    graph.add("bad", Fail, {"kind": kind}, value="good")
    graph.add("after", Add, a="bad")
    return evaluator(graph)


def test_an_unforeseen_exception_becomes_an_error_with_node_and_frame_and_its_cause():
    with pytest.raises(NodeFailed) as caught:
        failing("").evaluate("after", 1005)
    assert (caught.value.node, caught.value.frame, caught.value.exit_code) == ("bad", 1005, 4)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert str(caught.value) == (
        "node bad, frame 1005: ZeroDivisionError: divided. "
        "This is a fault in relume; --debug shows where."
    )
    with pytest.raises(NodeFailed, match="frame 1: AssertionError\\. This"):
        failing("silent").evaluate("after", 1)


def test_a_foreseen_error_keeps_its_kind_its_cause_and_gains_node_and_frame():
    with pytest.raises(InputError, match=r"node bad, frame 1005, a\.exr: cannot read") as caught:
        failing("input").evaluate("after", 1005)
    assert isinstance(caught.value.__cause__, OSError)
    assert (caught.value.node, caught.value.frame) == ("bad", 1005)


def test_a_lack_of_memory_has_a_way_out():
    with pytest.raises(NodeFailed, match=r"not enough memory.*--proxy") as caught:
        failing("memory").evaluate("after", 1005)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_an_interrupt_is_no_failure_of_a_node():
    with pytest.raises(KeyboardInterrupt):
        failing("interrupt").evaluate("after", 1005)


def test_what_failed_is_not_kept_and_what_was_done_is():
    run = failing("")
    for _ in range(2):
        with pytest.raises(NodeFailed):
            run.evaluate("after", 1001)
    assert run.computed == {"good": 1}


# Progress, cancel, notices.


def test_progress_comes_in_order_and_not_for_what_is_kept():
    calls: list[tuple[str, int, float]] = []
    run = evaluator(diamond(), on_progress=lambda *call: calls.append(call))
    run.evaluate("sum", 1001)
    expected = [("source", 1001, 0.0), ("source", 1001, 1.0)]
    for name in ("left", "right", "sum"):
        expected += [(name, 1001, fraction) for fraction in (0.0, 0.5, 1.0)]
    assert calls == expected
    run.evaluate("sum", 1002)
    assert calls == expected


def test_progress_of_a_window_tells_the_frame_that_is_computed():
    calls: list[tuple[str, int, float]] = []
    run = evaluator(windows(), on_progress=lambda *call: calls.append(call))
    run.evaluate("window", 1008)
    done = [call[:2] for call in calls if call[2] == 1.0]
    assert done == [("frame", frame) for frame in (1004, 1005, 1006, 1007, 1008, 1001)] + [
        ("window", 1008)
    ]


def test_cancel_stops_in_the_middle_and_keeps_what_was_done():
    asked: list[str] = []
    stop = ["right"]

    def on_progress(name: str, frame: int, fraction: float) -> None:
        asked.append(name)

    run = evaluator(
        diamond(), on_progress=on_progress, is_cancelled=lambda: bool(asked) and asked[-1] in stop
    )
    with pytest.raises(Cancelled, match="node right, frame 1001: cancelled") as caught:
        run.evaluate("sum", 1001)
    assert caught.value.exit_code == 130
    assert run.computed == {"source": 1, "left": 1}
    stop.clear()
    assert run.evaluate("sum", 1001) == 6.0
    assert run.computed == ONCE


def test_a_job_cancelled_at_once_computes_nothing():
    run = evaluator(diamond(), is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        run.evaluate("sum", 1001)
    assert run.computed == {}


def test_the_context_knows_the_job():
    graph = Graph(working_space="lin_rec709_scene")
    graph.add("ask", Ask)
    picture = Image(np.ones((1, 1, 1), np.float32), ("A",))
    notices: list[tuple[str, int, str]] = []
    run = Evaluator(
        graph,
        REGISTRY,
        Settings(SHOT, device="cuda:1", precision="float16", threads=3),
        externals={"7": picture},
        on_notice=lambda node, frame, text: notices.append((node, frame, text)),
    )
    ctx = run.evaluate("ask", 1004)
    assert (ctx.node, ctx.frame, ctx.shot, ctx.working_space) == (
        "ask", 1004, SHOT, "lin_rec709_scene",
    )  # fmt: skip
    assert (ctx.device, ctx.precision, ctx.threads) == ("cuda:1", "float16", 3)
    assert ctx.externals == {"7": picture}
    assert notices == [("ask", 1004, "look here")]


# Colour on ports.


def looking(colour: str, source: str = "picture.image", **wires: str) -> Graph:
    graph = Graph(working_space="lin_rec709_scene")
    graph.add("picture", Picture, {"colour": colour})
    graph.add("wrap", Wrap, image="picture.image")
    graph.add("look", Look, linear=source, **wires)
    return graph


SRGB_HALF = ((0.5 + 0.055) / 1.055) ** 2.4
"""What sRGB 0.5 is in light (IEC 61966-2-1)."""


def test_a_port_gets_its_colour_unpremultiplied_and_others_what_is_stored():
    graph = looking("srgb_rec709_scene", data="picture.image", any="picture.image")
    arrived = evaluator(graph).evaluate("look", 1001)
    linear = arrived["linear"]
    assert (linear.colour, linear.alpha) == ("lin_rec709_scene", "premultiplied")
    np.testing.assert_allclose(linear.pixels[0, 0], [*[SRGB_HALF * 0.5] * 3, 0.5], rtol=1e-5)
    for port in ("data", "any"):
        assert arrived[port].colour == "srgb_rec709_scene"
        assert arrived[port].pixels[0, 0].tolist() == [0.25, 0.25, 0.25, 0.5]


def test_networks_see_their_own_primaries_whatever_the_working_space():
    graph = looking("lin_ap1_scene", network="picture.image")
    graph.working_space = "lin_ap0_scene"
    arrived = evaluator(graph).evaluate("look", 1001)
    assert arrived["linear"].colour == "lin_ap0_scene"
    assert arrived["network"].colour == NETWORK_SPACE
    # The three spaces have a grey axis in common.
    for image in arrived["linear"], arrived["network"]:
        np.testing.assert_allclose(image.pixels[0, 0], [0.25, 0.25, 0.25, 0.5], rtol=1e-4)


@pytest.mark.parametrize("colour", [DATA, "lin_rec709_scene"])
def test_data_and_the_working_space_are_not_touched(colour):
    run = evaluator(looking(colour))
    stored = run.evaluate("picture", 1001)
    assert run.evaluate("look", 1001)["linear"] is stored


def test_environments_and_layers_are_converted_as_well():
    graph = looking("srgb_rec709_scene", "wrap.environment", any="wrap.environment")
    arrived = evaluator(graph).evaluate("look", 1001)
    assert isinstance(arrived["linear"], Environment)
    # Without alpha state the stored 0.25 is the colour itself.
    light = ((0.25 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(arrived["linear"].image.pixels[0, 1, :3], light, rtol=1e-5)
    assert arrived["any"].image.colour == "srgb_rec709_scene"

    layers = evaluator(looking("srgb_rec709_scene", "wrap.layers")).evaluate("look", 1)["linear"]
    assert list(layers) == ["rgba", "matte"]
    assert [layer.colour for layer in layers.values()] == ["lin_rec709_scene", DATA]
    np.testing.assert_allclose(layers["rgba"].pixels[0, 0, 0], SRGB_HALF * 0.5, rtol=1e-5)
    assert layers["matte"].pixels[0, 0, 0] == 0.25


def test_a_picture_wanted_by_many_ports_is_converted_once(monkeypatch):
    import relume.colour

    calls: list[str] = []
    convert = relume.colour.convert

    def counting(image: Image, to: str) -> Image:
        calls.append(to)
        return convert(image, to)

    monkeypatch.setattr(relume.colour, "convert", counting)
    graph = looking("srgb_rec709_scene")
    graph.add("gather", Gather, many={"a": "picture.image", "b": "picture.image"})
    arrived = evaluator(graph).evaluate("gather", 1001)
    assert arrived["a"] is arrived["b"]
    assert calls == ["lin_rec709_scene"]


def test_a_space_nobody_knows_fails_the_node_that_needs_it():
    with pytest.raises(UsageError, match=r"node look, frame 1001: .*no_such_space"):
        evaluator(looking("no_such_space")).evaluate("look", 1001)


def test_a_fault_in_the_conversion_is_told_like_one_in_a_node(monkeypatch):
    import relume.colour

    def broken(image: Image, to: str) -> Image:
        raise RuntimeError("no processor")

    monkeypatch.setattr(relume.colour, "convert", broken)
    with pytest.raises(NodeFailed, match="node look, frame 1001: RuntimeError: no processor"):
        evaluator(looking("srgb_rec709_scene")).evaluate("look", 1001)
