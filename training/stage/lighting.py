"""Lighting a view: a picture under an environment, linear in the environment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relume.training.stage import environment as envs
from relume.training.stage.dataset import View
from relume.training.stage.geometry import CLOTH, HAIR, OTHER, SKIN, unit

F32 = NDArray[np.float32]

_SCATTER = np.array([1.6, 0.55, 0.28])
"""Mean distance light travels in skin, R, G, B, millimetres (Jensen et al. 2001, skin)."""
_REFLECTANCE = {SKIN: 0.028, CLOTH: 0.04, OTHER: 0.025}
"""Specular reflectance at normal incidence of each label."""
_GRAZING = {SKIN: 0.28, CLOTH: 0.08, OTHER: 0.6}
"""Specular reflectance at grazing angles: rough surfaces shadow themselves, loose ones most."""
_STRANDS = (0.17, 0.24, 0.024, 1.3)
"""Weights of hair's lobes: scattered by albedo and by its square root, mirrored, transmitted.

Fitted to Cycles' Principled Hair on five heads under two real environments each; light crosses a
pigmented strand about half as long as its albedo was defined for, hence the square roots.
"""
_DEFAULT_LOBES: dict[str, list[tuple[int, float]]] = {
    "1": [(16, 0.65), (64, 0.35)],
    "2": [(16, 1.0)],
    "3": [(8, 0.2)],
    "4": [(256, 1.0)],
}


@dataclass(frozen=True, slots=True, eq=False)
class Lit:
    """A lit picture; `picture` is the sum of the other two.

    Attributes:
        picture: H×W×3 straight scene-linear, 0 where alpha is 0.
        diffuse: its diffuse and subsurface part, albedo included.
        specular: its specular part.
    """

    picture: F32
    diffuse: F32
    specular: F32


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What lighting needs of a view, whatever the light.

    Attributes:
        view: the view.
        normals: P×3.
        gate: P×256, 1 where a direction is unblocked and above the surface.
        open: P, how much light reaches the surfaces that each point sees: the square of the share
            of the sky it sees itself. (Bounced light was found as if nothing shaded them; in a
            mouth it is a tenth of that.)
        reflected: P×3 mirror directions of the ray to the camera.
        facing: P cosines between normal and ray to the camera.
        lobes: exponent → P share of the lobe that is not blocked.
        labels: P.
        fibre: hair pixels' positions in P, and their 256 weights of three lobes.
    """

    view: View
    normals: F32
    gate: F32
    open: F32
    reflected: F32
    facing: F32
    lobes: dict[int, F32]
    labels: NDArray[np.uint8]
    fibre: tuple[NDArray[np.int64], F32, F32, F32]


def visibility(view: View) -> F32:
    """Return the P×256 visibility as 0 and 1."""
    count = len(view.directions)
    return np.unpackbits(view.visibility, axis=1, count=count).astype(np.float32)


def to_camera(view: View) -> F32:
    """Return P×3 unit directions from each pixel of the view to the camera."""
    height, width = view.alpha.shape
    row, column = np.divmod(view.index.astype(np.int64), width)
    fov = view.meta.get("fov")
    scale = 2.0 * np.tan(np.radians(float(fov)) / 2.0) / height if fov else 0.0  # type: ignore[arg-type]
    x = (column + 0.5 - 0.5 * width) * scale
    y = (0.5 * height - row - 0.5) * scale
    return unit(np.stack([-x, -y, np.ones_like(x)], axis=1).astype(np.float32))


def prepare(view: View) -> Prepared:
    """Work out everything that does not depend on the light, so that many lights share it."""
    labels = view.labels.reshape(-1)[view.index]
    normals = view.normals.reshape(-1, 3)[view.index]
    seen = visibility(view)
    cosine = normals @ view.directions.T
    towards = to_camera(view)
    facing = np.einsum("pc,pc->p", normals, towards)
    reflected = unit(2.0 * facing[:, None] * normals - towards)
    mirror = np.maximum(reflected @ view.directions.T, 0.0)
    shares: dict[int, F32] = {}
    for exponent in sorted({n for lobes in _lobes(view).values() for n, _ in lobes}):
        # Directions are 14° apart: a narrower lobe could fall between them.
        lobe = _power(mirror, min(exponent, 48))
        shares[exponent] = (lobe * seen).sum(axis=1) / np.maximum(lobe.sum(axis=1), 1e-6)
    above = np.maximum(cosine, 0.0)
    gate = seen * (cosine > 0.0)
    return Prepared(
        view=view,
        normals=normals,
        gate=gate,
        open=(gate * above).sum(axis=1) ** 2 / np.maximum(above.sum(axis=1), 1e-6) ** 2,
        reflected=reflected,
        facing=np.clip(facing, 0.0, 1.0),
        lobes=shares,
        labels=labels,
        fibre=_fibres(view, labels, normals, seen, cosine, towards),
    )


def _power(base: F32, exponent: int) -> F32:
    """Return base to a positive whole power by squaring; numpy's own is ten times slower."""
    result: F32 | None = None
    square = base
    while exponent:
        if exponent & 1:
            result = square if result is None else result * square
        exponent >>= 1
        if exponent:
            square = square * square
    return base if result is None else result


def _lobes(view: View) -> dict[str, list[tuple[int, float]]]:
    stored = view.meta.get("lobes")
    return stored if isinstance(stored, dict) else _DEFAULT_LOBES


def _fibres(
    view: View, labels: NDArray[np.uint8], normals: F32, seen: F32, cosine: F32, towards: F32
) -> tuple[NDArray[np.int64], F32, F32, F32]:
    """Return hair pixels and their weights of the 256 directions: scattered, mirrored, transmitted.

    Source: Marschner et al. 2003, sections 4 and 5: R about a cone tilted to the root, TT a narrow
    forward lobe. Deviation: what TRT and the many paths between strands add is one broad lobe about
    the normal of the hair's mass; every lobe integrates to one without shadow.
    """
    hair = np.flatnonzero(labels == HAIR)
    tangents, light = view.tangents[hair], view.directions
    along = tangents @ light.T
    view_along = np.einsum("pc,pc->p", tangents, towards[hair])[:, None]
    across = np.sqrt(np.maximum(1.0 - along**2, 1e-4))
    facing = towards[hair] @ light.T - along * view_along
    azimuth = np.clip(facing / (across * np.sqrt(np.maximum(1.0 - view_along**2, 1e-4))), -1.0, 1.0)
    tilt = along + view_along
    broad = np.maximum((cosine[hair] + 0.45) / 1.45, 0.0) ** 1.5 * (0.4 + 0.6 * across)
    mirrored = np.exp(-0.5 * ((tilt - 0.10) / 0.16) ** 2) * np.sqrt(0.5 + 0.5 * azimuth)
    passed = np.exp(-0.5 * (tilt / 0.25) ** 2 - (1.0 + azimuth) / 0.3)
    cell = 4.0 * np.pi / len(light)
    weights = [
        (lobe * seen[hair] / (lobe.sum(axis=1, keepdims=True) * cell + 1e-6)).astype(np.float32)
        for lobe in (broad, mirrored, passed)
    ]
    return hair, weights[0], weights[1], weights[2]


def relit(view: View | Prepared, env: F32, rotation: float = 0.0) -> Lit:
    """Light a view with an environment.

    Args:
        view: the view, or what `prepare` made of it (faster for several lights).
        env: h×2h×3 scene-linear radiance, camera space; the image centre is −Z, u grows to +X.
            Any size; 128×64 is what the stage works with, larger ones are averaged down.
        rotation: degrees the light is turned: content moves right.

    Returns:
        the straight picture and its parts, linear in `env`.
    """
    ready = view if isinstance(view, Prepared) else prepare(view)
    seen = ready.view
    if rotation:
        env = envs.rotated(env, rotation)
    env = envs.downsample(env, 128)
    moments, flux = envs.cell_moments(env, seen.directions)
    received = ready.gate @ moments.reshape(len(moments), 9)
    direct = np.einsum("pa,pac->pc", ready.normals, received.reshape(-1, 3, 3)) / np.pi
    bounced = np.einsum("pkc,kc->pc", seen.bounce, envs.project(env)) * ready.open[:, None]
    # A truncated series may dip below zero under a single lamp.
    irradiance = direct + bounced
    hair, fibre, mirrored, passed = ready.fibre
    irradiance[hair] = fibre @ flux + bounced[hair]
    irradiance = _scattered(ready, irradiance.astype(np.float32))
    albedo = seen.albedo.reshape(-1, 3)[seen.index]
    reflectance = albedo.copy()
    root = np.sqrt(albedo[hair])
    reflectance[hair] = strand_reflectance(albedo[hair])
    diffuse = reflectance * irradiance
    specular = _specular(ready, env)
    specular[hair] = _STRANDS[2] * (mirrored @ flux) + _STRANDS[3] * root * (passed @ flux)
    _spread(ready, specular, HAIR, _among_strands(view_pixel(seen)), 0.9)
    size = (*seen.alpha.shape, 3)
    pictures = []
    for values in (diffuse + specular, diffuse, specular):
        picture = np.zeros((size[0] * size[1], 3), np.float32)
        picture[seen.index] = values
        pictures.append(picture.reshape(size))
    return Lit(*pictures)


def strand_reflectance(albedo: F32) -> F32:
    """Return what hair of an albedo scatters of the light between its strands."""
    return np.asarray(_STRANDS[0] * albedo + _STRANDS[1] * np.sqrt(albedo), np.float32)


def _specular(ready: Prepared, env: F32) -> F32:
    view = ready.view
    specular = np.zeros((len(view.index), 3), np.float32)
    gloss = view.gloss.reshape(-1)[view.index]
    maps: dict[int, F32] = {}
    for name, lobes in _lobes(view).items():
        here = np.flatnonzero(ready.labels == int(name))
        if int(name) == HAIR or not len(here):
            continue
        base = _REFLECTANCE[int(name)]
        fresnel = base + (1.0 - base) * (1.0 - ready.facing[here]) ** 5
        fresnel = np.minimum(fresnel, _GRAZING[int(name)])
        for exponent, weight in lobes:
            if exponent not in maps:
                maps[exponent] = envs.lobe_map(env, exponent)
            found = envs.lookup(maps[exponent], ready.reflected[here])
            share = fresnel * gloss[here] * weight * ready.lobes[exponent][here]
            specular[here] += share[:, None] * found
    return specular


def view_pixel(view: View) -> float:
    """Return the size of a pixel at the subject in millimetres."""
    return float(view.meta.get("pixel_mm", 1.5))  # type: ignore[arg-type]


def _among_strands(pixel: float) -> NDArray[np.float64]:
    """Return how far light mixes among strands of hair, R, G, B, pixels."""
    return np.full(3, 1.2 * min(1.5 / pixel, 1.5))


def _scattered(ready: Prepared, irradiance: F32) -> F32:
    """Spread the irradiance under the skin, red the farthest, and a little among hair strands.

    A screen-space blur weighted by coverage, each label by itself (d'Eon et al. 2007 in spirit:
    one Gaussian a channel and a sharp remainder).
    """
    pixel = view_pixel(ready.view)
    result = irradiance.copy()
    _spread(ready, result, SKIN, _SCATTER / pixel, 0.75)
    _spread(ready, result, HAIR, _among_strands(pixel), 0.9)
    _between_strands(ready, result)
    return result


def _between_strands(ready: Prepared, values: F32) -> None:
    """Let P×3 values of pixels that peep through hair take after the hair around them, in place.

    One ray tells whether a whole pixel is blocked; between strands that is all or nothing, while
    strands that scatter light and are thinner than a pixel dim their surroundings evenly.
    """
    view = ready.view
    height, width = view.alpha.shape
    hair = np.zeros(height * width, np.float32)
    hair[view.index] = (ready.labels == HAIR) * view.alpha.reshape(-1)[view.index]
    if not hair.any():
        return
    around = gaussian_filter(hair.reshape(height, width), 1.2).reshape(-1)[view.index]
    share = np.clip(2.0 * around, 0.0, 0.9) * (ready.labels != HAIR)
    cover = gaussian_filter(view.alpha, 1.2).reshape(-1)[view.index]
    for c in range(3):
        plane = np.zeros(height * width, np.float32)
        plane[view.index] = values[:, c] * view.alpha.reshape(-1)[view.index]
        smooth = gaussian_filter(plane.reshape(height, width), 1.2).reshape(-1)[view.index]
        smooth /= np.maximum(cover, 1e-4)
        values[:, c] += share * (smooth - values[:, c])


def _spread(
    ready: Prepared, values: F32, label: int, reach: NDArray[np.float64], share: float
) -> None:
    """Blur P×3 values in place over the pixels of one label, weighted by coverage."""
    view = ready.view
    height, width = view.alpha.shape
    here = np.flatnonzero(ready.labels == label)
    if not len(here):
        return
    at = view.index[here]
    weight = np.zeros(height * width, np.float32)
    weight[at] = view.alpha.reshape(-1)[at]
    rows, columns = at // width, at % width
    top, bottom = max(rows.min() - 8, 0), rows.max() + 9
    left, right = max(columns.min() - 8, 0), columns.max() + 9
    window = (slice(top, bottom), slice(left, right))
    mask = weight.reshape(height, width)[window]
    for c in range(3):
        plane = np.zeros(height * width, np.float32)
        plane[at] = values[here, c] * weight[at]
        sigma = float(reach[c])
        blurred = gaussian_filter(plane.reshape(height, width)[window], sigma, truncate=3.0)
        norm = gaussian_filter(mask, sigma, truncate=3.0)
        smooth = blurred / np.maximum(norm, 1e-4)
        spread = smooth[rows - top, columns - left]
        values[here, c] = (1.0 - share) * values[here, c] + share * spread
