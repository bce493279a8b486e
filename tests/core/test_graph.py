"""The graph document: round trips, refusals, upgrades, wires and differences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import InputError, UsageError
from relume.graph import Graph, GraphNode, inputs_first
from relume.graph_diff import diff
from relume.image import Image, Layers
from relume.knobs import Bool, Choice, Float, Ints, OptionalFloat, Text
from relume.node import In, Many, Node, Out, Registry


class Read(Node):
    id, version, category = "read", 1, "Media"
    image = Out(Image, "The picture.")
    layers = Out(Layers, "Every layer.")
    label = Text("", "Label.")
    bold = Bool(False, "Switch.")

    def compute(self, ctx: Any) -> Any: ...


class Grade(Node):
    id, version, category = "grade", 3, "Colour"
    image = In(Image, "The picture.")
    mask = In(Image, "The mask.", optional=True)
    out = Out(Image, "The graded picture.")
    gain = Float(1.0, "Gain.", min=0, max=100)
    anchor = OptionalFloat(None, "Anchor.")
    mode = Choice("linear", "Mode.", choices=("linear", "log"))
    steps = Ints((1, 2), "Steps.")

    def compute(self, ctx: Any, **inputs: Any) -> Any: ...

    @classmethod
    def upgrade(cls, values: dict[str, Any], from_version: int) -> dict[str, Any]:
        if from_version < 2:
            values["gain"] = 2.0 ** values.pop("exposure")
        if from_version < 3 and values.get("mode") == "cineon":
            values["mode"] = "log"
        return values


class Write(Node):
    id, version, category = "write", 1, "Media"
    layers = Many((Image, Layers), "Layers by name.")
    out = Out(Layers, "What is written.")

    def compute(self, ctx: Any, **inputs: Any) -> Any: ...


REGISTRY = Registry([Read, Grade, Write])


def a_graph() -> Graph:
    graph = Graph(shot="1001-1100", note="two nodes")
    graph.add("plate", Read)
    graph.add("grade", Grade, {"gain": 2.0}, image="plate.image")
    graph.add("out", Write, layers={"rgba": "grade.out", "all": "plate.layers"})
    return graph


def entry(**changes: Any) -> str:
    """The document of a graph with one Grade, its entry changed."""
    node = {"type": "grade", "version": 3, "inputs": {"image": "plate.image"}} | changes
    return json.dumps({"relume": 1, "nodes": {"plate": {"type": "read"}, "grade": node}})


# Round trips.

TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=8)
GAIN = st.floats(0, 100)
KEYS = st.builds(
    lambda track, interp: {"keys": [[at, value] for at, value in track.items()], **interp},
    st.dictionaries(st.integers(-99, 9999), GAIN, min_size=1, max_size=4),
    st.sampled_from([{}, {"interp": "linear"}, {"interp": "hold"}]),
)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)
READ_KNOBS = st.fixed_dictionaries({}, optional={"label": TEXTS, "bold": st.booleans()})
GRADE_KNOBS = st.fixed_dictionaries(
    {},
    optional={
        "gain": GAIN | KEYS,
        "anchor": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "mode": st.sampled_from(["linear", "log"]),
        "steps": st.lists(st.integers(), min_size=1, max_size=3),
    },
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    graph = Graph(
        shot=draw(st.sampled_from([None, "1-9", "-5--1"])),
        working_space=draw(st.sampled_from(["lin_ap1_scene", "lin_rec709_scene"])),
        note=draw(TEXTS),
    )
    pictures: list[str] = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        kind = draw(st.sampled_from([Read, Grade, Write] if pictures else [Read]))
        picture = st.sampled_from(pictures or [""])
        if kind is Read:
            graph.add(name, Read, draw(READ_KNOBS))
        elif kind is Grade:
            mask = draw(st.fixed_dictionaries({}, optional={"mask": picture}))
            graph.add(name, Grade, draw(GRADE_KNOBS), image=draw(picture), **mask)
        else:
            graph.add(name, Write, layers=draw(st.dictionaries(NAMES, picture, min_size=1)))
        graph.nodes[name].note = draw(TEXTS)
        pictures += {"read": [f"{name}.image"], "grade": [f"{name}.out", name]}.get(kind.id, [])
    return graph


@settings(max_examples=60)
@given(graphs())
def test_a_graph_survives_json(graph):
    text = graph.to_json(REGISTRY)
    again = Graph.from_json(text, REGISTRY)
    assert again == graph
    assert again.to_json(REGISTRY) == text
    assert diff(graph, again) == []
    for name, node in graph.nodes.items():  # the order of a dict is no part of its equality
        assert list(again.nodes[name].inputs.get("layers", {})) == list(
            node.inputs.get("layers", {})
        )


def test_the_text_has_one_value_a_line_in_declared_order():
    graph = Graph(shot="1001-1100")
    graph.add("plate", "read")
    graph.add(
        "grade",
        Grade,
        {"steps": (1, 2), "gain": {"keys": [[1, 0.5], [9, 1]], "interp": "hold"}},
        mask="plate.image",
        image="plate.image",
    )
    assert graph.to_json(REGISTRY) == (
        '{\n  "relume": 1,\n  "shot": "1001-1100",\n  "working_space": "lin_ap1_scene",\n'
        '  "nodes": {\n'
        '    "plate": {\n      "type": "read",\n      "version": 1\n    },\n'
        '    "grade": {\n      "type": "grade",\n      "version": 3,\n'
        '      "knobs": {\n'
        '        "gain": {\n          "keys": [\n            [1, 0.5],\n            [9, 1]\n'
        '          ],\n          "interp": "hold"\n        },\n'
        '        "steps": [1, 2]\n      },\n'
        '      "inputs": {\n        "image": "plate.image",\n        "mask": "plate.image"\n'
        "      }\n    }\n  }\n}\n"
    )


def test_the_order_of_setting_knobs_does_not_show():
    one, two = a_graph(), a_graph()
    one.nodes["grade"].knobs = {"gain": 2.0, "mode": "log"}
    two.nodes["grade"].knobs = {"mode": "log", "gain": 2.0}
    assert one.to_json(REGISTRY) == two.to_json(REGISTRY)


def test_a_graph_that_could_not_be_read_again_is_not_written():
    graph = a_graph()
    graph.nodes["grade"].knobs["gain"] = float("nan")
    with pytest.raises(UsageError, match=r"node grade: Grade\.gain = nan"):
        graph.to_json(REGISTRY)
    graph = a_graph()
    graph.nodes["grade"].inputs["picture"] = "plate.image"
    with pytest.raises(UsageError, match="node grade: there is no input 'picture'"):
        graph.to_json(REGISTRY)


# Refusals.

REFUSED = [
    ("{", "line 1, column 2 is not JSON"),
    ("[]", "not a relume graph"),
    ("{}", "not a relume graph"),
    ("[" * 100_000, "not a relume graph"),
    ('{"relume": ' + "9" * 5000 + "}", "not a relume graph"),
    ('{"relume": 2, "nodes": {}}', "format 2, this relume reads 1"),
    ('{"nodes": {}}', "format None"),
    ('{"relume": 1, "node": {}, "nodes": {}}', "no field 'node'.*'nodes'"),
    ('{"relume": 1, "shot": 1001, "nodes": {}}', "'shot' is 1001.*text"),
    ('{"relume": 1, "shot": "12,13", "nodes": {}}', "'12,13' is not a shot"),
    ('{"relume": 1, "shot": "9-1", "nodes": {}}', "ends before it begins"),
    ('{"relume": 1, "working_space": [], "nodes": {}}', "'working_space'"),
    ('{"relume": 1, "nodes": {"a": {"type": "read"}, "a": {"type": "read"}}}', "'a' stands twice"),
    ('{"relume": 1, "nodes": {"1a": {"type": "read"}}}', "'1a' is not a node name"),
    ('{"relume": 1, "nodes": {"a.b": {"type": "read"}}}', r"'a\.b' is not a node name"),
    ('{"relume": 1, "nodes": {"a": "read"}}', "node a, .*a node is an object"),
    ('{"relume": 1, "nodes": {"a": {}}}', "node a, .*a node is an object"),
    ('{"relume": 1, "nodes": {"a": {"type": 3}}}', "node a, .*the field 'type' is 3"),
    (entry(type="grad"), "node grade, .*no node type 'grad'. Did you mean 'grade'"),
    (entry(knobs=[]), r"node grade, .*the field 'knobs' is \[\]"),
    (entry(knobs={"gian": 1}), "node grade, .*there is no knob 'gian'. Did you mean 'gain'"),
    (entry(knobs={"gain": 101}), r"node grade, .*Grade.gain = 101 .*from 0 to 100"),
    (entry(knobs={"gain": True}), r"node grade, .*Grade.gain = True"),
    (entry(knobs={"gain": float("nan")}), r"node grade, .*Grade.gain = nan"),
    (entry(knobs={"mode": "lin"}), "node grade, .*Grade.mode = 'lin' .*linear, log"),
    (entry(knobs={"gain": {"keys": [[1, 500]]}}), r"node grade, .*Grade.gain = 500"),
    (entry(knobs={"gain": {"keys": []}}), "node grade, .*Grade.gain = .*animated"),
    (entry(inputs={}), "node grade, .*the input 'image' is not wired"),
    (entry(inputs=["plate"]), "node grade, .*the field 'inputs'"),
    (entry(inputs={"image": 3}), "node grade, .*the input 'image' is wired to 3"),
    (entry(inputs={"image": ["plate.image"]}), "node grade, .*the input 'image' is wired to"),
    (entry(inputs={"image": {"a": "plate.image"}}), "node grade, .*one reference"),
    (entry(inputs={"image": "plate.image", "name": "x"}), "node grade, .*there is no input 'name'"),
    (entry(inputs={"image": "plat.image"}), "node grade, .*no node 'plat'.*plate, grade"),
    (entry(inputs={"image": "plate.img"}), "there is no output 'img'"),
    (entry(inputs={"image": "plate"}), "node grade, .*'plate' has several outputs: image, layers"),
    (entry(inputs={"image": ""}), "node grade, .*"),
    (entry(inputs={"image": "plate.layers"}), "'image' takes Image, but 'plate.layers' is Layers"),
    (entry(inputs={"image": "grade.out"}), "wires run in a circle: grade → grade"),
    (entry(version=4), "node grade, .*version 4 .*its own is 3.*Update relume"),
    (entry(version=0), "node grade, .*version 0"),
    (entry(version="3"), "node grade, .*the field 'version' is '3'"),
    (entry(version=True), "node grade, .*the field 'version' is True"),
    (entry(version=1), "node grade, .*the knobs of version 1 .*'exposure'"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_bad_document_is_refused_with_file_and_node(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        Graph.from_json(text, REGISTRY, file="shot.json")
    assert "shot.json" in str(caught.value)
    assert caught.value.exit_code == 2


def many(wire: object) -> Graph:
    graph = a_graph()
    graph.nodes["out"].inputs["layers"] = wire  # type: ignore[assignment]
    return graph


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({}, "node out: the input 'layers' is not wired. Wire Image or Layers to it"),
        ("grade.out", "node out: .*wired to 'grade.out'"),
        ({"": "grade.out"}, "'' is not a name for the input 'layers'"),
        ({"8_bit": "grade.out"}, "'8_bit' is not a name"),
        ({"rgba": None}, "node out: .*wired to"),
        ({"rgba": {"a": "grade.out"}}, "node out: .*wired to"),
    ],
)
def test_a_port_for_many_takes_names_and_references(wire, message):
    with pytest.raises(UsageError, match=message):
        many(wire).check(REGISTRY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=3)
    | st.sampled_from(["plate.image", "grade.out", "plate", "keys"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "image", "gain", "name", "self", "knobs", "keys", "", "a b"]),
        inner,
        max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(["type", "version", "note", "knobs", "inputs", "gain", "keys", None]), JSON)
def test_whatever_stands_in_a_document_the_answer_is_a_graph_or_a_usage_error(place, value):
    document = json.loads(a_graph().to_json(REGISTRY))
    node = document["nodes"]["grade"]
    if place is None:
        document["nodes"]["grade"] = value
    elif place == "gain":
        node["knobs"]["gain"] = value
    elif place == "keys":
        node["knobs"]["gain"] = {"keys": value}
    else:
        node[place] = value
    try:
        graph = Graph.from_json(json.dumps(document), REGISTRY)
    except UsageError as error:
        assert str(error)
    else:
        assert Graph.from_json(graph.to_json(REGISTRY), REGISTRY) == graph


def test_a_circle_is_named_and_a_diamond_is_none():
    graph = Graph()
    graph.add("a", Grade, image="c.out")
    graph.add("b", Grade, image="a.out")
    graph.add("c", Grade, image="b.out")
    with pytest.raises(UsageError, match=r"circle: a → c → b → a\. Cut one") as caught:
        graph.check(REGISTRY)
    assert caught.value.node == "a"
    diamond = a_graph()
    diamond.nodes["grade"].inputs["mask"] = "plate.image"
    diamond.check(REGISTRY)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "graph.json"
    with pytest.raises(InputError, match=r"graph\.json: No such file") as caught:
        Graph.load(path, REGISTRY)
    assert caught.value.exit_code == 3
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not UTF-8"):
        Graph.load(path, REGISTRY)
    path.write_text("{")
    with pytest.raises(UsageError, match=r"graph\.json"):
        Graph.load(path, REGISTRY)
    path.write_text(a_graph().to_json(REGISTRY), encoding="utf-8")
    assert Graph.load(str(path), REGISTRY) == a_graph()


# Upgrades.


def test_an_older_node_is_upgraded_step_by_step():
    knobs = {"exposure": 3, "mode": "cineon"}
    graph = Graph.from_json(entry(version=1, knobs=knobs), REGISTRY)
    assert graph.nodes["grade"].knobs == {"gain": 8.0, "mode": "log"}
    assert '"version": 3' in graph.to_json(REGISTRY)
    graph = Graph.from_json(entry(version=2, knobs={"mode": "cineon"}), REGISTRY)
    assert graph.nodes["grade"].knobs == {"mode": "log"}


def test_an_upgraded_value_is_checked_and_a_failed_upgrade_keeps_its_cause():
    with pytest.raises(UsageError, match=r"Grade\.gain = 1024"):
        Graph.from_json(entry(version=1, knobs={"exposure": 10}), REGISTRY)
    with pytest.raises(UsageError) as caught:
        Graph.from_json(entry(version=1, knobs={"exposure": "3"}), REGISTRY)
    assert isinstance(caught.value.__cause__, TypeError)


# Building and asking.


def test_names_are_checked_when_a_node_is_added():
    graph = a_graph()
    with pytest.raises(UsageError, match="two nodes named 'plate'"):
        graph.add("plate", Read)
    for name in ("", "1a", "a.b", "a b", "ä"):
        with pytest.raises(UsageError, match="is not a node name"):
            graph.add(name, Read)
    assert graph.add("other", Read) == "other"
    assert graph.find(Read) == ["plate", "other"]
    with pytest.raises(UsageError, match=r"no node 'plat'\. Did you mean 'plate'"):
        graph.node("plat")


def test_setting_a_knob_from_text():
    graph = a_graph()
    graph.set("grade.gain", "0.5", REGISTRY)
    graph.set("grade.steps", "4,5", REGISTRY)
    graph.set("plate.label", "{shot}", REGISTRY)
    assert graph.nodes["grade"].knobs == {"gain": 0.5, "steps": [4, 5]}
    assert graph.nodes["plate"].knobs == {"label": "{shot}"}
    graph.set("grade.gain", '{"keys": [[1, 2], [3, 4]]}', REGISTRY)
    assert graph.nodes["grade"].knobs["gain"] == {"keys": [[1, 2], [3, 4]]}


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("grade.gain", "-1", r"node grade: Grade\.gain = -1"),
        ("grade.gain", "{", r"node grade: Grade\.gain = '{'"),
        ("grade.gain", '{"keys": [[1, -1]]}', r"node grade: Grade\.gain = -1"),
        ("grade.gian", "1", "no knob 'gian'"),
        ("grad.gain", "1", "no node 'grad'"),
        ("gain", "1", "no node 'gain'"),
        ("grade", "1", "no knob ''"),
    ],
)
def test_setting_what_cannot_be_set(target, text, message):
    graph = a_graph()
    with pytest.raises(UsageError, match=message):
        graph.set(target, text, REGISTRY)
    assert graph == a_graph()


def test_order_puts_every_node_after_its_inputs_and_leaves_the_rest_out():
    graph = a_graph()
    graph.add("stray", Read)
    assert graph.order(["out"]) == ["plate", "grade", "out"]
    assert graph.order(["grade", "out", "grade"]) == ["plate", "grade", "out"]


def test_a_chain_longer_than_the_stack_of_python_is_no_circle():
    graph = Graph()
    graph.add("n0", Read)
    graph.add("n1", Grade, image="n0.image")
    for index in range(2, 3000):
        graph.add(f"n{index}", Grade, image=f"n{index - 1}")
    graph.check(REGISTRY)
    assert graph.order(["n2999"]) == list(graph.nodes)


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4), max_size=9))
def test_inputs_come_first_or_there_is_a_circle(needs):
    def below(item: int, seen: frozenset[int] = frozenset()) -> frozenset[int]:
        for need in needs.get(item, []):
            if need not in seen:
                seen = below(need, seen | {need})
        return seen

    def walk() -> list[int]:
        return list(inputs_first(sorted(needs), lambda item: needs.get(item, [])))

    if any(item in below(item) for item in needs):
        with pytest.raises(UsageError, match="circle"):
            walk()
        return
    order = walk()
    assert len(order) == len(set(order))
    assert set(order) == set(needs).union(*needs.values())
    for item in order:
        assert all(order.index(need) < order.index(item) for need in needs.get(item, []))


# Differences.


def test_differences_are_told_one_a_line():
    before, after = a_graph(), a_graph()
    assert diff(before, after) == []
    after.shot = "1001-1200"
    after.nodes["plate"].type = "grade"
    after.nodes["plate"].note = "new"
    after.nodes["grade"].knobs = {"mode": "log"}
    after.nodes["grade"].inputs["mask"] = "plate.image"
    after.nodes["out"].inputs["layers"] = {"all": "plate.layers", "rgba": "grade.out"}
    after.add("extra", Read)
    assert diff(before, after) == [
        "shot: '1001-1100' → '1001-1200'",
        "plate: read → grade",
        'plate.note: "" → "new"',
        "grade.gain: 2.0 → unset",
        'grade.mode: unset → "log"',
        'grade.input mask: unset → "plate.image"',
        'out.input layers: {"rgba": "grade.out", "all": "plate.layers"} → '
        '{"all": "plate.layers", "rgba": "grade.out"}',
        "+ extra (read)",
    ]
    assert diff(after, before)[-1] == "- extra (read)"


def test_values_written_differently_are_no_difference():
    before, after = a_graph(), a_graph()
    before.nodes["grade"] = GraphNode("grade", {"gain": 2, "steps": (1, 2)})
    after.nodes["grade"] = GraphNode("grade", {"gain": 2.0, "steps": [1, 2]})
    assert diff(before, after) == []
    after.nodes["grade"].knobs["anchor"] = None
    assert diff(before, after) == ["grade.anchor: unset → null"]
