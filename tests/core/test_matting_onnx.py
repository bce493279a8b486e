"""A user's network, drawn as tiny ONNX graphs whose answer is known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.errors import InputError, UsageError
from relume.image import Box, Image
from relume.matting.onnx_adapter import load_adapter, parse_adapter
from relume.media.write import write

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from relume.matting.onnx_model import (  # noqa: E402
    OnnxMattes,
    onnx_matte,
    onnx_notices,
    open_model,
)

FREE: list[Any] = ["n", "c", "h", "w"]


def tensor(name: str, shape: list[Any] | None = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, FREE if shape is None else shape)


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[str], **constants: Any
) -> Path:
    """Write a model; constants are float arrays or whole numbers."""
    kept = [
        helper.make_tensor(
            name,
            TensorProto.FLOAT if np.asarray(value).dtype.kind == "f" else TensorProto.INT64,
            np.shape(value),
            np.ravel(value).tolist(),
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "net", inputs, [tensor(name) for name in outputs], kept)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def channels_of(tmp_path: Path, first: int, last: int, **more: Any) -> Path:
    """Write a model whose alpha is some channels of its input."""
    axis = more.pop("axis", 1)
    slicing = helper.make_node("Slice", ["x", "a", "b", "axis"], ["y"])
    inputs = [tensor("x", more.pop("shape", None), more.pop("kind", TensorProto.FLOAT))]
    return save(
        tmp_path / "net.onnx", [slicing], inputs, ["y"],
        a=np.array([first]), b=np.array([last]), axis=np.array([axis]),
    )  # fmt: skip


def picture(height: int = 12, width: int = 16, seed: int = 0, **windows: Any) -> Image:
    pixels = np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)
    return Image(pixels, ("R", "G", "B"), "lin_rec709_scene", **windows)


def grey(values: np.ndarray) -> Image:
    return Image(np.float32(values)[..., None], ("A",), "data")


def run(model: Path, adapter: dict[str, Any], plate: Image, **given: Any) -> OnnxMattes:
    return onnx_matte(open_model(model), parse_adapter(adapter), plate, **given)


def simple(**more: Any) -> dict[str, Any]:
    return {"inputs": {"x": "plate"}, "outputs": {"y": "alpha"}, "encoding": "linear", **more}


def alpha(result: OnnxMattes) -> np.ndarray:
    return result.matte.pixels[:, :, 0]


def test_a_channel_of_the_plate_comes_back_in_its_windows(tmp_path: Path) -> None:
    plate = picture(data=Box(3, 4, 19, 16), display=Box.of_size(40, 30))
    result = run(channels_of(tmp_path, 1, 2), simple(), plate)
    np.testing.assert_allclose(alpha(result), plate.pixels[:, :, 1], atol=1e-6)
    for image in (result.matte, result.trimap):
        assert (image.data, image.display, image.colour) == (plate.data, plate.display, "data")
    low, high = alpha(result) < 0.05, alpha(result) > 0.95
    assert np.array_equal(result.trimap.pixels[:, :, 0], np.where(low, 0, np.where(high, 1, 0.5)))
    assert np.array_equal(result.foreground.pixels, plate.pixels)


def test_the_srgb_curve_and_the_primaries(tmp_path: Path) -> None:
    model = channels_of(tmp_path, 0, 1)
    plate = picture()
    linear = plate.pixels[:, :, 0]
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    wanted = alpha(run(model, simple(encoding="srgb"), plate))
    np.testing.assert_allclose(wanted, curve, atol=1e-4)
    from relume.colour import convert

    other = convert(plate, "lin_ap1_scene")
    np.testing.assert_allclose(alpha(run(model, simple(), other)), linear, atol=1e-5)


def test_range_mean_deviation_and_order(tmp_path: Path) -> None:
    feed = {"from": "plate", "range": [-1, 1], "mean": [0.1, 0.2, 0.3], "std": [1, 2, 4]}
    plate = picture()
    blue = channels_of(tmp_path, 0, 1)
    found = alpha(run(blue, simple(inputs={"x": {**feed, "order": "BGR"}}), plate))
    wanted = 2 * plate.pixels[:, :, 2] - 1 - 0.1
    np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=1e-6)
    bytes_ = simple(
        inputs={"x": {"range": [0, 255]}}, outputs={"y": {"is": "alpha", "range": [0, 255]}}
    )
    np.testing.assert_allclose(alpha(run(blue, bytes_, plate)), plate.pixels[:, :, 0], atol=1e-5)


def test_values_beyond_one_reach_the_network_only_if_it_wants_them(tmp_path: Path) -> None:
    plate = Image(np.full((4, 4, 3), 8.0, np.float32), ("R", "G", "B"), "lin_rec709_scene")
    model = channels_of(tmp_path, 0, 1)
    halves = {"y": {"is": "alpha", "range": [0, 16]}}
    assert np.allclose(alpha(run(model, simple(outputs=halves, clip=False), plate)), 0.5)
    assert np.allclose(alpha(run(model, simple(outputs=halves), plate)), 1 / 16)
    anchored = simple(exposure="anchor")
    assert np.allclose(alpha(run(model, anchored, plate, anchor=-4.0)), 0.5)
    assert np.allclose(alpha(run(model, simple(), plate, anchor=-4.0)), 1.0)


def test_logits_and_the_last_axis(tmp_path: Path) -> None:
    plate = picture()
    last = channels_of(tmp_path, 2, 3, axis=3, shape=["n", "h", "w", "c"])
    outputs = {"y": {"is": "alpha", "logits": True}}
    found = alpha(run(last, simple(layout="NHWC", outputs=outputs), plate))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-plate.pixels[:, :, 2])), atol=1e-6)


def test_a_trimap_beside_the_plate_and_a_guide_that_wins(tmp_path: Path) -> None:
    guide = np.tile(np.repeat([0.0, 0.3, 0.5, 1.0], 4), (12, 1))
    model = channels_of(tmp_path, 3, 4)
    result = run(model, simple(inputs={"x": ["plate", "trimap"]}), picture(), guide=grey(guide))
    wanted = np.where(guide < 0.05, 0, np.where(guide > 0.95, 1, 0.5))
    assert np.array_equal(alpha(result), wanted)
    result = run(model, simple(inputs={"x": ["plate", "hint"]}), picture(), guide=grey(guide))
    np.testing.assert_allclose(alpha(result), guide, atol=1e-6)
    classes = simple(inputs={"x": ["plate", "trimap_classes"]})
    unknown = channels_of(tmp_path, 4, 5)
    result = run(unknown, classes, picture(), guide=grey(guide))
    assert np.array_equal(alpha(result), np.where(wanted == 0.5, 1.0, wanted))
    # The network says foreground everywhere; the guide knows better.
    certain = run(channels_of(tmp_path, 0, 1), simple(), picture(), guide=grey(guide))
    assert (alpha(certain)[:, :4] == 0).all() and (alpha(certain)[:, 12:] == 1).all()
    assert (certain.trimap.pixels[:, :4] == 0).all() and (certain.trimap.pixels[:, 12:] == 1).all()


def recurrent(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Write a model called like RobustVideoMatting, and its adapter."""
    nodes = [
        helper.make_node("Slice", ["src", "zero", "one", "one"], ["red"]),
        helper.make_node("Add", ["red", "r1i"], ["summed"]),
        helper.make_node("Mul", ["summed", "downsample_ratio"], ["pha"]),
        helper.make_node("Mul", ["src", "half"], ["fgr"]),
        helper.make_node("Identity", ["r1i"], ["r1o"]),
    ]
    model = save(
        tmp_path / "rvm.onnx", nodes,
        [tensor("src"), tensor("r1i"), tensor("downsample_ratio", [1])], ["pha", "fgr", "r1o"],
        zero=np.array([0]), one=np.array([1]), half=np.array([0.5]),
    )  # fmt: skip
    adapter = {
        "inputs": {
            "src": "plate",
            "r1i": {"value": 0.125, "shape": [1, 1, 1, 1]},
            "downsample_ratio": {"value": [0.5]},
        },
        "outputs": {"pha": "alpha", "fgr": "foreground"},
        "encoding": "linear",
    }
    return model, adapter


def test_constants_feed_a_recurrent_network_its_first_frame(tmp_path: Path) -> None:
    model, adapter = recurrent(tmp_path)
    plate = picture()
    plate = plate.like(np.where(np.arange(16)[None, :, None] < 2, np.float32(100.0), plate.pixels))
    result = run(model, adapter, plate)
    red = np.clip(plate.pixels[:, :, 0], 0, 1)
    np.testing.assert_allclose(alpha(result), np.clip((red + 0.125) * 0.5, 0, 1), atol=1e-6)
    soft = (alpha(result) > 0) & (alpha(result) < 1)
    wanted = np.where(soft[..., None], np.clip(plate.pixels, 0, 1) * 0.5, plate.pixels)
    np.testing.assert_allclose(result.foreground.pixels, wanted, atol=1e-5)
    assert result.foreground.colour == plate.colour


def test_the_plate_is_scaled_continued_and_brought_back(tmp_path: Path) -> None:
    y, x = np.mgrid[:45, :80] / 80
    ramp = Image(np.stack((x, y, 0 * x), -1), ("R", "G", "B"), "lin_rec709_scene")
    for size in (
        {"long_side": 40},
        {"long_side": 40, "multiple": 32},
        {"short_side": 90, "multiple": 7},
        {"multiple": 16},
        {},
    ):
        for channel in (0, 1):
            model = channels_of(tmp_path, channel, channel + 1)
            found = alpha(run(model, simple(size=size), ramp))
            inner = (slice(3, -3), slice(3, -3))
            wanted = ramp.pixels[..., channel]
            np.testing.assert_allclose(found[inner], wanted[inner], atol=2e-3, err_msg=str(size))


@pytest.mark.parametrize("shape", [[1, 3, 32, 32], [1, 3, 24, 96]])
def test_a_model_of_fixed_size_gets_it_and_the_aspect_is_kept(
    tmp_path: Path, shape: list[int]
) -> None:
    y, x = np.mgrid[:45, :80] / 80
    ramp = Image(np.stack((x, y, 0 * x), -1), ("R", "G", "B"), "lin_rec709_scene")
    found = alpha(run(channels_of(tmp_path, 0, 1, shape=shape), simple(), ramp))
    np.testing.assert_allclose(found[4:-4, 6:-6], ramp.pixels[4:-4, 6:-6, 0], atol=5e-3)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    plate = picture(12, 16, pixel_aspect=2.0)
    model = save(
        tmp_path / "wide.onnx",
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "three"], ["width"]),
            helper.make_node("Cast", ["width"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "nothing"], ["zeros"]),
            helper.make_node("Slice", ["zeros", "a", "b", "b"], ["plane"]),
            helper.make_node("Add", ["plane", "real"], ["y"]),
        ],
        [tensor("x")], ["y"],
        three=np.array(3), nothing=np.array([0.0]), a=np.array([0]), b=np.array([1]),
    )  # fmt: skip
    outputs = {"y": {"is": "alpha", "range": [0, 64]}}
    assert np.allclose(alpha(run(model, simple(outputs=outputs), plate)), 0.5)


def test_keys_hold_the_model_the_adapter_and_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relume import evaluate
    from relume.frames import Shot
    from relume.nodes.recipes import Plate, matte_graph
    from relume.nodes.registry import REGISTRY

    model, adapter = channels_of(tmp_path, 0, 1), tmp_path / "net.json"
    adapter.write_text(json.dumps(simple()), encoding="utf-8")
    write(tmp_path / "plate.exr", {"rgba": picture()}, depth="float")
    knobs = {"model": str(model), "adapter": str(adapter)}
    graph = matte_graph(Plate(str(tmp_path / "plate.exr"), model=knobs), "out.exr")

    def ask(threads: int = 1) -> tuple[Any, str, str]:
        settings = evaluate.Settings(Shot(1, 1), threads=threads)
        evaluator = evaluate.Evaluator(graph, REGISTRY, settings)
        key, proof = evaluator.key("matte", 1), evaluator.fingerprint("matte", 1)
        return evaluator.evaluate("matte.matte", 1).pixels[:, :, 0], key, proof

    first, key, proof = ask()
    np.testing.assert_allclose(first, picture().pixels[:, :, 0], atol=1e-5)
    assert ask()[1:] == (key, proof)
    assert ask(threads=2)[1] != key and ask(threads=2)[2] == proof
    monkeypatch.setattr(evaluate, "_version", lambda package: f"newer {package}")
    assert evaluate.Evaluator(graph, REGISTRY, evaluate.Settings(Shot(1, 1), threads=1)).key(
        "matte", 1
    ) != key  # fmt: skip
    monkeypatch.undo()
    adapter.write_text(json.dumps(simple(clip=False)), encoding="utf-8")
    assert key != ask()[1] and proof != ask()[2]
    adapter.write_text(json.dumps(simple()), encoding="utf-8")
    channels_of(tmp_path, 2, 3)
    last, other, other_proof = ask()
    np.testing.assert_allclose(last, picture().pixels[:, :, 2], atol=1e-5)
    assert other != key and other_proof != proof


def test_the_model_is_opened_again_when_it_changes(tmp_path: Path) -> None:
    plate = picture()
    for channel in (0, 2):
        found = alpha(run(channels_of(tmp_path, channel, channel + 1), simple(), plate))
        np.testing.assert_allclose(found, plate.pixels[..., channel], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": {"z": "plate"}}, "no input 'z'"),
        ({"outputs": {"z": "alpha"}}, "no output 'z'"),
        ({"inputs": {"x": ["plate", "clean_plate"]}}, "clean plate .* none is wired"),
        ({"outputs": {"y": "alpha"}, "inputs": {"x": "plate", "y": "plate"}}, "no input 'y'"),
    ],
)
def test_an_adapter_that_does_not_fit_the_model(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run(channels_of(tmp_path, 0, 1), simple(**change), picture())


def test_results_of_no_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shape \[1, 2, 12, 16\], which is no alpha"):
        run(channels_of(tmp_path, 0, 2), simple(), picture())
    infinite = save(
        tmp_path / "inf.onnx",
        [
            helper.make_node("Slice", ["x", "a", "b", "b"], ["plane"]),
            helper.make_node("Div", ["plane", "nothing"], ["y"]),
        ],
        [tensor("x")], ["y"], a=np.array([0]), b=np.array([1]), nothing=np.array([0.0]),
    )  # fmt: skip
    with pytest.raises(UsageError, match="not finite"):
        run(infinite, simple(), picture())
    model, adapter = recurrent(tmp_path)
    del adapter["inputs"]["r1i"]
    with pytest.raises(UsageError, match="nothing about the model's input 'r1i'"):
        run(model, adapter, picture())
    adapter["inputs"]["r1i"] = {"value": 0.0, "shape": [1, 5, 7, 1]}
    with pytest.raises(UsageError, match="refuses what the adapter feeds"):
        run(model, adapter, picture())
    with pytest.raises(UsageError, match="the guide is 3×2, the plate 16×12"):
        run(channels_of(tmp_path, 0, 1), simple(), picture(), guide=grey(np.zeros((2, 3))))
    both = simple(inputs={"x": ["plate", "clean_plate"]})
    with pytest.raises(UsageError, match="the clean plate is 8×6, the plate 16×12"):
        run(channels_of(tmp_path, 0, 1), both, picture(), clean_plate=picture(6, 8))


WITH_CLEAN = {"inputs": {"x": ["plate", "clean_plate"]}, "outputs": {"y": "alpha"}}


def told(adapter: dict[str, Any], matte: Any = 0.5, **given: Any) -> list[str]:
    """Return the notices on a plate of 12×16 whose matte is given, a number or H×W."""
    plate, alpha = picture(), np.broadcast_to(np.float32(matte), (12, 16))
    return onnx_notices(parse_adapter(adapter), plate, grey(alpha), **given)


def test_help_that_is_of_use_needs_no_words() -> None:
    assert told(simple()) == []
    bands = np.tile(np.repeat([0.0, 0.5, 0.5, 1.0], 4), (12, 1))
    assert told(simple(), guide=grey(bands)) == []
    # The plate shows what the clean plate does, but for the subject at the right.
    subject = np.tile(np.repeat([0.0, 0.0, 0.5, 1.0], 4), (12, 1))
    behind = picture().pixels.copy()
    behind[:, 8:] = 3.0
    clean = picture().like(behind)
    assert told(WITH_CLEAN, subject, clean_plate=clean) == []


def test_a_clean_plate_of_no_use_is_told() -> None:
    (other,) = told(WITH_CLEAN, clean_plate=picture(seed=5))
    assert re.match(r"the clean plate explains only \d+ % of the background, and the model", other)
    # Two thirds of a stop apart is another picture to a network that is given both as they are.
    brighter = picture().like(picture().pixels * np.float32(1.6))
    assert "scene or exposure" in told(WITH_CLEAN, clean_plate=brighter)[0]
    (unread,) = told(simple(), clean_plate=picture())
    assert unread.startswith("the adapter does not feed the clean plate to the model")


@pytest.mark.parametrize(
    ("guide", "matte", "words"),
    [
        (None, 0.0, ["the model found nothing, the matte is empty; check range, mean and std"]),
        (0.0, 0.0, ["the whole guide is background, so the matte is empty"]),
        (1.0, 1.0, ["the whole guide is foreground, so the matte is full"]),
        ("hard", 0.5, ["the guide has no unknown pixel (25 % foreground"]),
        ("soft", 0.5, ["the guide has no foreground (25 % unknown, the rest background)"]),
        ("soft", 0.0, ["the guide has no foreground (25 % unknown", "the model found nothing"]),
    ],
)
def test_a_guide_of_no_use_is_told(guide: Any, matte: float, words: list[str]) -> None:
    hard = np.tile(np.repeat([0.0, 0.0, 0.0, 1.0], 4), (12, 1))
    drawn = {"hard": hard, "soft": 0.5 * hard}.get(guide, np.full((12, 16), guide or 0.0))
    found = told(simple(), matte, guide=None if guide is None else grey(drawn))
    assert [said[: len(start)] for said, start in zip(found, words, strict=True)] == words


def test_the_node_says_it(tmp_path: Path) -> None:
    from relume.evaluate import Evaluator, Settings
    from relume.frames import Shot
    from relume.nodes.recipes import Plate, matte_graph
    from relume.nodes.registry import REGISTRY

    model, adapter = channels_of(tmp_path, 0, 1), tmp_path / "net.json"
    adapter.write_text(json.dumps(simple()), encoding="utf-8")
    write(tmp_path / "plate.exr", {"rgba": picture()}, depth="float")
    hard = np.tile(np.repeat([0.0, 1.0], 8), (12, 1))
    write(tmp_path / "trimap.exr", {"matte": grey(hard)}, depth="float")
    plate = Plate(
        str(tmp_path / "plate.exr"),
        trimap=str(tmp_path / "trimap.exr"),
        clean_plate=str(tmp_path / "plate.exr"),
        model={"model": str(model), "adapter": str(adapter)},
    )
    said: list[str] = []
    evaluator = Evaluator(
        matte_graph(plate, "out.exr"),
        REGISTRY,
        Settings(Shot(1, 1), threads=1),
        on_notice=lambda node, frame, text: said.append(f"{node}: {text}"),
    )
    found = evaluator.evaluate("matte.matte", 1).pixels[:, :, 0]
    assert np.array_equal(found, hard)
    about = [text for text in said if text.startswith("matte: ")]
    assert [text.split("; ")[0] for text in about] == [
        "matte: the adapter does not feed the clean plate to the model, so it was not used",
        "matte: the guide has no unknown pixel (50 % foreground, the rest background), so the "
        "matte is the guide",
    ]


def test_files_that_are_no_model_and_devices_that_are_not_there(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a network")
    with pytest.raises(InputError, match="no ONNX model"):
        open_model(bad)
    with pytest.raises(InputError, match=r"none\.onnx"):
        open_model(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="cannot use the device 'abacus'"):
        open_model(channels_of(tmp_path, 0, 1), "abacus")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": None}, "inputs"),
        ({"outputs": {"y": "matte"}}, "one of alpha"),
        ({"outputs": {"y": "foreground"}}, "without one that is alpha"),
        ({"inputs": {"x": "hint"}}, "without one that is plate"),
        ({"inputs": {"x": "depth"}}, "plate"),
        ({"layout": "CHW"}, "NCHW"),
        ({"encoding": "rec709"}, "srgb"),
        ({"clip": 1}, "true or false"),
        ({"size": {"long_side": 0.5}}, "whole number"),
        ({"size": {"long_side": 5, "short_side": 5}}, "not by both"),
        ({"size": {"longside": 5}}, "long_side"),
        ({"encodings": "srgb"}, "encoding"),
        ({"inputs": {"x": {"mean": [1, 2]}}}, "3 numbers"),
        ({"inputs": {"x": {"std": [1, 0, 1]}}}, "other than 0"),
        ({"inputs": {"x": "plate", "r": {"value": [1, 2], "shape": [3]}}}, "in this shape"),
        ({"outputs": {"y": {"is": "alpha", "range": [1, 1]}}}, "different"),
    ],
)
def test_a_wrong_adapter_says_where(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_adapter(simple(**change))


def test_an_adapter_file(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(simple()), encoding="utf-8")
    assert load_adapter(path).linear
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="no JSON"):
        load_adapter(path)
    path.write_text(json.dumps(simple(layout="x")), encoding="utf-8")
    with pytest.raises(UsageError, match=r"net\.json"):
        load_adapter(path)
    with pytest.raises(InputError, match=r"none\.json"):
        load_adapter(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["modnet", "rvm"])
def test_the_adapters_of_the_guide(name: str) -> None:
    root = Path(__file__).parents[2]
    path = root / "examples" / "adapters" / f"{name}.json"
    assert path.read_text(encoding="utf-8") in (root / "docs/guides/td.md").read_text("utf-8")
    adapter = load_adapter(path)
    assert adapter.sources == {"plate"}
    assert (adapter.short_side, adapter.multiple) == {"modnet": (512, 32), "rvm": (0, 1)}[name]
