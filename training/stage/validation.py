"""Path-traced validation views: the stage's people under Cycles instead of its own light.

`python -m relume.training.stage.validation --bpy PYTHON OUT` renders views of the validation split
and stores OUT/val/NUMBER.npz. Coverage, normals and albedo are the ray caster's (34 regular samples
a pixel at edges, no noise); pictures are Cycles', straight, scene-linear Rec. 709.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relume.errors import InputError
from relume.files import replacing
from relume.training.stage import environment as envs
from relume.training.stage.camera import Camera, draw_camera
from relume.training.stage.dataset import split_seeds
from relume.training.stage.geometry import CLOTH, HAIR, SKIN, unit
from relume.training.stage.render import render
from relume.training.stage.subject import Subject, make_subject
from relume.training.stage.surface import build, shade_points

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class TracedView:
    """A validation view.

    Attributes:
        alpha: H×W.
        normals: H×W×3 camera space.
        albedo: H×W×3 straight linear Rec. 709.
        labels: H×W, as in `dataset.View`.
        foreground: K×H×W×3 straight scene-linear pictures, one a light.
        environment: K names for `environment.read`.
        rotation: K degrees for `environment.rotated`.
        meta: subject, hair, tone, camera.
    """

    alpha: F32
    normals: F32
    albedo: F32
    labels: NDArray[np.uint8]
    foreground: F32
    environment: tuple[str, ...]
    rotation: tuple[float, ...]
    meta: dict[str, object]


def read_traced(path: Path | str) -> TracedView:
    """Read a validation view.

    Raises:
        InputError: the file is missing or not a validation view.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return TracedView(
                alpha=stored["alpha"].astype(np.float32) / np.float32(65535.0),
                normals=stored["normals"].astype(np.float32),
                albedo=stored["albedo"].astype(np.float32),
                labels=stored["labels"],
                foreground=stored["foreground"].astype(np.float32),
                environment=tuple(str(name) for name in stored["environment"]),
                rotation=tuple(float(turn) for turn in stored["rotation"]),
                meta=json.loads(str(stored["meta"])),
            )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            "this is not a readable validation view", file=str(path), way_out="Render it again"
        ) from error


def subdivided(vertices: F32, faces: I32, times: int) -> tuple[I32, F32, I32]:
    """Split triangles into four, `times` times.

    Returns:
        for each new vertex the face it lies in and its barycentric weights there, and the new
        faces; vertices are not shared between the original faces.
    """
    corners = np.eye(3, dtype=np.float32)
    small = np.array([[0, 1, 2]], np.int32)
    for _ in range(times):
        edges = [(small[:, a], small[:, (a + 1) % 3]) for a in range(3)]
        middles = [0.5 * (corners[a] + corners[b]) for a, b in edges]
        start = len(corners) + np.arange(3)[:, None] * len(small) + np.arange(len(small))
        corners = np.concatenate([corners, *middles])
        ab, bc, ca = start.astype(np.int32)
        a, b, c = small.T
        small = np.concatenate(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
    count = len(faces)
    face = np.repeat(np.arange(count, dtype=np.int32), len(corners))
    weights = np.tile(corners, (count, 1))
    joined = (np.arange(count, dtype=np.int32) * len(corners))[:, None, None] + small
    return face, weights.astype(np.float32), joined.reshape(-1, 3).astype(np.int32)


def job(
    subject: Subject,
    camera: Camera,
    size: tuple[int, int],
    lights: list[F32],
    samples: int,
    threads: int,
    seed: int,
) -> dict[str, NDArray[np.generic]]:
    """Return what `path_trace.py` needs: camera-space geometry, patterns and wrinkles applied."""
    scene = build(subject, camera)
    stored: dict[str, NDArray[np.generic]] = {
        "fov": np.array(camera.fov),
        "size": np.array(size),
        "samples": np.array(samples),
        "threads": np.array(threads),
        "seed": np.array(seed),
        "lights": np.array(len(lights)),
        "growths": np.array(len(subject.strands)),
    }
    for k, light in enumerate(lights):
        stored[f"light{k}"] = light
    for k, (points, colours, width) in enumerate(subject.strands):
        stored[f"growth{k}_points"] = camera.points(points.reshape(-1, 3)).reshape(points.shape)
        stored[f"growth{k}_colours"] = colours
        stored[f"growth{k}_width"] = np.array(width)
    count = 0
    for part, mesh in enumerate(subject.meshes):
        if mesh.label == HAIR:
            continue
        triangles = np.flatnonzero(scene.part == part).astype(np.int32)
        times = {SKIN: 1}.get(mesh.label, 0)
        if mesh.label == CLOTH:
            # Patterns are stored at vertices, which must be closer together than their threads.
            times = int(np.clip(np.log(300_000 / len(triangles)) / np.log(4.0), 1, 4))
        face, weights, faces = subdivided(mesh.vertices, mesh.faces, times)
        triangle = triangles[face]
        away = unit(scene.normals[scene.faces[triangle]].mean(axis=1))
        # Textures stay textures; only tints and patterns go into the vertices.
        texture, mesh.texture = mesh.texture, None
        found = shade_points(scene, triangle, weights, away)
        mesh.texture = texture
        name = f"mesh{count}_"
        stored[name + "vertices"] = found.points
        stored[name + "faces"] = faces
        stored[name + "normals"] = found.normals
        stored[name + "colour"] = found.albedo
        corners = mesh.faces[face]
        stored[name + "uv"] = np.einsum("vk,vkc->vc", weights, mesh.uv[corners])
        stored[name + "label"] = np.array(mesh.label)
        if texture is not None:
            stored[name + "texture"] = texture
        count += 1
    stored["meshes"] = np.array(count)
    return stored


def run(bpy: Path, stored: dict[str, NDArray[np.generic]], folder: Path) -> None:
    """Have Cycles render a job into a folder: out_0.exr, out_1.exr and so on.

    Raises:
        InputError: Cycles cannot be run.
    """
    work = folder / "job.npz"
    np.savez(work, allow_pickle=False, **stored)
    script = Path(__file__).with_name("path_trace.py")
    done = subprocess.run(
        [str(bpy), str(script), str(work), str(folder / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InputError(
            f"Cycles failed on view {int(stored['seed'])}: {done.stderr.strip()[-400:]}",
            way_out="Give --bpy a Python 3.11 with bpy 4.5 installed",
        )


def read_picture(path: Path) -> tuple[F32, F32, F32]:
    """Read Cycles' multi-layer file: premultiplied RGB, alpha, and camera-space normals."""
    import OpenImageIO as oiio

    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise InputError("Cycles left no picture", file=str(path), way_out="Read its log")
    names = list(source.spec().channelnames)
    pixels = np.asarray(source.read_image(oiio.FLOAT), np.float32)
    source.close()

    def pick(*wanted: str) -> F32:
        return pixels[..., [next(i for i, n in enumerate(names) if n.endswith(w)) for w in wanted]]

    rgb = pick("Combined.R", "Combined.G", "Combined.B")
    return rgb, pick("Combined.A")[..., 0], pick("Normal.X", "Normal.Y", "Normal.Z")


def trace(
    bpy: Path, number: int, size: tuple[int, int], samples: int, threads: int, count: int = 2
) -> dict[str, NDArray[np.generic]]:
    """Render validation view `number` under `count` rotated environments of the held-out splits.

    Args:
        bpy: the Python interpreter that has Blender.
        number: of the view.
        size: height and width.
        samples: paths a pixel.
        threads: of Cycles.
        count: lights.
    """
    person, hair = split_seeds("val", number)
    rng = np.random.default_rng([77, number])
    subject = make_subject(person, hair, int(rng.integers(1 << 30)))
    camera, drawn = draw_camera(subject.eyes, rng)
    view = render(subject, camera, size, rng)
    choices = (*envs.names("val"), *envs.names("test"))
    chosen = [str(name) for name in rng.choice(choices, count, replace=False)]
    turns = [round(float(turn), 1) for turn in rng.uniform(0, 360, count)]
    lights = [
        envs.rotated(envs.read(name, 1024), turn) for name, turn in zip(chosen, turns, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        run(bpy, job(subject, camera, size, lights, samples, threads, number), Path(folder))
        pictures, agreement = [], []
        for k in range(count):
            rgb, alpha, normals = read_picture(Path(folder) / f"out_{k}.exr")
            solid = (alpha > 0.01)[..., None]
            pictures.append(np.where(solid, rgb / np.maximum(alpha, 0.01)[..., None], 0.0))
            inside = (view.alpha == 1) & (alpha > 0.999) & (view.labels != HAIR)
            cosine = np.einsum("pc,pc->p", view.normals[inside], unit(normals[inside]))
            agreement.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()))
    meta = dict(view.meta)
    meta.update(split="val", number=number, camera=drawn, samples=samples, normals_agree=agreement)
    return {
        "alpha": np.round(view.alpha * 65535.0).astype(np.uint16),
        "normals": view.normals.astype(np.float16),
        "albedo": view.albedo.astype(np.float16),
        "labels": view.labels,
        "foreground": np.asarray(pictures, np.float32),
        "environment": np.array(chosen),
        "rotation": np.array(turns, np.float32),
        "meta": np.array(json.dumps(meta)),
    }


def main() -> None:
    """Render the validation views that are not on disk yet."""
    parser = argparse.ArgumentParser(prog="relume.training.stage.validation", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bpy", type=Path, required=True, help="Python with bpy 4.5")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 256), metavar=("H", "W"))
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    folder = given.out / "val"
    for number in range(given.count):
        path = folder / f"{number:05d}.npz"
        if path.exists():
            continue
        start = time.monotonic()
        size = (given.size[0], given.size[1])
        stored = trace(given.bpy, number, size, given.samples, given.threads)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **stored)
        print(f"{number:05d} {time.monotonic() - start:.1f} s {stored['meta']}", flush=True)


if __name__ == "__main__":
    main()
