"""Shots of an edit: ranges, handles, retimes, overrides, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relume.errors import Exit, InputError, UsageError
from relume.frames import Shot
from relume.hosts.cli import main
from relume.hosts.farm.shots import Clip, range_of, read_clips

otio = pytest.importorskip("opentimelineio", reason="pip install 'relume[farm]'")

Deliver = Callable[..., str]


def time(value: float, rate: float = 24.0) -> Any:
    return otio.opentime.RationalTime(value, rate)


def span(start: float, length: float, rate: float = 24.0) -> Any:
    return otio.opentime.TimeRange(time(start, rate), time(length, rate))


def sequence(folder: Path, first: int, length: int) -> Any:
    return otio.schema.ImageSequenceReference(
        target_url_base=folder.as_uri(), name_prefix="relit.", name_suffix=".exr",
        start_frame=first, frame_zero_padding=4, rate=24.0, available_range=span(0, length),
    )  # fmt: skip


def timeline_of(path: Path, *items: Any) -> str:
    timeline = otio.schema.Timeline("reel")
    track = otio.schema.Track("V1", kind=otio.schema.TrackKind.Video)
    track.extend(list(items))
    timeline.tracks.append(track)
    otio.adapters.write_to_file(timeline, str(path))
    return str(path)


@pytest.fixture
def graph(tmp_path: Path) -> str:
    nodes = {
        "plate": {"type": "read", "knobs": {"file": ""}},
        "grade": {"type": "grade", "inputs": {"image": "plate"}},
        "write": {
            "type": "write",
            "knobs": {"file": str(tmp_path / "out" / "{shot}" / "relit.####.exr")},
            "inputs": {"layers": {"rgba": "grade"}},
        },
    }
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"relume": 1, "nodes": nodes}), encoding="utf-8")
    return str(path)


@pytest.fixture
def edit(deliver: Deliver, tmp_path: Path) -> str:
    """Two clips over one sequence 1001-1008 each: frames 1003-1005 and 1002-1007."""
    clips = []
    for name, start, length in (("sh010", 2, 3), ("sh020", 1, 6)):
        deliver(name)
        media = sequence(tmp_path / name, 1001, 8)
        clips.append(otio.schema.Clip(name, media, span(start, length)))
    return timeline_of(tmp_path / "reel.otio", *clips)


def written(folder: Path) -> list[int]:
    return sorted(int(path.name.split(".")[1]) for path in folder.iterdir())


def test_every_clip_is_rendered_with_its_handles(
    edit: str, graph: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["farm", "shots", edit, "--graph", graph, "--handles", "2", "--threads", "1"]
    assert main([*arguments, "--list"]) == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "sh010: 1003-1005, handles 2 and 2",
        "sh020: 1002-1007, handles 1 and 1, all the plate has",
    ]
    assert not (tmp_path / "out").exists()
    assert main(arguments) == Exit.DONE
    assert written(tmp_path / "out" / "sh010") == list(range(1001, 1008))
    assert written(tmp_path / "out" / "sh020") == list(range(1001, 1009))


def test_shots_are_shared_between_processes(edit: str, graph: str, tmp_path: Path) -> None:
    arguments = ["farm", "shots", edit, "--graph", graph, "--jobs", "2"]
    assert main(arguments) == Exit.DONE
    assert written(tmp_path / "out" / "sh010") == [1003, 1004, 1005]
    assert written(tmp_path / "out" / "sh020") == list(range(1002, 1008))


def test_a_shot_may_differ(edit: str, graph: str, tmp_path: Path) -> None:
    from relume.media.read import read

    overrides = tmp_path / "shots.json"
    overrides.write_text(json.dumps({"sh020": {"grade.exposure": 1.0}}))
    base = ["farm", "shots", edit, "--graph", graph, "--threads", "1"]
    assert main([*base, "--overrides", str(overrides)]) == Exit.DONE
    one, two = (
        read(tmp_path / "out" / shot / "relit.1004.exr").layer().pixels
        for shot in ("sh010", "sh020")
    )
    assert one.max() > 0.4
    assert two[:, :, :3] == pytest.approx(2.0 * one[:, :, :3], rel=1e-3)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"sh030": {"grade.exposure": 1}}, "'sh030', which the edit does not have"),
        ({"sh010": {"exposure": 1}}, "'sh010' sets no knobs"),
        ({"sh010": {"grade.exposure": "much"}}, "shot sh010: node grade"),
        ({"sh010": {"nosuch.exposure": 1}}, "nosuch"),
        ([], "holds no shots"),
    ],
)
def test_other_overrides_are_refused(
    edit: str, graph: str, tmp_path: Path, capsys: Any, document: Any, words: str
) -> None:
    path = tmp_path / "shots.json"
    path.write_text(json.dumps(document))
    arguments = ["farm", "shots", edit, "--graph", graph, "--overrides", str(path)]
    assert main(arguments) == Exit.USAGE
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def clip_with(tmp_path: Path, **kwargs: Any) -> Any:
    clip = otio.schema.Clip("sh010", sequence(tmp_path / "sh010", 1001, 8), span(2, 3))
    clip.effects.extend(kwargs.get("effects", []))
    clip.name = kwargs.get("name", clip.name)
    return clip


def test_what_cannot_be_rendered_as_it_is_is_refused(tmp_path: Path) -> None:
    warp = otio.schema.LinearTimeWarp(time_scalar=2.0)
    freeze = otio.schema.FreezeFrame()
    for number, (items, words) in enumerate(
        [
            ([clip_with(tmp_path, effects=[warp])], r"'sh010' is retimed \(speed 2\)"),
            ([clip_with(tmp_path, effects=[freeze])], r"'sh010' is retimed \(speed 0\)"),
            ([clip_with(tmp_path, name="../up")], "no name a folder can have"),
            ([clip_with(tmp_path), clip_with(tmp_path)], "two clips of the edit are named 'sh010'"),
            ([otio.schema.Stack("nest")], "'nest' is an edit within the edit"),
        ]
    ):
        path = timeline_of(tmp_path / f"reel{number}.otio", *items)
        with pytest.raises(UsageError, match=words):
            read_clips(path)


def test_a_warp_of_one_is_none(tmp_path: Path) -> None:
    clip = clip_with(tmp_path, effects=[otio.schema.LinearTimeWarp(time_scalar=1.0)])
    (read,) = read_clips(timeline_of(tmp_path / "reel.otio", clip, otio.schema.Gap()))
    assert (read.name, read.first, read.last) == ("sh010", 1003, 1005)
    assert read.plate == str(tmp_path / "sh010" / "relit.####.exr")


def test_a_dissolve_needs_the_frames_that_are_seen(tmp_path: Path) -> None:
    one, two = clip_with(tmp_path), clip_with(tmp_path, name="sh020")
    dissolve = otio.schema.Transition(
        "d", otio.schema.TransitionTypes.SMPTE_Dissolve, time(1), time(2)
    )
    clips = read_clips(timeline_of(tmp_path / "reel.otio", one, dissolve, two))
    assert [(clip.first, clip.last) for clip in clips] == [(1003, 1007), (1002, 1005)]


def test_an_unreadable_edit_is_a_missing_input(tmp_path: Path) -> None:
    broken = tmp_path / "reel.otio"
    broken.write_text("{")
    for path in (broken, tmp_path / "none.otio"):
        with pytest.raises(InputError):
            read_clips(path)


def test_a_plate_numbered_otherwise_is_found_by_its_time_code(
    deliver: Deliver, tmp_path: Path
) -> None:
    plate = deliver("sh010")  # frame 1001 is 01:00:00:20
    clip = Clip("sh010", 3600 * 24 + 22, 3600 * 24 + 25, 24.0, plate)
    found = range_of(clip, plate, 9)
    assert (found.cut, found.whole) == (Shot(1003, 1006), Shot(1001, 1008))
    silent = deliver("silent", meta=lambda frame: {"smpte:TimeCode": None})
    with pytest.raises(UsageError, match="no time code"):
        range_of(clip, silent, 0)


def test_missing_frames_of_the_cut_are_named_and_end_handles(
    deliver: Deliver, tmp_path: Path
) -> None:
    plate = deliver("sh010")
    (tmp_path / "sh010" / "relit.1003.exr").unlink()
    with pytest.raises(InputError, match=r"the cut is 1002-1004, and .* has no frame 1003"):
        range_of(Clip("sh010", 1002, 1004, 24.0, plate), plate, 0)
    assert range_of(Clip("sh010", 1005, 1006, 24.0, plate), plate, 8).handles() == (1, 2)


def test_an_edl_names_its_shots_and_the_graph_their_plates(
    deliver: Deliver, graph: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("otio_cmx3600_adapter", reason="pip install 'relume[farm]'")
    deliver("sh010")
    edl = tmp_path / "reel.edl"
    edl.write_text(
        "TITLE: REEL\n\n"
        "001  SH010    V     C        01:00:00:22 01:00:01:01 01:00:00:00 01:00:00:03\n"
        "* FROM CLIP NAME:  sh010\n"
    )
    arguments = ["farm", "shots", str(edl), "--graph", graph, "--rate", "24", "--handles", "1"]
    assert main([*arguments, "--list"]) == Exit.USAGE
    assert "the edit points at no plate" in capsys.readouterr().err
    plate = f"plate.file={tmp_path}/{{shot}}/relit.####.exr"
    assert main([*arguments, "--set", plate, "--threads", "1"]) == Exit.DONE
    assert "sh010: 1003-1005, handles 1 and 1" in capsys.readouterr().out
    assert written(tmp_path / "out" / "sh010") == list(range(1002, 1007))


def test_shots_do_not_write_over_each_other(
    edit: str, graph: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = f"write.file={tmp_path}/out/relit.####.exr"
    base = ["farm", "shots", edit, "--graph", graph, "--threads", "1", "--set", one]
    assert main(base) == Exit.USAGE
    assert "2 shots would be written to" in capsys.readouterr().err
    assert main([*base, "--only", "sh010"]) == Exit.DONE
    assert written(tmp_path / "out") == [1003, 1004, 1005]
    assert main([*base, "--only", "sh030"]) == Exit.USAGE


def test_a_failing_shot_stops_no_other(edit: str, graph: str, tmp_path: Path) -> None:
    plate = tmp_path / "sh010" / "relit.1004.exr"
    plate.write_bytes(plate.read_bytes()[:-100])
    arguments = ["farm", "shots", edit, "--graph", graph, "--threads", "1"]
    assert main(arguments) == Exit.FRAMES_FAILED
    assert written(tmp_path / "out" / "sh010") == [1003, 1005]
    assert len(written(tmp_path / "out" / "sh020")) == 6
