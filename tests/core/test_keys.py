"""Keys and fingerprints: they change with what matters, and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import InputError
from relume.evaluate import Context, Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.keys import digest
from relume.knobs import (
    Bool,
    Choice,
    Colour,
    ColourSpace,
    File,
    Float,
    Floats,
    Int,
    Ints,
    OptionalFloat,
    OutputFile,
    Text,
    Texts,
)
from relume.node import In, Many, Node, Out, Registry


class Source(Node):
    id, version, category = "source", 1, "Test"
    out = Out(float, "A value.")
    other = Out(float, "Another.")
    gain = Float(0, "Gain.")
    anchor = OptionalFloat(None, "Anchor.")
    count = Int(1, "Count.")
    active = Bool(False, "Active.")
    mode = Choice("a", "Mode.", choices=("a", "b"))
    name_ = Text("", "Name.")
    exponents = Ints((1, 16), "Exponents.")
    factors = Floats((1, 2), "Factors.")
    tint = Colour((1, 1, 1), "Tint.")
    space = ColourSpace("", "Space.")
    channels = Texts(("R",), "Channels.")
    label = Text("", "A label.", affects=False)
    file = OutputFile("", "A target.")

    def compute(self, ctx: Context) -> Any: ...


class Twin(Source):
    id = "twin"


class Newer(Source):
    version = 2


class Network(Node):
    id, version, category = "network", 1, "Test"
    weights = ("normals", "albedo")
    value = In(float, "A value.")
    out = Out(float, "A value.")

    def compute(self, ctx: Context, value: float) -> Any: ...


class Grain(Node):
    id, version, category = "grain", 1, "Test"
    uses_frame = True
    out = Out(float, "A value.")

    def compute(self, ctx: Context) -> Any: ...


class Sum(Node):
    id, version, category = "sum", 1, "Test"
    many = Many(float, "Values by name.", optional=True)
    one = In(float, "A value.", optional=True)
    two = In(float, "A value.", optional=True)
    past = In(float, "A window.", frames=(-1, 0), optional=True)
    first = In(float, "The first frame.", frames="first", optional=True)
    out = Out(float, "A value.")

    def compute(self, ctx: Context, **inputs: Any) -> Any: ...


class Read(Node):
    id, version, category = "read", 1, "Test"
    out = Out(float, "A value.")
    file = File("", "A file.")
    mask = File("", "Another.")

    def compute(self, ctx: Context) -> Any: ...


class Half(Read):
    """Reads only one of its files."""

    id = "half"

    def files(self, frame: int) -> list[str]:
        return [self.file]


NODES = [Source, Twin, Network, Grain, Sum, Read, Half]
REGISTRY = Registry(NODES)
SETTINGS = Settings(Shot(1001, 1010), threads=2)
Digest = Callable[..., str]


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    digests = {"normals": "n1", "albedo": "a1"}
    monkeypatch.setattr("relume.weights.digest", lambda name: digests[name])
    return digests


def run(graph: Graph, settings: Settings = SETTINGS, nodes: Any = None) -> Evaluator:
    registry = Registry(nodes) if nodes else REGISTRY
    graph.check(registry)
    return Evaluator(graph, registry, settings)


def a_graph(knobs: dict[str, Any] | None = None, type: type[Node] = Source) -> Graph:
    """Build source → network → top, the last with a wire of its own to the source."""
    graph = Graph()
    graph.add("source", type, knobs)
    graph.add("network", Network, value="source.out")
    graph.add("top", Sum, one="network.out", two="source.out")
    return graph


def key(graph: Graph, name: str = "top", frame: int = 1001, **options: Any) -> str:
    return run(graph, **options).key(name, frame)


def mark(graph: Graph, name: str = "top", frame: int = 1001, **options: Any) -> str:
    return run(graph, **options).fingerprint(name, frame)


BOTH = pytest.mark.parametrize("digest_of", [key, mark], ids=["key", "fingerprint"])

AFFECTING = {
    "gain": 1e-9,
    "anchor": 0.0,
    "count": 2,
    "active": True,
    "mode": "b",
    "name_": " ",
    "exponents": [16, 1],
    "factors": [1.0],
    "tint": [1, 1, 1.0000001],
    "space": "lin_ap1_scene",
    "channels": ["R", ""],
}


def test_the_table_holds_every_knob():
    assert set(AFFECTING) | {"label", "file"} == set(Source.knobs())


@BOTH
@pytest.mark.parametrize("knob", AFFECTING)
def test_every_affecting_knob_changes_the_node_and_all_below(knob, digest_of):
    plain, changed = a_graph(), a_graph({knob: AFFECTING[knob]})
    for name in ("source", "network", "top"):
        assert digest_of(plain, name) != digest_of(changed, name)


@BOTH
def test_all_changes_differ_from_each_other(digest_of):
    graphs = [a_graph(), *(a_graph({knob: value}) for knob, value in AFFECTING.items())]
    assert len({digest_of(graph) for graph in graphs}) == len(graphs)


@BOTH
@pytest.mark.parametrize(
    "knobs",
    [
        {"label": "other"},
        {"file": "/somewhere/else.exr"},
        {"gain": 0.0, "count": 1, "factors": [1.0, 2], "anchor": None},
        {"gain": {"keys": [[1001, 0]]}},
    ],
    ids=["label", "target", "defaults", "one key"],
)
def test_labels_targets_and_values_that_mean_the_same_change_nothing(knobs, digest_of):
    assert digest_of(a_graph()) == digest_of(a_graph(knobs))


@BOTH
def test_names_notes_order_and_shorthand_change_nothing(digest_of):
    other = Graph(shot="1-5", note="text")
    other.add("unrelated", Source, {"gain": 5})
    other.add("end", Sum, two="a.out", one="b")
    other.add("b", Network, value="a.out")
    other.add("a", Source)
    other.nodes["a"].note = "text"
    assert digest_of(other, "end") == digest_of(a_graph())


@BOTH
def test_id_version_port_output_and_name_of_a_wire_count(digest_of):
    def gathered(**many: str) -> Graph:
        graph = Graph()
        graph.add("one", Source)
        graph.add("two", Source, {"gain": 1})
        graph.add("top", Sum, many=many)
        return graph

    graphs = [a_graph(), a_graph(type=Twin)]
    for port in ("one", "two", "past", "first"):
        graph = a_graph()
        graph.nodes["top"].inputs = {port: "source.out"}
        graphs.append(graph)
    graphs.append(a_graph())
    graphs[-1].nodes["top"].inputs["two"] = "source.other"
    graphs.append(gathered(a="one.out", b="two.out"))
    graphs.append(gathered(b="two.out", a="one.out"))
    graphs.append(gathered(a="one.out", c="two.out"))
    graphs.append(gathered(a="two.out", b="one.out"))
    graphs.append(gathered(a="one.out"))
    assert len({digest_of(graph) for graph in graphs}) == len(graphs)
    newer = [Newer, *NODES[1:]]
    assert digest_of(a_graph(type=Newer), nodes=newer) != digest_of(a_graph())


@BOTH
def test_the_working_space_and_the_colour_configuration_count(digest_of, monkeypatch):
    graph = a_graph()
    plain = digest_of(graph)
    graph.working_space = "lin_rec709_scene"
    assert digest_of(graph) != plain
    monkeypatch.setattr("relume.colour.config_digest", lambda: "another")
    assert digest_of(a_graph()) != plain


@BOTH
@pytest.mark.parametrize("name", ["normals", "albedo"])
def test_weights_count_where_they_are_used_and_below(weights, name, digest_of):
    before = {node: digest_of(a_graph(), node) for node in ("source", "network", "top")}
    weights[name] = "newly trained"
    changed = {node for node in before if digest_of(a_graph(), node) != before[node]}
    assert changed == {"network", "top"}


@pytest.mark.parametrize("change", [{"threads": 1}, {"device": "cuda"}, {"precision": "float16"}])
def test_the_machine_counts_for_networks_only_and_never_for_the_fingerprint(change):
    other = replace(SETTINGS, **change)
    changed = {n for n in a_graph().nodes if key(a_graph(), n) != key(a_graph(), n, settings=other)}
    assert changed == {"network", "top"}
    assert mark(a_graph()) == mark(a_graph(), settings=other)


def test_one_device_is_as_good_as_the_next_of_its_kind():
    first, second = (replace(SETTINGS, device=f"cuda:{index}") for index in (0, 1))
    assert key(a_graph(), settings=first) == key(a_graph(), settings=second)


def test_a_key_touches_no_pixels():
    evaluator = run(a_graph())
    evaluator.key("top", 1001)
    evaluator.fingerprint("top", 1001)
    assert evaluator.computed == {}


# Frames.


def moving(**inputs: str) -> Graph:
    graph = Graph()
    graph.add("grain", Grain)
    graph.add("source", Source, {"gain": {"keys": [[1001, 0], [1003, 1]]}})
    graph.add("top", Sum, **inputs)
    return graph


@pytest.mark.parametrize(
    ("inputs", "distinct"),
    [
        ({}, 1),
        ({"one": "grain"}, 10),
        ({"first": "grain"}, 1),
        ({"one": "source.out"}, 3),
        # 1001 twice, 1001 and 1002, 1002 and 1003, 1003 twice over what is then constant.
        ({"past": "source.out"}, 4),
        ({"past": "grain"}, 10),
        ({"first": "source.out"}, 1),
    ],
)
def test_the_key_holds_the_frame_where_something_depends_on_it(inputs, distinct):
    graph = moving(**inputs)
    assert len({key(graph, frame=frame) for frame in range(1001, 1011)}) == distinct


def test_the_shot_counts_only_where_a_window_meets_its_edge():
    later = replace(SETTINGS, shot=Shot(1002, 1010))
    for inputs, frame, same in (
        ({"one": "grain"}, 1002, True),
        ({"past": "grain"}, 1003, True),
        ({"past": "grain"}, 1002, False),
        ({"first": "grain"}, 1005, False),
    ):
        graph = moving(**inputs)
        assert (key(graph, frame=frame) == key(graph, frame=frame, settings=later)) is same


def test_the_fingerprint_holds_the_frame():
    graph = a_graph()
    assert len({mark(graph, frame=frame) for frame in range(1001, 1011)}) == 10


# Files.


def reading(file: Path | str, mask: Path | str = "", type: type[Node] = Read) -> Graph:
    graph = Graph()
    graph.add("top", type, {"file": str(file), "mask": str(mask)})
    return graph


def test_the_key_holds_the_identity_of_files_and_the_fingerprint_their_content(tmp_path):
    a, b = tmp_path / "a.exr", tmp_path / "elsewhere" / "b.hdr"
    b.parent.mkdir()
    a.write_bytes(b"light")
    b.write_bytes(b"light")
    os.utime(a, ns=(0, 10**18))
    before = key(reading(a)), mark(reading(a))
    assert (key(reading(b)) == before[0], mark(reading(b)) == before[1]) == (False, True)
    os.utime(a, ns=(0, 10**18 + 1))
    assert (key(reading(a)) == before[0], mark(reading(a)) == before[1]) == (False, True)
    a.write_bytes(b"LIGHT")
    os.utime(a, ns=(0, 10**18 + 2))
    assert (key(reading(a)) == before[0], mark(reading(a)) == before[1]) == (False, False)


def test_a_sequence_counts_frame_by_frame_and_a_single_file_once(tmp_path):
    for frame in (1001, 1002):
        (tmp_path / f"plate.{frame}.exr").write_bytes(b"%d" % frame)
    sequence = reading(tmp_path / "plate.####.exr")
    single = reading(tmp_path / "plate.1001.exr")
    assert key(sequence, frame=1001) != key(sequence, frame=1002)
    assert key(single, frame=1001) == key(single, frame=1002)
    assert mark(sequence, frame=1001) == mark(single, frame=1001)
    with pytest.raises(InputError, match=r"node top, frame 1003.*plate\.1003\.exr"):
        key(sequence, frame=1003)


@BOTH
def test_which_knob_names_a_file_counts(tmp_path, digest_of):
    file = tmp_path / "a.exr"
    file.write_bytes(b"x")
    digests = {digest_of(reading(*files)) for files in ((file,), ("", file), (file, file), ("",))}
    assert len(digests) == 4


def test_a_file_that_a_node_does_not_list_still_counts_by_name(tmp_path):
    file = tmp_path / "a.exr"
    file.write_bytes(b"x")
    assert key(reading(file, "one.exr", Half)) != key(reading(file, "two.exr", Half))


# Digests.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_digests_are_equal_where_values_are(a, b):
    assert (digest(a) == digest(b)) is (_text(a) == _text(b))
    assert digest(a) == digest(_turned(a))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{sorted((key, _text(item)) for key, item in value.items())}}}"
    return f"[{[_text(item) for item in value]}]" if isinstance(value, list) else repr(value)


def _turned(value: Any) -> Any:
    """Return an equal value whose dicts were filled the other way round."""
    if isinstance(value, dict):
        return {key: _turned(item) for key, item in reversed(value.items())}
    return tuple(map(_turned, value)) if isinstance(value, list) else value


def test_tuples_are_lists_sets_have_no_order_and_parts_are_kept_apart():
    assert digest((1, 2)) == digest([1, 2])
    assert digest({"b", "a"}) == digest(frozenset("ab")) == digest(["a", "b"])
    assert digest("ab") != digest("a", "b") != digest("a", "", "b")
    assert digest(1) != digest(1.0) != digest("1") != digest(True)
    assert digest("\udcff") != digest("\udcfe")  # file names that are not UTF-8


def test_what_has_no_text_is_refused():
    with pytest.raises(TypeError, match="object cannot be part of a key"):
        digest(object())


def test_digests_are_the_same_in_every_process():
    code = "from relume.keys import digest; print(digest({'a', 'b', 'c', 'd'}, {'y': 1, 'x': 2}))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {digest({"a", "b", "c", "d"}, {"x": 2, "y": 1}).encode() + b"\n"}
