"""Names of files and ranges of frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import InputError, UsageError
from relume.media.sequence import (
    existing_frames,
    format_frames,
    is_sequence,
    parse_frames,
    path_at,
    resolve,
)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1001", [1001]),
        ("1001-1005", [1001, 1002, 1003, 1004, 1005]),
        ("1001-1006x2", [1001, 1003, 1005]),
        ("1001-1003,1010", [1001, 1002, 1003, 1010]),
        ("3,1,2,2", [1, 2, 3]),
        ("-2-1", [-2, -1, 0, 1]),
    ],
)
def test_ranges(text: str, frames: list[int]) -> None:
    assert list(parse_frames(text)) == frames


@pytest.mark.parametrize(
    "text", ["", "x", "1-", "1001-1010:3", "1.5", "1-10x0", "1-99999999999", "1-2000000", "1..5"]
)
def test_bad_ranges_are_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UsageError, match="1001-1100x2"):
        parse_frames(text)


@given(st.sets(st.integers(-2000, 200000), min_size=1, max_size=40))
def test_a_range_survives_its_text(frames: set[int]) -> None:
    assert parse_frames(format_frames(frames)) == tuple(sorted(frames))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.%04d.exr", "a/b.0007.exr"),
        ("b.####.exr", "b.0007.exr"),
        ("b.@@@.exr", "b.007.exr"),
        ("b.#.exr", "b.7.exr"),
        ("b.%d.exr", "b.7.exr"),
        ("b.$F4.exr", "b.0007.exr"),
        ("take2####.exr", "take20007.exr"),
        ("plate_1001-####.exr", "plate_1001-0007.exr"),
        ("shot#5/b.%04d.exr", "shot#5/b.0007.exr"),
        ("b.%04d.left.exr", "b.0007.left.exr"),
        ("b.1001.exr", "b.1001.exr"),
        ("b_v002.exr", "b_v002.exr"),
    ],
)
def test_the_file_of_a_frame(name: str, expected: str) -> None:
    assert str(path_at(name, 7)) == expected
    assert is_sequence(name) == (name != expected)


def test_padding_holds_for_large_and_negative_frames() -> None:
    assert str(path_at("b.%04d.exr", 123456)) == "b.123456.exr"
    assert str(path_at("b.####.exr", -7)) == "b.-007.exr"


def test_two_frame_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="more than one"):
        path_at("b.%04d.####.exr", 1)


def frames_in(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_existing_frames_obey_the_padding(tmp_path: Path) -> None:
    frames_in(
        tmp_path,
        "p.0999.exr", "p.1001.exr", "p.10000.exr", "p.7.exr", "p.00008.exr", "p.1002.png",
        ".p.1003.exr.host.12.tmp", "xp.1004.exr",
    )  # fmt: skip
    assert existing_frames(tmp_path / "p.####.exr") == [999, 1001, 10000]
    assert existing_frames(tmp_path / "p.%d.exr") == [7, 1001, 10000]
    assert existing_frames(tmp_path / "p.1001.exr") == []
    assert existing_frames(tmp_path / "nowhere" / "p.####.exr") == []


def test_offset_and_stills(tmp_path: Path) -> None:
    frames_in(tmp_path, "p.0001.exr", "still.exr", "take#2.exr")
    assert resolve(tmp_path / "p.%04d.exr", 1001, offset=-1000).name == "p.0001.exr"
    assert resolve(tmp_path / "still.exr", 1042, offset=5).name == "still.exr"
    assert resolve(tmp_path / "take#2.exr", 7).name == "take#2.exr"


def test_a_missing_frame_names_the_nearest(tmp_path: Path) -> None:
    frames_in(tmp_path, *(f"p.{frame}.exr" for frame in (1001, 1002, 1006, 1009)))
    with pytest.raises(
        InputError,
        match=r"frame 1004: .*p\.1004\.exr does not exist. 4 from 1001 to 1009 exist, "
        r"nearest 1002 and 1006\.$",
    ) as caught:
        resolve(tmp_path / "p.####.exr", 1004)
    assert (caught.value.exit_code, caught.value.frame) == (3, 1004)
    with pytest.raises(InputError, match=r"nearest 1009\.$"):
        resolve(tmp_path / "p.####.exr", 1100)
    with pytest.raises(InputError, match="No frame of q"):
        resolve(tmp_path / "q.####.exr", 1)
    with pytest.raises(InputError, match="does not exist"):
        resolve(tmp_path / "q.exr", 1)
    with pytest.raises(InputError, match="is a folder"):
        resolve(tmp_path, 1)


@pytest.mark.parametrize("suffix", ["mov", "MP4", "mxf"])
def test_a_movie_is_refused_with_the_line_that_makes_frames(suffix: str) -> None:
    with pytest.raises(InputError, match=rf"ffmpeg -i 'a\.{suffix}' .*'a\.%04d\.png'"):
        resolve(f"a.{suffix}", 1)
