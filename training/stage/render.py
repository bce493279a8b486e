"""Ray casting a person into a view: coverage, surface, visibility and one bounce."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from relume.training.stage import cloth as cloths
from relume.training.stage.camera import Camera
from relume.training.stage.dataset import View
from relume.training.stage.environment import fibonacci, harmonics
from relume.training.stage.geometry import CLOTH, F32, HAIR, I32, SKIN, noise, noise_slope, unit
from relume.training.stage.subject import Subject

DIRECTIONS = 256
_CLEARANCE = 0.006
"""Visibility rays start this far off the surface, decimetres."""
_COSINE = np.array([1.0, *[2.0 / 3.0] * 3, *[0.25] * 5], np.float32)
"""The clamped cosine's harmonics over π, order 2 (Ramamoorthi and Hanrahan 2001)."""


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


def _cast(scene: Scene, origins: F32, directions: F32) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = scene.tree.run(  # type: ignore[attr-defined]
        np.ascontiguousarray(origins, np.float32),
        np.ascontiguousarray(directions, np.float32),
        output=True,
    )
    return found


def _texture(picture: F32, uv: F32) -> F32:
    height, width = picture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1.0 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    upper = picture[row, column] * (1 - fx) + picture[row, column + 1] * fx
    lower = picture[row + 1, column] * (1 - fx) + picture[row + 1, column + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float32)


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


def _wrinkled(normals: F32, rest: F32, label: int, amount: float) -> F32:
    """Tilt normals by the slope of noise: folds on cloth, fine relief on skin."""
    if label == CLOTH:
        slope = noise_slope(rest, 1.3, 21) * 0.5 + noise_slope(rest, 0.45, 22) * 0.3
        slope += noise_slope(rest, 0.06, 23) * 0.12
    else:
        slope = noise_slope(rest, 0.12, 24) * 0.35 + noise_slope(rest, 0.035, 25) * 0.3
    slope -= normals * np.einsum("rc,rc->r", slope, normals)[:, None]
    return unit(normals - amount * 0.5 * slope)


def _sample(
    scene: Scene, camera: Camera, size: tuple[int, int], x: F32, y: F32
) -> tuple[Surface, NDArray[np.int64]]:
    rays = camera.rays(x, y, *size)
    found = _cast(scene, np.zeros_like(rays), rays)
    hit = np.flatnonzero(found["primID"] >= 0)
    u, v = found["u"][hit], found["v"][hit]
    weights = np.stack([1.0 - u - v, u, v], axis=1).astype(np.float32)
    triangle = found["primID"][hit].astype(np.int32)
    return shade_points(scene, triangle, weights, -rays[hit]), hit


def render(
    subject: Subject, camera: Camera, size: tuple[int, int], rng: np.random.Generator
) -> View:
    """Render a view of a subject.

    Every pixel gets 3×3 samples, pixels with hair or an edge 5×5 more; coverage, normals and
    albedo are their box-filtered means, while visibility and bounce are found at one point, the
    sample of the pixel's commonest label nearest to its centre.

    Args:
        subject: the person.
        camera: where from.
        size: height and width in pixels.
        rng: turns the light directions and jitters the hair.
    """
    scene = build(subject, camera)
    height, width = size
    count = height * width
    grid = (np.arange(3) + 0.5) / 3.0
    first = _subsamples(np.arange(count), width, grid)
    surface, hit = _sample(scene, camera, size, *first)
    pixel = np.repeat(np.arange(count), 9)[hit]
    hits = np.bincount(pixel, minlength=count)
    hairy = np.bincount(pixel, surface.labels == HAIR, minlength=count) > 0
    again = np.flatnonzero(
        ((hits > 0) & (hits < 9)) | hairy | _beside(hits.reshape(size) > 0, hits)
    )
    fine = (np.arange(5) + 0.5) / 5.0
    second = _subsamples(again, width, fine)
    more, hit_more = _sample(scene, camera, size, *second)
    pixel_more = np.repeat(again, 25)[hit_more]
    samples = np.full(count, 9)
    samples[again] += 25
    pixel = np.concatenate([pixel, pixel_more])
    xs = np.concatenate([first[0][hit], second[0][hit_more]])
    ys = np.concatenate([first[1][hit], second[1][hit_more]])
    joined = _join(surface, more)
    covered = np.bincount(pixel, minlength=count).astype(np.float32)

    def mean(values: F32) -> F32:
        total = np.stack([np.bincount(pixel, values[:, c], count) for c in range(3)], axis=1)
        return np.asarray(total / np.maximum(covered, 1.0)[:, None], np.float32)

    votes = np.stack([np.bincount(pixel, joined.labels == k, count) for k in range(1, 5)], axis=1)
    label = np.where(covered > 0, votes.argmax(axis=1) + 1, 0).astype(np.uint8)
    chosen = _nearest(pixel, xs, ys, joined.labels != label[pixel], width)
    index = pixel[chosen].astype(np.int32)
    points = _take(joined, chosen)
    normals = unit(mean(joined.normals))
    directions = fibonacci(DIRECTIONS, rng)
    visibility, bounce = _light_paths(scene, points, normals[index], directions, rng)
    gloss = np.zeros(count, np.float32)
    gloss[index] = _gloss(scene, points)
    meta = dict(subject.meta)
    meta["fov"] = camera.fov
    meta["lobes"] = {str(k): lobes for k, lobes in subject.lobes.items()}
    meta["millimetres"] = 100.0 * float(
        np.median(-points.points[:, 2], axis=0) if len(index) else 1
    )
    meta["pixel_mm"] = float(meta["millimetres"]) * np.tan(np.radians(camera.fov) / 2) * 2 / height  # type: ignore[arg-type]
    return View(
        alpha=(covered / samples).reshape(size),
        normals=normals.reshape(height, width, 3),
        albedo=mean(joined.albedo).reshape(height, width, 3),
        labels=label.reshape(size),
        gloss=gloss.reshape(size),
        index=index,
        directions=directions,
        visibility=visibility,
        bounce=bounce,
        tangents=np.where((points.labels == HAIR)[:, None], points.tangents, 0.0).astype(
            np.float32
        ),
        meta=meta,
    )


def _subsamples(
    pixels: NDArray[np.int64], width: int, grid: NDArray[np.floating]
) -> tuple[F32, F32]:
    row, column = np.divmod(pixels, width)
    y, x = (g.ravel() for g in np.meshgrid(grid, grid, indexing="ij"))
    return (
        (column[:, None] + x).ravel().astype(np.float32),
        (row[:, None] + y).ravel().astype(np.float32),
    )


def _beside(inside: NDArray[np.bool_], hits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which empty pixels touch a hit one: thin strands slip between nine samples."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(inside, iterations=2).ravel() & (hits == 0))


def _join(a: Surface, b: Surface) -> Surface:
    return Surface(
        *(
            np.concatenate([getattr(a, name), getattr(b, name)])
            for name in Surface.__dataclass_fields__
        )
    )


def _take(surface: Surface, index: NDArray[np.int64]) -> Surface:
    return Surface(*(getattr(surface, name)[index] for name in Surface.__dataclass_fields__))


def _nearest(
    pixel: NDArray[np.int64], x: F32, y: F32, wrong: NDArray[np.bool_], width: int
) -> NDArray[np.int64]:
    """Return for each hit pixel, ascending, the sample to shade."""
    row, column = np.divmod(pixel, width)
    away = np.hypot(x - column - 0.5, y - row - 0.5) + 10.0 * wrong
    order = np.lexsort((away, pixel))
    first = np.ones(len(order), bool)
    first[1:] = pixel[order][1:] != pixel[order][:-1]
    return np.asarray(order[first], np.int64)


def _origins(scene: Scene, points: Surface, normals: F32, rng: np.random.Generator) -> F32:
    """Return where visibility rays start.

    On surfaces the point is lifted onto the tangent planes of its triangle's vertices, so that
    facets do not shade themselves (Hanika 2021, "Hacking the Shadow Terminator"). On hair it is
    lifted by a random few millimetres: strands are translucent and scatter light past neighbours.
    """
    corners = scene.faces[points.triangle]
    lifted = np.zeros_like(points.points)
    for k in range(3):
        n = scene.normals[corners[:, k]]
        n = n * np.where(np.einsum("rc,rc->r", n, points.geometric) < 0, -1.0, 1.0)[:, None]
        above = np.einsum("rc,rc->r", points.points - scene.vertices[corners[:, k]], n)
        lifted -= (points.weights[:, k] * np.minimum(above, 0.0))[:, None] * n
    hair = points.labels == HAIR
    lifted[hair] = 0.0
    lift = np.where(hair, rng.uniform(0.02, 0.09, len(hair)), _CLEARANCE).astype(np.float32)
    way = np.where(hair[:, None], normals, points.geometric)
    return np.asarray(points.points + lifted + way * lift[:, None], np.float32)


def _light_paths(
    scene: Scene, points: Surface, normals: F32, directions: F32, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], F32]:
    """Trace every direction from every point.

    Returns:
        the visibility bits, P×32, and the bounce transport, P×9×3.
    """
    origins = _origins(scene, points, normals, rng)
    hair = points.labels == HAIR
    low = np.where(hair, -0.55, 0.0)[:, None]
    cosine = normals @ directions.T
    wanted = cosine > low
    visible = np.zeros(wanted.shape, bool)
    transport = _second_hits(scene)
    bounce = np.zeros((len(origins), 27), np.float32)
    solid = 4.0 * np.pi / len(directions) / np.pi
    block = 16384
    for start in range(0, len(origins), block):
        rows, columns = np.nonzero(wanted[start : start + block])
        found = _cast(scene, origins[start + rows], directions[columns])
        triangle = found["primID"]
        free = triangle < 0
        visible[start + rows[free], columns[free]] = True
        rows, columns, triangle = rows[~free], columns[~free], triangle[~free]
        weight = np.maximum(cosine[start + rows, columns], 0.0) * solid
        size = (min(block, len(origins) - start), len(transport))
        paths = csr_array((weight.astype(np.float32), (rows, triangle)), shape=size)
        bounce[start : start + block] = paths @ transport
    return np.packbits(visible, axis=1), bounce.reshape(-1, 9, 3)


def _second_hits(scene: Scene) -> F32:
    """Return each triangle's reflected radiance as a function of the environment, F×27.

    Its albedo times the unshadowed irradiance to order 2, dimmed for the shadow it stands in.
    """
    faces = scene.faces
    count = len(faces)
    corner = np.arange(count, dtype=np.int32)
    third = np.full((count, 3), 1.0 / 3.0, np.float32)
    solid = scene.part < _first_hair(scene)
    albedo = scene.colour[faces[:, 0]].copy()
    normals = scene.normals[faces[:, 0]].copy()
    if solid.any():
        index = corner[solid]
        mean = unit(scene.normals[faces[index]].mean(axis=1))
        found = shade_points(scene, index, third[solid], mean)
        albedo[solid], normals[solid] = found.albedo, mean
    shadow = np.where(solid, 0.6, 0.35).astype(np.float32)
    radiance = harmonics(normals) * _COSINE * shadow[:, None]
    return np.asarray((radiance[:, :, None] * albedo[:, None, :]).reshape(count, 27), np.float32)


def _first_hair(scene: Scene) -> int:
    labels = [mesh.label for mesh in scene.subject.meshes]
    return labels.index(HAIR) if HAIR in labels else len(labels)


def _gloss(scene: Scene, points: Surface) -> F32:
    """Return the strength of the specular reflection, uneven over skin and cloth."""
    rest = np.zeros_like(points.points)
    corners = scene.faces[points.triangle]
    for k in range(3):
        rest += scene.rest[corners[:, k]] * points.weights[:, k : k + 1]
    uneven = 1.0 + 0.18 * noise(rest, 0.5, 31) + 0.15 * noise(rest, 0.06, 32)
    gloss = np.where(points.labels == SKIN, uneven, 1.0)
    # The T-zone of the face shines more than the cheeks and the neck.
    zone = np.exp(-((rest[:, 0] / 0.35) ** 2)) * (rest[:, 2] > 0.8) * (rest[:, 1] > 6.9)
    gloss = gloss * np.where(points.labels == SKIN, 0.85 + 0.6 * zone, 1.0)
    return np.clip(gloss, 0.1, 2.5).astype(np.float32)
