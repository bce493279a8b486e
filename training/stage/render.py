"""Rendering a person into a view: coverage, means over pixels, and a point of each to light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relume.training.stage.camera import Camera
from relume.training.stage.dataset import View
from relume.training.stage.environment import fibonacci
from relume.training.stage.geometry import F32, HAIR, SKIN, noise, unit
from relume.training.stage.light_paths import light_paths
from relume.training.stage.subject import Subject
from relume.training.stage.surface import Scene, Surface, build, cast, shade_points

DIRECTIONS = 256


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
    visibility, bounce = light_paths(scene, points, normals[index], directions, rng)
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


def _sample(
    scene: Scene, camera: Camera, size: tuple[int, int], x: F32, y: F32
) -> tuple[Surface, NDArray[np.int64]]:
    rays = camera.rays(x, y, *size)
    found = cast(scene, np.zeros_like(rays), rays)
    hit = np.flatnonzero(found["primID"] >= 0)
    u, v = found["u"][hit], found["v"][hit]
    weights = np.stack([1.0 - u - v, u, v], axis=1).astype(np.float32)
    triangle = found["primID"][hit].astype(np.int32)
    return shade_points(scene, triangle, weights, -rays[hit]), hit


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
