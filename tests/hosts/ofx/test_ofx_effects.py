"""Which nodes are effects, and what each of them stands for."""

from __future__ import annotations

from typing import Any

import pytest

from relume.colour.spaces import resolve as resolve_space
from relume.hosts.ofx.effects import FOREIGN, Effect, Unfit, effects, resolve
from relume.hosts.ofx.generate import table
from relume.knobs import Float, OutputFile
from relume.node import Registry
from relume.nodes.normals import Normals
from relume.nodes.registry import REGISTRY


@pytest.fixture(scope="module")
def found() -> dict[str, Effect]:
    return {effect.node.id: effect for effect in effects(REGISTRY)}


def first(effect: Effect) -> dict[str, str]:
    return {name: choice.options[0] for name, choice in effect.choices.items()}


def test_what_analyses_a_plate_is_an_effect_and_what_applications_do_themselves_is_not(
    found: dict[str, Effect],
) -> None:
    expected = {"segment", "matte", "plate_matte", "foreground", "normals", "albedo", "relight"}
    assert expected <= set(found)
    assert not any(REGISTRY[id].category in FOREIGN for id in found)
    # What shows no picture over the plate, or nothing that an application could connect, is none.
    assert not {"transport", "light_rig", "environment_image", "read_matte"} & set(found)


def test_the_first_clip_is_source_and_only_what_a_node_must_have_is_required(
    found: dict[str, Effect],
) -> None:
    for effect in found.values():
        assert next(iter(effect.clips)) == "Source"
    required = {
        id: [clip.name for clip in effect.clips.values() if not clip.optional]
        for id, effect in found.items()
    }
    assert required["relight"] == ["Source"]
    assert required["plate_matte"] == ["Source", "CleanPlate"]
    assert required["light_wrap"] == ["Source", "Background"]


def test_every_pass_of_every_effect_comes_to_a_graph_that_checks(found: dict[str, Effect]) -> None:
    for effect in found.values():
        needed = [clip.name for clip in effect.clips.values() if not clip.optional]
        for shown in effect.passes:
            for connected in (needed, list(effect.clips)):
                try:
                    graph, reference = resolve(
                        effect.steps, shown.sources, connected, first(effect)
                    )
                except Unfit:
                    assert connected == needed  # a pass of something that is not connected
                    continue
                graph.check(REGISTRY)
                graph.source(REGISTRY, reference)


def types(effect: Effect, shown: str, connected: set[str], **chosen: str) -> list[str]:
    sources = next(item.sources for item in effect.passes if item.name == shown)
    graph, _ = resolve(effect.steps, sources, connected, first(effect) | chosen)
    return [node.type for node in graph.nodes.values()]


def test_a_connected_matte_or_clean_plate_replaces_what_it_makes_needless(
    found: dict[str, Effect],
) -> None:
    normals = found["normals"]
    assert "matte" in types(normals, "normals", {"Source"})
    assert "plate_matte" in types(normals, "normals", {"Source", "CleanPlate"})
    given = types(normals, "normals", {"Source", "CleanPlate", "Matte"})
    assert not {"matte", "plate_matte", "trimap"} & set(given)


def test_a_choice_says_which_node_makes_what_no_clip_brings(found: dict[str, Effect]) -> None:
    relight = found["relight"]
    lit = types(relight, "relit", {"Source"}, light1="original_light", transport="phong")
    assert "original_light" in lit
    assert "phong" in lit
    assert not {"light_rig", "prefilter_light", "transport"} & set(lit)
    three = types(relight, "relit", {"Source"}, light2="light_rig", light3="original_light")
    assert three.count("adjust_light") == 3


def test_the_light_of_the_set_is_a_choice_that_is_off_at_first(found: dict[str, Effect]) -> None:
    relight = found["relight"]
    assert "calibrate" not in types(relight, "relit", {"Source"})
    assert relight.choices["calibrate_light"].options == ("off", "light_rig", "read_environment")
    lit = types(relight, "relit", {"Source"}, calibrate_light="read_environment")
    assert lit.count("calibrate") == 1
    assert "transport" in lit
    assert "calibrate" not in types(relight, "albedo", {"Source"})
    assert "calibrate" in types(relight, "albedo", {"Source"}, calibrate_light="read_environment")
    assert "transport" in types(found["calibrate"], "albedo", {"Source"})
    assert "calibrate" in types(
        relight, "relit", {"Source"}, calibrate_light="read_environment", transport="phong"
    )


@pytest.mark.parametrize("connected", [{"Source"}, {"Source", "Normals", "Albedo"}])
def test_passes_show_what_the_fast_choice_has_made(
    found: dict[str, Effect], connected: set[str]
) -> None:
    relight, networks = found["relight"], {"normals", "albedo", "transport"}
    for shown in ("relit", "normals", "albedo"):
        fast = types(relight, shown, connected, transport="fast_analysis")
        assert "fast_analysis" in fast and not networks & set(fast)
        best = types(relight, shown, connected)
        assert "fast_analysis" not in best
    lamp = {"calibrate_light": "light_rig", "transport": "fast_analysis"}
    corrected = types(relight, "albedo", connected, **lamp)
    assert {"calibrate", "fast_analysis"} <= set(corrected) and not networks & set(corrected)
    assert "calibrate" not in types(relight, "normals", connected, **lamp)


def test_layers_are_passes(found: dict[str, Effect]) -> None:
    layers = {shown.layer for shown in found["relight"].passes if shown.layer}
    assert {"diffuse", "specular", "residual", "relit_light1", "diffuse_light"} <= layers


def test_numbers_are_passed_on_as_data_and_light_is_not(found: dict[str, Effect]) -> None:
    data = {shown.name for effect in found.values() for shown in effect.passes if shown.data}
    assert {"matte", "trimap", "normals"} <= data
    assert not {"relit", "diffuse", "albedo", "foreground", "composite"} & data


def test_every_knob_of_every_node_an_effect_uses_is_a_parameter(found: dict[str, Effect]) -> None:
    shown = {entry["id"]: entry for entry in table(REGISTRY)["effects"]}
    for id, effect in found.items():
        targets = {
            tuple(target) for param in shown[id]["params"] for target in param.get("targets", [])
        }
        for name, step in effect.steps.items():
            if step.clip or step.node.id == "shuffle":
                continue
            for key, knob in step.node.knobs().items():
                settled = key in step.fixed or isinstance(knob, OutputFile)
                assert ((name, key) in targets) is not settled, f"{id}: {name}.{key}"


def test_names_of_parameters_are_unique_and_their_parents_come_before_them() -> None:
    for entry in table(REGISTRY)["effects"]:
        names: set[str] = set()
        for param in entry["params"]:
            assert param["name"] not in names
            assert not param["parent"] or param["parent"] in names
            names.add(param["name"])


@pytest.mark.parametrize(
    "name",
    (
        "ACES2065-1 ACEScc ACEScct ACEScg lin_p3d65 lin_rec2020 lin_rec709_srgb g22_rec709_tx "
        "g24_rec709_tx srgb_tx srgb_display rec1886_rec709_display rec2100_pq_display Raw "
        "arri_logc4 davinci_intermediate_widegamut lin_davinci_widegamut slog3_sgamut3cine"
    ).split(),
)
def test_colour_spaces_that_applications_name_are_known(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OCIO", raising=False)
    resolve_space(name)


def test_a_knob_added_to_a_node_is_a_parameter_with_no_other_edit() -> None:
    class Smooth(Normals):
        shimmer = Float(0.25, "How much it shimmers.", min=0, max=2)

    registry = Registry([Smooth if node is Normals else node for node in REGISTRY.values()])
    entries: dict[str, Any] = {entry["id"]: entry for entry in table(registry)["effects"]}
    (param,) = [p for p in entries["normals"]["params"] if p["name"] == "shimmer"]
    assert param["targets"] == [["normals", "shimmer"]]
    assert (param["default"], param["min"], param["max"]) == (0.25, 0, 2)
    assert param["hint"] == "How much it shimmers."
    # Where the node is a step on the way, its knob stands in that step's group.
    (param,) = [p for p in entries["relight"]["params"] if p["name"] == "normals_shimmer"]
    assert param["parent"] == "group_normals"
