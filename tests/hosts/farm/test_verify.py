"""What `relume farm verify` refuses, in which words, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.encoding import encode
from relume.errors import Exit, InputError
from relume.hosts.cli import main
from relume.hosts.farm.facts import look_at
from relume.hosts.farm.jumps import flicker, jumps
from relume.hosts.farm.timecode import Timecode
from relume.hosts.farm.verify import verify
from relume.image import Box, Image
from relume.media.sequence import path_at

Deliver = Callable[..., str]
FRAMES = range(1001, 1009)


def at(bad: int, change: Callable[[dict[str, Image]], dict[str, Image]]) -> dict[str, Any]:
    return {"change": lambda frame, layers: change(layers) if frame == bad else layers}


def with_pixels(layer: str, value: float) -> Callable[[dict[str, Image]], dict[str, Image]]:
    def change(layers: dict[str, Image]) -> dict[str, Image]:
        pixels = layers[layer].pixels.copy()
        pixels[3, 4, 0] = value
        return layers | {layer: layers[layer].like(pixels)}

    return change


def cropped(layers: dict[str, Image]) -> dict[str, Image]:
    return {
        name: Image(image.pixels[:8], image.channels, image.colour, image.alpha)
        for name, image in layers.items()
    }


def bright(layers: dict[str, Image]) -> dict[str, Image]:
    return layers | {"relit": layers["relit"].like(layers["relit"].pixels * np.float32(1.4))}


def without(name: str) -> Callable[[int], dict[str, Any]]:
    return lambda frame: {name: None} if frame == 1005 else {}


def as_if(bad: int) -> Callable[[int], dict[str, Any]]:
    word = 0x01000103  # 01:00:01:03 where 01:00:01:00 is due
    code = {"smpte:TimeCode": ("timecode", (word, 0))}
    return lambda frame: code if frame == bad else {}


REFUSED = {
    "size": (at(1005, cropped), "windows", (1005,), "display window is (0, 0)-(20, 8)"),
    "data window": (
        at(1004, lambda ls: {k: replace(v, data=Box(2, 0, 22, 12)) for k, v in ls.items()}),
        "windows",
        (1004,),
        "data window is (2, 0)-(22, 12)",
    ),
    "pixel aspect": (
        at(1004, lambda ls: {k: replace(v, pixel_aspect=2.0) for k, v in ls.items()}),
        "windows",
        (1004,),
        "pixel aspect is 2.0, most have 1.0",
    ),
    "channels": (
        at(1003, lambda ls: {k: v for k, v in ls.items() if k != "matte"}),
        "channels",
        (1003,),
        "it lacks matte.A",
    ),
    "colour": (
        at(1003, lambda ls: {k: v if v.is_data else v.like(v.pixels, colour="lin_rec709_scene")
                             for k, v in ls.items()}),
        "colour",
        (1003,),
        "it is in lin_rec709_scene, most have lin_ap1_scene",
    ),
    "nan": (at(1006, with_pixels("relit", np.nan)), "finite", (1006,), "relit has 1 values"),
    "infinite": (
        at(1006, with_pixels("rgba", np.inf)), "finite", (1006,), "0 values that are NaN and 1"
    ),
    "jump": (at(1004, bright), "jump", (1004,), "relit stands out"),
    "no time code": ({"meta": without("smpte:TimeCode")}, "timecode", (1005,), "no time code"),
    "time code": ({"meta": as_if(1005)}, "timecode", (1005,), "01:00:01:03 does not follow"),
    "rate": (
        {"meta": lambda f: {"FramesPerSecond": ("rational", (25, 1))} if f == 1008 else {}},
        "rate",
        (1008,),
        "frame rate is 25/1, most have 24/1",
    ),
    "fingerprint": ({"fingerprint": ""}, "fingerprint", tuple(FRAMES), "no fingerprint"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_is_found_with_its_frames(deliver: Deliver, name: str) -> None:
    how, kind, frames, words = REFUSED[name]
    result = verify(deliver(**how), FRAMES)
    found = [p for p in result.problems if p.kind == kind and frames == p.frames]
    assert any(words in str(p) for p in found), result.problems


def test_a_good_sequence_passes(deliver: Deliver) -> None:
    result = verify(deliver(), FRAMES)
    assert result.problems == []
    relit = result.passes["relit"]
    assert relit["channels"] == ["R", "G", "B"]
    inside = look_at(path_at(result.pattern, 1001), 1001).passes["matte"].mean[0]
    middle = 1.035 * inside
    assert relit["mean"] == pytest.approx([0.5 * middle, 0.4 * middle, 1.5 * middle], rel=1e-3)
    assert (relit["min"], relit["max"]) == (0.0, pytest.approx(1.5 * 1.07, rel=1e-3))


def test_missing_and_truncated_frames_are_named(deliver: Deliver) -> None:
    pattern = deliver()
    path_at(pattern, 1003).unlink()
    cut = path_at(pattern, 1006)
    cut.write_bytes(cut.read_bytes()[:-120])
    problems = {p.kind: p for p in verify(pattern, FRAMES).problems}
    assert problems["missing"].frames == (1003,)
    assert problems["unreadable"].frames == (1006,)
    assert "not complete" in problems["unreadable"].text


def test_a_gap_is_missing_and_a_step_is_not(deliver: Deliver) -> None:
    pattern = deliver()
    path_at(pattern, 1004).unlink()
    assert [p.frames for p in verify(pattern).problems] == [(1004,)]
    for frame in (1002, 1006, 1008):
        path_at(pattern, frame).unlink()
    assert verify(pattern).frames == (1001, 1003, 1005, 1007)
    assert verify(pattern).problems == []


def test_nothing_to_check_is_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no frame"):
        verify(str(tmp_path / "relit.####.exr"))


def test_every_part_of_a_file_is_read(deliver: Deliver) -> None:
    facts = look_at(path_at(deliver(multipart=True), 1001), 1001)
    assert list(facts.channels) == ["R", "G", "B", "A", "relit.R", "relit.G", "relit.B", "matte.A"]
    assert set(facts.passes) == {"rgba", "relit", "matte"}


def test_tiles_give_the_numbers_of_scanlines(deliver: Deliver, tmp_path: Path) -> None:
    path = path_at(deliver(), 1001)
    tiled = tmp_path / "tiled.exr"
    buffer = oiio.ImageBuf(str(path))
    buffer.set_write_tiles(16, 16)
    assert buffer.write(str(tiled))
    a, b = look_at(path, 1), look_at(tiled, 1)
    for name, held in a.passes.items():
        assert held.mean == b.passes[name].mean
        np.testing.assert_array_equal(held.picture, b.passes[name].picture)


def test_light_outside_the_matte_is_measured(deliver: Deliver) -> None:
    def straight(layers: dict[str, Image]) -> dict[str, Image]:
        return layers | {"relit": layers["relit"].like(np.ones((12, 20, 3), np.float32))}

    facts = look_at(path_at(deliver(**at(1001, straight)), 1001), 1001)
    matte = facts.passes["matte"].mean[0]
    assert facts.passes["relit"].uncovered == pytest.approx(1.0 - matte)
    assert facts.passes["rgba"].uncovered == 0.0


def test_current_or_not_is_asked_of_the_graph(deliver: Deliver) -> None:
    pattern = deliver()
    result = verify(pattern, FRAMES, fingerprint=lambda f: f"{f if f != 1002 else 0:040x}")
    assert [(p.kind, p.frames) for p in result.problems] == [("stale", (1002,))]


@given(
    start=st.integers(0, 24 * 3600 * 30 - 5000),
    length=st.integers(1, 4000),
)
def test_drop_frame_codes_count_every_frame(start: int, length: int) -> None:
    def of(count: int) -> Timecode:
        tens, rest = divmod(count, 17982)  # frames in ten minutes at 29.97
        number = count + 18 * tens + (2 * ((rest - 2) // 1798) if rest >= 2 else 0)
        seconds, frames = divmod(number, 30)
        return Timecode(seconds // 3600, seconds // 60 % 60, seconds % 60, frames, drop=True)

    rate = 30000 / 1001
    assert of(start + length).count(rate) - of(start).count(rate) == length


def test_a_time_code_is_unpacked() -> None:
    assert str(Timecode.packed((0x01595923, 0))) == "01:59:59:23"
    assert str(Timecode.packed((0x01595963, 0))) == "01:59:59;23"
    assert Timecode.packed((0x0A000000, 0)) is None
    assert Timecode.packed(None) is None


def grid(values: list[float]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    base = rng.uniform(0.2, 0.8, (8, 8, 3))
    return [(base + value + rng.normal(0, 1e-4, base.shape)).astype(np.float32) for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.0] * 12, [], id="still"),
        pytest.param([0.01 * t for t in range(12)], [], id="a steady rise"),
        pytest.param([0.0] * 6 + [0.3] * 6, [], id="a lamp is switched on"),
        pytest.param([0.0] * 6 + [0.02 * t for t in range(6)], [], id="something begins to move"),
        pytest.param([0.0] * 5 + [0.1] + [0.0] * 6, [5], id="one wrong frame"),
        pytest.param([0.0] * 5 + [0.1, 0.1] + [0.0] * 6, [5, 6], id="two wrong frames"),
        pytest.param([0.1] + [0.0] * 7, [0], id="the first frame"),
        pytest.param([0.0] * 7 + [-0.1], [7], id="the last frame"),
        pytest.param([0.0, 0.0, 0.1, 0.0, 0.0], [2], id="a short shot"),
        pytest.param([0.0, 0.1, 0.0], [], id="three frames prove nothing"),
    ],
)
def test_frames_that_stand_out(values: list[float], expected: list[int]) -> None:
    assert [position for position, _ in jumps(grid(values))] == expected


def moving(speeds: list[float], gains: dict[int, float]) -> list[np.ndarray]:
    """A bright disc over a dim ramp, in cells of 20 pixels; speeds in pixels a frame."""
    y, x = np.mgrid[:240, :480]
    pictures = []
    for frame, centre in enumerate(120.0 + np.cumsum(speeds)):
        inside = np.clip((80.0 - np.hypot(x - centre, y - 120.0)) / 6.0, 0.0, 1.0)
        light = 0.2 + 0.3 * x / 480 + inside * gains.get(frame, 1.0) * 1.2
        cells = light.reshape(12, 20, 24, 20).mean(axis=(1, 3))
        pictures.append(encode(cells[:, :, None].astype(np.float32)))
    return pictures


@pytest.mark.parametrize(
    ("speeds", "gains", "expected"),
    [
        pytest.param([2.0] * 20, {}, [], id="motion"),
        pytest.param([2.0] * 20, {12: 1.6}, [12], id="a flash on something that moves"),
        pytest.param([2.0] * 20, {0: 1.6}, [0], id="a flash in the first frame"),
        pytest.param([0.0] * 10 + [8.0] * 10, {}, [], id="a sudden start"),
        pytest.param([8.0] * 10 + [0.0] * 10, {}, [], id="a sudden stop"),
        pytest.param([4.0] * 10 + [-4.0] * 10, {}, [], id="a sudden turn"),
        pytest.param([0.4 * t for t in range(20)], {}, [], id="it gathers speed"),
        pytest.param([0.0] * 9 + [60.0, -60.0] + [0.0] * 9, {}, [9], id="one frame elsewhere"),
    ],
)
def test_motion_is_no_fault(
    speeds: list[float], gains: dict[int, float], expected: list[int]
) -> None:
    assert [position for position, _ in jumps(moving(speeds, gains))] == expected


def test_flicker_is_a_share_of_the_level() -> None:
    assert flicker([[1.0 + 0.1 * t] for t in range(9)]) == pytest.approx(0.0, abs=1e-12)
    # An alternation of ±a bends by 2a at every frame.
    assert flicker([[1.0 + 0.05 * (-1) ** t] for t in range(100)]) == pytest.approx(0.1)
    assert flicker([[0.0]] * 9) == 0.0


def graph_of(tmp_path: Path, plate: str) -> Path:
    graph = {
        "relume": 1,
        "shot": "1001-1008",
        "nodes": {
            "plate": {"type": "read", "knobs": {"file": plate}},
            "grade": {"type": "grade", "inputs": {"image": "plate"}},
            "write": {
                "type": "write",
                "knobs": {"file": str(tmp_path / "out" / "graded.####.exr")},
                "inputs": {"layers": {"rgba": "grade"}},
            },
        },
    }
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    return path


def test_the_command_agrees_with_the_renderer(
    deliver: Deliver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = str(graph_of(tmp_path, deliver("plates")))
    assert main(["run", graph, "--threads", "1"]) == Exit.DONE
    assert main(["farm", "verify", "--graph", graph]) == Exit.DONE
    out = str(tmp_path / "out" / "graded.####.exr")
    assert main(["farm", "verify", out, "--graph", graph, "--set", "grade.exposure=1"]) == 5
    assert "frames 1001-1008: it was made from another graph" in capsys.readouterr().err
    path_at(out, 1004).unlink()
    assert main(["farm", "verify", out, "--json"]) == Exit.VERIFICATION
    (found,) = json.loads(capsys.readouterr().out)
    assert found["problems"] == [{"kind": "missing", "frames": [1004], "text": "there is no file"}]
    assert main(["farm", "verify", str(tmp_path / "none.####.exr")]) == Exit.INPUT
    assert main(["farm", "verify"]) == Exit.USAGE
