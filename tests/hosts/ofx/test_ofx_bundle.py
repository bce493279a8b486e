"""The bundle in an application of our own: what it says of itself, and what it renders."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relume.cache import MemoryCache
from relume.colour import convert
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.worker.server import Server
from relume.image import DATA, Image
from relume.knobs import Float
from relume.media.write import write
from relume.node import Registry
from relume.nodes.registry import REGISTRY

Pixels = NDArray[np.float32]
Application = Any

FAILED = 1
REPLY_DEFAULT = 14
UNTOUCHED = np.float32(-12345.0)


def noise(height: int = 5, width: int = 7, channels: int = 4, seed: int = 1) -> Pixels:
    """Scene-linear values far beyond 0 and 1."""
    pixels = np.random.default_rng(seed).normal(0.2, 3.0, (height, width, channels))
    pixels[0, 0, : min(channels, 3)] = (-5.0, 1e5, 3e-7)[:channels]
    if channels == 4:
        pixels[..., 3] = 1.0
    return pixels.astype(np.float32)


def put(**params: Any) -> dict[str, Any]:
    return {"do": "set", "params": params}


# What it says of itself


def test_effects_say_what_they_are(application: Application) -> None:
    effect = application.describe("Relight")["effect"]
    assert effect["OfxPropLabel"] == ["Relume relight"]
    assert effect["OfxImageEffectPluginPropGrouping"] == ["Relume"]
    assert effect["OfxImageEffectPropSupportedPixelDepths"] == ["OfxBitDepthFloat"]
    assert effect["OfxImageEffectPropSupportsTiles"] == [0]
    assert effect["OfxImageEffectPropTemporalClipAccess"] == [1]
    assert effect["OfxImageEffectPropColourManagementStyle"] == [
        "OfxImageEffectColourManagementFull"
    ]


def test_clips_are_optional_and_masks_where_they_are_so(application: Application) -> None:
    clips = application.describe("Relight")["clips"]
    assert clips["Source"]["OfxImageClipPropOptional"] == [0]
    assert clips["Background"]["OfxImageClipPropOptional"] == [1]
    assert clips["Matte"]["OfxImageClipPropIsMask"] == [1]
    assert "OfxImageClipPropIsMask" not in clips["Source"]
    assert clips["Output"]["OfxImageEffectPropSupportedComponents"][0] == "OfxImageComponentRGBA"


def test_a_filter_has_source_alone(application: Application) -> None:
    application.context = "OfxImageEffectContextFilter"
    assert set(application.describe("Relight")["clips"]) == {"Source", "Output"}


def test_parameters_say_their_range_default_label_and_hint(application: Application) -> None:
    params = application.describe("Probe")["params"]
    number = params["number"]
    assert number["type"] == "OfxParamTypeDouble"
    assert number["OfxParamPropDefault"] == [0.5]
    assert (number["OfxParamPropMin"], number["OfxParamPropMax"]) == ([-4.0], [4.0])
    assert number["OfxPropLabel"] == ["Number (stops)"]
    assert number["OfxParamPropHint"] == ["A number."]
    assert number["OfxParamPropAnimates"] == [1]
    assert params["angle"]["OfxParamPropDoubleType"] == ["OfxParamDoubleTypeAngle"]
    assert params["whole"]["OfxParamPropDefault"] == [3]
    assert params["word"]["OfxParamPropChoiceOption"] == ["A", "B", "C"]
    assert params["word"]["OfxParamPropDefault"] == [1]
    assert params["word"]["OfxParamPropAnimates"] == [0]
    assert params["colour"]["OfxParamPropDefault"] == [1.0, 2.0, -3.0]
    assert params["file"]["OfxParamPropStringMode"] == ["OfxParamStringIsFilePath"]
    assert params["file"]["OfxParamPropStringFilePathExists"] == [0]
    assert params["maybe_set"]["OfxParamPropDefault"] == [0]
    assert params["counts"]["OfxParamPropDefault"] == ["1, 16"]


def test_a_knob_added_to_a_node_is_in_the_description(
    application: Application, registry: Registry
) -> None:
    class Brighter(registry["same"]):  # type: ignore[misc]
        shimmer = Float(0.25, "How much it shimmers.", min=0, max=2)

    others = [node for node in registry.values() if node.id != "same"]
    application.tabled(Registry([*others, Brighter]))
    assert application.describe("Same")["params"]["shimmer"]["OfxParamPropDefault"] == [0.25]


# Pixels


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("downwards", [False, True])
def test_pixels_come_back_as_they_went_whatever_their_order_in_memory(
    application: Application, server: Server, channels: int, downwards: bool
) -> None:
    plate = noise(channels=channels)
    application.clip("Source", plate, downwards=downwards, padding=12)
    output = {"downwards": not downwards, "padding": 8}
    shown = application.render("Same", output=output)
    np.testing.assert_array_equal(shown[..., :channels], plate)
    assert (shown[..., 3] == 1).all()


def test_an_output_without_alpha_has_none(application: Application, server: Server) -> None:
    plate = noise()
    application.clip("Source", plate)
    shown = application.render("Same", output={"components": "OfxImageComponentRGB"})
    np.testing.assert_array_equal(shown, plate[..., :3])


def test_a_window_is_filled_and_nothing_beside_it(application: Application, server: Server) -> None:
    plate = noise(6, 8)
    application.clip("Source", plate)
    shown = application.render("Same", window=[2, 1, 7, 4])
    # Windows count upwards, rows of the file downwards.
    np.testing.assert_array_equal(shown[2:5, 2:7], plate[2:5, 2:7])
    shown[2:5, 2:7] = UNTOUCHED
    assert (shown == UNTOUCHED).all()


def test_pictures_need_not_begin_at_the_origin_nor_fill_the_format(
    application: Application, server: Server
) -> None:
    plate = noise(4, 6)
    application.clip("Source", plate, bounds=[-2, 3, 4, 7], region=[-2, 0, 10, 9])
    shown = application.render("Same", output={"bounds": [-3, 0, 10, 9]}, window=[-3, 0, 10, 9])
    np.testing.assert_array_equal(shown[2:6, 1:7], plate)
    shown[2:6, 1:7] = 0
    assert not shown.any()


def test_straight_colour_is_told_from_premultiplied(
    application: Application, server: Server
) -> None:
    plate = noise()
    plate[..., 3] = 0.5
    application.clip("Source", plate, alpha="OfxImageAlphaUnPremultiplied")
    shown = application.render("Same")
    np.testing.assert_allclose(shown[..., :3], plate[..., :3] * 0.5, rtol=1e-6)
    application.clip("Source", plate)
    np.testing.assert_array_equal(application.render("Same"), plate)


def test_a_mask_is_alpha_unless_that_is_constant_else_red(
    application: Application, server: Server
) -> None:
    plate = noise()
    application.clip("Source", plate)
    np.testing.assert_array_equal(application.render("Masked")[..., 3], 0)
    mask = noise(seed=2)
    application.clip("Keep", mask[..., :1])
    np.testing.assert_array_equal(application.render("Masked")[..., 3], mask[..., 0])
    application.clip("Keep", mask)
    np.testing.assert_array_equal(application.render("Masked")[..., 3], mask[..., 0])
    mask[..., 3] = mask[..., 1]
    application.clip("Keep", mask)
    shown = application.render("Masked")
    np.testing.assert_array_equal(shown, np.repeat(mask[..., 1:2], 4, axis=2))


# Parameters


def test_every_kind_of_parameter_reaches_the_node(application: Application, server: Server) -> None:
    application.clip("Source", noise(2, 40))
    before = application.render("Probe")[0, :, 0]
    np.testing.assert_allclose(before[:7], [0.5, 0, 8, 3, 10, 0, 1])
    np.testing.assert_allclose(before[7:14], [1, 2, -3, -1, -1, -1, -1])
    np.testing.assert_allclose(before[14:21], [2, 17, 2, 0, ord("R"), 0, 0])
    file = application.folder / "some file"
    file.touch()
    given = put(
        number=-1.25,
        angle=720.5,
        length=50,
        whole=-9,
        pixels=7,
        switch=1,
        word=2,
        colour=[-1, 100, 0.125],
        maybe_set=1,
        maybe=4.5,
        tint_set=1,
        tint=[7, 8, -9],
        counts="2, 3,5",
        weights_of="0.25",
        label='a "b" \\ ü',
        names="R, b.A",
        file=str(file),
        space="ACEScg",
    )
    after = application.render("Probe", given)[0, :, 0]
    np.testing.assert_allclose(after[:7], [-1.25, 720.5, 50, -9, 7, 1, 2])
    np.testing.assert_allclose(after[7:14], [-1, 100, 0.125, 4.5, 7, 8, -9])
    texts = ('a "b" \\ ü', "R,b.A", str(file), "ACEScg")
    np.testing.assert_allclose(after[14:21], [3, 10, 0.25, *(sum(t.encode()) for t in texts)])


def test_lengths_in_pixels_shrink_with_the_proxy(application: Application, server: Server) -> None:
    application.clip("Source", noise(2, 40))
    shown = application.render("Probe", put(length=30, pixels=9), scale=0.5)[0, :, 0]
    assert shown[2] == 15
    assert shown[4] in (4, 5)
    assert shown[3] == 3


def test_an_animated_value_is_the_one_of_the_frame(
    application: Application, server: Server
) -> None:
    application.clip("Source", noise(2, 40))
    animated = put(number={"keys": [[1000, 0.0], [1004, 2.0]]})
    assert application.render("Probe", animated)[0, 0, 0] == 0.5


def test_a_switch_greys_out_what_it_switches_off(application: Application, server: Server) -> None:
    application.clip("Source", noise())
    results = application.run(
        {"a": "Probe"},
        {"do": "param", "on": "a", "param": "maybe"},
        {**put(maybe_set=1), "on": "a"},
        {"do": "param", "on": "a", "param": "maybe"},
    )
    enabled = [results[i]["properties"]["OfxParamPropEnabled"] for i in (0, 2)]
    assert enabled == [[0], [1]]


def test_naming_a_file_chooses_it(application: Application, server: Server) -> None:
    application.clip("Source", noise())
    _, result = application.run(
        {"a": "Relight"},
        {**put(light2_read_environment_file="/some/studio.hdr"), "on": "a"},
        {"do": "param", "on": "a", "param": "light2_from"},
    )
    params = application.describe("Relight")["params"]["light2_from"]
    chosen = params["OfxParamPropChoiceOption"][int(result["numbers"][0])]
    assert chosen == "Read environment"


def test_a_value_the_node_refuses_is_told_in_words(
    application: Application, server: Server
) -> None:
    application.clip("Source", noise(2, 40))
    _, result = application.run(
        {"a": "Probe"}, {**put(counts="1, many"), "on": "a"}, application.order("a")
    )
    assert result["status"] == FAILED
    ((kind, text),) = result["messages"]
    assert kind == "OfxMessageError"
    assert "counts" in text
    assert "many" in text


# Colour


def background(space: str, **knobs: Any) -> Image:
    """An environment's picture, as the command computes it, in a space."""
    graph = Graph()
    graph.add("plate", "input", {"serial": "plate"})
    graph.add("rig", "light_rig", knobs)
    graph.add("shown", "environment_background", {"rotate": 90.0}, environment="rig", plate="plate")
    plate = Image(np.zeros((5, 7, 3), np.float32), ("R", "G", "B"))
    evaluator = Evaluator(
        graph, REGISTRY, Settings(Shot(1, 1), threads=1), externals={"plate": plate}
    )
    found: Image = convert(evaluator.evaluate("shown.image", 1), space)
    return found


def test_light_goes_out_in_the_space_that_source_is_in(
    application: Application, server: Server
) -> None:
    application.clip("Source", noise())
    options = application.describe("Relight")["params"]["relume_space"]["OfxParamPropChoiceOption"]
    space = next(i for i, name in enumerate(options) if name.startswith("Linear Rec.709"))
    turned = put(rotate=90, light_rig_intensity=7, relume_space=space)
    shown = application.render("EnvironmentBackground", turned)[..., :3]
    expected = background("lin_rec709_scene", intensity=7.0).pixels
    np.testing.assert_array_equal(shown, expected)
    assert abs(shown - background("lin_ap1_scene", intensity=7.0).pixels).max() > 1e-3


def test_a_space_may_be_named_and_otherwise_the_application_is_believed(
    application: Application, server: Server
) -> None:
    plate = noise()
    application.clip("Source", plate)
    named = application.render(
        "EnvironmentBackground", put(rotate=90, relume_space_name="ACES2065-1")
    )
    np.testing.assert_array_equal(named[..., :3], background("lin_ap0_scene").pixels)
    application.clip("Source", plate, colourspace="ACES2065-1")
    said = application.render("EnvironmentBackground", put(rotate=90))
    np.testing.assert_array_equal(said, named)
    # A family of spaces says nothing about the primaries.
    application.clip("Source", plate, colourspace="ofx_scene_linear")
    family = application.render("EnvironmentBackground", put(rotate=90))
    np.testing.assert_array_equal(family[..., :3], background("lin_ap1_scene").pixels)


def test_a_name_nobody_knows_is_told_in_words(application: Application, server: Server) -> None:
    application.clip("Source", noise())
    _, result = application.run(
        {"a": "Same"}, {**put(relume_space_name="no such space"), "on": "a"}, application.order("a")
    )
    assert result["status"] == FAILED
    assert "no such space" in result["messages"][0][1]


def test_data_is_not_converted_and_says_so(application: Application, server: Server) -> None:
    application.clip("Source", noise(2, 40), colourspace="ACES2065-1")
    assert application.render("Probe")[0, 0, 0] == 0.5
    application.clip("Matte", noise(2, 40, 1))
    results = application.run(
        {"a": "Relight"},
        {"do": "colourspace", "on": "a"},
        {"do": "preferences", "on": "a"},
        {**put(relume_pass=passes(application).index("matte")), "on": "a"},
        {"do": "colourspace", "on": "a"},
        {"do": "preferences", "on": "a"},
        {**put(relume_pass=passes(application).index("albedo")), "on": "a"},
        {"do": "preferences", "on": "a"},
    )
    said = [results[i]["out"] for i in (0, 1, 3, 4, 6)]
    assert said[0] == {"OfxImageClipPropColourspace": ["OfxColourspace_Source"]}
    assert said[1]["OfxImageEffectPropPreMultiplication"] == ["OfxImageAlphaPremultiplied"]
    assert said[2] == {"OfxImageClipPropColourspace": ["ofx_raw"]}
    assert said[3]["OfxImageClipPropComponents_Output"] == ["OfxImageComponentRGBA"]
    assert said[4]["OfxImageEffectPropPreMultiplication"] == ["OfxImageOpaque"]


def passes(application: Application, effect: str = "Relight") -> list[str]:
    found: list[str] = application.describe(effect)["params"]["relume_pass"][
        "OfxParamPropChoiceOption"
    ]
    return found


# Time


def test_frames_around_are_fetched_and_end_with_the_shot(
    application: Application, server: Server
) -> None:
    frames = {frame: noise(seed=frame) for frame in (1001, 1002, 1003)}
    application.clip("Source", frames)
    second = application.render("Before", time=1002)
    expected = frames[1001] * np.float32(0.1) + frames[1002]
    np.testing.assert_array_equal(second[..., :3], expected[..., :3])
    first = application.render("Before", time=1001)
    expected = frames[1001] * np.float32(0.1) + frames[1001]
    np.testing.assert_array_equal(first[..., :3], expected[..., :3])
    later = application.render("Before", put(relume_shot="1003-1003"), time=1003)
    expected = frames[1003] * np.float32(0.1) + frames[1003]
    np.testing.assert_array_equal(later[..., :3], expected[..., :3])


def test_the_frames_that_are_needed_are_told_beforehand(
    application: Application, server: Server
) -> None:
    application.clip("Source", {frame: noise(seed=frame) for frame in (1001, 1002, 1003)})
    around, single, anchored = application.run(
        {"a": "Before", "b": "Same", "c": "Matte"},
        {"do": "frames", "on": "a", "time": 1003},
        {"do": "frames", "on": "b", "time": 1003},
        {"do": "frames", "on": "c", "time": 1003},
    )
    wanted = "OfxImageClipPropFrameRange_Source"
    assert around["out"] == {wanted: [1002.0, 1002.0, 1003.0, 1003.0]}
    assert single["status"] == REPLY_DEFAULT
    # The exposure of a shot is measured on its first frame, unless it is given.
    assert anchored["out"] == {wanted: [1001.0, 1001.0, 1003.0, 1003.0]}
    _, given = application.run(
        {"a": "Matte"},
        {**put(anchor_stops_set=1), "on": "a"},
        {"do": "frames", "on": "a", "time": 1003},
    )
    assert given["status"] == REPLY_DEFAULT


def test_an_application_without_other_frames_is_asked_for_none(
    application: Application, server: Server
) -> None:
    application.says = {"temporal": 0}
    application.clip("Source", {frame: noise(seed=frame) for frame in (1001, 1002)})
    (result,) = application.run({"a": "Before"}, application.order("a", time=1002))
    assert result["fetched"] == [["Source", 1002]]


def test_knobs_are_animated_in_a_window_of_frames_too(
    application: Application, server: Server
) -> None:
    frames = {frame: noise(seed=frame) for frame in (1001, 1002)}
    application.clip("Source", frames)
    gained = application.render("Before", put(gain={"keys": [[1001, 1], [1002, 4]]}), time=1002)
    expected = (frames[1001] * np.float32(0.1) + frames[1002]) * np.float32(4)
    np.testing.assert_array_equal(gained[..., :3], expected[..., :3])


# Regions


def test_the_whole_of_every_clip_is_wanted_whatever_part_is_shown(
    application: Application, server: Server
) -> None:
    application.clip("Source", noise(), region=[-1, 0, 9, 6])
    application.clip("Keep", noise(channels=1), region=[0, 0, 4, 4])
    region, interest = application.run(
        {"a": "Masked"},
        {"do": "region", "on": "a", "time": 1001},
        {"do": "interest", "on": "a", "time": 1001},
    )
    assert region["out"] == {"OfxImageEffectPropRegionOfDefinition": [-1.0, 0.0, 9.0, 6.0]}
    assert interest["out"] == {
        "OfxImageClipPropRoI_Source": [-1.0, 0.0, 9.0, 6.0],
        "OfxImageClipPropRoI_Keep": [0.0, 0.0, 4.0, 4.0],
    }


# What is shared


def test_effects_that_look_at_the_same_pixels_share_what_is_worked_out(
    application: Application, server: Server, counts: dict[str, int]
) -> None:
    plate = noise()
    application.clip("Source", {1001: plate, 1002: plate, 1003: noise(seed=3)})
    application.run(
        {"a": "Twice", "b": "Twice"},
        application.order("a", time=1001),
        {**put(relume_pass=1), "on": "b"},
        application.order("b", time=1001),
        application.order("a", time=1002),
    )
    # Two effects, two passes, and a held frame.
    assert counts["twice"] == 1
    np.testing.assert_array_equal(application.pixels("b")[..., :3], plate[..., :3] * 2)
    application.render("Twice", time=1003)
    assert counts["twice"] == 2


def test_pictures_the_worker_forgot_are_lent_again(
    application: Application, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = noise()
    application.clip("Source", plate)
    get = server.images.get
    asked = []

    def forgetful(client: str, serial: str) -> Any:
        asked.append(serial)
        if len(asked) == 1:
            server.images.forget(client)
        return get(client, serial)

    monkeypatch.setattr(server.images, "get", forgetful)
    np.testing.assert_array_equal(application.render("Same"), plate)
    assert len(asked) > 1


def test_several_renders_may_be_under_way(application: Application, server: Server) -> None:
    plate = noise()
    application.clip("Source", plate)
    names = [f"i{number}" for number in range(6)]
    (results,) = application.run(
        dict.fromkeys(names, "Same"),
        {"do": "together", "steps": [application.order(name) for name in names]},
    )
    assert [result["status"] for result in results] == [0] * 6
    for name in names:
        np.testing.assert_array_equal(application.pixels(name), plate)


# What goes wrong


def test_an_abort_reaches_the_node_and_leaves_nothing_behind(
    application: Application, server: Server, stopped: threading.Event
) -> None:
    plate = noise()
    application.clip("Source", plate)
    aborted, after = application.run(
        {"a": "Slow", "b": "Same"}, application.order("a", abort=300), application.order("b")
    )
    assert aborted["status"] == 0
    assert aborted["messages"] == []
    assert stopped.wait(20)
    assert (application.pixels("a") == UNTOUCHED).all()
    assert after["status"] == 0
    np.testing.assert_array_equal(application.pixels("b"), plate)


def test_without_a_worker_effects_load_and_a_render_says_what_to_do(
    application: Application,
) -> None:
    application.clip("Source", noise())
    (result,) = application.run({"a": "Same"}, application.order("a"))
    assert result["status"] == FAILED
    ((_, text),) = result["messages"]
    assert "/nowhere/relume" in text
    assert "relume host install ofx" in text


def test_a_worker_that_ends_at_once_is_told(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUME_COMMAND", "false")
    application.clip("Source", noise())
    (result,) = application.run({"a": "Same"}, application.order("a"))
    assert result["status"] == FAILED
    assert "worker-1.log" in result["messages"][0][1]


def test_a_worker_is_started_and_its_death_costs_one_render(
    own_worker: Path, application: Application
) -> None:
    plate = noise()
    application.clip("Source", plate)
    first, dead, after = application.run(
        {"a": "Same", "b": "Fatal"},
        application.order("a"),
        application.order("b"),
        application.order("a", file=str(application.folder / "after.raw")),
    )
    assert first["status"] == 0
    assert dead["status"] == FAILED
    ((_, text),) = dead["messages"]
    assert "Render again" in text
    assert after["status"] == 0
    found = np.fromfile(application.folder / "after.raw", np.float32).reshape(plate.shape)
    np.testing.assert_array_equal(found, plate)


def test_a_folder_open_to_others_is_not_used(
    application: Application, place: Path, server: Server
) -> None:
    place.chmod(0o755)
    application.clip("Source", noise())
    (result,) = application.run({"a": "Same"}, application.order("a"))
    place.chmod(0o700)
    assert result["status"] == FAILED
    assert str(place) in result["messages"][0][1]


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"fields": "OfxFieldLower"}, "interlaced"),
        ({"depth": "OfxBitDepthByte"}, "float"),
    ],
)
def test_what_relume_cannot_take_is_refused_in_words(
    application: Application, server: Server, says: dict[str, str], words: str
) -> None:
    application.clip("Source", noise(), **says)
    (result,) = application.run({"a": "Same"}, application.order("a"))
    assert result["status"] == FAILED
    assert words in result["messages"][0][1]
    assert result["unreleased"] == 0


def test_a_clip_that_must_be_connected_is_named(application: Application, server: Server) -> None:
    application.clip("Source", noise())
    (result,) = application.run({"a": "PlateMatte"}, application.order("a"))
    assert result["status"] == FAILED
    assert "connect CleanPlate" in result["messages"][0][1]


# The farm


def test_the_graph_that_is_saved_renders_the_same_bits_on_the_farm(
    application: Application, server: Server
) -> None:
    height, width = 12, 16
    matte = np.zeros((height, width, 1), np.float32)
    matte[3:10, 4:12] = 0.75
    normals = np.zeros((height, width, 3), np.float32)
    normals[..., 2] = 1
    application.clip("Source", noise(height, width, 3))
    application.clip("Foreground", noise(height, width, 3, seed=4))
    application.clip("Matte", matte)
    application.clip("Normals", normals)
    application.clip("Albedo", np.full((height, width, 3), 0.5, np.float32))
    path = application.folder / "comp.json"
    transport = application.describe("Relight")["params"]["transport_from"]
    phong = transport["OfxParamPropChoiceOption"].index("Phong")
    results = application.run(
        {"a": "Relight"},
        {
            **put(transport_from=phong, light1_adjust_light_rotate=30, relume_graph_file=str(path)),
            "on": "a",
        },
        {"do": "push", "on": "a", "param": "relume_graph_save", "time": 1001},
        application.order("a"),
    )
    assert results[1]["messages"][0][0] == "OfxMessageMessage"
    shown = application.pixels("a")

    graph = Graph.load(path, REGISTRY)
    for name in ("Foreground", "Normals", "Matte", "Albedo"):
        pixels = np.fromfile(application.folder / f"{name}.0.raw", np.float32)
        pixels = pixels.reshape(height, width, -1)
        names = {"Normals": ("X", "Y", "Z"), "Matte": ("A",)}.get(name, ("R", "G", "B"))
        colour = "lin_ap1_scene" if names == ("R", "G", "B") else DATA
        layer = "normal" if name == "Normals" else "rgba"
        file = application.folder / f"{name}.1001.exr"
        write(file, {layer: Image(pixels, names, colour=colour)}, depth="float")
        node = graph.nodes[f"{name.lower()}_clip"]
        assert node.knobs["file"] == f"{name}.####.exr"
        node.knobs["file"] = str(file)
    settings = Settings(Shot(1001, 1001), threads=1)
    evaluator = Evaluator(graph, REGISTRY, settings, caches=[MemoryCache()])
    deliverable = evaluator.evaluate("write", 1001)
    np.testing.assert_array_equal(deliverable.layers["rgba"].pixels, shown)
    assert shown.max() > 0.01


def test_the_exposure_of_a_shot_can_be_kept(application: Application, server: Server) -> None:
    frames = {1001: np.full((4, 4, 3), 0.18, np.float32), 1002: np.full((4, 4, 3), 9, np.float32)}
    application.clip("Source", {1001: frames[1001] / 4, 1002: frames[1002]})
    results = application.run(
        {"a": "Matte"},
        {"do": "push", "on": "a", "param": "relume_measure_anchor", "time": 1002},
        {"do": "param", "on": "a", "param": "anchor_stops"},
        {"do": "param", "on": "a", "param": "anchor_stops_set"},
    )
    assert results[0]["messages"] == []
    np.testing.assert_allclose(results[1]["numbers"], [2.0], atol=1e-5)
    assert results[2]["numbers"] == [1.0]
