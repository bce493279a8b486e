"""Errors: what they say, which exit code they give, and that they travel between processes."""

from __future__ import annotations

import copy

import pytest

from relume.errors import (
    Cancelled,
    Exit,
    InputError,
    NodeFailed,
    OutputError,
    RelumeError,
    UsageError,
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "the plate is missing. Check the path."),
        ({"node": "plate"}, "node plate: the plate is missing. Check the path."),
        ({"frame": 0}, "frame 0: the plate is missing. Check the path."),
        (
            {"node": "plate", "frame": -7, "file": "/a.exr"},
            "node plate, frame -7, /a.exr: the plate is missing. Check the path.",
        ),
    ],
)
def test_the_message_says_where_what_and_the_way_out(where, expected):
    assert str(InputError("the plate is missing", way_out="Check the path", **where)) == expected


def test_sentences_end_once_and_a_file_is_named_once():
    assert str(UsageError("really?", way_out="Say so!")) == "really? Say so!"
    assert str(UsageError("done.")) == "done."
    assert str(InputError("cannot read /a.exr", file="/a.exr")) == "cannot read /a.exr."


def test_locate_fills_in_only_what_is_unknown():
    error = InputError("missing", frame=0)
    assert error.locate(node="plate", frame=1001, file="a.exr") is error
    assert (error.node, error.frame, error.file) == ("plate", 0, "a.exr")
    error.locate(node="grade", frame=1002, file="b.exr")
    assert (error.node, error.frame, error.file) == ("plate", 0, "a.exr")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UsageError, 2), (InputError, 3), (OutputError, 4), (NodeFailed, 4), (Cancelled, 130)],
)
def test_exit_codes_are_those_of_the_contract(kind, code):
    assert kind("x").exit_code == code
    assert issubclass(kind, RelumeError)


def test_every_code_is_its_own_number():
    assert [int(code) for code in Exit] == [0, 2, 3, 4, 5, 130]


def test_an_error_of_a_worker_arrives_whole():
    error = InputError("missing", way_out="Look", file="a.exr", frame=5, node="plate")
    again = copy.copy(error)  # by way of __reduce__, as between processes
    assert type(again) is InputError
    assert str(again) == str(error)
    assert vars(again) == vars(error)
