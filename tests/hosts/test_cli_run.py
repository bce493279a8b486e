"""`relume run`: frames, knobs, resuming, failures, cancelling, and what is told about it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.hosts.cli.progress import Reporter
from relume.media.read import read
from relume.render import FrameReport

Capture = pytest.CaptureFixture[str]
Plates = Callable[..., None]


def out_frames() -> list[int]:
    return sorted(int(p.name.split(".")[1]) for p in Path("out").glob("*.exr"))


def pixels(frame: int) -> np.ndarray:
    return read(f"out/graded.{frame}.exr").layer().pixels


def test_every_frame_there_is_by_default(graded: Path, plates: Plates, capsys: Capture) -> None:
    plates(1001, 1002, 1004)
    assert main(["run", "graph.json"]) == Exit.DONE
    assert out_frames() == [1001, 1002, 1004]
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    for line, frame in zip(lines, (1001, 1002, 1004), strict=False):
        assert re.fullmatch(rf"frame {frame}: out/graded\.{frame}\.exr \(\d+\.\d s\)", line)
    assert re.fullmatch(r"3 frames done in \d+\.\d s, \d+\.\d s a frame\.", lines[3])
    assert captured.err == "Warning: plate.####.exr has no frame 1003; left out.\n"


def test_frames_and_knobs(graded: Path, plates: Plates) -> None:
    plates(*range(1001, 1006))
    arguments = ["run", "graph.json", "--frames", "1001-1005x2", "--set", "graded.exposure=1"]
    assert main(arguments) == Exit.DONE
    assert out_frames() == [1001, 1003, 1005]
    plate = read("plate.1003.exr").layer().pixels
    np.testing.assert_array_equal(pixels(1003), 2.0 * plate)


def test_a_knob_with_keys(graded: Path, plates: Plates) -> None:
    plates(1001, 1002, 1003)
    keys = json.dumps({"keys": [[1001, 0.0], [1003, 2.0]]})
    assert main(["run", "graph.json", "--set", f"graded.exposure={keys}"]) == Exit.DONE
    for frame, gain in ((1001, 1.0), (1002, 2.0), (1003, 4.0)):
        plate = read(f"plate.{frame}.exr").layer().pixels
        np.testing.assert_allclose(pixels(frame), gain * plate, rtol=1e-6)


def test_the_shot_limits_the_frames_there_are(graded: Path, plates: Plates) -> None:
    plates(1001, 1002, 1003)
    assert main(["run", "graph.json", "--shot", "1002-1003"]) == Exit.DONE
    assert out_frames() == [1002, 1003]


def test_a_shot_without_a_frame_is_an_error(graded: Path, plates: Plates, capsys: Capture) -> None:
    plates(1001)
    assert main(["run", "graph.json", "--shot", "5-9"]) == Exit.INPUT
    assert "5-9" in capsys.readouterr().err


def test_a_frame_beyond_the_shot_is_refused(graded: Path, plates: Plates, capsys: Capture) -> None:
    plates(1001, 1002, 1003)
    asked = ["run", "graph.json", "--frames", "1001-1003", "--shot", "1002-1003"]
    assert main(asked) == Exit.USAGE
    assert "the shot 1002-1003 has no frame 1001." in capsys.readouterr().err
    assert out_frames() == []


def test_a_single_plate_is_one_frame_and_holds_for_many(graded: Path, plates: Plates) -> None:
    plates(1001)
    still = ["run", "graph.json", "--set", "plate.file=plate.1001.exr"]
    assert main(still) == Exit.DONE
    assert [p.name for p in Path("out").iterdir()] == ["graded.0001.exr"]
    assert main([*still, "--frames", "1001-1003"]) == Exit.DONE
    np.testing.assert_array_equal(pixels(1001), pixels(1003))


def test_skip_existing_renders_only_what_is_missing_or_changed(
    graded: Path, plates: Plates, capsys: Capture
) -> None:
    plates(1001, 1002, 1003)
    again = ["run", "graph.json", "--skip-existing"]
    assert main(again) == Exit.DONE
    Path("out/graded.1002.exr").unlink()
    data = Path("out/graded.1003.exr").read_bytes()
    Path("out/graded.1003.exr").write_bytes(data[:-40])
    capsys.readouterr()
    assert main(again) == Exit.DONE
    out = capsys.readouterr().out
    assert "frame 1001: out/graded.1001.exr (is current)" in out
    assert "2 frames done, 1 frame skipped" in out
    assert Path("out/graded.1003.exr").read_bytes() == data
    assert main([*again, "--set", "graded.exposure=1"]) == Exit.DONE
    assert "3 frames done" in capsys.readouterr().out


def test_chunks_do_not_change_a_byte_and_a_failure_in_one_stops_no_other(
    graded: Path, plates: Plates
) -> None:
    plates(*range(1001, 1008))
    assert main(["run", "graph.json"]) == Exit.DONE
    whole = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert main(["run", "graph.json", "--chunk", "3"]) == Exit.DONE
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == whole
    for path in Path("out").iterdir():
        path.unlink()
    Path("out/graded.1004.exr").write_text("a foreign file", encoding="utf-8")
    assert main(["run", "graph.json", "--chunk", "3"]) == Exit.FRAMES_FAILED
    assert out_frames() == list(range(1001, 1008))


def test_other_frames_go_on_after_a_failure_unless_told(
    graded: Path, plates: Plates, capsys: Capture
) -> None:
    plates(1001, 1003)
    frames = ["run", "graph.json", "--frames", "1001-1003"]
    assert main([*frames, "--fail-fast"]) == Exit.FRAMES_FAILED
    assert out_frames() == [1001]
    assert main([*frames, "--fail-fast", "--chunk", "1"]) == Exit.FRAMES_FAILED
    assert out_frames() == [1001]
    capsys.readouterr()
    assert main(frames) == Exit.FRAMES_FAILED
    assert out_frames() == [1001, 1003]
    captured = capsys.readouterr()
    assert "2 frames done, 1 frame failed" in captured.out
    assert "Failed: 1002." in captured.err


def test_overwrite_replaces_a_foreign_file(graded: Path, plates: Plates) -> None:
    plates(1001)
    Path("out").mkdir()
    assert oiio.ImageBuf(oiio.ImageSpec(4, 4, 3, "half")).write("out/graded.1001.exr")
    assert main(["run", "graph.json"]) == Exit.USAGE
    assert main(["run", "graph.json", "--overwrite"]) == Exit.DONE
    np.testing.assert_array_equal(pixels(1001), read("plate.1001.exr").layer().pixels)


def test_print_graph_prints_what_would_run(graded: Path, plates: Plates, capsys: Capture) -> None:
    plates(1001)
    assert main(["run", "graph.json", "--set", "graded.exposure=2", "--print-graph"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["nodes"]["graded"]["knobs"] == {"exposure": 2}
    assert not Path("out").exists()


@pytest.mark.parametrize("setting", ["graded.exposure", "exposure=1", "nope.exposure=1"])
def test_a_setting_that_sets_nothing(
    setting: str, graded: Path, plates: Plates, capsys: Capture
) -> None:
    plates(1001)
    assert main(["run", "graph.json", "--set", setting]) == Exit.USAGE
    assert setting.partition(".")[0] in capsys.readouterr().err


def test_the_cache_on_disk_keeps_results(graded: Path, plates: Plates) -> None:
    plates(1001)
    assert main(["run", "graph.json", "--cache", "kept"]) == Exit.DONE
    first = {path.name for path in Path("kept").rglob("*.npz")}
    assert first
    assert main(["run", "graph.json", "--cache", "kept"]) == Exit.DONE
    assert {path.name for path in Path("kept").rglob("*.npz")} == first
    assert main(["run", "graph.json", "--cache", "kept", "--set", "graded.exposure=1"]) == Exit.DONE
    assert {path.name for path in Path("kept").rglob("*.npz")} > first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelling_keeps_whole_frames_and_nothing_else(
    number: signal.Signals, graded: Path, plates: Plates
) -> None:
    plates(*range(1, 200), size=(256, 256))
    process = subprocess.Popen(
        [sys.executable, "-m", "relume", "run", "graph.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("frame 1: ")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == Exit.CANCELLED
    assert errors.splitlines()[-1] == "Cancelled."
    files = list(Path("out").iterdir())
    done = re.fullmatch(r"(\d+) frames? done in .*", output.splitlines()[-1])
    assert done and len(files) - int(done[1]) in (0, 1)  # one may be written but not yet told
    assert 1 <= len(files) < 199
    for file in files:
        assert read(file).layer().pixels.shape == (256, 256, 3)


def test_a_sentence_is_told_once_and_then_counted(capsys: Capture) -> None:
    with Reporter(4, 1) as reporter:
        for frame in (1, 2, 3, 4):
            reporter.notice("relight", frame, f"{frame + 0.5} % of the subject is below 0")
            warnings = ["albedo is written as float"] if frame == 3 else []
            reporter.frame(FrameReport("out", frame, "x.exr", "done", warnings=warnings))
    reporter.summary()
    assert capsys.readouterr().err.splitlines() == [
        "Warning: frame 1, node relight: 1.5 % of the subject is below 0.",
        "Warning: frame 3, node out: albedo is written as float.",
        "Warning: node relight: 1.5 % of the subject is below 0. Likewise: 2-4.",
    ]


def test_a_terminal_gets_a_bar_with_frame_and_node(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Reporter(2, 2) as reporter:
        reporter.progress("plate", 7, 0.0)
        reporter.progress("plate", 7, 1.0)
        reporter.progress("matte", 7, 0.5)
        reporter.notice("matte", 7, "look at this")
        reporter.frame(FrameReport("out", 7, "x.exr", "done"))
    reporter.summary()
    captured = capsys.readouterr()
    assert "frame 7  matte" in captured.err
    assert "look at this" in captured.err
    assert "1/2" in captured.err
    assert captured.out.startswith("1 frame done in")
