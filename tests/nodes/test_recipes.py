"""The recipes: graphs that check, survive JSON, and wire what they are given."""

from __future__ import annotations

import pytest

from relume.errors import UsageError
from relume.graph import Graph
from relume.nodes.recipes import (
    ENVIRONMENT,
    PROFILES,
    RENDERERS,
    TEMPLATES,
    Backdrop,
    Integration,
    Lighting,
    Plate,
    PlateLight,
    Source,
    albedo_graph,
    analyse_graph,
    defocus_graph,
    light_graph,
    matte_graph,
    normals_graph,
    relight_graph,
    shade_graph,
)
from relume.nodes.registry import REGISTRY

KEY = Lighting({"key": "studio.exr"})


def types(graph: Graph) -> list[str]:
    return [node.type for node in graph.nodes.values()]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_checks_and_survives_json(name: str) -> None:
    graph = TEMPLATES[name]()
    graph.check(REGISTRY)
    text = graph.to_json(REGISTRY)
    assert Graph.from_json(text, REGISTRY).to_json(REGISTRY) == text
    assert list(graph.nodes)[-1] == "write"


PLATES = {
    "alone": Plate("p.exr"),
    "matte": Plate("p.exr", matte="m.exr"),
    "trimap": Plate("p.exr", trimap="t.exr"),
    "mask": Plate("p.exr", mask="m.exr"),
    "clean plate": Plate("p.exr", clean_plate="c.exr"),
    "everything": Plate("p.exr", mask="m.exr", clean_plate="c.exr"),
}
BACKDROPS = {
    "nothing": None,
    "environment": Backdrop(ENVIRONMENT),
    "picture": Backdrop({"file": "b.####.exr", "offset": 3}, over={"fit": "fill"}),
}


@pytest.mark.parametrize("proxy", [1, 3])
@pytest.mark.parametrize("behind", BACKDROPS)
@pytest.mark.parametrize("known", PLATES)
def test_every_combination_checks(known: str, behind: str, proxy: int) -> None:
    given = PLATES[known]
    plate = Plate(
        given.picture, given.matte, given.trimap, given.mask, given.clean_plate, proxy=proxy
    )
    graph = relight_graph(plate, KEY, "o.exr", BACKDROPS[behind])
    graph.check(REGISTRY)
    reads = sum(kind in ("read", "read_matte") for kind in types(graph))
    assert types(graph).count("reformat") == (reads if proxy > 1 else 0)
    assert ("over" in graph.nodes) is (behind != "nothing")
    if behind != "environment":
        matte_graph(plate, "o.exr", BACKDROPS[behind]).check(REGISTRY)
    analyse_graph(plate, "o.exr").check(REGISTRY)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_fast_profile_analyses_in_one_node(renderer: str) -> None:
    best, fast = (
        relight_graph(Plate("p.exr", profile=profile), KEY, "o.exr", None, renderer)
        for profile in PROFILES
    )
    fast.check(REGISTRY)
    estimates = {"normals", "albedo", "transport", "fast_analysis"}
    assert estimates & set(types(fast)) == {"fast_analysis"}
    assert "fast_analysis" not in types(best)
    layers = fast.nodes["write"].inputs["layers"]
    assert layers.keys() == best.nodes["write"].inputs["layers"].keys()
    assert (layers["normal"], layers["albedo"]) == ("analysis.normals", "analysis.albedo")
    if renderer == "transport":
        # Applications save a node's only output by the node's name alone.
        assert best.nodes["relight"].inputs["transport"] == "transport"
        assert fast.nodes["relight"].inputs["transport"] == "analysis.transport"


def test_the_fast_profile_serves_every_recipe_that_analyses() -> None:
    plate = Plate("p.exr", profile="fast", light=PlateLight("set.exr"))
    for graph in (normals_graph(plate, "o.exr"), albedo_graph(plate, "o.exr")):
        graph.check(REGISTRY)
        assert types(graph).count("fast_analysis") == 1
    calibrated = analyse_graph(plate, "o.exr")
    calibrated.check(REGISTRY)
    assert calibrated.nodes["calibration"].inputs["transport"] == "analysis.transport"
    assert "fast_analysis" not in types(matte_graph(plate, "o.exr"))


def test_a_profile_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no profile 'good'"):
        Plate("p.exr", profile="good")


def test_a_matte_replaces_the_network() -> None:
    graph = matte_graph(Plate("p.exr", matte="m.exr"), "o.exr")
    assert types(graph).count("matte") == 0
    assert graph.nodes["write"].inputs["layers"] == {
        "rgba": "cutout",
        "foreground": "foreground",
        "matte": "matte",
    }


def test_lights_of_every_kind() -> None:
    lights = {
        "sky": "sky.exr",
        "studio": "rig:rim",
        "original": "original",
        "drawn": {"preset": "neon", "key_azimuth": 20.0},
    }
    lighting = Lighting(lights, adjust={"exposure": 1.0})
    graph = relight_graph(Plate("p.exr"), lighting, "o.exr", Backdrop(ENVIRONMENT))
    graph.check(REGISTRY)
    assert graph.nodes["studio_environment"].knobs == {"preset": "rim"}
    assert graph.nodes["drawn_environment"].knobs == {"preset": "neon", "key_azimuth": 20.0}
    assert graph.nodes["original_original"].type == "original_light"
    wires = graph.nodes["relight"].inputs["lights"]
    assert isinstance(wires, dict) and list(wires) == list(lights)
    for reference in wires.values():
        assert graph.nodes[reference].knobs == {"exposure": 1.0}
    # The picture behind is that of the first environment, as bright as the light it gives.
    assert graph.nodes["background"].inputs["environment"] == "sky_environment"
    assert graph.nodes["background"].knobs == {"exposure": 1.0}


def test_a_subject_is_joined_with_its_background_step_by_step() -> None:
    join = Integration(levels={"white": 0.5}, wrap={"radius": 12.0}, grain={"seed": 3})
    graph = relight_graph(Plate("p.exr", proxy=3), KEY, "o.exr", Backdrop("b.exr", join=join))
    graph.check(REGISTRY)
    assert graph.nodes["over"].inputs["foreground"] == "grain"
    assert graph.nodes["grain"].inputs["image"] == "wrap"
    assert graph.nodes["wrap"].inputs["foreground"] == "levels"
    assert graph.nodes["levels"].inputs["image"] == "relight.relit"
    assert graph.nodes["wrap"].knobs["radius"] == 4.0
    alone = relight_graph(Plate("p.exr"), KEY, "o.exr", Backdrop("b.exr"))
    assert alone.nodes["over"].inputs["foreground"] == "relight.relit"


def test_what_is_in_focus_is_pulled_by_the_matte() -> None:
    graph = defocus_graph(Plate("p.exr", mask="m.exr", proxy=2), {"radius": 9.0}, "o.exr")
    graph.check(REGISTRY)
    assert graph.nodes["defocus"].knobs == {"radius": 4.5, "margin": 2.0}
    assert graph.nodes["defocus"].inputs["matte"] == "matte.matte"


def test_shading_needs_no_network() -> None:
    graph = shade_graph("t.####.exr", KEY, "o.####.exr", Backdrop(ENVIRONMENT))
    graph.check(REGISTRY)
    assert not any(REGISTRY[kind].weights for kind in types(graph))
    assert not any(REGISTRY[kind].weights for kind in types(light_graph("e.exr", "o.exr")))


def test_an_environment_backdrop_needs_an_environment() -> None:
    original = Lighting({"original": "original"})
    with pytest.raises(UsageError, match="no environment among the lights"):
        relight_graph(Plate("p.exr"), original, "o.exr", Backdrop(ENVIRONMENT))


@pytest.mark.parametrize("other", ["trimap", "mask", "clean_plate"])
def test_a_finished_matte_takes_no_hint(other: str) -> None:
    with pytest.raises(UsageError, match="finished matte"):
        Plate("p.exr", matte="m.exr", **{other: "h.exr"})


@pytest.mark.parametrize("hint", ["trimap", "mask"])
def test_the_closed_form_method_runs_no_network(hint: str) -> None:
    graph = matte_graph(Plate("p.exr", **{hint: "h.exr"}, method="closed-form"), "o.exr")
    graph.check(REGISTRY)
    assert not any(REGISTRY[kind].weights for kind in types(graph))
    assert graph.nodes["matte"].inputs["guide"] == "guide"


@pytest.mark.parametrize(
    "known",
    [
        {"method": "closed-form"},
        {"method": "closed-form", "trimap": "t.exr", "clean_plate": "c.exr"},
        {"method": "guess", "trimap": "t.exr"},
    ],
)
def test_a_method_without_what_it_needs_is_refused(known: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="method"):
        Plate("p.exr", **known)


def test_a_model_of_ones_own_replaces_the_network() -> None:
    known = {"trimap": "t.exr", "clean_plate": "c.exr"}
    model = {"model": "net.onnx", "adapter": "net.json"}
    graph = matte_graph(Plate("p.exr", **known, model=model), "o.exr")
    graph.check(REGISTRY)
    assert not any(REGISTRY[kind].weights for kind in types(graph))
    assert graph.nodes["matte"].knobs == model
    assert {"guide", "clean_plate"} <= set(graph.nodes["matte"].inputs)
    with pytest.raises(UsageError, match="no use beside"):
        Plate("p.exr", matte="m.exr", model=model)


def test_the_unet_renderer_takes_the_place_of_transport_and_relight() -> None:
    lights = Lighting({"key": "e.exr", "own": "original"})
    graph = relight_graph(Plate("p.exr"), lights, "o.exr", Backdrop(ENVIRONMENT), "unet")
    graph.check(REGISTRY)
    assert graph.nodes["relight"].type == "neural_render"
    assert "transport" not in types(graph)
    known = relight_graph(Plate("p.exr"), lights, "o.exr", Backdrop(ENVIRONMENT))
    assert set(known.nodes) - set(graph.nodes) == {"transport"}
    with pytest.raises(UsageError, match="no renderer 'net'"):
        relight_graph(Plate("p.exr"), lights, "o.exr", renderer="net")
    with pytest.raises(UsageError, match="has no gloss"):
        relight_graph(
            Plate("p.exr"), Lighting({"key": "e.exr"}, relight={"gloss": 1}), "o.exr", None, "unet"
        )


FILMED = PlateLight({"file": "set.hdr"}, {"rotate": 30.0}, {"level": 0.0})


def test_a_known_light_of_the_plate_calibrates_what_is_lit_and_written() -> None:
    for graph in (
        relight_graph(Plate("p.exr", light=FILMED), KEY, "o.exr"),
        analyse_graph(Plate("p.exr", light=FILMED), "o.exr"),
        shade_graph("t.exr", KEY, "o.exr", filmed=FILMED),
    ):
        graph.check(REGISTRY)
        assert graph.nodes["calibration"].knobs == {"level": 0.0}
        assert graph.nodes["plates_own_light"].knobs == {"rotate": 30.0}
        user = "packed" if "packed" in graph.nodes else "relight"
        assert graph.nodes[user].inputs["transport"] == "calibration.calibrated"
        if "packed" not in graph.nodes:
            layers = graph.nodes["write"].inputs["layers"]
            assert layers["albedo"] == "calibration.albedo"
            # Of two layers of one name the later is written.
            names = list(layers)
            assert "given" not in names or names.index("given") < names.index("albedo")


def test_a_light_may_be_called_plate() -> None:
    lights = Lighting({"plate": "rig:rim", "set": "rig:rim", "calibration": "rig:rim"})
    relight_graph(Plate("p.exr", light=FILMED), lights, "o.exr").check(REGISTRY)


@pytest.mark.parametrize("light", ["original", "background", {"background": "street.exr"}])
def test_what_says_nothing_of_the_set_is_no_light_of_the_plate(light: Source) -> None:
    with pytest.raises(UsageError, match="taken on the set"):
        relight_graph(Plate("p.exr", light=PlateLight(light)), KEY, "o.exr")


def test_networks_that_see_the_light_have_no_use_for_the_light_of_the_plate() -> None:
    with pytest.raises(UsageError, match="unet"):
        relight_graph(Plate("p.exr", light=FILMED), KEY, "o.exr", renderer="unet")
