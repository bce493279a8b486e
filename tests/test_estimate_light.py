"""The light of a background plate: what it shows is exact, what it does not show is plausible."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume import weights as stored
from relume.errors import Exit, InputError, UsageError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.geometry.camera import Camera
from relume.graph import Graph
from relume.hosts.cli import main
from relume.image import Box, Image
from relume.light import fills, latlong
from relume.light.clues import COUNT, clues_of, mirrored, shrink
from relume.light.estimate import (
    SunOverride,
    estimate_environment,
    heading,
    pitch_of,
    upwards,
)
from relume.light.prefilter import prefilter
from relume.light.seen import View, ceiling, warp
from relume.media.read import read
from relume.media.write import write
from relume.nodes.registry import REGISTRY

F32 = np.ndarray
RGB = ("R", "G", "B")


def view_of(width: int, height: int, fov: float = 60.0, turn: np.ndarray | None = None) -> View:
    box = Box.of_size(width, height)
    return View(Camera(fov, turn), box, box)


def noise(width: int, height: int, seed: int = 3) -> F32:
    """A plate with detail in every pixel, and negatives."""
    rng = np.random.default_rng(seed)
    return (rng.lognormal(-1.0, 0.5, (height, width, 3)) - 0.05).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """The network that ships."""
    pytest.importorskip("torch")
    try:
        return stored.load("light")
    except InputError as error:
        pytest.skip(str(error))


# Geometry


def turned(yaw: float, pitch: float) -> np.ndarray:
    a = math.radians(yaw)
    around = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    return around @ upwards(pitch)


@pytest.mark.parametrize("turn", [None, turned(135, 20), turned(180, -75)])
def test_a_picture_covers_its_solid_angle(turn: np.ndarray | None) -> None:
    seen = warp(np.ones((90, 160, 3), np.float32), view_of(160, 90, 60, turn), 64)
    a = math.tan(math.radians(30))
    b = a * 9 / 16
    pyramid = 4 * math.asin(a * b / math.sqrt((1 + a * a) * (1 + b * b)))
    found = ((1 - seen.unseen) * latlong.solid_angles(64)[:, None]).sum()
    assert found == pytest.approx(pyramid, rel=6e-3)
    np.testing.assert_allclose(seen.kept, np.repeat(1 - seen.unseen[..., None], 3, 2), atol=1e-6)


@pytest.mark.parametrize("turn", [None, turned(170, 35)])
def test_a_texel_is_the_mean_of_the_plate_over_its_solid_angle(turn: np.ndarray | None) -> None:
    plate, height = noise(192, 108), 24
    view = view_of(192, 108, 60, turn)
    found = warp(plate, view, height).kept
    inside = warp(plate, view, height).unseen == 0
    for axis in (0, 1):
        inside &= np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    texels = np.argwhere(inside)
    assert len(texels) >= 4
    fine = 1500
    for row, column in texels[:: max(1, len(texels) // 4)]:
        theta = np.pi * (row + (np.arange(fine) + 0.5) / fine)[:, None] / height
        phi = 2 * np.pi * (column + (np.arange(fine) + 0.5) / fine) / (2 * height) - np.pi
        towards = np.stack(
            np.broadcast_arrays(
                np.sin(phi) * np.sin(theta), np.cos(theta), -np.cos(phi) * np.sin(theta)
            ),
            -1,
        )
        x, y, z = np.moveaxis(towards @ view.camera.to_world, -1, 0)
        i = np.floor(96 - view.focal * x / z).astype(int)
        j = np.floor(54 + view.focal * y / z).astype(int)
        weight = np.sin(theta)[..., None] / (np.sin(theta).sum() * fine)
        truth = (plate[j, i] * weight).sum((0, 1))
        np.testing.assert_allclose(found[row, column], truth, rtol=1e-3)


@given(st.floats(-3, 4), st.floats(10, 120))
def test_the_horizon_lies_where_it_is_said_to(horizon: float, fov: float) -> None:
    view = view_of(160, 90, fov)
    level = upwards(pitch_of(horizon, view)).T @ (0.0, 0.0, -1.0)
    height = view.focal * level[1] / -level[2] / 90 + 0.5
    assert height == pytest.approx(horizon, abs=1e-9)


@given(st.floats(-180, 180), st.floats(-89, 89))
def test_the_level_frame_has_the_horizon_level_and_ahead_in_the_middle(
    yaw: float, pitch: float
) -> None:
    level = heading(turned(yaw, pitch)) @ turned(yaw, pitch)
    np.testing.assert_allclose(level, upwards(pitch), atol=1e-9)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_a_camera_that_looks_straight_up_has_a_level_frame(pitch: float) -> None:
    level = heading(turned(30, pitch))
    np.testing.assert_allclose(level @ level.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(level) == pytest.approx(1.0)


# Clipping


def test_only_a_ceiling_that_many_pixels_share_is_clipping() -> None:
    ramp = np.repeat(np.linspace(0, 2, 200, dtype=np.float32)[None, :, None], 3, 2)
    ramp = np.repeat(ramp, 50, 0)
    assert ceiling(np.minimum(ramp**3, np.float32(4.0))) == pytest.approx(4.0)
    assert math.isinf(ceiling(np.full((20, 20, 3), 0.5, np.float32)))
    sun = np.full((300, 300, 3), 0.2, np.float32)
    sun[10, 10] = 5e4
    assert math.isinf(ceiling(sun))
    assert math.isinf(ceiling(np.zeros((4, 4, 3), np.float32)))


def test_kept_and_burnt_light_make_up_the_plate() -> None:
    plate = noise(96, 54)
    whole = warp(plate, view_of(96, 54), 16)
    parts = warp(plate, view_of(96, 54), 16, clip=0.4)
    assert parts.burnt.max() > 0
    np.testing.assert_allclose(parts.kept + parts.burnt, whole.kept, atol=1e-6)
    np.testing.assert_array_equal(parts.unseen, whole.unseen)


# Fills


def test_the_mirror_is_the_picture_and_its_reflection() -> None:
    across = np.linspace(-1, 1, 128, dtype=np.float32)
    plate = np.repeat(np.broadcast_to(across, (72, 128))[..., None], 3, 2)
    found = fills.mirror(plate, view_of(128, 72, 60), 90)[45, :, 0]
    degrees = (np.arange(180) + 0.5) * 2 - 180
    inside = np.abs(degrees) < 29
    wanted = np.tan(np.radians(degrees[inside])) / math.tan(math.radians(30))
    np.testing.assert_allclose(found[inside], wanted, atol=0.03)
    beyond = (degrees > 30) & (degrees < 90)
    back = np.interp(60 - degrees[beyond], degrees, found)
    np.testing.assert_allclose(found[beyond], back, atol=0.03)


def test_a_guess_goes_on_from_the_edges_of_the_picture() -> None:
    plate = np.full((27, 48, 3), 4.0, np.float32)
    around = np.full((32, 64, 3), 0.25, np.float32)
    found = fills.continued(around, plate, view_of(48, 27, 60))
    np.testing.assert_allclose(found[16, 32], 4.0, rtol=1e-5)
    assert found[16, 0] == pytest.approx(0.25, rel=0.01)
    ahead = latlong.directions(32)[16]
    degrees = np.degrees(np.arctan2(ahead[:, 0], -ahead[:, 2])) - 30
    share = np.log2(found[16, :, 0] / 0.25) / 4
    beyond = degrees > 0
    np.testing.assert_allclose(share[beyond], np.exp(-degrees[beyond] / 20), atol=5e-3)
    assert not fills.continued(around * 0, plate, view_of(48, 27)).any()


def test_the_mean_is_over_solid_angle() -> None:
    left = np.zeros((9, 16, 3), np.float32)
    left[:, :8] = 2.0
    np.testing.assert_allclose(fills.mean(left, view_of(16, 9)), 1.0, rtol=1e-6)
    rim = np.zeros((48, 64, 3), np.float32)
    rim[:, :8] = rim[:, -8:] = 1.0
    assert fills.mean(rim, view_of(64, 48, 100))[0] < 0.25


@given(st.integers(1, 50), st.integers(1, 50))
def test_shrinking_keeps_the_mean(rows: int, columns: int) -> None:
    plate = noise(31, 17)
    small = shrink(plate, rows, columns)
    assert small.shape == (rows, columns, 3)
    np.testing.assert_allclose(small.mean((0, 1)), plate.mean((0, 1)), rtol=1e-4)


@pytest.mark.parametrize("fill", ["mirror", "mean"])
def test_a_constant_plate_makes_a_constant_environment(fill) -> None:
    plate = Image(np.full((9, 16, 3), 0.7, np.float32), RGB)
    found = estimate_environment(plate, Camera(60), fill=fill, height=16).image.pixels
    np.testing.assert_allclose(found, 0.7, rtol=1e-5)


def test_a_network_fill_without_a_network_is_refused() -> None:
    with pytest.raises(UsageError, match="no network"):
        estimate_environment(Image(noise(16, 9), RGB), Camera(60))


# The sun


def test_a_placed_sun_shows_its_intensity_on_a_white_surface_that_faces_it() -> None:
    plate = Image(np.ones((9, 16, 3), np.float32), RGB)
    sun = SunOverride(azimuth=90.0, elevation=30.0, intensity=3.0)
    found = estimate_environment(plate, Camera(60), fill="mean", sun=sun)
    towards = np.array([[math.cos(math.radians(30)), 0.5, 0.0]], np.float32)
    shown = latlong.look_up(prefilter(found, (1,)).diffuse, towards)
    np.testing.assert_allclose(shown, 4.0, rtol=5e-3)


def test_a_sun_stands_over_the_horizon_and_not_over_the_camera() -> None:
    plate = Image(np.ones((9, 16, 3), np.float32), RGB)
    view = view_of(16, 9)
    horizon = 0.9
    sun = SunOverride(azimuth=180.0, elevation=40.0, intensity=50.0)
    found = estimate_environment(plate, Camera(60), horizon=horizon, fill="mean", sun=sun)
    row, column, _ = np.unravel_index(found.image.pixels.argmax(), found.image.pixels.shape)
    up = 90 - (row + 0.5) / 64 * 180
    assert up == pytest.approx(40 - pitch_of(horizon, view), abs=3.0)
    assert (column + 0.5) / 128 == pytest.approx(0.5, abs=0.02)


def test_there_must_be_a_light_to_move() -> None:
    plate = Image(np.ones((9, 16, 3), np.float32), RGB)
    with pytest.raises(UsageError, match="stands out"):
        estimate_environment(plate, Camera(60), fill="mean", sun=SunOverride(azimuth=10.0))


def test_a_main_light_is_gathered_where_it_is_sent() -> None:
    plate = np.full((54, 96, 3), 0.1, np.float32)
    plate[:, 70:] = (4.0, 3.0, 2.0)
    image = Image(plate, RGB)
    free = estimate_environment(image, Camera(60), fill="mirror")
    moved = estimate_environment(image, Camera(60), fill="mirror", sun=SunOverride(azimuth=-90.0))
    out = estimate_environment(image, Camera(60), fill="mirror", sun=SunOverride(intensity=0.0))
    side = latlong.directions(64)[..., 0]
    assert (moved.image.pixels - out.image.pixels)[side > 0].sum() == pytest.approx(0, abs=1e-3)
    assert moved.image.pixels[side < -0.9].max() > 10 * free.image.pixels.max()
    disc = (moved.image.pixels - out.image.pixels).max((0, 1))
    assert (np.diff(disc) < 0).all()
    seen = warp(plate, view_of(96, 54), 64).unseen == 0
    for changed in (moved, out):
        np.testing.assert_allclose(changed.image.pixels[seen], free.image.pixels[seen], atol=1e-6)


# The network


def test_clues_are_what_the_weights_read(model) -> None:
    told = clues_of(noise(64, 36), view_of(64, 36), 0.0)
    assert told is not None
    assert told.values.shape == (COUNT,) == (model.mean.shape[1],)
    assert np.isfinite(told.values).all()


def test_a_mirrored_plate_makes_a_mirrored_environment(model) -> None:
    plate = noise(64, 36) * np.linspace(0.2, 3, 64, dtype=np.float32)[None, :, None]
    one, other = (
        estimate_environment(Image(each, RGB), Camera(50), model=model, height=16).image.pixels
        for each in (plate, mirrored(plate))
    )
    np.testing.assert_allclose(other[:, ::-1], one, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [2.0**-7, 2.0**9])
def test_twice_the_plate_is_twice_the_light(model, scale: float) -> None:
    plate = np.abs(noise(64, 36)) + np.float32(0.01)
    one, other = (
        estimate_environment(Image(each, RGB), Camera(50), model=model, height=16).image.pixels
        for each in (plate, plate * np.float32(scale))
    )
    np.testing.assert_allclose(other / np.float32(scale), one, rtol=1e-3)


def test_what_the_plate_shows_stays_whatever_is_guessed(model) -> None:
    plate = noise(96, 54)
    found = estimate_environment(Image(plate, RGB), Camera(60), model=model, height=32)
    seen = warp(plate, view_of(96, 54), 32)
    whole = seen.unseen == 0
    assert whole.sum() > 30
    np.testing.assert_array_equal(found.image.pixels[whole], seen.kept[whole])
    assert (found.image.pixels[seen.unseen == 1] > 0).all()


def test_clipped_light_comes_back(model) -> None:
    plate = np.abs(noise(96, 54))
    plate[:14, 30:60] = 40.0
    clipped = np.minimum(plate, np.float32(1.0))
    found = estimate_environment(Image(clipped, RGB), Camera(60), model=model, height=32)
    flat = estimate_environment(Image(clipped, RGB), Camera(60), model=model, height=32, clip=1e9)
    burnt = warp(clipped, view_of(96, 54), 32, clip=1.0).burnt.max(2) > 0.5
    assert burnt.any()
    assert (found.image.pixels[burnt] > flat.image.pixels[burnt]).all()


def test_a_black_plate_makes_a_black_environment(model) -> None:
    plate = Image(np.zeros((9, 16, 3), np.float32), RGB)
    assert not estimate_environment(plate, Camera(60), model=model).image.pixels.any()


def test_held_out_figures_are_those_promised(model) -> None:
    for kind, figures in stored.manifest("light")["figures"].items():
        assert figures["scenes"] >= 16, kind
        plain = min(figures["mean_diffuse"], figures["mirror_diffuse"])
        assert figures["network_diffuse"] <= 0.9 * plain, kind
        assert figures["network_n16"] <= min(figures["mean_n16"], figures["mirror_n16"]), kind


def test_scenes_that_no_member_saw_are_lit_better_than_by_plain_fills(model, assets) -> None:
    """The five scenes of the test split, from four sides each, measured anew."""
    pytest.importorskip("OpenImageIO")
    from relume.training.light_evaluate import plate_of
    from relume.training.light_views import scene
    from relume.training.stage import environment

    errors: dict[str, list[float]] = {"network": [], "mean": [], "mirror": []}
    for name in environment.names("test"):
        image = scene(name)
        small = latlong.resize(image, 16)
        for degrees in range(0, 360, 90):
            truth = shaded(np.roll(small, degrees * 32 // 360, axis=1))
            plate = Image(plate_of(image, degrees, False, Box.of_size(96, 54)), RGB)
            for fill, found in errors.items():
                guess = estimate_environment(plate, Camera(60), fill=fill, model=model, height=16)
                wrong = shaded(guess.image.pixels) - truth
                area = latlong.solid_angles(16)[:, None, None]
                found.append(float(np.sqrt((area * wrong**2).sum() / (area * truth**2).sum())))
    # Twenty views are few for a median: the mean is of all of them.
    average = {fill: float(np.mean(found)) for fill, found in errors.items()}
    assert average["network"] < 0.9 * min(average["mean"], average["mirror"]), average


def shaded(pixels: F32) -> F32:
    from relume.light.types import Environment

    return prefilter(Environment(Image(pixels, RGB)), (1,), 16).diffuse


# The node and the command


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three frames of a background that differ."""
    monkeypatch.chdir(tmp_path)
    for frame in (1, 2, 3):
        write(
            tmp_path / f"bg.{frame:04d}.exr",
            {"rgba": Image(np.abs(noise(96, 54, frame)), RGB)},
            depth="float",
        )
    return tmp_path


def test_every_frame_has_the_light_of_the_first(plates: Path) -> None:
    graph = Graph()
    graph.add("plate", "read", {"file": "bg.####.exr"})
    graph.add("light", "estimate_light", {"fill": "mirror", "fov": 60.0}, plate="plate")
    whole = Evaluator(graph, REGISTRY, Settings(Shot(1, 3)))
    assert whole.key("light", 1) == whole.key("light", 3)
    found = Evaluator(graph, REGISTRY, Settings(Shot(1, 3))).evaluate("light", 3)
    wanted = warp(read("bg.0001.exr").layer().rgb, view_of(96, 54), 64)
    inside = wanted.unseen == 0
    np.testing.assert_allclose(found.image.pixels[inside], wanted.kept[inside], rtol=1e-5)


def test_a_camera_turns_the_light_into_its_world(plates: Path) -> None:
    (plates / "camera.json").write_text(
        # The rows of a matrix that turns the world by 90 degrees about +Y.
        '{"fov": 60, "worldToCamera": [0,0,1,0, 0,1,0,0, -1,0,0,0, 0,0,0,1]}',
        encoding="utf-8",
    )
    graph = Graph()
    graph.add("plate", "read", {"file": "bg.0001.exr"})
    graph.add("camera", "camera", {"file": "camera.json"})
    knobs = {"fill": "mean", "fov": 60.0}
    graph.add("still", "estimate_light", knobs, plate="plate")
    graph.add("turned", "estimate_light", knobs, plate="plate", camera="camera")
    run = Evaluator(graph, REGISTRY, Settings(Shot(1, 1)))
    still, moved = (run.evaluate(name, 1).image.pixels for name in ("still", "turned"))
    quarter = [np.allclose(np.roll(still, 32 * k, 1), moved, rtol=2e-3) for k in range(4)]
    assert quarter in ([False, True, False, False], [False, False, False, True])


def test_the_command_writes_the_environment_of_a_plate(plates: Path) -> None:
    arguments = ["light", "background:bg.0002.exr", "--fov", "60", "--fill", "mirror"]
    arguments += ["--environment", "--depth", "float", "--out", "env.exr"]
    assert main(arguments) == Exit.DONE
    found = read("env.exr").layer().rgb
    assert found.shape == (64, 128, 3)
    wanted = warp(read("bg.0002.exr").layer().rgb, view_of(96, 54), 64)
    inside = wanted.unseen == 0
    np.testing.assert_allclose(found[inside], wanted.kept[inside], rtol=1e-4)


def test_the_background_lights_the_actor(plates: Path, capsys) -> None:
    arguments = ["relight", "bg.####.exr", "--light", "background", "--background", "bg.####.exr"]
    arguments += ["--fov", "60", "--horizon", "0.4", "--proxy", "2", "--out", "o.####.exr"]
    assert main([*arguments, "--print-graph"]) == Exit.DONE
    graph = Graph.from_json(capsys.readouterr().out, REGISTRY)
    light = graph.nodes["background_environment"]
    assert light.type == "estimate_light"
    assert light.knobs == {"fov": 60.0, "horizon": 0.4}
    assert light.inputs == {"plate": "background_full"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--light", "background"], "no background picture"),
        (["--light", "background", "--background", "environment"], "no background picture"),
        (["--light", "rig:rim", "--horizon", "0.3"], "--horizon has no effect"),
        (["--light", "rig:rim", "--background", "b.exr", "--fov", "60"], "--fov has no effect"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    plates: Path, capsys, arguments: list[str], words: str
) -> None:
    assert main(["relight", "bg.0001.exr", *arguments, "--out", "o.exr"]) == Exit.USAGE
    assert words in capsys.readouterr().err
