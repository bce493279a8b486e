"""Relight: the dot product of a transport with light, pixel by pixel.

Everything that depends on the subject alone (where each pixel looks a light up) is prepared once
a transport; a changed light then costs a few look-ups and multiplications a pixel. Pixels are
worked in blocks of a fixed size, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import reflect
from relume.image import Image, Layers
from relume.light import harmonics, latlong
from relume.light.types import Light, LightMaps, OriginalLight
from relume.shading.types import Transport

F32 = NDArray[np.float32]

BLOCK = 8192
"""Pixels worked at a time: the look-ups of a block stay in the second-level cache."""

DARK = -1e-3
"""Relit values below this are reported: a truncated series rings into them."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Where each pixel of a transport reads light maps of one height.

    Attributes:
        normal: P×4 positions and weights in the diffuse map.
        reflection: P×4 positions and weights in the specular maps.
    """

    normal: tuple[NDArray[np.int32], F32]
    reflection: tuple[NDArray[np.int32], F32]


@dataclass(frozen=True, slots=True, eq=False)
class Shaded:
    """The parts of a relit picture, P×3 each, straight, scene-linear, unclamped.

    Attributes:
        diffuse: albedo · w · D(N).
        specular: Σ_n w_n · S_n(R).
        residual: albedo · Σ_lm w_lm · L_lm, and the plate's own picture under `original`.
    """

    diffuse: F32
    specular: F32
    residual: F32


@dataclass(frozen=True, slots=True, eq=False)
class Relit:
    """A relit subject.

    Attributes:
        relit: R, G, B, A, premultiplied: the sum of diffuse, specular and residual.
        passes: `diffuse`, `specular`, `residual`, one `relit_NAME` a light (premultiplied), and
            `diffuse_light`, `specular_light_NNN` (straight).
        negative: share of the subject's pixels with a value below −0.001.
    """

    relit: Image
    passes: Layers
    negative: float


def relight(
    transport: Transport,
    lights: Mapping[str, Light],
    *,
    diffuse_gain: float = 1.0,
    specular_gain: float = 1.0,
    residual_gain: float = 1.0,
    passes: bool = True,
) -> Relit:
    """Return the picture of a subject under named lights, with every part of it.

    Linear in the lights: pictures add as lights do, and twice the light is exactly twice the
    picture.

    Args:
        transport: the subject.
        lights: lights by name.
        diffuse_gain: factor on the diffuse part; the original light is left alone.
        specular_gain: factor on the specular part.
        residual_gain: factor on the residual part (shadow, bounce, subsurface).
        passes: whether to return the parts as well.

    Returns:
        Images in the windows of the transport's matte.
    """
    gains = (diffuse_gain, specular_gain, residual_gain)
    merged = merge(lights.values())
    total = shade(transport, merged, gains)
    alpha = _alpha(transport)
    parts = {
        "diffuse": total.diffuse * alpha,
        "specular": total.specular * alpha,
        "residual": total.residual * alpha,
    }
    beauty = parts["diffuse"] + parts["specular"] + parts["residual"]
    relit = _image(transport, np.concatenate((beauty, alpha), axis=1), "RGBA")
    named: dict[str, Image] = {}
    if passes:
        named = {name: _image(transport, part, "RGB") for name, part in parts.items()}
        for name, light in lights.items():
            picture = beauty
            if len(lights) > 1:
                one = shade(transport, merge([light]), gains)
                picture = (one.diffuse + one.specular + one.residual) * alpha
            named[f"relit_{name}"] = _image(transport, picture, "RGB")
        named |= _seen_light(transport, merged)
    dark = int(np.count_nonzero((beauty < DARK).any(axis=1)))
    return Relit(relit, Layers(named), dark / max(1, int(np.count_nonzero(alpha))))


def merge(lights: Iterable[Light]) -> list[Light]:
    """Return fewer lights that together shine the same: light maps of one size are added.

    Args:
        lights: lights.
    """
    maps: dict[tuple[object, ...], LightMaps] = {}
    original = np.zeros(3, np.float32)
    for light in lights:
        if isinstance(light, LightMaps):
            steady = _settled(light)
            kind = (steady.diffuse.shape, steady.exponents)
            maps[kind] = _sum(maps[kind], steady) if kind in maps else steady
        elif isinstance(light, OriginalLight):
            original = original + light.gain
    merged: list[Light] = list(maps.values())
    if original.any():
        merged.append(OriginalLight(original))
    return merged


def shade(
    transport: Transport,
    lights: list[Light],
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
    threads: int | None = None,
) -> Shaded:
    """Return the parts of the picture under lights, for the transport's pixels.

    Args:
        transport: the subject.
        lights: lights as `merge` returns them.
        gains: factors on the diffuse, specular and residual part.
        threads: threads to use; the result does not depend on it.
    """
    count = len(transport.index)
    out = Shaded(*(np.zeros((count, 3), np.float32) for _ in range(3)))
    albedo = _flat(transport.albedo)[transport.index]
    for light in lights:
        if isinstance(light, OriginalLight):
            out.residual[:] += _flat(transport.foreground)[transport.index] * light.gain
        if isinstance(light, LightMaps):
            _shade_maps(transport, light, albedo, gains, out, threads)
    return out


def _shade_maps(
    transport: Transport,
    light: LightMaps,
    albedo: F32,
    gains: tuple[float, float, float],
    out: Shaded,
    threads: int | None,
) -> None:
    """Add the picture under light maps to `out`."""
    where = lookup(transport, light.diffuse.shape[0])
    diffuse = np.float32(gains[0]) * _table([light.diffuse])
    lobes = [n for n in transport.exponents if n in light.specular]
    rows = [transport.exponents.index(n) for n in lobes]
    specular = np.float32(gains[1]) * _table([light.specular[n] for n in lobes])
    sphere = light.harmonics[: len(transport.residual)]
    if transport.to_world is not None:
        seen = harmonics.seen_from(sphere.astype(np.float64), transport.to_world)
        sphere = seen.astype(np.float32)
    order = np.float32(gains[2]) * sphere

    def work(start: int) -> None:
        block = slice(start, start + BLOCK)
        seen = _gather(diffuse, where.normal, block)[:, :3]
        seen *= transport.diffuse[block, None]
        seen *= albedo[block]
        out.diffuse[block] += seen
        if lobes:
            shine = _gather(specular, where.reflection, block).reshape(-1, len(lobes), 3)
            out.specular[block] += np.einsum("pkc,kp->pc", shine, transport.specular[rows, block])
        rest = transport.residual[:, block].T @ order
        rest *= albedo[block]
        out.residual[block] += rest

    starts = range(0, len(transport.index), BLOCK)
    workers = threads or os.cpu_count() or 1
    if workers == 1 or len(starts) < 2:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, starts))


@lru_cache(maxsize=1)
def lookup(transport: Transport, height: int) -> Lookup:
    """Return where a transport's pixels read maps of a height; the last one is remembered.

    Args:
        transport: the subject.
        height: rows of the light maps.
    """
    normals = _flat(transport.normals)[transport.index]
    views = None if transport.view is None else np.ascontiguousarray(transport.view.T)
    towards = reflect(normals, views)
    if transport.to_world is not None:
        turn = transport.to_world.T.astype(np.float32)
        normals, towards = normals @ turn, towards @ turn
    return Lookup(latlong.taps(normals, height), latlong.taps(towards, height))


def _table(maps: list[F32]) -> F32:
    """Return the maps side by side, a row a texel, edged for seamless look-up."""
    if not maps:
        return np.zeros((0, 0), np.float32)
    edged = latlong.edged(np.concatenate(maps, axis=2))
    return np.ascontiguousarray(edged.reshape(-1, edged.shape[2]))


def _gather(table: F32, taps: tuple[NDArray[np.int32], F32], block: slice) -> F32:
    """Read a table at the pixels of a block, bilinear."""
    index, weight = taps[0][block], taps[1][block]
    total = table.take(index[:, 0], axis=0)
    total *= weight[:, 0, None]
    for tap in range(1, 4):
        part = table.take(index[:, tap], axis=0)
        part *= weight[:, tap, None]
        total += part
    return total


def _settled(light: LightMaps) -> LightMaps:
    """Return a light whose rotation and gain are in its maps."""
    degrees = light.rotation
    sphere = harmonics.turn(light.harmonics.astype(np.float64), degrees)
    return LightMaps(
        diffuse=latlong.turn(light.diffuse, degrees) * light.gain,
        specular={n: latlong.turn(m, degrees) * light.gain for n, m in light.specular.items()},
        harmonics=sphere.astype(np.float32) * light.gain,
        colour=light.colour,
    )


def _sum(a: LightMaps, b: LightMaps) -> LightMaps:
    return LightMaps(
        diffuse=a.diffuse + b.diffuse,
        specular={n: a.specular[n] + b.specular[n] for n in a.specular},
        harmonics=a.harmonics + b.harmonics,
        colour=a.colour,
    )


def _seen_light(transport: Transport, lights: list[Light]) -> dict[str, Image]:
    """Return the light maps as each pixel sees them, straight."""
    total: dict[str, F32] = {}
    for light in lights:
        if not isinstance(light, LightMaps):
            continue
        where = lookup(transport, light.diffuse.shape[0])
        every = slice(None)
        seen = {"diffuse_light": _gather(_table([light.diffuse]), where.normal, every)}
        for n, pixels in light.specular.items():
            seen[f"specular_light_{n:03d}"] = _gather(_table([pixels]), where.reflection, every)
        for name, part in seen.items():
            total[name] = total[name] + part if name in total else part
    return {name: _image(transport, part, "RGB") for name, part in total.items()}


def _flat(image: Image) -> F32:
    return image.pixels.reshape(-1, image.pixels.shape[2])


def _alpha(transport: Transport) -> F32:
    return _flat(transport.matte)[transport.index][:, :1]


def _image(transport: Transport, values: F32, channels: str) -> Image:
    """Return P×C values in the picture, 0 elsewhere."""
    matte = transport.matte
    pixels = np.zeros((matte.height * matte.width, values.shape[1]), np.float32)
    pixels[transport.index] = values
    return transport.foreground.like(
        pixels.reshape(matte.height, matte.width, -1),
        tuple(channels),
        alpha="premultiplied" if "A" in channels else "none",
    )
