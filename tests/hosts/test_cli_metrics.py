"""`relume metrics` on files: figures, regions, tables, drawings and exit codes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.matting.metrics import change_error, matte_error, temporal_error
from relume.media.write import write

Capture = pytest.CaptureFixture[str]
SHAPE = (20, 30)


def save(name: str, values: np.ndarray | float) -> np.ndarray:
    pixels = np.broadcast_to(np.float32(values), SHAPE).copy()
    write(name, {"matte": Image(pixels[..., None], ("A",), "data")}, depth="float")
    return pixels


@pytest.fixture
def shot(here: Path) -> dict[str, list[np.ndarray]]:
    """Three frames of a matte that flickers, the truth, and a trimap without unknown at the end."""
    rng = np.random.default_rng(0)
    made: dict[str, list[np.ndarray]] = {"matte": [], "truth": [], "trimap": []}
    for frame in range(3):
        truth = np.zeros(SHAPE)
        truth[:, 8 + frame :] = 1.0
        made["truth"].append(save(f"truth.{frame + 11}.exr", truth))
        noisy = np.clip(truth + rng.normal(0, 0.1, SHAPE), 0, 1)
        made["matte"].append(save(f"matte.{frame + 1}.exr", noisy))
        trimap = truth.copy()
        if frame < 2:
            trimap[:, 5:15] = 0.5
        made["trimap"].append(save(f"trimap.{frame + 11}.exr", trimap))
    return made


NAMES = ["matte.#.exr", "truth.##.exr", "--trimap", "trimap.##.exr", "--offset", "10"]


def test_json_holds_every_frame_region_and_mean(
    shot: dict[str, list[np.ndarray]], capsys: Capture
) -> None:
    assert main(["metrics", *NAMES, "--json"]) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [entry["frame"] for entry in found["frames"]] == [1, 2, 3]
    assert [sorted(entry) for entry in found["frames"]] == [
        ["frame", "unknown", "whole"],
        ["frame", "unknown", "whole"],
        ["frame", "whole"],
    ]
    for number, entry in enumerate(found["frames"]):
        matte, truth = shot["matte"][number], shot["truth"][number]
        whole = matte_error(matte, truth)
        for name in ("sad", "mse", "mad", "grad", "conn"):
            assert entry["whole"][name] == pytest.approx(getattr(whole, name))
        if "unknown" in entry:
            inside = np.abs(matte.astype(float) - truth)[:, 5:15]
            assert entry["unknown"]["mad"] == pytest.approx(1e3 * inside.mean())
            assert entry["unknown"]["sad"] == pytest.approx(inside.sum() / 1e3)
    mean = found["mean"]["whole"]
    assert mean["dtssd"] == pytest.approx(
        temporal_error(np.array(shot["matte"]), np.array(shot["truth"]))
    )
    sums = [entry["whole"]["grad"] for entry in found["frames"]]
    assert mean["grad"] == pytest.approx(sum(sums) / 3)


def test_a_change_is_measured_pixel_by_pixel() -> None:
    rng = np.random.default_rng(1)
    now, then, true_now, true_then = rng.random((4, 3, 4))
    region = rng.random((3, 4)) > 0.4
    squares = [
        ((now[y, x] - then[y, x]) - (true_now[y, x] - true_then[y, x])) ** 2
        for y in range(3)
        for x in range(4)
        if region[y, x]
    ]
    wanted = 100 * math.sqrt(sum(squares) / len(squares))
    assert change_error(now, true_now, then, true_then, region) == pytest.approx(wanted)


def test_the_table_and_the_drawing(shot: dict[str, list[np.ndarray]], capsys: Capture) -> None:
    files = ["--csv", "errors.csv", "--plot", "errors.svg"]
    assert main(["metrics", *NAMES, *files]) == Exit.DONE
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == "frame region SAD MSE MAD Grad Conn dtSSD".split()
    assert [line.split()[0] for line in shown[1:]] == ["1", "1", "2", "2", "3", "mean", "mean"]
    with Path("errors.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["frame"], line["region"]) for line in lines] == [
        ("1", "whole"), ("1", "unknown"), ("2", "whole"), ("2", "unknown"), ("3", "whole"),
    ]  # fmt: skip
    assert float(lines[0]["sad"]) == matte_error(shot["matte"][0], shot["truth"][0]).sad
    drawn = ElementTree.parse("errors.svg")
    lines = drawn.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 12
    assert main(["metrics", *NAMES, *files]) == Exit.USAGE
    assert "errors.csv exists" in capsys.readouterr().err
    assert main(["metrics", *NAMES, *files, "--overwrite"]) == Exit.DONE


def test_a_single_truth_holds_and_frames_can_be_chosen(
    shot: dict[str, list[np.ndarray]], capsys: Capture
) -> None:
    save("still.exr", 0.5)
    assert main(["metrics", "matte.#.exr", "still.exr", "--frames", "2,3", "--json"]) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [entry["frame"] for entry in found["frames"]] == [2, 3]
    wanted = 1e3 * np.abs(shot["matte"][1].astype(float) - 0.5).mean()
    assert found["frames"][0]["whole"]["mad"] == pytest.approx(wanted)


def test_a_limit_that_is_exceeded_fails_verification(here: Path, capsys: Capture) -> None:
    save("matte.exr", 0.25)
    save("truth.exr", 0.0)
    line = ["metrics", "matte.exr", "truth.exr"]
    assert main([*line, "--limit", "mad=251", "--limit", "mse=63"]) == Exit.DONE
    assert main([*line, "--limit", "MAD=249"]) == Exit.VERIFICATION
    assert "MAD is 250, more than 249" in capsys.readouterr().err
    assert main([*line, "--limit", "wrong=1"]) == Exit.USAGE


def test_frames_that_cannot_be_compared_are_listed(
    shot: dict[str, list[np.ndarray]], capsys: Capture
) -> None:
    Path("truth.12.exr").unlink()
    assert main(["metrics", *NAMES, "--json"]) == Exit.FRAMES_FAILED
    said = capsys.readouterr()
    assert [entry["frame"] for entry in json.loads(said.out)["frames"]] == [1, 3]
    assert "frame 2" in said.err and "truth.12.exr" in said.err


def test_what_cannot_be_measured_at_all(here: Path, capsys: Capture) -> None:
    save("matte.exr", 0.5)
    assert main(["metrics", "matte.exr", "none.exr"]) == Exit.INPUT
    assert main(["metrics", "none.####.exr", "matte.exr"]) == Exit.INPUT
    write("small.exr", {"matte": Image(np.zeros((4, 5, 1), np.float32), ("A",), "data")})
    assert main(["metrics", "small.exr", "matte.exr"]) == Exit.USAGE
    assert "small.exr is 5×4, matte.exr 30×20" in capsys.readouterr().err
    assert main(["metrics", "matte.exr", "matte.exr", "--plot", "plot.png"]) == Exit.USAGE
