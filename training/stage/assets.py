"""Small readers for the openly licensed people: MakeHuman meshes, targets, fitted garments."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from relume.errors import InputError
from relume.training.stage.geometry import F32, I32, Mesh, split_corners


@dataclass(frozen=True, slots=True, eq=False)
class Obj:
    """A triangulated Wavefront mesh.

    Attributes:
        vertices: V×3 positions.
        uv: T×2 texture coordinates, v up.
        faces: F×3 vertex indices.
        uv_faces: F×3 texture-coordinate indices, aligned with `faces`.
        groups: F group names' indices into `names`.
        names: group names in order of appearance.
    """

    vertices: F32
    uv: F32
    faces: I32
    uv_faces: I32
    groups: I32
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """How a garment's vertices hang on the base mesh (a MakeHuman `.mhclo` file).

    Attributes:
        corners: V×3 base-mesh vertex indices.
        weights: V×3 barycentric weights.
        offsets: V×3 displacements in the units of `scales`.
        scales: for X, Y and Z: two base vertices and the distance between them that counts as 1.
        hidden: base vertices that the garment covers.
    """

    corners: I32
    weights: F32
    offsets: F32
    scales: tuple[tuple[int, int, float], ...]
    hidden: I32


def assets_root() -> Path:
    """Return the folder that holds `makehuman`, `ict_facekit` and `hdri`.

    Raises:
        InputError: neither `$RELUME_ASSETS` nor `../shared/assets` beside the checkout exists.
    """
    default = Path(__file__).resolve().parents[3] / "shared" / "assets"
    root = Path(os.environ.get("RELUME_ASSETS", default))
    if not root.is_dir():
        raise InputError(
            f"the light stage's assets are not at {root}",
            way_out="Set RELUME_ASSETS to the folder that holds makehuman/ and hdri/",
        )
    return root


def makehuman(*parts: str) -> Path:
    """Return a path inside the MakeHuman assets."""
    return assets_root().joinpath("makehuman", *parts)


@lru_cache(maxsize=64)
def read_obj(path: Path) -> Obj:
    """Read a Wavefront mesh, splitting polygons into fans."""
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    uv_faces: list[tuple[int, int, int]] = []
    groups: list[int] = []
    names: dict[str, int] = {}
    group = 0
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = names.setdefault(words[1] if len(words) > 1 else "", len(names))
        elif words[0] == "f":
            pairs = [word.split("/") for word in words[1:]]
            v = [int(pair[0]) - 1 for pair in pairs]
            t = [int(pair[1]) - 1 if len(pair) > 1 and pair[1] else 0 for pair in pairs]
            for k in range(1, len(v) - 1):
                faces.append((v[0], v[k], v[k + 1]))
                uv_faces.append((t[0], t[k], t[k + 1]))
                groups.append(group)
    return Obj(
        np.array(vertices, np.float32),
        np.array(uv if uv else [[0.0, 0.0]], np.float32),
        np.array(faces, np.int32),
        np.array(uv_faces, np.int32),
        np.array(groups, np.int32),
        tuple(names) or ("",),
    )


@lru_cache(maxsize=1024)
def read_target(path: Path) -> tuple[I32, F32]:
    """Read a morph target: the vertices it moves and their offsets."""
    with gzip.open(path, "rt") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    index = np.array([int(row[0]) for row in rows], np.int32)
    return index, np.array([[float(x) for x in row[1:4]] for row in rows], np.float32).reshape(
        -1, 3
    )


@lru_cache(maxsize=64)
def read_fit(path: Path) -> Fit:
    """Read how a garment, a pair of eyes or a hair card follows the base mesh."""
    corners: list[list[int]] = []
    weights: list[list[float]] = []
    offsets: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    hidden: list[int] = []
    section = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].endswith("_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif section == "verts" and words[0].lstrip("-").isdigit():
            if len(words) == 1:
                corners.append([int(words[0])] * 3)
                weights.append([1.0, 0.0, 0.0])
                offsets.append([0.0, 0.0, 0.0])
            else:
                corners.append([int(word) for word in words[:3]])
                weights.append([float(word) for word in words[3:6]])
                offsets.append([float(word) for word in words[6:9]])
        elif section == "delete_verts":
            position = 0
            while position < len(words):
                first = int(words[position])
                last = first
                if position + 2 < len(words) and words[position + 1] == "-":
                    last = int(words[position + 2])
                    position += 2
                hidden.extend(range(first, last + 1))
                position += 1
    unit = (0, 1, 0.0)
    return Fit(
        np.array(corners, np.int32),
        np.array(weights, np.float32),
        np.array(offsets, np.float32),
        tuple(scales.get(axis, unit) for axis in "xyz"),
        np.array(hidden, np.int32),
    )


def fitted(fit: Fit, base: F32) -> F32:
    """Place a garment's vertices on a morphed base mesh.

    Args:
        fit: the garment's fitting lines.
        base: vertices of the morphed base mesh, helpers included.

    Returns:
        V×3 positions in the base mesh's units.
    """
    size = np.ones(3, np.float32)
    for axis, (first, second, unit) in enumerate(fit.scales):
        if unit > 0.0:
            size[axis] = abs(base[first, axis] - base[second, axis]) / unit
    placed = np.einsum("vk,vkc->vc", fit.weights, base[fit.corners])
    return np.asarray(placed + fit.offsets * size, np.float32)


@lru_cache(maxsize=1)
def vertex_groups() -> dict[str, I32]:
    """Return the base mesh's named vertex groups (body, helpers, joints)."""
    ranges = json.loads(makehuman("basemesh_vertex_groups.json").read_text())
    return {
        name: np.concatenate([np.arange(a, b + 1, dtype=np.int32) for a, b in spans])
        for name, spans in ranges.items()
    }


def corner_mesh(
    obj: Obj, vertices: F32, normals: F32, faces: I32, uv_faces: I32, label: int
) -> tuple[Mesh, I32]:
    """Return faces of a file as a mesh whose vertices have one texture coordinate each.

    Args:
        obj: the file, whose own vertices are the mesh at rest.
        vertices: V×3, where the file's vertices are now.
        normals: V×3, there.
        faces: F×3, those wanted.
        uv_faces: F×3, their texture coordinates.
        label: what the surface is.

    Returns:
        the mesh, white, and the file's vertex that each of its vertices was.
    """
    joined, vertex, coordinate = split_corners(faces, uv_faces)
    mesh = Mesh(
        vertices=vertices[vertex],
        faces=joined,
        normals=normals[vertex],
        uv=obj.uv[coordinate],
        rest=obj.vertices[vertex],
        colour=np.ones((len(vertex), 3), np.float32),
        label=label,
    )
    return mesh, vertex
