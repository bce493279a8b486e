"""Bad input: one or two sentences that name file, frame, node and a way out, and nothing harmed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.media.read import read
from relume.media.write import write

Arguments = list[str]

GRADED: dict[str, Any] = {
    "plate": {"type": "read", "knobs": {"file": "plate.####.exr"}},
    "graded": {"type": "grade", "inputs": {"image": "plate"}},
    "out": {
        "type": "write",
        "knobs": {"file": "out/graded.####.exr"},
        "inputs": {"layers": {"rgba": "graded"}},
    },
}
RUN = ["run", "graph.json", "--frames", "1001-1003"]


def graph(**changes: Any) -> None:
    """Write graph.json: the graded plate, with nodes changed or added."""
    nodes = {name: changes.get(name, node) for name, node in GRADED.items()} | changes
    Path("graph.json").write_text(json.dumps({"relume": 1, "nodes": nodes}), encoding="utf-8")


def picture(path: str, pixels: Any, channels: str = "RGB") -> None:
    array = np.asarray(pixels, np.float32)
    assert write(path, {"rgba": Image(array, tuple(channels))}) is not None


def plates(*frames: int) -> None:
    rng = np.random.default_rng(1)
    for frame in frames or (1001, 1002, 1003):
        picture(f"plate.{frame}.exr", rng.uniform(0.0, 4.0, (64, 96, 3)))


def foreign(path: str) -> None:
    """Write a picture as another program would."""
    buffer = oiio.ImageBuf(oiio.ImageSpec(8, 8, 3, "half"))
    assert buffer.write(path)


def cut(path: str, share: float) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share)])


def contents() -> dict[str, bytes | None]:
    """Return every file and folder there is, hidden and temporary ones included."""
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(Path().rglob("*"))}


# Each prepares the current folder and returns the arguments.


def missing_frame() -> Arguments:
    plates(1001, 1003)
    graph()
    return RUN


def only_a_missing_frame() -> Arguments:
    plates(1001, 1003)
    graph()
    return ["run", "graph.json", "--frames", "1002"]


def no_plate_at_all() -> Arguments:
    graph()
    return ["run", "graph.json"]


def truncated_header() -> Arguments:
    plates()
    cut("plate.1002.exr", 0.01)
    graph()
    return RUN


def truncated_pixels() -> Arguments:
    plates()
    cut("plate.1002.exr", 0.6)
    graph()
    return RUN


def not_an_image() -> Arguments:
    plates()
    Path("plate.1002.exr").write_text("a text that somebody renamed", encoding="utf-8")
    graph()
    return RUN


def a_movie() -> Arguments:
    Path("plate.mov").write_bytes(b"moov")
    graph(plate={"type": "read", "knobs": {"file": "plate.mov"}})
    return ["run", "graph.json", "--set", "out.file=one.exr"]


def wrong_channels() -> Arguments:
    picture("vectors.exr", np.ones((8, 8, 2)), "UV")
    graph(plate={"type": "read", "knobs": {"file": "vectors.exr"}})
    return ["run", "graph.json", "--set", "out.file=one.exr"]


def no_finite_pixel() -> Arguments:
    plates()
    picture("plate.1002.exr", np.full((8, 8, 3), np.nan))
    graph()
    return RUN


def square_environment() -> Arguments:
    picture("square.exr", np.ones((16, 16, 3)))
    return ["light", "square.exr", "--out", "maps.exr"]


def missing_environment() -> Arguments:
    return ["light", "nowhere.exr", "--out", "maps.exr"]


def unknown_node() -> Arguments:
    graph(graded={"type": "graed", "inputs": {"image": "plate"}})
    return RUN


def unknown_knob() -> Arguments:
    graph(graded={"type": "grade", "knobs": {"exposur": 1}, "inputs": {"image": "plate"}})
    return RUN


def cycle() -> Arguments:
    graph(
        graded={"type": "grade", "inputs": {"image": "again"}},
        again={"type": "grade", "inputs": {"image": "graded"}},
    )
    return RUN


def wrong_type() -> Arguments:
    graph(graded={"type": "prefilter_light", "inputs": {"environment": "plate"}})
    return RUN


def not_wired() -> Arguments:
    graph(graded={"type": "grade"})
    return RUN


def out_of_range() -> Arguments:
    graph(graded={"type": "grade", "knobs": {"exposure": 41}, "inputs": {"image": "plate"}})
    return RUN


def out_of_range_set() -> Arguments:
    plates()
    graph()
    return [*RUN, "--set", "graded.exposure=nan"]


def out_of_range_option() -> Arguments:
    return ["relight", "p.exr", "--light", "rig:rim", "--out", "x.exr", "--light-exposure", "41"]


def unknown_input_space() -> Arguments:
    plates()
    graph(plate={"type": "read", "knobs": {"file": "plate.####.exr", "colour": "LogX"}})
    return RUN


def unknown_output_space() -> Arguments:
    return ["light", "rig:rim", "--out", "maps.exr", "--output-space", "ACEScq"]


def target_is_input() -> Arguments:
    plates()
    graph()
    return [*RUN, "--set", "out.file=plate.####.exr", "--overwrite"]


def target_is_linked_to_an_input() -> Arguments:
    plates()
    for frame in (1001, 1002, 1003):
        Path(f"linked.{frame}.exr").symlink_to(f"plate.{frame}.exr")
    graph()
    return [*RUN, "--set", "out.file=linked.####.exr", "--overwrite"]


def foreign_target() -> Arguments:
    plates()
    Path("out").mkdir()
    foreign("out/other.exr")
    graph()
    return ["run", "graph.json", "--frames", "1001", "--set", "out.file=out/other.exr"]


def foreign_target_among_others() -> Arguments:
    plates()
    Path("out").mkdir()
    foreign("out/graded.1002.exr")
    graph()
    return RUN


def foreign_target_skipped() -> Arguments:
    return [*foreign_target(), "--skip-existing"]


def several_frames_one_file() -> Arguments:
    plates()
    graph()
    return [*RUN, "--set", "out.file=one.exr"]


def graph_is_no_json() -> Arguments:
    Path("graph.json").write_text('{"relume": 1,', encoding="utf-8")
    return RUN


def graph_is_missing() -> Arguments:
    return RUN


def bad_range() -> Arguments:
    plates()
    graph()
    return ["run", "graph.json", "--frames", "1003-"]


def unknown_device() -> Arguments:
    plates()
    graph()
    return [*RUN, "--device", "cuda:99"]


def unknown_rig() -> Arguments:
    return ["light", "rig:rembrant", "--out", "maps.exr"]


def unknown_format() -> Arguments:
    return ["light", "rig:rim", "--out", "maps.xyz"]


@dataclass(frozen=True)
class Case:
    """A mistake, and what must come of it.

    Attributes:
        prepare: makes the input and returns the arguments.
        code: the exit code.
        words: what the message must contain: file, frame, node, way out.
        written: files that must be there afterwards, beside what was there before.
    """

    prepare: Callable[[], Arguments]
    code: Exit
    words: tuple[str, ...]
    written: tuple[str, ...] = field(default=())


OTHERS = ("out", "out/graded.1001.exr", "out/graded.1003.exr")

CASES = (
    Case(missing_frame, Exit.FRAMES_FAILED,
         ("plate.1002.exr", "frame 1002", "node plate", "nearest 1001 and 1003"), OTHERS),
    Case(only_a_missing_frame, Exit.INPUT, ("plate.1002.exr", "frame 1002", "node plate")),
    Case(no_plate_at_all, Exit.INPUT, ("plate.####.exr", "Check the path")),
    Case(truncated_header, Exit.FRAMES_FAILED,
         ("plate.1002.exr", "frame 1002", "node plate", "again"), OTHERS),
    Case(truncated_pixels, Exit.FRAMES_FAILED,
         ("plate.1002.exr", "frame 1002", "node plate", "again"), OTHERS),
    Case(not_an_image, Exit.FRAMES_FAILED,
         ("plate.1002.exr", "frame 1002", "node plate", "again"), OTHERS),
    Case(a_movie, Exit.INPUT, ("plate.mov", "node plate", "ffmpeg -i")),
    Case(wrong_channels, Exit.INPUT, ("vectors.exr", "U, V", "node")),
    Case(no_finite_pixel, Exit.FRAMES_FAILED,
         ("plate.1002.exr", "frame 1002", "node plate", "finite"), OTHERS),
    Case(square_environment, Exit.INPUT,
         ("square.exr", "twice as wide as high", "16×16", "2:1", "node light_environment")),
    Case(missing_environment, Exit.INPUT, ("nowhere.exr", "does not exist", "Check the path")),
    Case(unknown_node, Exit.USAGE, ("node graded", "graed", "Did you mean 'grade'?")),
    Case(unknown_knob, Exit.USAGE, ("node graded", "exposur", "Did you mean 'exposure'?")),
    Case(cycle, Exit.USAGE, ("circle", "graded → again → graded", "Cut one")),
    Case(wrong_type, Exit.USAGE,
         ("node graded", "'environment' takes Environment", "'plate' is Image", "Wire another")),
    Case(not_wired, Exit.USAGE, ("node graded", "'image' is not wired", "Wire Image to it")),
    Case(out_of_range, Exit.USAGE,
         ("node graded", "exposure = 41", "from -40 to 40", "stops")),
    Case(out_of_range_set, Exit.USAGE, ("node graded", "exposure", "from -40 to 40")),
    Case(out_of_range_option, Exit.USAGE, ("--light-exposure", "41", "from -40 to 40", "stops")),
    Case(unknown_input_space, Exit.USAGE, ("frame 1001", "node plate", "LogX")),
    Case(unknown_output_space, Exit.USAGE, ("frame 1", "node write", "ACEScq", "ACEScg")),
    Case(target_is_input, Exit.USAGE, ("plate.1001.exr", "read by this graph", "another name")),
    Case(target_is_linked_to_an_input, Exit.USAGE,
         ("linked.1001.exr", "read by this graph", "another name")),
    Case(foreign_target, Exit.USAGE, ("out/other.exr", "did not write it", "--overwrite")),
    Case(foreign_target_among_others, Exit.FRAMES_FAILED,
         ("out/graded.1002.exr", "frame 1002", "did not write it", "--overwrite"),
         ("out/graded.1001.exr", "out/graded.1003.exr")),
    Case(foreign_target_skipped, Exit.USAGE, ("out/other.exr", "did not write it")),
    Case(several_frames_one_file, Exit.USAGE, ("3 frames", "one.exr", "####", "node out")),
    Case(graph_is_no_json, Exit.USAGE, ("graph.json", "line 1", "not JSON")),
    Case(graph_is_missing, Exit.INPUT, ("graph.json", "cannot read")),
    Case(bad_range, Exit.USAGE, ("1003-", "1001-1100x2")),
    Case(unknown_device, Exit.USAGE, ("cuda:99", "relume doctor")),
    Case(unknown_rig, Exit.USAGE, ("rembrant", "rembrandt")),
    Case(unknown_format, Exit.USAGE, ("maps.xyz", ".exr")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.prepare.__name__)
def test_bad_input(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = case.prepare()
    before = contents()
    code = main(arguments)
    message = capsys.readouterr().err
    after = contents()

    assert code == case.code, message
    for word in case.words:
        assert word in message
    errors = [line for line in message.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert errors[0].endswith((".", "?", "'"))
    assert "Traceback" not in message
    assert set(after) - set(before) == set(case.written)
    assert {name: after[name] for name in before} == before


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return what mounts a tmpfs with options; skip where that is not allowed."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or os.getuid() != 0:
            pytest.skip("only root can mount a small disk")
        if subprocess.run(line, capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine does not let root mount a small disk")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def noise(folder: Path) -> None:
    """Write a plate that no compression makes small."""
    rng = np.random.default_rng(2)
    picture(str(folder / "plate.1001.exr"), rng.normal(size=(512, 512, 3)))


def render_to(folder: Path, plates: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    document = {
        "relume": 1,
        "nodes": GRADED
        | {"plate": {"type": "read", "knobs": {"file": str(plates / "plate.####.exr")}}},
    }
    (plates / "graph.json").write_text(json.dumps(document), encoding="utf-8")
    return subprocess.run(
        [
            sys.executable, "-m", "relume", "run", str(plates / "graph.json"),
            "--set", f"out.file={folder}/graded.####.exr", "--set", "out.depth=float",
        ],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )  # fmt: skip


def test_a_full_disk(tmp_path: Path, mounted: Callable[[str], Path]) -> None:
    noise(tmp_path)
    disk = mounted("size=1M")
    result = render_to(disk, tmp_path)
    assert result.returncode == Exit.FRAMES_FAILED
    for word in ("graded.1001.exr", "frame 1001", "node out", "disk is full", "Free some space"):
        assert word in result.stderr
    assert list(disk.iterdir()) == []


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    noise(tmp_path)
    out = tmp_path / "out"
    out.mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    result = render_to(out, tmp_path, preexec_fn=limit)
    assert result.returncode == Exit.FRAMES_FAILED
    for word in ("graded.1001.exr", "frame 1001", "node out", "could not be written"):
        assert word in result.stderr
    assert list(out.iterdir()) == []


@pytest.fixture
def read_only(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a folder nobody may write to, root included."""
    if os.getuid() == 0:
        yield request.getfixturevalue("mounted")("ro")
        return
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_read_only_folder(tmp_path: Path, read_only: Path) -> None:
    noise(tmp_path)
    result = render_to(read_only, tmp_path)
    assert result.returncode == Exit.USAGE
    for word in (str(read_only), "node out", "nothing can be written", "another folder"):
        assert word in result.stderr
    assert list(read_only.iterdir()) == []


def test_some_broken_pixels_are_mended_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.ones((8, 8, 3), np.float32)
    pixels[2, 2:4] = np.nan
    picture("plate.1001.exr", pixels)
    graph()
    assert main(["run", "graph.json"]) == Exit.DONE
    message = capsys.readouterr().err
    for word in ("frame 1001", "node plate", "2 pixels", "repaired"):
        assert word in message


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_a_plate_without_anybody_is_an_empty_matte_and_a_warning(
    level: float,
    weights: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("plate.exr", np.full((40, 60, 3), level))
    arguments = ["relight", "plate.exr", "--light", "rig:rim", "--background", "plate.exr"]
    assert main([*arguments, "--out", "relit.exr"]) == Exit.DONE
    message = capsys.readouterr().err
    for word in ("Warning", "frame 1", "node matte", "no person was found", "--mask"):
        assert word in message
    layers = read("relit.exr").layers
    for name in ("matte", "relit", "diffuse", "albedo", "normal"):
        assert not layers[name].pixels.any(), name
    np.testing.assert_allclose(layers["rgba"].rgb, level, rtol=1e-3)


def test_a_real_place_without_anybody_is_an_empty_matte(
    assets: Path,
    weights: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "matte.exr"
    desk = str(assets / "backgrounds" / "Desk.exr")
    assert main(["matte", desk, "--proxy", "2", "--out", str(out)]) == Exit.DONE
    assert "no person was found" in capsys.readouterr().err
    assert not read(out).layers["matte"].pixels.any()
