"""Cameras: rays through pixels, orientation from a matrix or JSON, and mirror directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.errors import InputError, UsageError
from relume.geometry.camera import Camera, reflect
from relume.image import Box

BOX = Box(0, 0, 64, 48)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_rays_span_the_field_of_view(aspect: float):
    left, right = (
        Camera(60).rays(BOX, BOX, aspect, inside=(x, 0.5))[24, column]
        for x, column in ((0.0, 0), (1.0, 63))
    )
    for ray, sign in ((left, -1), (right, 1)):
        assert ray[0] / -ray[2] == pytest.approx(sign * np.tan(np.radians(30)), rel=1e-5)
    top = Camera(60).rays(BOX, BOX, aspect, inside=(0.5, 0.0))[0, 32]
    # A pixel is `aspect` times as wide as high, and the width spans 60 degrees.
    tangent = np.tan(np.radians(30)) * 48 / 64 / aspect
    assert top[1] / -top[2] == pytest.approx(tangent, rel=1e-5)


def test_views_point_from_the_subject_to_the_camera():
    views = Camera(40).views(Box(-5, -5, 80, 60), BOX)
    np.testing.assert_allclose(np.linalg.norm(views, axis=2), 1, rtol=1e-6)
    assert (views[..., 2] > 0).all()
    # What stands at the left of the picture sees the camera at its right.
    assert (views[:, :30, 0] > 0).all()
    assert (views[:20, :, 1] < 0).all()


def rotation(seed: int) -> np.ndarray:
    found, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return found * np.sign(np.linalg.det(found))


def matrix(to_camera: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return a worldToCamera as OpenEXR stores it: row vectors, translation below."""
    full = np.eye(4)
    full[:3, :3] = to_camera.T * scale
    full[3, :3] = (1.0, -2.0, 30.0)
    return full


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_a_matrix_gives_its_rotation_whatever_its_scale(seed: int, scale: float):
    to_camera = rotation(seed)
    camera = Camera.from_world_to_camera(matrix(to_camera, scale).reshape(-1).tolist(), 50)
    np.testing.assert_allclose(camera.to_world, to_camera.T, atol=1e-9)
    assert camera.fov == 50


def test_a_renderer_that_looks_along_plus_z_sees_the_same():
    to_camera = rotation(3)
    mirrored = np.diag((1, 1, -1)) @ to_camera
    found = Camera.from_world_to_camera(matrix(mirrored))
    np.testing.assert_allclose(found.to_world, to_camera.T, atol=1e-9)


def test_a_camera_panned_to_the_right_looks_along_plus_x():
    # World +X lies ahead (−Z) of a camera that was turned to the right by 90 degrees.
    to_camera = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    camera = Camera.from_world_to_camera(matrix(to_camera))
    np.testing.assert_allclose(camera.to_world @ (0, 0, -1), (1, 0, 0), atol=1e-12)


@pytest.mark.parametrize("bad", [[1, 2, 3], "camera", np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_bad_matrix_is_refused(bad):
    with pytest.raises(InputError, match="worldToCamera"):
        Camera.from_world_to_camera(bad)


@pytest.mark.parametrize("fov", [0.0, -5.0, 180.0, float("nan")])
def test_an_impossible_field_of_view_is_refused(fov: float):
    with pytest.raises(UsageError, match="field of view"):
        Camera(fov)


def test_an_orientation_that_is_no_rotation_is_refused():
    with pytest.raises(UsageError, match="rotation"):
        Camera(40, 2 * np.eye(3))


def test_json_holds_a_still_camera_or_frames():
    flat = matrix(rotation(1)).reshape(-1).tolist()
    assert Camera.from_json({}, 1).fov == 40
    assert Camera.from_json({"fov": 25}, 1).fov == 25
    document = {"fov": 25, "frames": {"7": {"worldToCamera": flat}, "8": {"fov": 30}}}
    moving = Camera.from_json(document, 7)
    assert moving.fov == 25
    np.testing.assert_allclose(moving.to_world, rotation(1).T, atol=1e-9)
    assert Camera.from_json(document, 8).fov == 30


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "object"),
        ({"fov": "wide"}, "fov"),
        ({"fov": True}, "fov"),
        ({"focal": 35}, "focal"),
        ({"frames": {"1": {}}}, "frame 7"),
        ({"frames": {"7": {"lens": 1}}}, "lens"),
        ({"worldToCamera": [1, 2]}, "4×4"),
    ],
)
def test_a_bad_camera_file_says_what_is_wrong(document, message: str):
    with pytest.raises(InputError, match=message):
        Camera.from_json(document, 7)


@given(st.integers(0, 1000))
def test_a_reflection_mirrors_about_the_normal(seed: int):
    rng = np.random.default_rng(seed)
    normals, views = rng.normal(size=(2, 20, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    mirrored = reflect(normals, views)
    np.testing.assert_allclose(np.linalg.norm(mirrored, axis=1), 1, atol=1e-5)
    along = (normals * views).sum(1)
    np.testing.assert_allclose((normals * mirrored).sum(1), along, atol=1e-5)
    np.testing.assert_allclose(np.cross(mirrored + views, normals), 0, atol=1e-5)
    far = np.broadcast_to(np.float32([0, 0, 1]), normals.shape)
    np.testing.assert_allclose(reflect(normals), reflect(normals, far), atol=1e-6)
