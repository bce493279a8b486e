"""The synthetic light stage against light that can be known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relume.errors import InputError
from relume.image import Image
from relume.light.prefilter import prefilter
from relume.light.types import Environment
from relume.training.stage import environment as envs
from relume.training.stage.camera import Camera
from relume.training.stage.dataset import (
    View,
    read_view,
    split_of,
    split_seeds,
    write_view,
)
from relume.training.stage.geometry import CLOTH, Mesh, unit
from relume.training.stage.lighting import prepare, relit

SIZE = 48


def sphere_view(colour: float = 1.0, *, shiny: bool = False) -> View:
    """Render a smooth sphere, alone and without bumps."""
    pytest.importorskip("embreex", reason="the stage's renderer needs the extra [training]")
    import trimesh

    from relume.training.stage.render import render
    from relume.training.stage.subject import Subject

    ball = trimesh.creation.icosphere(4)
    points = np.asarray(ball.vertices, np.float32)
    mesh = Mesh(
        vertices=points,
        faces=np.asarray(ball.faces, np.int32),
        normals=unit(points),
        uv=np.zeros((len(points), 2), np.float32),
        rest=points,
        colour=np.full((len(points), 3), colour, np.float32),
        label=CLOTH,
    )
    lobes = {CLOTH: [(16, 1.0)] if shiny else []}
    subject = Subject([mesh], [], [], np.zeros(3, np.float32), lobes)
    place = np.array([0.0, 0.0, -40.0], np.float32)
    camera = Camera(400.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), place)
    return render(subject, camera, (SIZE, SIZE), np.random.default_rng(3))


@pytest.fixture(scope="module")
def sphere() -> View:
    return sphere_view(0.8)


def lamp(
    direction: tuple[float, float, float], height: int = 64
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return an environment of one bright texel, its direction and its flux."""
    towards = envs.texel_directions(height)
    wanted = np.asarray(direction) / np.linalg.norm(direction)
    row, column = np.unravel_index(np.argmax(towards @ wanted), towards.shape[:2])
    env = np.zeros((height, 2 * height, 3), np.float32)
    env[row, column] = [500.0, 300.0, 100.0]
    return env, towards[row, column], float(envs.row_weights(height)[row])


def test_sphere_covers_its_disc_and_its_normals_point_outwards(sphere: View) -> None:
    radius = np.tan(np.arcsin(1.0 / 40.0)) * 400.0 / 24.0 * SIZE
    assert sphere.alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.005)
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    x = (column + 0.5 - SIZE / 2) / radius
    y = (SIZE / 2 - row - 0.5) / radius
    inside = x**2 + y**2 < 0.8
    expected = np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], axis=-1)
    cosine = np.einsum("hwc,hwc->hw", expected, sphere.normals)[inside]
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 2.5


def test_white_sphere_in_a_furnace_is_white() -> None:
    view = sphere_view(1.0)
    env = np.full((64, 128, 3), 2.0, np.float32)
    picture = relit(view, env).diffuse[view.alpha == 1]
    # The stage's albedo ends at 0.95.
    assert np.abs(picture / (2.0 * 0.95) - 1.0).max() < 0.02
    assert abs(picture.mean() / (2.0 * 0.95) - 1.0) < 0.005


@pytest.mark.parametrize("direction", [(1, 0.3, 0.5), (-0.2, 1, 0.1), (0.1, -0.4, 1)])
def test_sphere_under_a_lamp_follows_lamberts_law(
    sphere: View, direction: tuple[float, float, float]
) -> None:
    env, towards, area = lamp(direction)
    inside = sphere.alpha == 1
    found = relit(sphere, env).diffuse[inside]
    cosine = sphere.normals[inside] @ towards
    expected = 0.8 / np.pi * area * np.array([500.0, 300.0, 100.0]) * np.maximum(cosine, 0)[:, None]
    peak = expected.max()
    # Cells are 14° wide: within half a cell of the terminator a whole cell switches.
    away = np.abs(cosine) > 0.15
    assert np.abs(found - expected)[away].max() < 2e-3 * peak
    assert np.abs(found - expected).max() < 0.15 * peak


def test_sphere_agrees_with_the_diffuse_map_of_a_real_environment(
    sphere: View, assets: Path
) -> None:
    env = envs.read("venice_sunset")
    inside = sphere.alpha == 1
    found = relit(sphere, env).diffuse[inside]
    expected = 0.8 * envs.lookup(envs.lobe_map(env, 1), sphere.normals[inside])
    assert np.abs(found - expected).mean() < 0.01 * expected.mean()


def test_light_from_the_left_lights_the_left_and_rotation_moves_it_right(sphere: View) -> None:
    env, _, _ = lamp((-1.0, 0.0, 0.0))
    left = relit(sphere, env).picture.mean(axis=-1)
    half = SIZE // 2
    assert left[:, :half].sum() > 20 * left[:, half:].sum()
    # Behind the subject and 90° on is screen right.
    behind, _, _ = lamp((0.0, 0.0, -1.0))
    turned = relit(sphere, behind, rotation=90.0).picture.mean(axis=-1)
    assert turned[:, half:].sum() > 20 * turned[:, :half].sum()


def test_single_lights_add_up_to_all_at_once() -> None:
    view = sphere_view(0.5, shiny=True)
    rng = np.random.default_rng(0)
    env = np.exp(rng.normal(0, 2, (16, 32, 3))).astype(np.float32)
    ready = prepare(view)
    total = np.zeros((SIZE, SIZE, 3))
    cell = np.arange(16 * 32).reshape(16, 32) // 64
    for k in range(8):
        total += relit(ready, np.where((cell == k)[..., None], env, 0.0).astype(np.float32)).picture
    whole = relit(ready, env).picture
    assert np.abs(total - whole).max() < 1e-5 * whole.max()
    assert whole.max() > 0


def test_lobe_maps_keep_a_constant_and_the_energy() -> None:
    constant = np.full((32, 64, 3), 3.0, np.float32)
    rng = np.random.default_rng(1)
    env = np.exp(rng.normal(0, 2, (32, 64, 3))).astype(np.float32)
    weights = envs.row_weights(32)[:, None, None]
    for exponent in (1, 16):
        assert np.abs(envs.lobe_map(constant, exponent) - 3.0).max() < 1e-4
        kept = (envs.lobe_map(env, exponent) * weights).sum() / (env * weights).sum()
        assert kept == pytest.approx(1.0, abs=5e-3)


def test_lobe_maps_equal_the_prefilters() -> None:
    rng = np.random.default_rng(4)
    env = np.exp(rng.normal(0, 2, (64, 128, 3))).astype(np.float32)
    exponents = (1, 16, 64, 256)
    maps = prefilter(Environment(Image(env, ("R", "G", "B"))), exponents, 64).specular
    for exponent in exponents:
        error = np.abs(envs.lobe_map(env, exponent) - maps[exponent]).max()
        assert error < 1e-6 * maps[exponent].max()


def test_downsampling_keeps_the_energy() -> None:
    env = np.random.default_rng(2).random((64, 128, 3)).astype(np.float32)
    small = envs.downsample(env, 32)
    before = (env * envs.row_weights(64)[:, None, None]).sum()
    after = (small * envs.row_weights(16)[:, None, None]).sum()
    assert small.shape == (16, 32, 3)
    assert after == pytest.approx(before, rel=1e-5)


def test_splits_never_share_people_hair_or_light(assets: Path) -> None:
    people: dict[str, set[int]] = {}
    hair: dict[str, set[int]] = {}
    for split in ("train", "val", "test"):
        pairs = [split_seeds(split, number) for number in range(700)]
        people[split] = {pair[0] for pair in pairs}
        hair[split] = {pair[1] for pair in pairs}
        assert {split_of(i) for i in people[split] | hair[split]} == {split}
    lights = [set(envs.names(split)) for split in ("train", "val", "test")]
    assert all(lights)
    assert not (lights[0] & lights[1] or lights[0] & lights[2] or lights[1] & lights[2])


def test_a_view_survives_the_disk(sphere: View, tmp_path: Path) -> None:
    path = tmp_path / "train" / "00000.npz"
    write_view(path, sphere)
    again = read_view(path)
    assert np.abs(again.alpha - sphere.alpha).max() < 1e-5
    assert np.abs(again.normals - sphere.normals).max() < 1e-3
    assert np.array_equal(again.visibility, sphere.visibility)
    assert again.meta["fov"] == sphere.meta["fov"]
    assert [p.name for p in path.parent.iterdir()] == ["00000.npz"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="light stage view"):
        read_view(path)


def test_a_person_is_the_same_every_time_and_stands_right(assets: Path) -> None:
    pytest.importorskip("embreex", reason="the stage's renderer needs the extra [training]")
    from relume.training.stage.make import make_view

    first, again = (make_view("train", 1, 1, (32, 32)) for _ in range(2))
    assert np.array_equal(first.alpha, again.alpha)
    assert np.array_equal(first.visibility, again.visibility)
    assert np.array_equal(first.albedo, again.albedo)
    other = make_view("train", 2, 1, (32, 32))
    assert not np.array_equal(first.alpha, other.alpha)
    assert {1, 3} <= set(np.unique(first.labels))
    covered = first.alpha > 0.5
    normals = first.normals[covered]
    # Every silhouette turns away from the picture's inside, whatever the pose.
    inside = covered[:, 1:-1]
    left = inside & ~covered[:, :-2]
    right = inside & ~covered[:, 2:]
    assert first.normals[:, 1:-1][left][:, 0].mean() < -0.2
    assert first.normals[:, 1:-1][right][:, 0].mean() > 0.2
    assert normals[:, 2].mean() > 0.4
    assert np.abs(np.linalg.norm(normals, axis=1) - 1.0).max() < 1e-3


def test_subdividing_keeps_the_surface() -> None:
    from relume.training.stage.validation import subdivided

    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 1]], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)

    def area(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        a, b, c = (points[triangles[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    face, weights, fine = subdivided(vertices, faces, 2)
    points = np.einsum("vk,vkc->vc", weights, vertices[faces[face]])
    assert len(fine) == 16 * len(faces)
    assert np.allclose(area(points, fine).sum(0), area(vertices, faces).sum(0), atol=1e-5)
    # No triangle is turned over.
    normals = area(vertices, faces)[face[fine[:, 0]]]
    assert (np.einsum("fc,fc->f", area(points, fine), normals) > 0).all()
