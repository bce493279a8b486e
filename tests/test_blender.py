"""The extension in real Blender: built and installed by its own tools, its pixels those of relume.

Blender is the module `bpy` of another Python: $RELUME_BPY and $RELUME_BPY5 name its interpreters.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.colour import convert
from relume.errors import Exit, UsageError
from relume.graph import Graph
from relume.hosts import install as hosts
from relume.hosts.blender import extension
from relume.hosts.cli import main
from relume.hosts.worker.client import Worker
from relume.image import DATA, Image
from relume.knobs import Float
from relume.media.read import read
from relume.media.write import write
from relume.node import Node
from relume.nodes.grade import Grade
from relume.nodes.recipes import TEMPLATES
from relume.nodes.registry import REGISTRY
from relume.shading.phong import phong_transport
from relume.shading.transport_file import pack

ROOT = Path(__file__).parents[1]
RGB = ("R", "G", "B")

PRELUDE = """
import json, os, sys
import numpy as np
import bpy

bpy.ops.preferences.addon_enable(module="bl_pkg")
bpy.ops.preferences.addon_enable(module="bl_ext.user_default.relume")
relume = sys.modules["bl_ext.user_default.relume"]
scene = bpy.context.scene
said = {}

def node(tree, id, name="", **knobs):
    made = tree.nodes.new("RelumeNode_" + id)
    made.name = name or id
    for knob, value in knobs.items():
        setattr(made, knob, value)
    return made

def wire(source, target, port):
    free = [s for s in target.inputs if s.name == port and not s.is_linked]
    target.id_data.links.new(source, free[0])

def output(tree, source, name, layer=""):
    made = tree.nodes.new("RelumeNodeOutput")
    made.image_name, made.layer = name, layer
    wire(source, made, "image")

def pixels(name):
    image = bpy.data.images[name]
    found = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(found)
    return found.reshape(image.size[1], image.size[0], 4)[::-1]
"""

RELIGHT = """
tree = bpy.data.node_groups.new("comp", "RelumeTree")
subject = node(tree, "read_transport", "plate", file=folder + "/transport.exr")
studio = node(tree, "read_environment", "studio", file=folder + "/studio.exr")
maps, light = node(tree, "prefilter_light", "maps"), node(tree, "adjust_light", "key")
relight = node(tree, "relight", specular_gain=0.1)
written = node(tree, "write", file=folder + "/farm.####.exr", depth="float")
wire(studio.outputs[0], maps, "environment")
wire(maps.outputs[0], light, "light")
wire(subject.outputs["transport"], relight, "transport")
wire(light.outputs[0], relight, "lights")
wire(relight.outputs["relit"], written, "layers")
written.inputs[0].key = "rgba"
output(tree, relight.outputs["relit"], "relit")
scene.frame_start, scene.frame_end = 1, 3
"""


class Blender:
    """A Blender with a profile of its own, into which the extension was installed.

    Args:
        python: that imports bpy.
        folder: to work in.
        registry: the nodes that the extension is made of.
    """

    def __init__(self, python: str, folder: Path, registry: Mapping[str, type[Node]]) -> None:
        self.python, self.folder = python, folder
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "BLENDER_USER_RESOURCES": str(folder / "profile"),
            **{
                name: os.environ[name]
                for name in ("RELUME_COMMAND", "RELUME_WORKER_DIR", "OMP_NUM_THREADS")
                if name in os.environ
            },
        }
        (folder / "profile").mkdir(parents=True)
        extension.write(folder / "relume", registry)
        where = "import bpy, pathlib; print(pathlib.Path(bpy.utils.system_resource('SCRIPTS')))"
        scripts = Path(self._call(["-c", where]).strip().splitlines()[-1])
        self.tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
        self._call([str(self.tool), "validate", str(folder / "relume")])
        self._call(
            [
                str(self.tool),
                "build",
                "--source-dir",
                str(folder / "relume"),
                "--output-dir",
                str(folder),
            ]
        )
        (self.archive,) = folder.glob("relume-*.zip")
        self._call(
            [
                "-c",
                "import bpy; bpy.ops.preferences.addon_enable(module='bl_pkg');"
                f"bpy.ops.extensions.package_install_files(filepath={str(self.archive)!r},"
                " repo='user_default', enable_on_install=True)",
            ]
        )

    def run(self, script: str, **values: Any) -> dict[str, Any]:
        """Run a script in a new Blender; return what it `said`."""
        out = self.folder / "said.json"
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        end = f"\nwith open({str(out)!r}, 'w') as file: json.dump(said, file)\n"
        path = self.folder / "script.py"
        path.write_text(PRELUDE + given + script + end, encoding="utf-8")
        out.unlink(missing_ok=True)
        self.told = self._call([str(path)])
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    def _call(self, arguments: list[str]) -> str:
        done = subprocess.run(
            [self.python, "-W", "ignore", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def interpreter(name: str) -> str:
    default = {"RELUME_BPY": "bpyenv", "RELUME_BPY5": "bpyenv5"}[name]
    python = os.environ.get(name, str(ROOT.parent / default / "bin" / "python"))
    if not Path(python).is_file():
        pytest.skip(f"no Blender: set {name} to a Python that imports bpy")
    return python


@pytest.fixture(scope="module")
def worker() -> Iterator[None]:
    """A worker of the tests' own; its folder's path is short enough for a socket."""
    import sys

    folder = Path(tempfile.mkdtemp(prefix="relume-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELUME_WORKER_DIR", str(folder))
        patch.setenv("RELUME_COMMAND", f"{sys.executable} -m relume")
        yield
        Worker("tests").shut_down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=["RELUME_BPY", "RELUME_BPY5"])
def blender(
    request: pytest.FixtureRequest, worker: None, tmp_path_factory: pytest.TempPathFactory
) -> Blender:
    """Blender 4.5 and 5.0 with the extension."""
    python = interpreter(request.param)
    return Blender(python, tmp_path_factory.mktemp("blender"), REGISTRY)


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A folder with a transport and an environment."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[0:24, 0:32] / 24.0 - 0.5
    alpha = np.float32(np.hypot(x - 0.15, y) < 0.45)[..., None]
    normals = rng.normal((0, 0, 2), size=(24, 32, 3))
    normals = np.float32(normals / np.linalg.norm(normals, axis=2, keepdims=True)) * alpha
    colours = np.float32(rng.lognormal(-1, 1, (2, 24, 32, 3)))
    transport = phong_transport(
        Image(colours[0], RGB),
        Image(alpha * 0.75, ("A",), colour=DATA),
        Image(normals, ("X", "Y", "Z"), colour=DATA),
        Image(colours[1], RGB),
    )
    write(tmp_path / "transport.exr", pack(transport), depth="half")
    light = np.float32(rng.lognormal(0, 1, (16, 32, 3)))
    write(tmp_path / "studio.exr", {"rgba": Image(light, RGB)}, depth="float")
    return tmp_path


def test_three_frames_are_those_of_the_command_line(blender: Blender, shot: Path) -> None:
    """Wired in Blender, animated, rendered through the compositor; saved, and run as on a farm."""
    script = (
        RELIGHT
        + """
for frame, degrees in ((1, 0), (3, 90)):
    light.rotate = degrees
    light.keyframe_insert("rotate", frame=frame)
output(tree, subject.outputs["passes"], "given", "normal")
output(tree, relight.outputs["passes"], "parts")
bpy.ops.relume.save_graph(filepath=folder + "/comp.json")
bpy.ops.relume.to_compositor()
compositor = relume.transport_group.compositor(scene)
for each in list(compositor.nodes):
    if each.bl_idname != "CompositorNodeImage":
        compositor.nodes.remove(each)
shown = [each for each in compositor.nodes if each.image.name == "relit"]
relume.transport_group.show(compositor, shown[0].outputs["Image"])
scene.render.resolution_x, scene.render.resolution_y = 32, 24
scene.render.resolution_percentage = 100
settings = scene.render.image_settings
settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGBA"
scene.render.filepath = folder + "/blender."
bpy.ops.render.render(animation=True)
bpy.ops.relume.evaluate(scope="SEQUENCE", directory=folder + "/saved")
for image in bpy.data.images:
    if image.get("relume"):
        said[image.name] = [image.colorspace_settings.name, image.alpha_mode, *image.size]
"""
    )
    said = blender.run(script, folder=str(shot))
    assert said["relit"] == ["Linear Rec.709", "PREMUL", 32, 24]
    assert said["given"] == ["Non-Color", "PREMUL", 32, 24]
    assert {"parts.diffuse", "parts.specular", "parts.residual", "parts.relit_key"} <= set(said)
    assert main(["run", str(shot / "comp.json"), "--frames", "1-3"]) == Exit.DONE
    frames = []
    for frame in (1, 2, 3):
        farm = read(shot / f"farm.{frame:04d}.exr").layers["rgba"]
        wanted = convert(farm, "lin_rec709_scene").pixels
        for file in (f"blender.{frame:04d}.exr", f"saved/relit.{frame:04d}.exr"):
            found = read(shot / file).layers["rgba"].pixels
            # The farm's file divides by alpha once more on its way to Blender's colours.
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        frames.append(wanted)
    assert np.abs(frames[0] - frames[2]).max() > 0.1, "the light does not turn"
    normals = read(shot / "transport.exr").layers["normal"].pixels
    saved = read(shot / "saved" / "given.0002.exr").layers["rgba"]
    np.testing.assert_array_equal(saved.pixels[..., :3], normals)


def test_a_graph_made_in_blender_is_the_document_of_the_farm(blender: Blender, shot: Path) -> None:
    script = RELIGHT + "bpy.ops.relume.save_graph(filepath=folder + '/comp.json')"
    blender.run(script, folder=str(shot))
    text = (shot / "comp.json").read_text()
    assert Graph.from_json(text, REGISTRY).to_json(REGISTRY) == text
    nodes = json.loads(text)["nodes"]
    assert nodes["relight"] == {
        "type": "relight",
        "version": REGISTRY["relight"].version,
        "knobs": {"specular_gain": 0.1},
        "inputs": {"transport": "plate.transport", "lights": {"key": "key"}},
    }


def without_defaults(entry: dict[str, Any]) -> None:
    """Drop the knobs of a node that say what is so anyway."""
    declared = REGISTRY[entry["type"]].knobs()
    knobs = {
        name: value
        for name, value in entry.pop("knobs", {}).items()
        if value != declared[name].json(declared[name].default)
    }
    if knobs:
        entry["knobs"] = knobs


def test_graphs_are_opened_and_saved_unchanged(blender: Blender, tmp_path: Path) -> None:
    texts = {name: make().to_json(REGISTRY) for name, make in TEMPLATES.items()}
    texts |= {path.stem: path.read_text() for path in (ROOT / "examples").glob("*.json")}
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    said = blender.run(
        """
from pathlib import Path
for path in Path(folder).glob("*.json"):
    bpy.ops.relume.open_graph(filepath=str(path))
    said[path.stem] = relume.document.from_tree(bpy.data.node_groups[path.stem], scene)
""",
        folder=str(tmp_path),
    )
    assert set(said) == set(texts)
    for name, found in said.items():
        # Those of an older version are brought up to date.
        wanted = json.loads(Graph.from_json(texts[name], REGISTRY).to_json(REGISTRY))
        for entry in wanted["nodes"].values():
            without_defaults(entry)
        if "shot" not in wanted:
            del found["shot"]
        again = Graph.from_json(json.dumps(found), REGISTRY)
        kept = {**json.loads(again.to_json(REGISTRY)), "shot": wanted.get("shot")}
        assert kept == {**wanted, "shot": wanted.get("shot")}, name


def test_every_node_has_its_sockets_and_its_knobs_at_their_defaults(blender: Blender) -> None:
    said = blender.run(
        """
tree = bpy.data.node_groups.new("all", "RelumeTree")
for id, declaration in relume.tree.declared.items():
    made = node(tree, id)
    said[id] = {
        "inputs": [socket.name for socket in made.inputs],
        "outputs": [socket.name for socket in made.outputs],
        "knobs": {
            name: relume.properties.value_of(made, name, knob)
            for name, knob in declaration["knobs"].items()
        },
    }
"""
    )
    assert set(said) == set(REGISTRY)
    for id, found in said.items():
        node = REGISTRY[id]
        assert found["inputs"] == list(node.inputs()), id
        assert found["outputs"] == list(node.outputs()), id
        knobs = {name: knob.json(knob.default) for name, knob in node.knobs().items()}
        assert found["knobs"] == knobs, id


def test_a_new_knob_is_there_with_no_other_edit(worker: None, tmp_path: Path) -> None:
    class Sparkling(Grade):
        """Grade colour, and make it sparkle."""

        sparkle = Float(0.25, "How much it sparkles.", unit="stars", min=0, max=5)

    registry = {**REGISTRY, Grade.id: Sparkling}
    said = Blender(interpreter("RELUME_BPY"), tmp_path / "new", registry).run(
        """
tree = bpy.data.node_groups.new("new", "RelumeTree")
made = node(tree, "grade", sparkle=9.0)
rna = made.bl_rna.properties["sparkle"]
said["rna"] = [rna.name, rna.description, rna.default, rna.hard_max]
said["graph"] = relume.document.from_tree(tree, scene)["nodes"]["grade"]["knobs"]
"""
    )
    assert said["rna"] == ["Sparkle", "How much it sparkles. (stars)", 0.25, 5.0]
    assert said["graph"] == {"sparkle": 5.0}


def test_an_image_of_blender_goes_through_unclamped(blender: Blender) -> None:
    said = blender.run(
        """
image = bpy.data.images.new("painted", 5, 3, alpha=True, float_buffer=True)
given = np.random.default_rng(1).normal(0, 10, (3, 5, 4)).astype(np.float32)
given[..., 3] = 1
given[0, 0, :3] = 50000, -3, 0
image.pixels.foreach_set(given.reshape(-1))
tree = bpy.data.node_groups.new("paint", "RelumeTree")
source, graded = node(tree, "input", picture=image), node(tree, "grade", exposure=1.0)
wire(source.outputs[0], graded, "image")
output(tree, graded.outputs[0], "graded")
bpy.ops.relume.evaluate(scope="STILL")
said["found"], said["given"] = pixels("graded").tolist(), given[::-1].tolist()
image.pixels.foreach_set(given.reshape(-1) * 0.5)
bpy.ops.relume.evaluate(scope="STILL")
said["again"] = pixels("graded").tolist()
"""
    )
    given, found, again = (np.float32(said[name]) for name in ("given", "found", "again"))
    np.testing.assert_allclose(found[..., :3], 2 * given[..., :3], rtol=1e-5, atol=0.02)
    np.testing.assert_allclose(again[..., :3], given[..., :3], rtol=1e-5, atol=0.02)


def test_a_failure_is_a_sentence_and_is_seen(blender: Blender, shot: Path) -> None:
    said = blender.run(
        RELIGHT
        + """
bpy.ops.relume.evaluate(scope="STILL")
studio.file = folder + "/gone.exr"
relume.evaluate.before_render(scene)
said["problem"], said["pixel"] = tree.problem, pixels("relit")[0, 0].tolist()
try:
    bpy.ops.relume.evaluate(scope="STILL")
except RuntimeError as error:
    said["error"] = str(error)
try:
    bpy.ops.relume.evaluate(scope="SEQUENCE")
except RuntimeError as error:
    said["unsaved"] = str(error)
studio.file = folder + "/studio.exr"
relume.evaluate.before_render(scene)
said["after"] = tree.problem
""",
        folder=str(shot),
    )
    assert "gone.exr does not exist" in said["problem"]
    assert "gone.exr does not exist" in said["error"]
    assert said["problem"] in blender.told
    assert "save it first" in said["unsaved"]
    assert said["pixel"] == [1, 0, 1, 1]
    assert said["after"] == ""


def test_stopping_and_a_worker_that_dies(blender: Blender, shot: Path) -> None:
    said = blender.run(
        RELIGHT
        + """
import signal
job = relume.evaluate.prepare(tree, scene)
relume.evaluate.stop.set()
try:
    relume.evaluate.compute(job, 1)
except relume.relume_client.Cancelled:
    said["cancelled"] = True
relume.evaluate.stop.clear()
heard = []
relume.evaluate.compute(job, 2, lambda *event: heard.append(event[0]))
said["heard"] = heard
os.kill(relume.evaluate.worker.about["pid"], signal.SIGKILL)
said["images"] = [shown.name for shown in relume.evaluate.compute(job, 1)]
""",
        folder=str(shot),
    )
    assert said["cancelled"]
    assert "relight" in said["heard"]
    assert said["images"] == ["relit"]


def test_the_interface_stays_alive_and_esc_cancels(blender: Blender, shot: Path) -> None:
    """There are no windows here, so the operator is driven by events of our own."""
    said = blender.run(
        RELIGHT
        + """
from types import SimpleNamespace
kind = relume.operators.RELUME_OT_evaluate
timers, told, reports = [], [], []
manager = SimpleNamespace(
    progress_begin=lambda *n: None, progress_update=told.append, progress_end=lambda: None,
    event_timer_add=lambda *a, **k: timers.append(1), event_timer_remove=lambda t: timers.pop(),
    modal_handler_add=lambda operator: None,
)
context = SimpleNamespace(
    scene=scene, window_manager=manager, window=None, space_data=None,
    workspace=SimpleNamespace(status_text_set=told.append),
)
members = {n: v for n, v in [*vars(relume.operators.OnTree).items(), *vars(kind).items()]
           if callable(v)}

def drive(events):
    operator = type("Operator", (), members)()
    operator.scope, operator.clip, operator.directory = "SEQUENCE", "", folder + "/ui"
    operator.report = lambda kind, text: reports.append(text)
    operator.ntree, operator.frames = tree, list(operator._frames(context))
    operator.job = operator._begin(tree, context)
    operator.total, operator.told, operator.timer = len(operator.frames), "", None
    timers.append(1)
    operator._start()
    for event in events(operator):
        result = operator.modal(context, SimpleNamespace(type=event))
        if result & {"FINISHED", "CANCELLED"}:
            return [list(result)[0], len(operator.frames), len(timers), len(reports)]

def steadily(operator):
    while True:
        operator.thread.join()
        yield "TIMER"

def stopped(operator):
    yield "MOUSEMOVE"
    operator.thread.join()
    yield "TIMER"
    operator.thread.join()
    yield "ESC"
    operator.thread = relume.operators.threading.Thread()  # the frame under way ends as it is told
    operator.error = relume.relume_client.Cancelled("stopped")
    yield "TIMER"

said["done"], said["stopped"] = drive(steadily), drive(stopped)
said["flag"] = relume.evaluate.stop.is_set()
said["told"] = [text for text in told if isinstance(text, str)]
""",
        folder=str(shot),
    )
    assert said["done"] == ["FINISHED", 0, 0, 0]
    assert said["stopped"] == ["CANCELLED", 2, 0, 0]
    assert said["flag"]
    assert any("relight, frame 1" in text for text in said["told"])
    assert len(list((shot / "ui").glob("relit.*.exr"))) == 3


def test_a_clip_is_read_by_its_pattern(blender: Blender) -> None:
    said = blender.run(
        """
from types import SimpleNamespace
clip = dict(name="c", source="SEQUENCE", filepath="/s/a1_plate.0997.exr", frame_start=1)
found = relume.operators.sequence_of(SimpleNamespace(**clip, frame_offset=4))
said["sequence"] = found
try:
    clip.update(source="MOVIE", filepath="/s/take.mov")
    relume.operators.sequence_of(SimpleNamespace(**clip, frame_offset=0))
except relume.relume_client.RelumeError as error:
    said["movie"] = str(error)
"""
    )
    assert said["sequence"] == ["/s/a1_plate.####.exr", 1000]
    assert "ffmpeg -i take.mov take.%04d.png" in said["movie"]


def test_the_archive_holds_the_licence_and_no_more_than_it_needs(blender: Blender) -> None:
    import zipfile

    with zipfile.ZipFile(blender.archive) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"LICENSE", "blender_manifest.toml", "nodes.json", "relume_client.py"} <= names
    assert not {name for name in names if name.endswith((".pyc", ".zip"))}


@pytest.mark.parametrize("source", sorted((ROOT / "hosts/blender/addon").glob("*.py")), ids=str)
def test_the_add_on_is_under_the_gpl_and_leaves_compositor_nodes_alone(source: Path) -> None:
    text = source.read_text()
    assert text.startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n")
    assert "bpy.types.CompositorNode" not in text
    assert "import relume" not in text
    assert "from relume" not in text


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    def make(*versions: str) -> Path:
        for version in versions:
            (tmp_path / "config" / "blender" / version).mkdir(parents=True)
        return tmp_path / "config" / "blender"

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BLENDER_USER_EXTENSIONS", raising=False)
    return make


def test_the_newest_blender_gets_it(configured: Callable[..., Path]) -> None:
    base = configured("4.2", "4.5", "5.0", "cache")
    folder, written = hosts.install("blender")
    assert folder == base / "5.0" / "extensions" / "user_default"
    assert folder / "relume" / "blender_manifest.toml" in written
    assert hosts.problems("blender") == (folder, [])
    hosts.uninstall("blender")
    assert not (folder / "relume").exists()


def test_an_old_blender_does_not(configured: Callable[..., Path]) -> None:
    configured("4.2")
    with pytest.raises(UsageError, match=r"no Blender 4\.5 or newer"):
        extension.user_folder()
