"""A person as one whole that rays can meet, and the surface where they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relume.training.stage import cloth as cloths
from relume.training.stage.camera import Camera
from relume.training.stage.geometry import CLOTH, F32, HAIR, I32, noise_slope, unit
from relume.training.stage.subject import Subject


@dataclass(slots=True, eq=False)
class Scene:
    """All meshes of a subject in camera space, as one ray-castable whole."""

    subject: Subject
    vertices: F32
    normals: F32
    tangents: F32
    faces: I32
    part: NDArray[np.int32]
    uv: F32
    rest: F32
    colour: F32
    tree: object


@dataclass(slots=True, eq=False)
class Surface:
    """What rays hit, for R rays that hit something."""

    points: F32
    geometric: F32
    normals: F32
    tangents: F32
    albedo: F32
    labels: NDArray[np.uint8]
    triangle: I32
    weights: F32


def build(subject: Subject, camera: Camera) -> Scene:
    """Put a subject in front of a camera and build what rays need."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    meshes = subject.meshes
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    vertices = camera.points(np.concatenate([m.vertices for m in meshes]))
    faces = np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=False)])
    tree = EmbreeScene()
    TriangleMesh(tree, np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.int32))
    return Scene(
        subject=subject,
        vertices=vertices,
        normals=camera.vectors(np.concatenate([m.normals for m in meshes])),
        tangents=camera.vectors(
            np.concatenate(
                [m.tangents if m.tangents is not None else np.zeros_like(m.normals) for m in meshes]
            )
        ),
        faces=faces.astype(np.int32),
        part=np.repeat(np.arange(len(meshes)), [len(m.faces) for m in meshes]).astype(np.int32),
        uv=np.concatenate([m.uv for m in meshes]),
        rest=np.concatenate([m.rest for m in meshes]),
        colour=np.concatenate([m.colour for m in meshes]),
        tree=tree,
    )


def cast(scene: Scene, origins: F32, directions: F32) -> dict[str, NDArray[np.float32]]:
    """Return where R rays hit first: `primID` the triangle or −1, `u` and `v` barycentric.

    Args:
        scene: the scene.
        origins: R×3 in camera space, decimetres.
        directions: R×3.
    """
    found: dict[str, NDArray[np.float32]] = scene.tree.run(  # type: ignore[attr-defined]
        np.ascontiguousarray(origins, np.float32),
        np.ascontiguousarray(directions, np.float32),
        output=True,
    )
    return found


def shade_points(scene: Scene, triangle: I32, weights: F32, towards: F32) -> Surface:
    """Interpolate the surface at points of triangles.

    Args:
        scene: the scene.
        triangle: R triangle indices.
        weights: R×3 barycentric weights.
        towards: R×3 directions back to the viewer; normals are flipped to that side.
    """
    corners = scene.faces[triangle]
    a, b, c = (scene.vertices[corners[:, k]] for k in range(3))

    def mix(values: F32) -> F32:
        return np.asarray(
            sum(values[corners[:, k]] * weights[:, k : k + 1] for k in range(3)), np.float32
        )

    geometric = unit(np.cross(b - a, c - a))
    normals = unit(mix(scene.normals))
    part = scene.part[triangle]
    albedo = mix(scene.colour)
    labels = np.zeros(len(triangle), np.uint8)
    rest = mix(scene.rest)
    uv = mix(scene.uv)
    hair = np.zeros(len(triangle), bool)
    for index in np.unique(part):
        mesh = scene.subject.meshes[index]
        here = np.flatnonzero(part == index)
        labels[here] = mesh.label
        if mesh.texture is not None:
            albedo[here] *= _texture(mesh.texture, uv[here])
        if mesh.pattern >= 0:
            pattern = scene.subject.patterns[mesh.pattern]
            albedo[here] *= cloths.albedo(pattern, rest[here])
        if mesh.bump > 0.0:
            normals[here] = _wrinkled(normals[here], rest[here], mesh.label, mesh.bump)
        if mesh.label == HAIR:
            hair[here] = True
    flip = np.where(np.einsum("rc,rc->r", geometric, towards) < 0.0, -1.0, 1.0)[:, None]
    geometric = geometric * flip.astype(np.float32)
    # Garments and strands are seen from both sides, and smooth normals may lean away at grazing.
    lean = np.einsum("rc,rc->r", normals, geometric)[:, None]
    normals = np.where((lean < 0.0) & ~hair[:, None], -normals, normals)
    tangents = mix(scene.tangents)
    if hair.any():
        tangents[hair] = unit(tangents[hair])
        v, fibre = towards[hair], tangents[hair]
        side = unit(v - fibre * np.einsum("rc,rc->r", v, fibre)[:, None])
        n = unit(0.65 * normals[hair] + 0.35 * side)
        facing = np.einsum("rc,rc->r", n, v)[:, None]
        normals[hair] = unit(n + v * (np.maximum(0.08 - facing, 0.0)))
    return Surface(
        points=mix(scene.vertices),
        geometric=geometric,
        normals=np.asarray(normals, np.float32),
        tangents=tangents,
        albedo=np.clip(albedo, 0.003, 0.95).astype(np.float32),
        labels=labels,
        triangle=triangle,
        weights=weights,
    )


def _texture(picture: F32, uv: F32) -> F32:
    height, width = picture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1.0 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    upper = picture[row, column] * (1 - fx) + picture[row, column + 1] * fx
    lower = picture[row + 1, column] * (1 - fx) + picture[row + 1, column + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float32)


def _wrinkled(normals: F32, rest: F32, label: int, amount: float) -> F32:
    """Tilt normals by the slope of noise: folds on cloth, fine relief on skin."""
    if label == CLOTH:
        slope = noise_slope(rest, 1.3, 21) * 0.5 + noise_slope(rest, 0.45, 22) * 0.3
        slope += noise_slope(rest, 0.06, 23) * 0.12
    else:
        slope = noise_slope(rest, 0.12, 24) * 0.35 + noise_slope(rest, 0.035, 25) * 0.3
    slope -= normals * np.einsum("rc,rc->r", slope, normals)[:, None]
    return unit(normals - amount * 0.5 * slope)
