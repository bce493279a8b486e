"""What the worker renders: the same bits as the command, in whatever order the host keeps them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.cli import main
from relume.hosts.worker.client import Output, Picture, RelumeError, Worker
from relume.image import Image
from relume.media.read import read
from relume.nodes.registry import REGISTRY


def test_a_saved_graph_gives_the_same_pixels_in_the_worker_and_on_the_farm(
    here, plates, graded, worker, tools
):
    plates(1, 2, 3)
    document = json.loads(graded.read_text())
    document["nodes"]["graded"]["knobs"] = {"gain": [1.7, 1.7, 2.0], "exposure": 0.3}
    saved = here / "saved.json"
    text = worker.open(document)["json"]
    saved.write_text(text, encoding="utf-8")
    assert text == Graph.from_json(json.dumps(document), REGISTRY).to_json(REGISTRY)
    assert worker.open(json.loads(text))["json"] == text
    assert main(["run", str(saved)]) == 0
    for frame in (1, 2, 3):
        farm = read(here / f"out/graded.{frame:04d}.exr").layers["rgba"]
        wanted = [Output("out.deliverable", layer="rgba"), Output("graded.out")]
        found = worker.render(json.loads(text), frame, wanted, folder=str(here))
        evaluator = Evaluator(Graph.load(saved, REGISTRY), REGISTRY, Settings(Shot(1, 3)))
        computed = evaluator.evaluate("graded", frame)
        for result in found:
            np.testing.assert_array_equal(tools.pixels(result), computed.pixels)
            np.testing.assert_array_equal(tools.pixels(result), farm.pixels)
        assert found[0].layer == "rgba" and found[0].colour == "lin_ap1_scene"


def test_an_image_of_the_host_is_rendered_as_one_from_a_file(here, plates, graded, worker, tools):
    plates(1)
    document = json.loads(graded.read_text())
    document["nodes"]["graded"]["knobs"] = {"exposure": -2.5}
    from_file = worker.render(document, 1, [Output("graded")], folder=str(here))
    expected = tools.pixels(from_file[0])
    plate = read(here / "plate.0001.exr").layers["rgba"]
    document["nodes"]["plate"] = {"type": "input"}
    lent = tools.picture(plate.pixels, "RGB", colour=plate.colour)
    found = worker.render(
        document, 1, [Output("graded")], inputs={"plate": {1: "p"}}, images={"p": lent}, folder="/"
    )
    np.testing.assert_array_equal(tools.pixels(found[0]), expected)


def ordered(pixels, layout, rows):
    """Return H×W×C in the order a host keeps it, independently of the worker's own code."""
    rows_of = pixels[::-1] if rows == "bottom_up" else pixels
    if layout == "planar":
        rows_of = np.stack([rows_of[..., k] for k in range(pixels.shape[2])])
    return np.ascontiguousarray(rows_of)


ORDERS = list(itertools.product(("interleaved", "planar"), ("top_down", "bottom_up")))


@pytest.mark.parametrize("given", ORDERS)
@pytest.mark.parametrize("wanted", ORDERS)
def test_every_order_of_pixels_in_and_out(worker, tools, rgba, given, wanted):
    height, width, _ = rgba.shape
    source = Picture(
        ordered(rgba, *given), width, height, layout=given[0], rows=given[1], colour="lin_ap1_scene"
    )
    found = worker.render(
        tools.SAME,
        1,
        [Output("same", layout=wanted[0], rows=wanted[1])],
        inputs={"plate": "a"},
        images={"a": source},
    )
    got = np.frombuffer(found[0].pixels, np.float32)
    np.testing.assert_array_equal(got, ordered(rgba, *wanted).ravel())


def test_a_window_is_cut_out_or_filled_with_nothing(worker, tools, rgba):
    whole = tools.same(worker, rgba, window=(-2, -1, 9, 7))
    expected = np.zeros((8, 11, 4), np.float32)
    expected[1:6, 2:9] = rgba
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(tools.same(worker, rgba, window=(2, 1, 4, 3)), rgba[1:3, 2:4])
    assert not tools.same(worker, rgba, window=(100, 100, 103, 102)).any()


@pytest.mark.parametrize(
    ("has", "wanted", "places"),
    [
        ("RGB", "RGBA", [0, 1, 2, "one"]),
        ("RGBA", "BGR", [2, 1, 0]),
        ("A", "RGBA", [0, 0, 0, 0]),
        ("Y", "RGBA", [0, 0, 0, "one"]),
        ("XYZ", "RGBA", [0, 1, 2, "one"]),
        ("RGBA", "AZR", [3, "zero", 0]),
    ],
)
def test_channels_a_result_lacks(worker, tools, rgba, has, wanted, places):
    pixels = rgba[..., : len(has)]
    found = worker.render(
        tools.SAME,
        1,
        [Output("same", channels=wanted)],
        inputs={"plate": "p"},
        images={"p": tools.picture(pixels, has)},
    )
    constants = {"one": np.ones((5, 7)), "zero": np.zeros((5, 7))}
    expected = [constants[k] if isinstance(k, str) else pixels[..., k] for k in places]
    np.testing.assert_array_equal(tools.pixels(found[0]), np.stack(expected, -1).astype("f4"))


def test_windows_aspect_and_colour_come_back(worker, tools, rgba):
    lent = tools.picture(
        rgba, x=-3, y=2, display=(0, 0, 20, 10), pixel_aspect=2.0, colour="scene_linear"
    )
    (found,) = worker.render(
        tools.SAME, 1, [Output("same")], inputs={"plate": "p"}, images={"p": lent}
    )
    assert (found.x, found.y, found.width, found.height) == (-3, 2, 7, 5)
    assert found.display == [0, 0, 20, 10] and found.pixel_aspect == 2.0
    assert (found.colour, found.alpha) == ("lin_ap1_scene", "premultiplied")


def test_colour_and_alpha_are_converted_as_asked(worker, tools, rgba):
    from relume.colour import convert
    from relume.compositing.alpha import unpremultiply

    rgba[..., 3] = 0.5
    lent = tools.picture(rgba, colour="lin_rec709_scene")
    image = Image(rgba, tuple("RGBA"), "lin_rec709_scene", "premultiplied")
    expected = unpremultiply(convert(image, "srgb_rec709_scene"))
    (found,) = worker.render(
        tools.SAME,
        1,
        [Output("same", colour="srgb_rec709_scene", alpha="straight")],
        inputs={"plate": "p"},
        images={"p": lent},
    )
    np.testing.assert_array_equal(tools.pixels(found), expected.pixels)
    assert (found.colour, found.alpha) == (expected.colour, "straight")


def test_data_is_never_converted(worker, tools, rgba):
    # Without a word on their colour, channels that are no colour are data.
    lent = Picture(np.ascontiguousarray(rgba[..., :3]), 7, 5, "XYZ")
    (found,) = worker.render(
        tools.SAME,
        1,
        [Output("same", colour="srgb_rec709_scene")],
        inputs={"plate": "p"},
        images={"p": lent},
    )
    np.testing.assert_array_equal(tools.pixels(found), rgba[..., :3])
    assert found.colour == "data"


def test_several_outputs_of_one_render(worker, tools, rgba):
    graph = json.loads(json.dumps(tools.SAME))
    graph["nodes"]["anchor"] = {"type": "exposure_anchor", "inputs": {"plate": "plate"}}
    graph["nodes"]["small"] = {
        "type": "crop",
        "knobs": {"width": 2, "height": 2},
        "inputs": {"image": "same"},
    }
    found = worker.render(
        graph,
        1,
        [Output("small"), Output("anchor"), Output("same"), Output("small", window=(1, 0, 3, 1))],
        inputs={"plate": "p"},
        images={"p": tools.picture(np.abs(rgba))},
    )
    pixels = np.abs(rgba)
    np.testing.assert_array_equal(tools.pixels(found[0]), pixels[:2, :2])
    assert isinstance(found[1].value, float) and found[1].pixels is None
    np.testing.assert_array_equal(tools.pixels(found[2]), pixels)
    expected = [[pixels[0, 1], np.zeros(4)]]
    np.testing.assert_array_equal(tools.pixels(found[3]), np.array(expected, np.float32))


def test_frames_that_a_render_needs_of_the_host(worker, tools, rgba):
    graph = {
        "relume": 1,
        "nodes": {
            "plate": {"type": "input"},
            "unused": {"type": "input"},
            "anchor": {"type": "exposure_anchor", "inputs": {"plate": "plate"}},
            "matte": {"type": "matte", "inputs": {"plate": "plate", "anchor": "anchor"}},
        },
    }
    opened = worker.open(graph, ["matte.matte"], 1005, "1001-1010")
    assert opened["inputs"] == {"plate": [1001, 1005]}
    assert opened["outputs"] == {"matte.matte": "Image"}
    pictures = {"a": tools.picture(np.abs(rgba)), "b": tools.picture(np.abs(rgba) * 4)}
    first = worker.render(
        graph, 1005, [Output("anchor")], shot="1001-1010", inputs={"plate": {1001: "a"}},
        images=pictures,
    )  # fmt: skip
    second = worker.render(
        graph, 1005, [Output("anchor")], shot="1001-1010", inputs={"plate": {1001: "b"}},
        images=pictures,
    )  # fmt: skip
    assert first[0].value - second[0].value == pytest.approx(2.0, abs=0.01)
    with pytest.raises(RelumeError, match="node plate, frame 1001: the application gave no image"):
        worker.render(
            graph, 1005, [Output("anchor")], shot="1001-1010", inputs={"plate": {1005: "a"}},
            images=pictures,
        )  # fmt: skip


def test_requests_that_differ_in_pass_share_one_analysis(server, worker, tools, rgba):
    graph = json.loads(json.dumps(tools.SAME))
    graph["nodes"]["graded"] = {
        "type": "grade",
        "knobs": {"exposure": 1.0},
        "inputs": {"image": "same"},
    }
    for name, x in (("left", 0), ("right", 3)):
        knobs = {"x": x, "width": 3}
        graph["nodes"][name] = {"type": "crop", "knobs": knobs, "inputs": {"image": "graded"}}
    pictures = {"p": tools.picture(rgba)}
    worker.render(graph, 1, [Output("left")], inputs={"plate": "p"}, images=pictures)
    # Another instance of the same host: its images are known under the same serials.
    with Worker("other", client=worker.client) as other:
        other.render(graph, 1, [Output("right")], inputs={"plate": "p"})
        assert other.stats()["computed"]["grade"] == 1
    # Another host that uses the same serial for another image.
    with Worker("stranger") as stranger:
        black = {"p": tools.picture(rgba * 0)}
        found = stranger.render(graph, 1, [Output("left")], inputs={"plate": "p"}, images=black)
        assert not tools.pixels(found[0]).any()
        assert stranger.stats()["computed"]["grade"] == 2


def test_other_pixels_under_an_old_serial_are_seen(worker, tools, rgba):
    tools.same(worker, rgba)
    worker.lend("one", tools.picture(rgba * 2))
    np.testing.assert_array_equal(tools.same(worker, rgba), rgba * 2)


def test_images_the_worker_gave_up_are_lent_again(server, worker, tools, rgba):
    graph = json.loads(json.dumps(tools.SAME))
    graph["nodes"]["graded"] = {"type": "grade", "inputs": {"image": "same"}}
    rgba[..., 3] = 1.0
    for _ in range(2):
        (found,) = worker.render(
            graph,
            1,
            [Output("graded")],
            inputs={"plate": "one"},
            images={"one": tools.picture(rgba)},
        )
        np.testing.assert_array_equal(tools.pixels(found), rgba)
        server.images.clear()
    # They are the same pixels: what was computed from them still counts.
    assert worker.stats()["computed"]["grade"] == 1
    np.testing.assert_array_equal(tools.same(worker, rgba), rgba)
    worker.drop(["one"])
    assert worker.stats()["images"] == 0
    np.testing.assert_array_equal(tools.same(worker, rgba), rgba)


def test_pixels_that_are_not_finite_are_mended_and_told(worker, tools, rgba):
    broken = rgba.copy()
    broken[2, 3, 1] = np.nan
    told = []
    found = worker.render(
        tools.SAME,
        1,
        [Output("same")],
        inputs={"plate": "p"},
        images={"p": tools.picture(broken)},
        on_notice=told.append,
    )
    assert told == ["1 pixel NaN or infinite, repaired from neighbours"]
    around = [rgba[y, x, 1] for y in (1, 2, 3) for x in (2, 3, 4) if (y, x) != (2, 3)]
    assert tools.pixels(found[0])[2, 3, 1] == pytest.approx(np.mean(around), rel=1e-5)
    with pytest.raises(RelumeError, match="no pixel of the image 'q' is finite"):
        worker.lend("q", tools.picture(np.full_like(rgba, np.inf)))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"relume": 1, "nodes": {"a": {"type": "nothing"}}}, "there is no node type 'nothing'"),
        ({"relume": 2, "nodes": {}}, "the graph has format 2"),
        ({"relume": 1, "nodes": {"a": {"type": "premult"}}}, "node a: the input 'image'"),
        (
            {"relume": 1, "nodes": {"a": {"type": "read", "knobs": {"file": "plate.exr"}}}},
            "node a: 'plate.exr' is a relative path",
        ),
        (
            {"relume": 1, "nodes": {"a": {"type": "read", "knobs": {"file": "/no/plate.exr"}}}},
            "node a, frame 1: .*plate.exr",
        ),
    ],
)
def test_what_is_wrong_with_a_graph_is_told_in_a_sentence(worker, graph, message):
    with pytest.raises(RelumeError, match=message):
        worker.render(graph, 1, [Output("a")])


def test_what_is_no_picture_is_refused_in_words(worker):
    graph = {"relume": 1, "nodes": {"light": {"type": "light_rig"}, "camera": {"type": "camera"}}}
    (found,) = worker.render(graph, 1, [Output("light")])
    assert found.width == 2 * found.height
    with pytest.raises(RelumeError, match=r"node camera, frame 1: 'camera' is no image"):
        worker.render(graph, 1, [Output("camera")])


def test_progress_and_notices_reach_the_host(here, plates, graded, worker, tools):
    plates(1)
    told = []
    worker.render(
        json.loads(graded.read_text()),
        1,
        [Output("graded")],
        folder=str(here),
        on_progress=lambda *step: told.append(step),
    )
    assert told == [("plate", 1, 0.0), ("plate", 1, 1.0), ("graded", 1, 0.0), ("graded", 1, 1.0)]


def test_descriptions_are_those_of_the_command(worker, capsys):
    assert main(["nodes", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    described = worker.nodes()
    assert described.pop("slow")["knobs"].keys() == {"number"}
    assert described == printed
    assert list(described) == list(printed)


def test_a_shot_is_that_of_the_sequence_unless_the_host_says_so(here, plates, graded, worker):
    plates(3, 4, 5)
    document = json.loads(graded.read_text())
    document["nodes"]["anchor"] = {"type": "exposure_anchor", "inputs": {"plate": "plate"}}
    computed = []
    for shot in (None, "4-5"):
        worker.render(document, 5, [Output("anchor")], folder=str(here), shot=shot)
        evaluator = Evaluator(
            Graph.from_json(worker.open(document)["json"].replace("plate.#", f"{here}/plate.#"),
                            REGISTRY), REGISTRY,
            Settings(Shot(4 if shot else 3, 5)),
        )  # fmt: skip
        computed.append(evaluator.evaluate("anchor", 5))
        (found,) = worker.render(document, 5, [Output("anchor")], folder=str(here), shot=shot)
        assert found.value == computed[-1]
    assert computed[0] != computed[1]


def test_a_whole_relight_equals_the_evaluator(worker, tools, weights):
    from relume.nodes.recipes import Lighting, Plate, relight_graph

    recipe = relight_graph(Plate({}, matte={}), Lighting({"key": "rig:rembrandt"}), "unused.exr")
    graph = json.loads(recipe.to_json(REGISTRY))
    del graph["nodes"]["write"]
    for name in ("plate", "matte"):
        graph["nodes"][name] = {"type": "input", "knobs": {"serial": name}}
    pixels = np.random.default_rng(2).uniform(0, 1, (48, 64, 3)).astype(np.float32)
    alpha = np.float32(np.hypot(*np.mgrid[-24:24, -32:32]) < 20)[..., None]
    lent = {
        "plate": tools.picture(pixels, "RGB"),
        "matte": tools.picture(alpha, "A", colour="data"),
    }
    evaluator = Evaluator(
        Graph.from_json(json.dumps(graph), REGISTRY),
        REGISTRY,
        Settings(Shot(1, 1)),
        externals={
            "plate": Image(pixels, ("R", "G", "B")),
            "matte": Image(alpha, ("A",), colour="data"),
        },
    )
    wanted = ["relight.relit", "normals", "albedo"]
    inputs = {"plate": "plate", "matte": "matte"}
    found = worker.render(
        graph,
        1,
        [*map(Output, wanted), Output("relight.passes")],
        inputs=inputs,
        images=lent,
    )
    for name, result in zip(wanted, found, strict=False):
        np.testing.assert_array_equal(tools.pixels(result), evaluator.evaluate(name, 1).pixels)
    passes = evaluator.evaluate("relight.passes", 1)
    assert [result.layer for result in found[3:]] == list(passes)
    for result in found[3:]:
        np.testing.assert_array_equal(tools.pixels(result), passes[result.layer].pixels)
    before = worker.stats()["computed"]
    graph["nodes"]["key_light"]["knobs"] = {"exposure": 1.0}
    worker.render(graph, 1, [Output("relight.relit")], inputs=inputs)
    after = worker.stats()["computed"]
    # Inputs cost nothing, and are never counted as kept.
    again = {name for name in after if after[name] > before[name]} - {"input"}
    assert again == {"adjust_light", "relight"}


def test_relative_paths_start_at_the_folder_of_the_scene(here, plates, graded, worker):
    plates(1)
    document = json.loads(graded.read_text())
    with pytest.raises(RelumeError, match=r"'plate\.####\.exr' is a relative path"):
        worker.render(document, 1, [Output("graded")])
    assert worker.render(document, 1, [Output("graded")], folder=str(here))
    with pytest.raises(RelumeError, match="no absolute path"):
        worker.render(document, 1, [Output("graded")], folder=Path(here).name)
