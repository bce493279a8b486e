"""Every `relume` command of the documentation runs, on small plates and two frames.

Each page has a folder of its own, which holds what its commands expect to find; they run there one
after the other, as somebody who reads the page would type them.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relume import weights
from relume.cache import MemoryCache
from relume.colour import convert
from relume.errors import Exit, InputError
from relume.hosts.cli import main
from relume.image import DATA, Image
from relume.media.read import read
from relume.media.write import write

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
WIDTH, HEIGHT = 96, 96
FRAMES = (1001, 1002)

SMALLER = (
    (r"\b1001-1\d\d\d(?!\d)", "1001-1002"),
    (r"--cut \S+ --handles 8", "--cut 1001-1002 --handles 0"),
    (r"--size \S+", f"--size {WIDTH}x{HEIGHT}"),
    (r"--jobs 8", "--jobs 2"),
    (r"(--to |> )(/|~/)", r"\1"),  # below the scratch folder
)
"""What is changed in a command before it runs."""

NOT_RUN = {
    "relume train": "needs the assets, or hours; tests/training runs the steps",
    "relume run comp.json --cluster": "needs a scheduler; tests/hosts/test_farm_run_cluster.py",
    "python -m relume.training": "needs the assets, or hours; tests/training runs the steps",
    "relume host install ofx": "needs a compiler; tests/hosts/ofx/test_ofx_install.py",
    "relume host check ofx": "needs it installed; tests/hosts/ofx/test_ofx_install.py",
    "python docs/pictures": "draws at full size, some of it in a browser",
}
"""Beginning of a command → why it is only looked up: its help, or the file it runs."""

STAYS_OPEN = "relume view"
"""Begun in a process of its own, and ended as with Ctrl-C once its page is served."""


def lines_of(page: Path) -> list[str]:
    """Return the command lines of a page that start relume or a module or script of it."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for named, block in blocks if not named for line in block.splitlines()]
    return [line for line in lines if re.match(r"relume |python (-m relume\.|docs/)", line)]


COMMANDS = {page: lines for page in PAGES if (lines := lines_of(page))}


def shorter(line: str) -> tuple[list[str], str]:
    """Return the words of a command for the scratch folder, and the file its output goes to."""
    for pattern, other in SMALLER:
        line = re.sub(pattern, other, line)
    text, _, redirect = re.sub(r"\s#.*", "", line).partition(" > ")
    return shlex.split(text), redirect


def photograph() -> NDArray[np.float32]:
    """Return scikit-image's astronaut, HEIGHT × WIDTH × 3, as a screen shows it."""
    data = pytest.importorskip("skimage.data", reason="pip install 'relume[demo]'")
    from relume.compositing.resample import resize_pixels

    picture = np.float32(data.astronaut()) / 255
    return np.clip(resize_pixels(picture, WIDTH, HEIGHT), 0, 1)


def time_code(frame: int) -> int:
    """Return the packed time code of a frame, at 24 frames a second from 01:00:00:00."""
    return 0x01000000 | (frame - FRAMES[0])


def rgb(pixels: NDArray[Any], colour: str = "lin_ap1_scene") -> dict[str, Image]:
    return {"rgba": Image(np.ascontiguousarray(pixels, np.float32), ("R", "G", "B"), colour=colour)}


def alpha(pixels: NDArray[Any]) -> dict[str, Image]:
    return {"rgba": Image(np.float32(pixels)[..., None], ("Y",), colour=DATA)}


def material() -> None:
    """Write what stands for a production's own files into the working folder."""
    screen = photograph()
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((x / WIDTH - 0.42) / 0.375) ** 2 + ((y / HEIGHT - 0.625) / 0.6) ** 2
    trimap = np.select([inside < 0.7, inside < 1.2], [1.0, 0.5], 0.0)
    wall = np.linspace(0.4, 0.1, HEIGHT)[:, None, None] * np.array([0.9, 1.0, 1.2])
    wall = wall * rng.normal(1, 0.02, (HEIGHT, WIDTH, 3))
    plate = convert(rgb(screen, "srgb_rec709_scene")["rgba"], "lin_ap1_scene").pixels
    coded = convert(rgb(plate)["rgba"], "ARRI LogC4").pixels
    for name in ("portrait.png", "group.png"):
        write(name, rgb(screen, "srgb_rec709_scene"), depth="uint8")
    write("mask.png", alpha(inside < 1), depth="uint8")
    for name in ("street.exr", "bg.exr", "clean.exr"):
        write(name, rgb(wall))
    for frame in FRAMES:
        meta = {
            "smpte:TimeCode": ("timecode", (time_code(frame), 0)),
            "FramesPerSecond": ("rational", (24, 1)),
        }
        moved = np.roll(plate, frame - FRAMES[0], 1)
        for name in ("plate", "sh010/plate", "sh020/plate"):
            write(f"{name}.{frame}.exr", rgb(moved), metadata=meta)
        write(f"street.{frame}.exr", rgb(wall))
        write(f"clean.{frame}.exr", rgb(wall))
        write(f"trimap.{frame}.exr", alpha(trimap))
        write(f"roto.{frame}.exr", alpha(inside < 1))
        log_code(Path(f"plate.{frame}.dpx"), coded)
    sky = np.linspace(1.0, 0.05, 16)[:, None, None] * np.array([0.8, 1.0, 1.3])
    sky = np.broadcast_to(sky, (16, 32, 3)).copy()
    sky[4:6, 20:22] = 60.0
    Path("lights").mkdir()
    for name in ("studio.hdr", "set.hdr", "studio.exr", "environment.exr", "lights/studio.exr"):
        light(Path(name), sky)


def light(path: Path, pixels: NDArray[Any]) -> None:
    """Write an environment; relume itself writes no .hdr."""
    save(path, pixels, "half" if path.suffix == ".exr" else "float")


def log_code(path: Path, pixels: NDArray[Any]) -> None:
    """Write a DPX of ten bits; relume itself writes none."""
    save(path, np.clip(pixels, 0, 1), "uint10")


def save(path: Path, pixels: NDArray[Any], depth: str) -> None:
    import OpenImageIO as oiio

    image = np.ascontiguousarray(pixels, np.float32)
    buffer = oiio.ImageBuf(image)
    if depth == "uint10":
        buffer.specmod().attribute("oiio:BitsPerSample", 10)
        buffer.set_write_format("uint16")
    else:
        buffer.set_write_format(depth)
    assert buffer.write(str(path)), buffer.geterror()


def network() -> None:
    """Write a matting network, whose alpha is what the plate has of green, and its adapter."""
    onnx = pytest.importorskip("onnx", reason="onnx makes the network of this test")
    pytest.importorskip("onnxruntime", reason="pip install 'relume[onnx]'")
    helper, number = onnx.helper, onnx.TensorProto
    takes, gives = (
        helper.make_tensor_value_info(name, number.FLOAT, ["n", "c", "h", "w"])
        for name in ("input", "output")
    )
    chosen = helper.make_tensor("chosen", number.INT64, [1], [1])
    node = helper.make_node("Gather", ["input", "chosen"], ["output"], axis=1)
    graph = helper.make_graph([node], "net", [takes], [gives], [chosen])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), "net.onnx")
    adapter = {"inputs": {"input": "plate"}, "outputs": {"output": "alpha"}}
    Path("net.json").write_text(json.dumps(adapter))


def documents() -> None:
    """Write graphs, an edit and overrides, and render what the pages take for rendered."""
    for name in ("comp.json", "comp_v2.json", "show.json"):
        assert main(["graph", "new", "relight", "--out", name]) == Exit.DONE
    comp = json.loads(Path("comp_v2.json").read_text())
    comp["nodes"]["key_light"].setdefault("knobs", {})["exposure"] = 1.0
    Path("comp_v2.json").write_text(json.dumps(comp))
    comp["nodes"]["plate"]["knobs"]["file"] = "{shot}/plate.####.exr"
    comp["nodes"]["write"]["knobs"]["file"] = "out/{shot}/relit.####.exr"
    Path("show.json").write_text(json.dumps(comp))
    Path("shots.json").write_text(json.dumps({"sh020": {"key_light.exposure": 1.0}}))
    edit()
    for line in (
        "run comp.json --log frames.jsonl",
        "analyse plate.####.exr --out transport.####.exr",
        "matte plate.####.exr --out matte.####.exr",
    ):
        assert main(line.split()) == Exit.DONE, line
    for frame in FRAMES:
        assert read(f"matte.{frame}.exr").layers["matte"].pixels.mean() > 0.1, "nobody was found"
        shutil.copy(f"transport.{frame}.exr", f"passes.{frame}.exr")
        shutil.copy(f"matte.{frame}.exr", f"truth.{frame}.exr")


def edit() -> None:
    """Write an edit of two shots, as a timeline and as an EDL."""
    otio = pytest.importorskip("opentimelineio", reason="pip install 'relume[farm]'")
    pytest.importorskip("otio_cmx3600_adapter", reason="pip install 'relume[farm]'")
    span = otio.opentime.range_from_start_end_time
    time = otio.opentime.RationalTime
    track = otio.schema.Track("V1", kind=otio.schema.TrackKind.Video)
    for name in ("sh010", "sh020"):
        media = otio.schema.ImageSequenceReference(
            target_url_base=name, name_prefix="plate.", name_suffix=".exr",
            start_frame=FRAMES[0], frame_zero_padding=4, rate=24.0,
            available_range=span(time(0, 24), time(2, 24)),
        )  # fmt: skip
        track.append(otio.schema.Clip(name, media, span(time(0, 24), time(2, 24))))
    timeline = otio.schema.Timeline("reel1")
    timeline.tracks.append(track)
    otio.adapters.write_to_file(timeline, "reel1.otio")
    Path("reel1.edl").write_text(
        "TITLE: REEL1\n\n"
        "001  SH020    V     C        01:00:00:00 01:00:00:02 01:00:00:00 01:00:00:02\n"
        "* FROM CLIP NAME:  sh020\n"
    )


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, remembered: None) -> Path:
    """A folder with everything that commands of the documentation expect to find."""
    for name in ("matte", "normals", "albedo", "transport", "light"):
        try:
            weights.find(name)
        except InputError as error:
            pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("stocked") / "shot"
    shutil.copytree(ROOT / "examples", folder / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        material()
        network()
        documents()
    shutil.copytree(folder, folder.with_name("kept"))
    return folder


@pytest.fixture(scope="module", autouse=True)
def remembered() -> Iterator[None]:
    """One memory for all commands: a plate that several of them read is analysed once."""
    memory = MemoryCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relume.hosts.cli.job.MemoryCache", lambda: memory)
        yield


@pytest.fixture
def scratch(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder as it was made, to work in, with a home and a worker of its own."""
    shutil.rmtree(stocked)
    shutil.copytree(stocked.with_name("kept"), stocked)
    monkeypatch.chdir(stocked)
    place = Path(tempfile.mkdtemp(prefix="relume-"))  # pytest's are too long for a socket
    program = Path(sys.executable).with_name("relume")
    for name, value in (
        ("HOME", tmp_path / "home"),
        ("XDG_CONFIG_HOME", tmp_path / "home" / ".config"),
        ("XDG_CACHE_HOME", tmp_path / "home" / ".cache"),
        ("RELUME_WORKER_DIR", place),
        ("RELUME_COMMAND", shlex.join([sys.executable, "-m", "relume"])),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (tmp_path / "home" / ".config" / "blender" / "4.5").mkdir(parents=True)
    yield stocked
    if (place / "worker-1.json").exists():
        assert main(["worker", "--stop"]) == Exit.DONE
    shutil.rmtree(place)


def outputs(words: list[str]) -> list[Path]:
    """Return the files that a command promises with --out: that of the first frame of many."""
    if "--out" not in words or "--print-graph" in words:
        return []
    name = words[words.index("--out") + 1]
    return [Path(name.replace("####", str(FRAMES[0])))]


def served(words: list[str]) -> None:
    """Start a command that serves a page, ask it for the page, and end it."""
    pytest.importorskip("starlette", reason="pip install 'relume[view]'")
    words = [sys.executable, "-m", *words, "--no-open"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = re.search(r"http://\S+", process.stdout.readline())
        try:
            assert address
            with urllib.request.urlopen(address[0].partition("#")[0], timeout=60) as page:
                assert page.status == 200
                assert b"<title>" in page.read()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) in (Exit.DONE, Exit.CANCELLED)


def module(words: list[str]) -> int:
    """Run `python -m MODULE …` in this process, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, words[2], raising=False)
        patch.setattr(sys, "argv", words[2:])
        try:
            runpy.run_module(words[2], run_name="__main__", alter_sys=False)
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def carried_out(line: str, said: Callable[[], str]) -> None:
    """Run a line of a page, and look whether it did what it promises."""
    words, redirect = shorter(line)
    targets = outputs(words)
    for target in targets:  # what is there afterwards is this command's
        target.unlink(missing_ok=True)
    said()
    if words[0] == "python":
        code = module(words)
    elif line.startswith(STAYS_OPEN):
        served(words)
        code = int(Exit.DONE)
    else:
        code = main(words[1:])
    if redirect:
        Path(redirect).parent.mkdir(parents=True, exist_ok=True)
        Path(redirect).write_text(said())
        targets.append(Path(redirect))
    assert code == Exit.DONE, line
    for target in targets:
        assert target.exists(), line


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_run(page: Path, scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said() -> str:
        return capsys.readouterr().out

    for line in COMMANDS[page]:
        if not line.startswith(tuple(NOT_RUN)):
            carried_out(line, said)


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_there(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = [line for lines in COMMANDS.values() for line in lines if line.startswith(start)]
    assert found, f"no page has `{start}` any more"
    for line in found:
        words, _ = shorter(line)
        if words[0] == "relume":
            assert main([*words[1:], "--help"]) == Exit.DONE
            assert "Usage: relume" in capsys.readouterr().out
        elif words[1] == "-m":
            assert (ROOT / Path(*words[2].split(".")[1:]).with_suffix(".py")).is_file()
        else:
            assert (ROOT / words[1]).is_file()
