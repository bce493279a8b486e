"""Relight: the dot product of a transport with light, pixel by pixel.

What depends on the subject alone is prepared once a transport (`relume.shading.lookup`), and lights
are added before any pixel is shaded (`relume.light.maps`), so a changed light costs a few look-ups
and multiplications a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.errors import UsageError
from relume.image import Image, Layers
from relume.light import harmonics, latlong
from relume.light.maps import added
from relume.light.types import Light, LightMaps, OriginalLight
from relume.shading.look import gloss_mix, glossier
from relume.shading.lookup import Block, prepare
from relume.shading.types import Transport

if TYPE_CHECKING:
    from scipy.sparse import csr_array

F32 = NDArray[np.float32]

PARTS = ("diffuse", "specular", "residual")
"""What a relit picture is the sum of."""

DARK = -1e-3
"""Relit values below this are reported: a truncated series rings into them."""

PIECE = 1 << 12
"""Pixels of one matrix product: so few stay in the calling thread, however BLAS is set up."""


@dataclass(frozen=True, slots=True, eq=False)
class Relit:
    """A relit subject.

    Attributes:
        relit: R, G, B, A, premultiplied: exactly diffuse + specular + residual, and the matte.
        passes: `diffuse`, `specular`, `residual` and a `relit_NAME` for each light,
            premultiplied; `diffuse_light` and `specular_light_NNN`, straight.
        negative: share of the subject's pixels with a value below −0.001 that the plate itself does
            not have.
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
    gloss: float = 0.0,
    original: float = 1.0,
    passes: bool = True,
    threads: int = 1,
) -> Relit:
    """Return the picture of a subject under named lights, with every part of it.

    Linear in the lights: pictures add as lights do, and twice the light is exactly twice the
    picture. The light the plate was filmed under cannot be taken apart, so the picture of
    `original` counts as residual, and only the gain of its own name touches it.

    Args:
        transport: the subject.
        lights: lights by name, in the working space.
        diffuse_gain: factor on the diffuse part.
        specular_gain: factor on the specular part.
        residual_gain: factor on the residual part: shadow, bounce, subsurface.
        gloss: octaves that the weights of the specular lobes move along their exponents.
        original: factor on the light the plate was filmed under.
        passes: whether to return the parts as well.
        threads: to compute with; the result does not depend on it.

    Returns:
        Images in the windows of the foreground: 0 outside the subject, nothing clamped.

    Raises:
        UsageError: a light has no map for a lobe that the transport weighs.
    """
    look = _Look(diffuse_gain, specular_gain, residual_gain, gloss, original)
    total = _Picture(transport, lights.values(), look, threads)
    frames, negative = total.shade(PARTS if passes else ())
    named: dict[str, F32] = {}
    if passes:
        named |= {part: frames[part] for part in PARTS}
        for name, light in lights.items():
            alone = frames
            if len(lights) > 1:
                alone, _ = _Picture(transport, [light], look, threads).shade(())
            named[f"relit_{name}"] = alone["relit"][:, :3]
        named |= total.look_up()
    layers = {name: _image(transport, pixels, "RGB") for name, pixels in named.items()}
    return Relit(_image(transport, frames["relit"], "RGBA"), Layers(layers), negative)


@dataclass(frozen=True, slots=True)
class _Look:
    """The factors of `relight`."""

    diffuse: float
    specular: float
    residual: float
    gloss: float
    original: float


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Lights of one size, as tables that pixels are looked up in.

    Attributes:
        lights: the lights, added.
        diffuse: texels×3.
        specular: texels×3K, what the weights of K lobes read.
        around: 16×3 harmonics in camera space.
    """

    lights: LightMaps
    diffuse: F32
    specular: F32
    around: F32


class _Picture:
    """A transport under some lights."""

    def __init__(
        self,
        transport: Transport,
        lights: Iterable[Light],
        look: _Look,
        threads: int,
    ) -> None:
        lights = list(lights)
        self.transport = transport
        self.threads = threads
        self.prepared = prepare(transport, threads)
        self.tables = [
            self._tables(maps, look)
            for maps in added(light for light in lights if isinstance(light, LightMaps))
        ]
        originals = [light.gain for light in lights if isinstance(light, OriginalLight)]
        self.original: F32 | None = None
        if originals:
            total: F32 = np.sum(originals, axis=0, dtype=np.float32)
            self.original = np.asarray(look.original * total, np.float32)

    def _tables(self, lights: LightMaps, look: _Look) -> _Tables:
        transport, rows = self.transport, list(self.prepared.rows)
        read = gloss_mix(transport.exponents, look.gloss)[:, rows].any(axis=1)
        lobes = [transport.exponents[row] for row in np.flatnonzero(read)]
        missing = [n for n in lobes if n not in lights.specular]
        if missing:
            wanted = ", ".join(str(n) for n in transport.exponents)
            raise UsageError(
                f"a light has no map for the Phong exponent {missing[0]}",
                way_out=f"Prefilter it with the exponents {wanted}",
            )
        sizes = {lights.specular[n].shape for n in lobes}
        if len(sizes) > 1:
            raise UsageError("the specular maps of a light differ in size")
        around = lights.harmonics[: len(transport.residual)]
        if transport.to_world is not None:
            world = around.astype(np.float64)
            around = harmonics.seen_from(world, transport.to_world).astype(np.float32)
        maps = glossier(lights.specular, transport.exponents, look.gloss, rows)
        return _Tables(
            lights,
            np.float32(look.diffuse) * _table([lights.diffuse]),
            np.float32(look.specular) * _table(maps),
            np.float32(look.residual) * around,
        )

    def shade(self, parts: Iterable[str]) -> tuple[dict[str, F32], float]:
        """Return `relit` with alpha and the parts asked for, whole frames, and the dark share."""
        count = self.transport.foreground.height * self.transport.foreground.width
        frames = {part: np.zeros((count, 3), np.float32) for part in parts}
        relit = np.zeros((count, 4), np.float32)
        taps = [self._taps(tables) for tables in self.tables]

        def work(number: int) -> int:
            block = self.prepared.blocks[number]
            found = self._block(
                block, [(normal[number], mirror[number]) for normal, mirror in taps]
            )
            for part, frame in frames.items():
                frame[block.place] = found[part]
            beauty = found["diffuse"] + found["specular"] + found["residual"]
            relit[block.place, :3] = beauty
            relit[block.place, 3:] = block.alpha
            if beauty.min() >= DARK:
                return 0
            below = beauty < DARK
            if self.original is not None:
                # What is negative in the plate itself is no fault of the series.
                below &= self._plate(block) >= 0
            return int(np.count_nonzero(below.any(axis=1)))

        with ThreadPoolExecutor(self.threads) as pool:
            dark = sum(pool.map(work, range(len(self.prepared.blocks))))
        return {**frames, "relit": relit}, dark / max(1, self.prepared.covered)

    def _taps(self, tables: _Tables) -> tuple[tuple[csr_array, ...], tuple[csr_array, ...]]:
        """Return the look-ups of all blocks in the diffuse and in the specular table."""
        specular = next(iter(tables.lights.specular.values()), tables.lights.diffuse)
        return (
            self.prepared.normal(self.transport, len(tables.lights.diffuse), self.threads),
            self.prepared.mirror(self.transport, len(specular), self.threads),
        )

    def _block(self, block: Block, taps: list[tuple[csr_array, csr_array]]) -> dict[str, F32]:
        """Return each part of a block, n×3, premultiplied."""
        shape = (len(block.alpha), 3)
        found: dict[str, F32] = {}

        def add(part: str, values: F32) -> None:
            found[part] = values if part not in found else found[part] + values

        for tables, (normal, mirror) in zip(self.tables, taps, strict=True):
            add("diffuse", (normal @ tables.diffuse) * block.body)
            if self.prepared.rows:
                add("specular", block.lobes @ (mirror @ tables.specular).reshape(-1, 3))
            if self.prepared.residual:
                add("residual", self._residual(block, tables.around))
        if self.original is not None:
            add("residual", self._plate(block))
        return {part: found.get(part, np.zeros(shape, np.float32)) for part in PARTS}

    def _plate(self, block: Block) -> F32:
        """Return the plate's own picture under the original light."""
        plate = self.transport.foreground.rgb.reshape(-1, 3)[block.place]
        gain = np.float32(0) if self.original is None else self.original
        own: F32 = plate * block.alpha * gain
        return own

    def _residual(self, block: Block, around: F32) -> F32:
        weights = self.transport.residual[:, block.pixels]
        out = np.empty((weights.shape[1], 3), np.float32)
        for start in range(0, len(out), PIECE):
            piece = slice(start, start + PIECE)
            np.matmul(weights[:, piece].T, around, out=out[piece])
        out *= block.tint
        return out

    def look_up(self) -> dict[str, F32]:
        """Return the light maps as each pixel sees them, straight, whole frames."""
        count = self.transport.foreground.height * self.transport.foreground.width
        frames: dict[str, F32] = {}
        for tables in self.tables:
            normal, mirror = self._taps(tables)
            maps = {"diffuse_light": (tables.lights.diffuse, normal)}
            for n, image in tables.lights.specular.items():
                maps[f"specular_light_{n:03d}"] = (image, mirror)
            for name, (image, taps) in maps.items():
                frame = frames.setdefault(name, np.zeros((count, 3), np.float32))
                table = _table([image])
                for block, tap in zip(self.prepared.blocks, taps, strict=True):
                    frame[block.place] += (tap @ table) * block.valid
        return frames


def _table(images: list[F32]) -> F32:
    """Return maps side by side, a row a texel, with an edge for seamless look-up."""
    if not images:
        return np.zeros((0, 0), np.float32)
    edged = latlong.edged(np.concatenate(images, axis=2))
    return edged.reshape(-1, edged.shape[2])


def _image(transport: Transport, pixels: F32, channels: str) -> Image:
    """Return a frame of flat pixels in the windows of the foreground."""
    foreground = transport.foreground
    return foreground.like(
        pixels.reshape(foreground.height, foreground.width, -1),
        tuple(channels),
        alpha="premultiplied" if "A" in channels else "none",
    )
