"""Publishing: what each validator refuses and lets pass, and that versions are whole."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from relume.errors import Exit, InputError, OutputError, UsageError
from relume.hosts.cli import main
from relume.hosts.farm.publishing import PLUGINS, Request, load_pyblish, publish
from relume.hosts.farm.store import Taken, next_version, sha256, store
from relume.image import DATA, Image
from relume.media.read import read
from relume.media.sequence import path_at

api, util = load_pyblish()

Deliver = Callable[..., str]
Change = Callable[[dict[str, Image]], dict[str, Image]]


@dataclass(frozen=True)
class Case:
    """A delivery, what is asked of it, and what is said of it."""

    words: str
    how: dict[str, Any] = field(default_factory=dict)
    ask: dict[str, Any] = field(default_factory=dict)
    spoil: Callable[[str, Path], None] = lambda pattern, to: None


def at(bad: int, change: Change) -> dict[str, Any]:
    return {"change": lambda frame, layers: change(layers) if frame == bad else layers}


def every(change: Change) -> dict[str, Any]:
    return {"change": lambda frame, layers: change(layers)}


def painted(layer: str, value: float) -> Change:
    def change(layers: dict[str, Image]) -> dict[str, Image]:
        pixels = layers[layer].pixels.copy()
        pixels[:, :, :3] = value
        return layers | {layer: layers[layer].like(pixels)}

    return change


def renamed(name: str) -> Change:
    return lambda layers: layers | {name: layers["relit"]}


def in_space(space: str) -> Change:
    return lambda layers: {
        name: image if image.is_data else image.like(image.pixels, colour=space)
        for name, image in layers.items()
    }


def cut_short(pattern: str, to: Path) -> None:
    path = path_at(pattern, 1004)
    path.write_bytes(path.read_bytes()[:-100])


def untagged(pattern: str, to: Path) -> None:
    buffer = oiio.ImageBuf(str(path_at(pattern, 1002)))
    for name in ("colorInteropID", "oiio:ColorSpace", "chromaticities"):
        buffer.specmod().erase_attribute(name)
    assert buffer.write(str(path_at(pattern, 1002)))


def published(pattern: str, to: Path) -> None:
    (to / "relight" / "v003").mkdir(parents=True)
    (to / "relight" / "v003" / "a.exr").touch()


def reserved(pattern: str, to: Path) -> None:
    (to / "relight" / "v003").mkdir(parents=True)


def timecode_at(frame: int, word: int) -> Callable[[int], dict[str, Any]]:
    code = {"smpte:TimeCode": ("timecode", (word, 0))}
    return lambda current: code if current == frame else {}


def rate(value: tuple[int, int] | None) -> dict[str, Any]:
    item = ("rational", value) if value else None
    return {"meta": lambda frame: {"FramesPerSecond": item, "smpte:TimeCode": None}}


def anamorphic(layers: dict[str, Image]) -> dict[str, Image]:
    return {name: replace(image, pixel_aspect=2.0) for name, image in layers.items()}


SIZED = {"size": (20, 12), "pixel_aspect": 1.0}

REFUSED = {
    "Frame range": [
        Case("frame 1005: there is no file", spoil=lambda p, to: path_at(p, 1005).unlink()),
        Case(
            "frames 1000,1009: there is no file, which the cut 1002-1007 with 2 handles needs",
            ask={"cut": "1002-1007", "handles": 2},
        ),
    ],
    "Readable": [Case("frame 1004: it is damaged or not complete", spoil=cut_short)],
    "Colour space": [
        Case("frame 1002: the file does not say which colour space", spoil=untagged),
        Case("it is in lin_rec709_scene, most have", how=at(1003, in_space("lin_rec709_scene"))),
        Case("it is not in lin_ap0_scene", ask={"colour": "lin_ap0_scene"}),
    ],
    "Bit depth": [
        Case("frames 1001-1008: it is stored as float where half", how={"depth": "float"}),
        Case("it is stored as half where float is asked for", ask={"depth": "float"}),
    ],
    "Finite pixels": [
        Case("frame 1006: relit has 720 values", how=at(1006, painted("relit", np.nan))),
        Case("720 infinite", how=at(1006, painted("rgba", np.inf))),
    ],
    "Premultiplied": [
        Case("of the frame where alpha is 0", how=every(painted("rgba", 0.5))),
        Case("relit is lit in", how=every(painted("relit", 0.5))),
    ],
    "Channel names": [
        Case("key light.R is no name for a channel", how=every(renamed("key light"))),
        Case("frame 1003: it has besides extra.B", how=at(1003, renamed("extra"))),
    ],
    "Resolution": [
        Case("it is 20×12 and not 1920×1080", ask={"size": (1920, 1080)}),
        Case("its pixel aspect is 2 and not 1", how=every(anamorphic), ask={"pixel_aspect": 1.0}),
        Case("its pixel aspect is 2.0, most have 1.0", how=at(1003, anamorphic)),
    ],
    "Time code": [
        Case("01:00:09:00 does not follow", how={"meta": timecode_at(1008, 0x01000900)}),
    ],
    "Fingerprint": [Case("there is no fingerprint", how={"fingerprint": ""})],
    "Frame rate": [
        Case("its frame rate is 25/1 and not 24/1", how=rate((25, 1)), ask={"rate": "24"}),
        Case("it says no frame rate and not 24000/1001", how=rate(None), ask={"rate": "23.976"}),
    ],
    "Version": [
        Case("v003 is published", spoil=published),
        Case("v003 is reserved by a publish that goes on or was interrupted", spoil=reserved),
    ],
}  # fmt: skip

PASSED = {
    "Frame range": Case("", ask={"cut": "1003-1006", "handles": 2}),
    "Readable": Case("", how={"multipart": True}),
    "Colour space": Case("", how=every(in_space("lin_ap0_scene")), ask={"colour": "lin_ap0_scene"}),
    "Bit depth": Case("", how=at(1002, painted("matte", 70000.0))),
    "Finite pixels": Case("", how=every(lambda ls: ls | {"relit": ls["relit"].like(
        ls["relit"].pixels * np.float32(-40000.0))})),
    "Premultiplied": Case("", how=every(lambda ls: ls | {
        "albedo": Image(np.ones((12, 20, 3), np.float32), tuple("RGB"))})),
    "Channel names": Case("", how=every(lambda ls: ls | {
        "specular_light_016": ls["relit"],
        "normal": Image(np.zeros((12, 20, 3), np.float32), tuple("XYZ"), colour=DATA)})),
    "Resolution": Case("", ask=SIZED),
    "Time code": Case("", how={"meta": lambda frame: {"smpte:TimeCode": None}}),
    "Fingerprint": Case("", how={"fingerprint": "a" * 40}),
    "Frame rate": Case("", how=rate((24000, 1001)), ask={"rate": "23.976"}),
    "Version": Case("", spoil=lambda p, to: (to / "relight" / "v001").mkdir(parents=True)),
}  # fmt: skip


def request_of(case: Case, deliver: Deliver, to: Path) -> Request:
    pattern = deliver(**case.how)
    case.spoil(pattern, to)
    return Request(**({"file": pattern, "to": str(to), "name": "relight", "version": 3} | case.ask))


@pytest.mark.parametrize(
    ("label", "case"),
    [
        pytest.param(label, case, id=f"{label}-{n}")
        for label, cases in REFUSED.items()
        for n, case in enumerate(cases)
    ],
)
def test_a_validator_refuses_in_words(
    deliver: Deliver, tmp_path: Path, label: str, case: Case
) -> None:
    request = request_of(case, deliver, tmp_path / "store")
    before = {p: p.read_bytes() for p in Path(request.file).parent.iterdir()}
    outcome = publish(request)
    assert [why for who, why in outcome.refusals if who == label and case.words in why], (
        outcome.refusals
    )
    assert (outcome.code, outcome.folder) == (Exit.VERIFICATION, None)
    assert not [p for p in (tmp_path / "store").rglob("*.exr") if p.name != "a.exr"]
    assert {p: p.read_bytes() for p in Path(request.file).parent.iterdir()} == before


@pytest.mark.parametrize("label", PASSED)
def test_a_validator_lets_good_files_pass(deliver: Deliver, tmp_path: Path, label: str) -> None:
    outcome = publish(request_of(PASSED[label], deliver, tmp_path / "store"))
    assert (outcome.refusals, outcome.code) == ([], Exit.DONE)
    assert outcome.folder == tmp_path / "store" / "relight" / "v003"


def test_every_validator_is_tested_and_lies_in_a_file_of_its_own_name() -> None:
    labels = set()
    for path in PLUGINS.glob("[!_]*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (name,) = [n.name for n in tree.body if isinstance(n, ast.ClassDef)]
        assert name == path.stem.title().replace("_", "")
        assert path.stem.split("_")[0] in ("collect", "validate", "extract", "integrate")
    for plugin in api.discover(paths=[str(PLUGINS)]):
        if plugin.__name__.startswith("Validate"):
            labels.add(plugin.label)
            assert plugin.order == api.ValidatorOrder
    assert labels == set(REFUSED) == set(PASSED)
    assert len(labels) >= 12


def test_a_version_holds_the_frames_a_thumbnail_and_a_manifest(
    deliver: Deliver, tmp_path: Path
) -> None:
    pattern = deliver()
    request = Request(file=pattern, to=str(tmp_path / "store"), name="relight")
    outcome = publish(request)
    folder = outcome.folder
    assert folder == tmp_path / "store" / "relight" / "v001"
    frames = [f"relight_v001.{frame}.exr" for frame in range(1001, 1009)]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*frames, "manifest.json", "thumbnail.png"]
    )
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in manifest["files"]] == frames
    for entry in manifest["files"]:
        data = (folder / entry["name"]).read_bytes()
        assert data == path_at(pattern, entry["frame"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["bytes"] == len(data)
        assert entry["fingerprint"] == f"{entry['frame']:040x}"
    assert manifest["files"][4]["timecode"] == "01:00:01:00"
    assert (manifest["colour"], manifest["rate"]) == ("lin_ap1_scene", [24, 1])
    picture = read(folder / "thumbnail.png").layer()
    assert (picture.width, picture.height) == (20, 12)
    assert picture.rgb[6, 6, 2] > picture.rgb[6, 6, 1] > 0.2 > picture.rgb[0, 19].max()
    assert publish(request).folder == tmp_path / "store" / "relight" / "v002"
    assert stat.S_IMODE(folder.stat().st_mode) & 0o700 == 0o700


def test_a_stale_frame_is_refused_with_a_graph(deliver: Deliver, tmp_path: Path) -> None:
    nodes = {
        "plate": {"type": "read", "knobs": {"file": deliver("plates", range(1001, 1004))}},
        "write": {
            "type": "write",
            "knobs": {"file": str(tmp_path / "out" / "copy.####.exr")},
            "inputs": {"layers": {"rgba": "plate"}},
        },
    }
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps({"relume": 1, "shot": "1001-1003", "nodes": nodes}))
    assert main(["run", str(graph), "--threads", "1"]) == Exit.DONE
    out, to = nodes["write"]["knobs"]["file"], str(tmp_path / "store")  # type: ignore[index]
    request = Request(file=out, to=to, name="copy", graph=str(graph))
    assert publish(request).code == Exit.DONE
    deliver("plates", range(1002, 1003), **every(painted("relit", 0.0)))
    outcome = publish(request)
    assert outcome.code == Exit.VERIFICATION
    ((label, why),) = outcome.refusals
    assert label == "Fingerprint"
    assert "frame 1002: it was made from another graph" in why


def test_pyblish_leaves_no_hook_in_later_imports() -> None:
    code = (
        "import sys, warnings; from relume.hosts.farm.publishing import load_pyblish;"
        "load_pyblish(); warnings.simplefilter('error'); import wave, colorsys"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_named_targets_do_not_switch_the_validators_off(deliver: Deliver, tmp_path: Path) -> None:
    request = Request(file=deliver(fingerprint=""), to=str(tmp_path / "store"), name="relight")
    assert publish(request, targets=["farm"]).code == Exit.VERIFICATION
    good = replace(request, file=deliver("good"))
    assert publish(good, targets=["farm"]).code == Exit.DONE


def test_a_plugin_of_the_studio_takes_part(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "studio"
    folder.mkdir()
    (folder / "validate_friday.py").write_text(
        "from pyblish import api\n"
        "class ValidateFriday(api.ContextPlugin):\n"
        "    order = api.ValidatorOrder\n"
        "    def process(self, context):\n"
        "        assert False, 'not on a Friday'\n"
    )
    request = Request(file=deliver(), to=str(tmp_path / "store"), name="relight")
    monkeypatch.setenv("PYBLISHPLUGINPATH", str(folder))
    outcome = publish(request)
    assert outcome.refusals == [("ValidateFriday", "not on a Friday")]
    assert outcome.code == Exit.VERIFICATION
    monkeypatch.delenv("PYBLISHPLUGINPATH")
    assert publish(request).code == Exit.DONE
    assert publish(request, folders=[folder]).code == Exit.VERIFICATION
    assert str(folder) not in api.registered_paths()


def test_the_plugins_work_in_another_host(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYBLISHPLUGINPATH", str(PLUGINS))
    context = util.publish()
    assert list(context) == []
    assert [r["error"] for r in context.data["results"] if r["error"]] == []
    context = api.Context()
    asked = {"file": deliver(), "to": str(tmp_path / "store"), "name": "relight"}
    context.data.update({"relume": json.dumps(asked), "relume_work": str(tmp_path)})
    util.publish(context)
    assert context[0].data["published"] == str(tmp_path / "store" / "relight" / "v001")


@pytest.mark.parametrize("value", ["[]", "{", '{"colour": "x"}', 3, '{"nosuch": 1}'])
def test_a_request_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="asks for nothing"):
        Request.of(value)


def files_of(folder: Path) -> dict[str, tuple[Path, str]]:
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_bytes(name.encode() * 1000)
    return {p.name: (p, sha256(p)) for p in sorted(folder.iterdir())}


def test_a_failed_copy_leaves_nothing_and_no_reservation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, target = files_of(tmp_path / "source"), tmp_path / "store" / "v001"
    (tmp_path / "source" / "b").write_bytes(b"changed")
    with pytest.raises(InputError, match="changed while"):
        store(files, target)
    assert list(target.parent.iterdir()) == []

    def torn(self: Path, other: Path) -> Path:
        raise OSError(5, "Input/output error")

    files = files_of(tmp_path / "again")
    monkeypatch.setattr(Path, "rename", torn)
    with pytest.raises(OutputError, match="Input/output error"):
        store(files, target)
    assert list(target.parent.iterdir()) == []
    monkeypatch.undo()
    store(files, target)
    assert sorted(p.name for p in target.iterdir()) == ["a", "b", "c"]
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == ["a", "b", "c"]


def test_a_damaged_copy_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, target = files_of(tmp_path / "source"), tmp_path / "store" / "v001"

    def flip(path: Path) -> None:
        if path.is_file():
            path.write_bytes(b"!" + path.read_bytes()[1:])

    monkeypatch.setattr("relume.hosts.farm.store.sync", flip)
    with pytest.raises(OutputError, match="is not what was written"):
        store(files, target)
    assert list(target.parent.iterdir()) == []


def test_of_two_who_publish_one_version_one_is_told(tmp_path: Path) -> None:
    target = tmp_path / "store" / "v001"
    store(files_of(tmp_path / "first"), target)
    with pytest.raises(Taken, match="by somebody else meanwhile"):
        store(files_of(tmp_path / "second"), target)
    assert [p.name for p in target.parent.iterdir()] == ["v001"]


def test_a_crash_leaves_a_reservation_that_is_not_reused(tmp_path: Path) -> None:
    target = tmp_path / "store" / "v001"
    files = files_of(tmp_path / "source")
    child = os.fork()
    if child == 0:
        Path.rename = lambda self, other: os._exit(9)  # type: ignore[method-assign,assignment]
        store(files, target)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert list(target.iterdir()) == []
    assert next_version(target.parent) == 2
    store(files, target.with_name("v002"))
    assert sorted(p.name for p in target.with_name("v002").iterdir()) == ["a", "b", "c"]
    assert all(sha256(path) == checksum for path, checksum in files.values())


def test_the_command_says_what_came_of_it(
    deliver: Deliver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = deliver(), deliver("bad", fingerprint="")
    base = ["--to", str(tmp_path / "store"), "--name", "relight"]
    options = ["--cut", "1002-1007", "--handles", "1", "--rate", "24", "--size", "20x12"]
    assert main(["publish", good, *base, *options]) == Exit.DONE
    assert capsys.readouterr().out.endswith("v001: published.\n")
    assert main(["publish", bad, *base]) == Exit.VERIFICATION
    error = capsys.readouterr().err
    assert "Fingerprint: frames 1001-1008: there is no fingerprint" in error
    assert error.endswith("Nothing was published: 1 check failed.\n")
    assert main(["publish", str(tmp_path / "no.####.exr"), *base]) == Exit.INPUT
    assert main(["publish", good, *base, "--rate", "fast"]) == Exit.USAGE
    assert main(["publish", good, *base, "--size", "big"]) == Exit.USAGE
    blocked = tmp_path / "file"
    blocked.touch()
    assert main(["publish", good, "--to", str(blocked / "x"), "--name", "r"]) == 4
    assert main(["publish", "--plugin-folder"]) == Exit.DONE
    assert Path(capsys.readouterr().out.splitlines()[-1]).samefile(PLUGINS)
