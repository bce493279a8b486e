"""Calibrate says where light and plate do not go together, and how the file tells that it ran."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.test_shading_calibrate import filmed, light

from relume.context import Context
from relume.errors import UsageError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.light.types import Light, OriginalLight
from relume.media.write import write
from relume.nodes.calibrate import Calibrate
from relume.nodes.recipes import Lighting, PlateLight, shade_graph
from relume.nodes.registry import REGISTRY
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.transport_file import pack
from relume.shading.types import Transport


def run(transport: Transport, maps: Light, **knobs: Any) -> tuple[Transport, list[str]]:
    """Return what Calibrate makes, and what it says."""
    said: list[str] = []
    context = Context(
        frame=1,
        settings=Settings(Shot(1, 1)),
        node="calibrate",
        working_space="lin_ap1_scene",
        on_notice=lambda _node, _frame, text: said.append(text),
    )
    found = Calibrate("calibrate", knobs).compute(context, transport, maps)
    assert found.albedo is found.calibrated.albedo
    return found.calibrated, said


def test_a_fitting_light_is_no_news() -> None:
    transport, _ = filmed(light(1), 0.8)
    assert run(transport, light(1))[1] == []


@pytest.mark.parametrize(("gain", "word"), [(1 / 16, "4.0 stops darker"), (8.0, "brighter")])
def test_a_light_of_another_exposure_is_told_with_the_number(gain: float, word: str) -> None:
    transport, _ = filmed(light(1), 1.0)
    (said,) = run(transport, light(1, gain))[1]
    assert word in said
    assert run(transport, light(1, gain), level=0.0)[1] == []


def test_one_wrong_channel_is_told_although_the_mean_is_right() -> None:
    transport, _ = filmed(light(1), 1.0)
    tinted = light(1).adjusted(gain=np.float32([1 / 8, 8, 1]))
    (said,) = run(transport, tinted)[1]
    assert "in R" in said or "in G" in said


def test_darkness_is_told_and_changes_nothing() -> None:
    transport, _ = filmed(light(1), 1.0)
    found, said = run(transport, light(1).adjusted(gain=np.zeros(3, np.float32)))
    assert "too dark" in said[0]
    inside = transport.matte.pixels[..., 0] > 0
    np.testing.assert_array_equal(found.albedo.pixels[inside], transport.albedo.pixels[inside])


def test_what_cannot_be_meant_is_refused() -> None:
    transport, _ = filmed(light(1), 1.0)
    with pytest.raises(UsageError, match="no directions"):
        run(transport, OriginalLight())
    with pytest.raises(UsageError, match="already"):
        run(replace(transport, calibrated=True), light(1))


def test_shading_an_analysed_plate_writes_the_calibrated_albedo(tmp_path: Path) -> None:
    transport, _ = filmed(light(1), 1.0)
    rig = Graph()
    rig.add("rig", "light_rig", {"preset": "overcast"})
    rig.add("maps", "prefilter_light", environment="rig")
    maps = Evaluator(rig, REGISTRY, Settings(Shot(1, 1))).evaluate("maps", frame=1)
    lit = relight(phong_transport(**_parts(transport)), {"a": maps}, passes=False).relit.pixels
    plate = lit[..., :3] / np.maximum(lit[..., 3:], 1e-6)
    foreground = transport.foreground.like(plate.astype(np.float32))
    wrong = transport.albedo.like(transport.albedo.pixels * np.float32(0.5))
    transport = replace(transport, foreground=foreground, albedo=wrong)
    write(tmp_path / "t.exr", dict(pack(transport)), depth="float")

    own = PlateLight("rig:overcast", calibrate={"level": 1.0, "detail": 1.0})
    graph = shade_graph(str(tmp_path / "t.exr"), Lighting({"key": "rig:overcast"}), "o.exr")
    calibrated = shade_graph(
        str(tmp_path / "t.exr"), Lighting({"key": "rig:overcast"}), "o.exr", filmed=own
    )
    before, after = (
        Evaluator(each, REGISTRY, Settings(Shot(1, 1))).evaluate("write", frame=1).layers
        for each in (graph, calibrated)
    )
    inside = transport.matte.pixels[..., 0] > 0
    ratio = after["albedo"].pixels[inside] / before["albedo"].pixels[inside]
    assert np.median(ratio) == pytest.approx(2.0, rel=0.05)
    away = after["relit"].pixels[..., :3] - lit[..., :3]
    assert np.abs(away).mean() < 0.02 * lit[..., :3].mean()


def _parts(transport: Transport) -> dict[str, Any]:
    names = ("foreground", "matte", "normals", "albedo")
    return {name: getattr(transport, name) for name in names}
