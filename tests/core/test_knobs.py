"""Knobs: what they accept, how they refuse, and how keys become values."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.knobs import (
    Bool,
    Choice,
    Colour,
    Float,
    Floats,
    Int,
    Ints,
    OptionalFloat,
    OutputFile,
    Text,
    Texts,
)
from relume.node import Node

NAN, INF = math.nan, math.inf


class Everything(Node):
    id, version, category = "everything", 1, "Test"
    gain = Float(1.0, "Gain.", min=0, max=4, unit="stops")
    level = Float(0.0, "Level.")
    floor = Float(1.0, "Floor.", min=1)
    anchor = OptionalFloat(None, "Anchor.", min=-40, max=40)
    count = Int(2, "Count.", min=1, max=9)
    active = Bool(True, "Active.")
    mode = Choice("a", "Mode.", choices=("a", "b", ""))
    label = Text("", "Label.")
    exponents = Ints((1, 16), "Exponents.", min=1, max=64)
    weights_ = Floats((0.5,), "Weights.", max=1)
    tint = Colour((1.0, 1.0, 1.0), "Tint.")
    names = Texts(("R",), "Names.")
    out = OutputFile("", "Target.")


KNOBS = Everything.knobs()

ACCEPTED = [
    ("gain", 0, 0.0),
    ("gain", 4.0, 4.0),
    ("gain", np.float64(2.5), 2.5),
    ("level", -1e30, -1e30),
    ("anchor", None, None),
    ("anchor", -40, -40.0),
    ("count", 9, 9),
    ("active", False, False),
    ("mode", "", ""),
    ("label", "a #1 größe", "a #1 größe"),
    ("exponents", [64, 1], (64, 1)),
    ("weights_", [1, -7.5], (1.0, -7.5)),
    ("tint", [0, -5, 1e5], (0.0, -5.0, 1e5)),
    ("names", ["X", "Y"], ("X", "Y")),
    ("names", [], ()),
]

REFUSED = [
    *((name, value) for name in ("gain", "anchor") for value in (NAN, INF, -INF, True, "1", [1])),
    ("gain", None),
    ("gain", -1e-9),
    ("gain", 4.0001),
    ("gain", {"key": 1}),
    ("level", 10**400),
    ("floor", 0.999),
    ("anchor", 41),
    ("count", 2.0),
    ("count", True),
    ("count", 0),
    ("count", 10**400),
    ("active", 1),
    ("active", "true"),
    ("mode", "c"),
    ("mode", None),
    ("mode", ["a"]),
    ("label", 3),
    ("label", "a\0b"),
    ("exponents", []),
    ("exponents", 4),
    ("exponents", [1, 65]),
    ("exponents", [1.0]),
    ("exponents", [True]),
    ("exponents", "16"),
    ("weights_", [0.5, NAN]),
    ("weights_", [1.5]),
    ("tint", [1, 1]),
    ("tint", [1, 1, 1, 1]),
    ("tint", [1, 1, INF]),
    ("names", "RGB"),
    ("names", ["R", 1]),
]

RANGES = {
    "gain": "a number from 0 to 4",
    "level": "a number",
    "floor": "a number of at least 1",
    "anchor": "a number from -40 to 40 or null",
    "count": "a whole number from 1 to 9",
    "active": "true or false",
    "mode": "one of a, b, ''",
    "label": "text",
    "exponents": "a list of whole numbers from 1 to 64",
    "weights_": "a list of numbers of at most 1",
    "tint": "3 numbers",
    "names": "a list of words",
}


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_a_good_value_arrives_in_the_type_of_its_knob(name, value, expected):
    node = Everything("one", {name: value})
    assert node.values[name] == expected
    assert type(node.values[name]) in (type(expected), np.float64)
    assert getattr(node, name) == expected


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda value: repr(value)[:20])
def test_a_bad_value_is_refused_with_node_knob_value_and_range(name, value):
    with pytest.raises(UsageError) as caught:
        Everything("one", {name: value})
    message = str(caught.value)
    assert message.startswith(f"node one: Everything.{name} = {repr(value)[:77]}")
    assert f"Give {RANGES[name]}" in message
    assert len(message) < 300


def test_the_unit_stands_in_the_message():
    with pytest.raises(UsageError, match="in stops"):
        KNOBS["gain"].check(9)


PARSED = [
    ("gain", "2", 2.0),
    ("gain", " 2.5 ", 2.5),
    ("anchor", "none", None),
    ("anchor", "", None),
    ("anchor", "-1.5", -1.5),
    ("count", "3", 3),
    ("active", "Off", False),
    ("active", "1", True),
    ("mode", "b", "b"),
    ("label", "{shot}, v1", "{shot}, v1"),
    ("exponents", "1,16 32", (1, 16, 32)),
    ("exponents", "16", (16,)),
    ("tint", "2", (2.0, 2.0, 2.0)),
    ("tint", "1, 0.5, -2", (1.0, 0.5, -2.0)),
    ("names", "R, G ,B", ("R", "G", "B")),
]


@pytest.mark.parametrize(("name", "text", "expected"), PARSED)
def test_text_of_a_command_line_becomes_a_value(name, text, expected):
    knob = KNOBS[name]
    assert knob.check(knob.parse(text)) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [("gain", "nan"), ("gain", "two"), ("gain", "1,2"), ("gain", ""), ("count", "2.5"),
     ("count", "inf"), ("active", "maybe"), ("exponents", "1,x"), ("tint", "1,2")],
)  # fmt: skip
def test_text_that_is_no_value_is_refused(name, text):
    knob = KNOBS[name]
    with pytest.raises(UsageError, match=f"Everything.{name} = "):
        knob.check(knob.parse(text))


def test_the_declaration_is_json():
    schema = json.loads(json.dumps({name: knob.schema() for name, knob in KNOBS.items()}))
    assert schema["gain"] == {
        "kind": "float", "default": 1.0, "unit": "stops", "min": 0, "max": 4, "doc": "Gain.",
    }  # fmt: skip
    assert schema["mode"]["choices"] == ["a", "b", ""]
    assert schema["exponents"]["default"] == [1, 16]
    assert schema["out"]["affects"] is False
    assert "affects" not in schema["gain"]


# Keys.

TRACKS = st.dictionaries(st.integers(-5000, 5000), st.floats(-1e6, 1e6), min_size=1, max_size=8)


@given(TRACKS, st.integers(-6000, 6000), st.randoms())
def test_linear_keys_agree_with_numpy_and_never_leave_their_range(track, frame, random):
    keys = [[at, value] for at, value in track.items()]
    random.shuffle(keys)
    frames = sorted(track)
    expected = np.interp(frame, frames, [track[at] for at in frames])
    for stored in ({"keys": keys}, {"keys": keys, "interp": "linear"}):
        value = KNOBS["level"].at(stored, frame)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert min(track.values()) <= value <= max(track.values())
    if frame in track:
        assert value == track[frame]


@given(TRACKS, st.integers(-6000, 6000))
def test_held_keys_keep_the_last_one_passed_and_the_first_before_it(track, frame):
    value = KNOBS["level"].at({"keys": list(map(list, track.items())), "interp": "hold"}, frame)
    passed = [at for at in track if at <= frame]
    assert value == track[max(passed) if passed else min(track)]


def test_keys_by_hand():
    ramp = {"keys": [[1001, 0.0], [1011, 4.0]]}
    assert [KNOBS["gain"].at(ramp, at) for at in (900, 1001, 1006, 1011, 2000)] == [0, 0, 2, 4, 4]
    assert KNOBS["count"].at({"keys": [[0, 1], [10, 4]]}, 5) == 2  # 2.5, to the even number
    assert KNOBS["tint"].at({"keys": [[0, [0, 0, 0]], [4, [4, 8, -4]]]}, 1) == (1, 2, -1)
    assert KNOBS["weights_"].at({"keys": [[0, [0, 0]], [2, [1]]]}, 1) == (0, 0)  # another length
    assert KNOBS["mode"].at({"keys": [[0, "a"], [4, "b"]]}, 3) == "a"
    assert KNOBS["active"].at({"keys": [[0, False], [4, True]]}, 4) is True
    anchor = {"keys": [[0, None], [4, 2.0], [6, 4.0]]}
    assert [KNOBS["anchor"].at(anchor, at) for at in (2, 5, 7)] == [None, 3.0, 4.0]
    assert KNOBS["gain"].at(3, 1001) == 3.0


@pytest.mark.parametrize(
    "stored",
    [
        {"keys": []},
        {"keys": {"1": 2}},
        {"keys": [[1001]]},
        {"keys": [[1001.5, 1]]},
        {"keys": [[True, 1]]},
        {"keys": [["1001", 1]]},
        {"keys": [[1001, 1], [1001, 2]]},
        {"keys": [[1001, 1]], "interp": "cubic"},
        {"keys": [[1001, 1]], "interp": ["linear"]},
        {"keys": [[1001, 1]], "loop": True},
        {"keys": [[1001, 1], [1002, 5]]},
        {"keys": [[1001, NAN]]},
        {"keys": [[1001, True]]},
    ],
)
def test_bad_keys_are_refused_by_name(stored):
    with pytest.raises(UsageError, match=r"Everything\.gain = "):
        KNOBS["gain"].at(stored, 1001)
