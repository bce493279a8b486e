"""MakeHuman bodies: morphs, pose, and the parts that dress them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from relume.training.stage.assets import (
    corner_mesh,
    fitted,
    makehuman,
    read_fit,
    read_obj,
    read_target,
    vertex_groups,
)
from relume.training.stage.geometry import (
    F32,
    I32,
    Mesh,
    rotation,
    smooth_normals,
    smoothstep,
)
from relume.training.stage.skin import MAPS, read_texture

DETAIL_FOLDERS = (
    "head",
    "nose",
    "mouth",
    "chin",
    "cheek",
    "eyes",
    "ears",
    "forehead",
    "neck",
    "asym",
)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A morphed and posed base mesh.

    Attributes:
        vertices: the whole base mesh, helpers included, decimetres.
        head: 3×3, columns are the head's left, up and forward after posing.
        skull: centre of the skull after posing.
        eyes: centre between the eyes after posing.
    """

    vertices: F32
    head: F32
    skull: F32
    eyes: F32


@lru_cache(maxsize=1)
def _targets(folder: str = "") -> dict[str, tuple[Path, ...]]:
    root = makehuman("targets")
    return {
        name: tuple(sorted((root / name).glob("*.target.gz")))
        for name in (*DETAIL_FOLDERS, "macrodetails", "torso")
    }


def _add(vertices: F32, path: Path, weight: float) -> None:
    index, offset = read_target(path)
    vertices[index] += weight * offset


def _joint(vertices: F32, name: str) -> F32:
    return np.asarray(vertices[vertex_groups()["joint-" + name]].mean(axis=0), np.float32)


def morph(female: bool, age: float, rng: np.random.Generator) -> F32:
    """Return the base mesh's vertices as one adult.

    Args:
        female: sex.
        age: 0 young adult to 1 old.
        rng: draws ancestry, build and the details of the face.
    """
    vertices = read_obj(makehuman("base.obj")).vertices.copy()
    sex = "female" if female else "male"
    ancestry = rng.dirichlet([0.5, 0.5, 0.5])
    macro = makehuman("targets", "macrodetails")
    build = rng.uniform(-0.7, 0.9)
    muscle = rng.uniform(-0.8, 0.8)
    heaviness = "maxweight" if build > 0 else "minweight"
    strength = "maxmuscle" if muscle > 0 else "minmuscle"
    for years, share in (("young", 1.0 - age), ("old", age)):
        for people, weight in zip(("african", "asian", "caucasian"), ancestry, strict=True):
            _add(vertices, macro / f"{people}-{sex}-{years}.target.gz", share * weight)
        for m, mw in ((strength, abs(muscle)), ("averagemuscle", 1 - abs(muscle))):
            for w, ww in ((heaviness, abs(build)), ("averageweight", 1 - abs(build))):
                name = f"universal-{sex}-{years}-{m}-{w}.target.gz"
                if (macro / name).exists():
                    _add(vertices, macro / name, share * mw * ww)
    _details(vertices, rng)
    return vertices


def _details(vertices: F32, rng: np.random.Generator) -> None:
    """Morph the face: a few details of each folder, the same on both sides, and asymmetry."""
    for folder in DETAIL_FOLDERS:
        paths = _targets()[folder]
        if folder == "ears":
            paths = tuple(p for p in paths if "pointed" not in p.name and "triangle" not in p.name)
        known = {path.name: path for path in paths}
        count = {"asym": 8, "neck": 2, "head": 3}.get(folder, 4)
        strength = {"asym": 0.25, "neck": 0.4, "head": 0.5}.get(folder, 0.6)
        for position in rng.choice(len(paths), min(count, len(paths)), replace=False):
            path = paths[int(position)]
            weight = float(rng.uniform(0.0, strength))
            _add(vertices, path, weight)
            if folder != "asym" and path.name[:2] in ("l-", "r-"):
                other = known.get({"l-": "r-", "r-": "l-"}[path.name[:2]] + path.name[2:])
                if other is not None:
                    _add(vertices, other, weight)


def express(vertices: F32, rng: np.random.Generator) -> bool:
    """Give the face an expression made of a few action units, in place.

    Returns:
        whether the mouth is open.
    """
    folder = makehuman("targets", "expression", "units", "caucasian")

    def act(name: str, weight: float) -> None:
        path = folder / (name + ".target.gz")
        if path.exists():
            _add(vertices, path, weight)

    lids = max(0.0, float(rng.normal(0.05, 0.12)))
    for side in ("left", "right"):
        act(f"eye-{side}-closure", min(lids, 0.5))
        act(f"eyebrows-{side}-{rng.choice(['up', 'down'])}", float(rng.uniform(0, 0.35)))
    kind = rng.choice(4, p=[0.45, 0.3, 0.15, 0.1])
    if kind == 1:
        act("mouth-corner-puller", float(rng.uniform(0.2, 0.9)))
        if rng.random() < 0.4:
            act("mouth-open", float(rng.uniform(0.15, 0.35)))
            return True
    elif kind == 2:
        act("mouth-open", float(rng.uniform(0.15, 0.5)))
        return True
    elif kind == 3:
        act(
            str(rng.choice(["mouth-compression", "mouth-pursing", "mouth-depression"])),
            float(rng.uniform(0.2, 0.6)),
        )
    return False


def pose(vertices: F32, turn: tuple[float, float, float], arms: tuple[float, float]) -> Body:
    """Turn the head and lower the arms.

    Args:
        vertices: a morphed base mesh.
        turn: yaw, pitch and roll of the head on the body, degrees; +yaw turns to its left.
        arms: how far the left and right arm are lowered, degrees.
    """
    posed = vertices.copy()
    for side, name, angle in ((1.0, "l", arms[0]), (-1.0, "r", arms[1])):
        pivot = _joint(vertices, name + "-shoulder")
        reach = side * (vertices[:, 0] - pivot[0])
        low = smoothstep(-1.1, 0.2, pivot[1] + 0.5 - vertices[:, 1] + reach)
        weight = smoothstep(-0.35, 0.75, reach) * low
        radians = np.radians(-side * angle) * weight
        moved = vertices - pivot
        cos, sin = np.cos(radians), np.sin(radians)
        posed[:, 0] = pivot[0] + cos * moved[:, 0] - sin * moved[:, 1]
        posed[:, 1] = pivot[1] + sin * moved[:, 0] + cos * moved[:, 1]
        vertices = posed.copy()
    neck, head = _joint(vertices, "neck"), _joint(vertices, "head")
    rise = (vertices[:, 1] - neck[1]) + 0.6 * (vertices[:, 2] - neck[2])
    near = 1.0 - smoothstep(1.2, 1.6, np.abs(vertices[:, 0]))
    weight = smoothstep(0.0, 0.95, rise) * near
    pivot = 0.5 * (neck + head)
    full = rotation(*turn)
    # Blending the angles keeps the neck's girth, blending the positions would not.
    steps = np.linspace(0.0, 1.0, 33)
    turns = np.stack([rotation(*(np.asarray(turn) * s)) for s in steps])
    chosen = turns[np.round(weight * 32).astype(int)]
    posed = pivot + np.einsum("vij,vj->vi", chosen, vertices - pivot)
    skull = _joint(vertices, "head-2") * 0.5 + head * 0.5 + np.array([0, 0.1, 0.35], np.float32)
    eyes = 0.5 * (_joint(vertices, "l-eye") + _joint(vertices, "r-eye"))
    return Body(
        np.asarray(posed, np.float32),
        full,
        np.asarray(pivot + full @ (skull - pivot), np.float32),
        np.asarray(pivot + full @ (eyes - pivot), np.float32),
    )


@lru_cache(maxsize=1)
def scalp() -> F32:
    """Return how much hair grows at each of the base mesh's vertices, 0…1.

    The staged skin maps paint the scalp; its darkness in the head's island of the map tells.
    """
    size = 512
    base = read_obj(makehuman("base.obj"))
    picture = np.mean([read_texture("skins/" + name, size) for name in MAPS], axis=0)
    light = ndimage.gaussian_filter(picture.mean(axis=-1), 5.0)
    face = np.median(
        light[int(0.42 * size) : int(0.62 * size), int(0.78 * size) : int(0.95 * size)]
    )
    mask = 1.0 - smoothstep(0.55, 0.72, (light / face).astype(np.float32))
    grown = np.zeros(len(base.vertices), np.float32)
    uv = base.uv[base.uv_faces.ravel()]
    row = np.clip((1.0 - uv[:, 1]) * size, 0, size - 1).astype(int)
    column = np.clip(uv[:, 0] * size, 0, size - 1).astype(int)
    value = mask[row, column]
    value[(uv[:, 0] < 0.635) | (uv[:, 1] > 0.86) | (uv[:, 1] < 0.12)] = 0.0
    value[(uv[:, 0] > 0.81) & (np.abs(uv[:, 1] - 0.483) < 0.10)] = 0.0
    np.maximum.at(grown, base.faces.ravel(), value)
    grown[len(vertex_groups()["body"]) :] = 0.0
    low = base.vertices[:, 1]
    # The nape's stubble reaches round to the throat in the maps.
    grown[(low < 6.1) | ((low < 6.85) & (base.vertices[:, 2] > 0.3))] = 0.0
    return grown


def skin_mesh(body: Body, hidden: I32, label: int, texture: F32) -> Mesh:
    """Return the body's skin without the faces that garments cover."""
    base = read_obj(makehuman("base.obj"))
    own = base.groups == base.names.index("body")
    faces, uv_faces = base.faces[own], base.uv_faces[own]
    normals = smooth_normals(body.vertices, faces)
    covered = np.zeros(len(base.vertices), bool)
    covered[hidden] = True
    keep = ~covered[faces].all(axis=1)
    skin, _ = corner_mesh(base, body.vertices, normals, faces[keep], uv_faces[keep], label)
    skin.texture = texture
    return skin


def fitted_mesh(body: Body, path: Path, label: int, colour: F32) -> tuple[Mesh, I32]:
    """Return a garment, eyes or teeth on the body, and the body vertices it hides.

    Args:
        body: who wears it.
        path: the `.mhclo` file.
        label: what the surface is.
        colour: its linear albedo.
    """
    fit = read_fit(path)
    name = next(
        line.split()[1] for line in path.read_text().splitlines() if line.startswith("obj_file")
    )
    obj = read_obj(path.parent / name)
    vertices = fitted(fit, body.vertices)
    normals = smooth_normals(vertices, obj.faces)
    mesh, _ = corner_mesh(obj, vertices, normals, obj.faces, obj.uv_faces, label)
    mesh.colour = np.broadcast_to(colour, mesh.vertices.shape).astype(np.float32)
    return mesh, fit.hidden
