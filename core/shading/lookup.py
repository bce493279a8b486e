"""Where each pixel of a transport reads light maps, worked out once a transport.

Bilinear look-up is a sparse matrix of four weights a row, so that a changed light is one product
of it with the new maps.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relume.geometry.camera import reflect
from relume.image import Image
from relume.light import latlong
from relume.shading.types import Transport

if TYPE_CHECKING:
    from scipy.sparse import csr_array

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

BLOCK = 1 << 15
"""Pixels worked at a time. Fixed, so that results do not depend on the number of threads."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some consecutive pixels of a transport, with the weights that no light changes.

    Attributes:
        pixels: which of the transport's pixels.
        place: their flat positions in the data window, a slice where they are consecutive.
        alpha: n×1 of the matte.
        tint: n×3 albedo times alpha.
        body: n×3 albedo times alpha times the weight of D(N).
        lobes: n × (n·K), the weights of K lobes times alpha: row p weighs p·K … p·K + K − 1.
        valid: n×1, 1 where there is a normal to look light up with.
    """

    pixels: slice
    place: slice | I32
    alpha: F32
    tint: F32
    body: F32
    lobes: csr_array
    valid: F32


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A transport ready to be lit.

    Attributes:
        rows: of `Transport.specular` that weigh anything anywhere.
        blocks: all pixels, in order.
        residual: whether any pixel has a residual.
        covered: pixels with alpha above 0.
    """

    rows: tuple[int, ...]
    blocks: tuple[Block, ...]
    residual: bool
    covered: int
    _taps: dict[tuple[str, int], tuple[csr_array, ...]] = field(default_factory=dict)

    def normal(self, transport: Transport, height: int, threads: int) -> tuple[csr_array, ...]:
        """Return look-ups of a map of `height` rows at the normals, n × texels a block."""
        return self._find("normal", _normals, transport, height, threads)

    def mirror(self, transport: Transport, height: int, threads: int) -> tuple[csr_array, ...]:
        """Return look-ups of a map of `height` rows at the reflections, n × texels a block."""
        return self._find("mirror", _reflections, transport, height, threads)

    def _find(
        self,
        kind: str,
        towards: Callable[[Transport, slice], F32],
        transport: Transport,
        height: int,
        threads: int,
    ) -> tuple[csr_array, ...]:
        found = self._taps.get((kind, height))
        if found is None:
            with ThreadPoolExecutor(threads) as pool:
                made = pool.map(
                    lambda block: _bilinear(towards(transport, block.pixels), height), self.blocks
                )
                found = self._taps[kind, height] = tuple(made)
        return found


_last: tuple[weakref.ref[Transport], Prepared] | None = None


def prepare(transport: Transport, threads: int = 1) -> Prepared:
    """Return a transport ready to be lit; the last one is remembered while it lives.

    Args:
        transport: the subject.
        threads: to compute with; the result does not depend on it.
    """
    global _last
    # Read once: another thread may replace it meanwhile.
    known = _last
    if known is not None and known[0]() is transport:
        return known[1]
    rows = tuple(int(row) for row in np.flatnonzero(transport.specular.any(axis=1)))
    starts = range(0, len(transport.index), BLOCK)
    with ThreadPoolExecutor(threads) as pool:
        blocks = tuple(pool.map(lambda start: _block(transport, start, rows), starts))
    covered = sum(int(np.count_nonzero(block.alpha > 0)) for block in blocks)
    made = Prepared(rows, blocks, bool(transport.residual.any()), covered)
    _last = (weakref.ref(transport, _forget), made)
    return made


def _forget(gone: weakref.ref[Transport]) -> None:
    global _last
    if _last is not None and _last[0] is gone:
        _last = None


def _block(transport: Transport, start: int, rows: tuple[int, ...]) -> Block:
    pixels = slice(start, min(start + BLOCK, len(transport.index)))
    index = transport.index[pixels]
    consecutive = int(index[-1]) - int(index[0]) == len(index) - 1
    alpha = _at(matte_plane(transport.matte), index)
    tint = _at(transport.albedo.rgb, index) * alpha
    valid = (_normals(transport, pixels) != 0).any(axis=1)[:, None].astype(np.float32)
    return Block(
        pixels=pixels,
        place=slice(int(index[0]), int(index[-1]) + 1) if consecutive else index,
        alpha=alpha,
        tint=tint,
        body=tint * (transport.diffuse[pixels, None] * valid),
        lobes=_own_columns(transport.specular[list(rows), pixels].T * (alpha * valid)),
        valid=valid,
    )


def matte_plane(matte: Image) -> F32:
    """Return H×W×1 coverage: A, or the only channel."""
    return matte.take("A") if matte.has("A") else matte.pixels[:, :, :1]


def _at(pixels: F32, index: I32) -> F32:
    return pixels.reshape(-1, pixels.shape[2])[index]


def _normals(transport: Transport, pixels: slice) -> F32:
    """Return n×3 normals in the space the light is fixed to."""
    normals = _at(transport.normals.take("X", "Y", "Z"), transport.index[pixels])
    return _to_light(transport, normals)


def _reflections(transport: Transport, pixels: slice) -> F32:
    """Return n×3 mirror directions in the space the light is fixed to."""
    normals = _at(transport.normals.take("X", "Y", "Z"), transport.index[pixels])
    length = np.sqrt(np.einsum("pi,pi->p", normals, normals))[:, None]
    normals /= np.where(length > 0, length, np.float32(1.0))
    view = transport.view
    seen = None if view is None else np.ascontiguousarray(view[:, pixels].T)
    return _to_light(transport, reflect(normals, seen))


def _to_light(transport: Transport, towards: F32) -> F32:
    if transport.to_world is None:
        return towards
    return np.asarray(towards @ transport.to_world.T.astype(np.float32))


def _bilinear(towards: F32, height: int) -> csr_array:
    from scipy.sparse import csr_array

    index, weight = latlong.taps(towards, height)
    ends = np.arange(0, index.size + 1, 4, dtype=np.int32)
    texels = (height + 2) * (2 * height + 2)
    return csr_array((weight.reshape(-1), index.reshape(-1), ends), shape=(len(index), texels))


def _own_columns(weights: F32) -> csr_array:
    """Return the n × (n·K) matrix whose row p holds weights[p] in columns of its own."""
    from scipy.sparse import csr_array

    count, lobes = weights.shape
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(lobes)
    columns = np.arange(weights.size, dtype=np.int32)
    data = np.ascontiguousarray(weights).reshape(-1)
    return csr_array((data, columns, ends), shape=(count, weights.size))
