"""Shots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import UsageError
from relume.frames import Shot

FRAME = st.integers(-99999, 99999)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("1001-1100", 1001, 1100), (" 7 ", 7, 7), ("-5--1", -5, -1), ("-5-3", -5, 3), ("-5", -5, -5)],
)
def test_a_shot_is_read(text, first, last):
    assert Shot.parse(text) == Shot(first, last)


@pytest.mark.parametrize("text", ["", "a", "1-", "1-2-3", "1.5", "1-5x2", "1,2", "9-1"])
def test_what_is_no_shot_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=f"{text}.*1001-1100"):
        Shot.parse(text)


@given(FRAME, FRAME, FRAME)
def test_a_shot_survives_text_and_clamps_to_its_nearest_frame(a, b, frame):
    shot = Shot(min(a, b), max(a, b))
    assert Shot.parse(str(shot)) == shot
    inside = range(shot.first, shot.last + 1)
    assert shot.clamp(frame) == sorted([shot.first, frame, shot.last])[1]
    assert shot.clamp(frame) in inside
