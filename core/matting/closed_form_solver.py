"""Conjugate gradients for matting Laplacians, on a multigrid of locally affine mattes.

A matting Laplacian barely resists mattes that are affine in the colours, window by window. The
usual coarse spaces, constant over blocks of pixels, miss those, and multigrid on them stalls. Here
every block of 6×6 pixels gives up to four unknowns: the best constant and slopes in R, G and B.
The first step of the iteration is therefore a start from coarse to fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relume.matting.crew import Crew

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

MODES = 4
"""Unknowns of a block: a constant, and slopes in three colours."""

FIRST = 6
"""Pixels along the side of a block of the first coarse level, larger than the stencil's reach."""

FEW = 60_000
"""A level of this many unknowns or fewer is factorised."""

DIRECT = 40_000
"""A system of this many unknowns or fewer is factorised without more ado."""

ROUNDS = 300


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A sparse symmetric system over scattered pixels.

    Attributes:
        matrix: N×N `scipy.sparse.csr_array`; no entry links two pixels of one group.
        right: N.
        row: N, of each pixel in the picture.
        column: N.
        groups: where each group of consecutive pixels starts, and N.
        colour: N×3, in which solutions are nearly affine from place to place.
    """

    matrix: Any
    right: F64
    row: I64
    column: I64
    groups: I64
    colour: F64


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What the solver found.

    Attributes:
        values: N.
        rounds: how many steps it took, 0 where the system was factorised.
        doubt: the correction that was still proposed, its root mean square.
    """

    values: F64
    rounds: int
    doubt: float


def solve(
    system: System, tolerance: float, crew: Crew | None = None, exact: bool = False
) -> Solution:
    """Solve a system: a small one exactly, a large one to an estimated error.

    Source: flexible conjugate gradients, Notay 2000; the preconditioner is one V-cycle with a
    Gauss-Seidel sweep down and the reversed one up. It works in float32, the iteration in
    float64. Rows of a group do not depend on each other, so that a sweep is a few sparse products.

    Args:
        system: the system, positive definite.
        tolerance: stop when the preconditioner, which is close to the inverse, would move the
            values by no more in the root mean square.
        crew: who shares the work; the bits are the same for any number.
        exact: whether to factorise a large system as well.

    Returns:
        The solution; its doubt exceeds the tolerance where 300 rounds were not enough.
    """
    if exact or len(system.right) <= DIRECT:
        return Solution(_factorised(system.matrix).solve(system.right), 0, 0.0)
    crew = crew or Crew(1)
    cycle = _Cycle(system, crew)
    matrix = _Rows(system.matrix, crew)
    values, rest = np.zeros_like(system.right), system.right
    step = cycle(rest)
    along, slope = step, _dot(rest, step)
    doubt, rounds = _size(step), 0
    while doubt > tolerance and rounds < ROUNDS and slope > 0.0:
        rounds += 1
        image = matrix @ along
        length = slope / _dot(along, image)
        values = values + length * along
        before, rest = rest, rest - length * image
        step = cycle(rest)
        doubt = _size(step)
        turn = _dot(step, rest - before) / slope
        slope = _dot(rest, step)
        along = step + turn * along
    return Solution(values + step, rounds, doubt)


def _dot(one: F64, other: F64) -> float:
    """Return an inner product; BLAS would sum in an order that depends on its threads."""
    return float((one * other).sum())


def _size(step: F64) -> float:
    return float(np.sqrt(np.square(step).mean()))


def _factorised(matrix: Any) -> Any:
    from scipy.sparse.linalg import splu

    options = {"SymmetricMode": True}
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options=options, diag_pivot_thresh=0.0)


class _Rows:
    """A matrix in shares of rows.

    Args:
        matrix: CSR.
        crew: who shares.
    """

    def __init__(self, matrix: Any, crew: Crew) -> None:
        from scipy import sparse

        self.crew = crew
        self.height = matrix.shape[0]
        self.pieces: list[tuple[slice, Any]] = []
        for low, high in crew.shares(0, self.height):
            first, last = matrix.indptr[low], matrix.indptr[high]
            content = (
                matrix.data[first:last],
                matrix.indices[first:last],
                matrix.indptr[low : high + 1] - first,
            )
            piece = sparse.csr_array(content, (high - low, matrix.shape[1]))
            self.pieces.append((slice(low, high), piece))

    def __matmul__(self, vector: F64) -> F64:
        out = np.empty(self.height)

        def multiply(piece: tuple[slice, Any]) -> None:
            rows, part = piece
            out[rows] = part @ vector

        self.crew.each(multiply, self.pieces)
        return out


class _Cycle:
    """An approximate inverse of a system's matrix.

    Args:
        system: the system.
        crew: who works on it.
    """

    def __init__(self, system: System, crew: Crew) -> None:
        from scipy import sparse

        matrix, groups = system.matrix, system.groups
        row, column = system.row, system.column
        modes = np.column_stack((np.ones(len(row)), system.colour))
        self.sweeps: list[_Sweep] = []
        self.up: list[Any] = []
        self.down: list[Any] = []
        width, side = 1, FIRST
        while matrix.shape[0] > FEW or not self.sweeps:
            self.sweeps.append(_Sweep(matrix, groups, width, crew))
            block, row, column, groups = _blocks(row // side, column // side)
            basis, modes = _orthonormal(modes, np.repeat(block, width), len(row))
            shape = matrix.shape[0], MODES * len(row)
            pointer = np.arange(len(block) + 1, dtype=np.int32)
            basis = basis.reshape(-1, width, MODES)
            up = sparse.bsr_array((basis, block.astype(np.int32), pointer), shape)
            matrix = _coarser(matrix, up, modes, width)
            self.up.append(up.tocsr().astype(np.float32))
            self.down.append(self.up[-1].T)
            width, side = MODES, 2
        self.coarsest = _factorised(matrix)

    def __call__(self, rest: F64) -> F64:
        """Return about the inverse times a vector."""
        # float32 has an exponent to run out of.
        scale = float(np.abs(rest).max(initial=0.0)) or 1.0
        return self._at(0, (rest / scale).astype(np.float32)).astype(np.float64) * scale

    def _at(self, level: int, rest: F32) -> F32:
        if level == len(self.sweeps):
            coarse: F32 = self.coarsest.solve(rest.astype(np.float64)).astype(np.float32)
            return coarse
        sweep = self.sweeps[level]
        values, left = sweep.down(rest)
        values += self.up[level] @ self._at(level + 1, self.down[level] @ left)
        sweep.up(rest, values)
        return values


class _Piece(NamedTuple):
    """Rows of a group that one thread works on: their blocks, and what stands beside them."""

    blocks: slice
    rows: slice
    lower: Any
    upper: Any


class _Sweep:
    """Gauss-Seidel over groups of rows that do not depend on each other.

    Args:
        matrix: in rows of blocks, CSR or BSR.
        groups: where each group of block rows starts, and their count.
        width: of a block.
        crew: who works on it.
    """

    def __init__(self, matrix: Any, groups: I64, width: int, crew: Crew) -> None:
        from scipy import sparse

        pointer, indices = matrix.indptr, matrix.indices
        data = matrix.data.astype(np.float32)
        count = len(pointer) - 1
        middle = np.flatnonzero(np.repeat(np.arange(count), np.diff(pointer)) == indices)
        diagonal = matrix.data[middle].reshape(count, width, width)
        self.width = width
        self.crew = crew
        inverse = 1.0 / diagonal if width == 1 else np.linalg.inv(diagonal)
        self.inverse: F32 = inverse.astype(np.float32)
        self.groups: list[list[_Piece]] = []
        for begin, end in pairwise(groups.tolist()):
            pieces = []
            for low, high in crew.shares(begin, end):
                entries = slice(pointer[low], pointer[high])
                to, values = indices[entries], data[entries]
                sides: list[Any] = []
                for kept in (to < begin, to >= end):
                    before = np.concatenate(([0], np.cumsum(kept)))
                    starts = before[pointer[low : high + 1] - pointer[low]].astype(np.int32)
                    shape = (high - low) * width, count * width
                    kind = sparse.csr_array if width == 1 else sparse.bsr_array
                    sides.append(kind((values[kept], to[kept], starts), shape))
                rows = slice(low * width, high * width)
                pieces.append(_Piece(slice(low, high), rows, sides[0], sides[1]))
            self.groups.append(pieces)

    def down(self, rest: F32) -> tuple[F32, F32]:
        """Return the values of a sweep that starts from 0, and what they leave of the right."""
        values, left = np.zeros_like(rest), np.empty_like(rest)

        def settle(piece: _Piece) -> None:
            values[piece.rows] = self._solved(piece, rest[piece.rows] - piece.lower @ values)

        def leave(piece: _Piece) -> None:
            left[piece.rows] = -(piece.upper @ values)

        for pieces in self.groups:
            self.crew.each(settle, pieces)
        # Rows were solved against the groups before them, so what comes after them is left.
        self.crew.each(leave, [piece for pieces in self.groups for piece in pieces])
        return values, left

    def up(self, rest: F32, values: F32) -> None:
        """Sweep in reverse, in place."""

        def settle(piece: _Piece) -> None:
            known = piece.lower @ values + piece.upper @ values
            values[piece.rows] = self._solved(piece, rest[piece.rows] - known)

        for pieces in reversed(self.groups):
            self.crew.each(settle, pieces)

    def _solved(self, piece: _Piece, right: F32) -> F32:
        inverse = self.inverse[piece.blocks]
        if self.width == 1:
            return inverse[:, 0, 0] * right
        out: F32 = (inverse @ right.reshape(-1, self.width, 1)).ravel()
        return out


def _blocks(row: I64, column: I64) -> tuple[I64, I64, I64, I64]:
    """Number the blocks that points fall in, in four groups without neighbours.

    Args:
        row: N, row of the block of each point.
        column: N.

    Returns:
        Number of each point's block; row and column of each block; starts of the groups.
    """
    across = int(column.max(initial=0)) + 1
    size = (int(row.max(initial=0)) + 1) * across
    group = (row % 2) * 2 + column % 2
    keys, block = np.unique(group * size + row * across + column, return_inverse=True)
    rows, columns = np.divmod(keys % size, across)
    starts = np.searchsorted(keys, np.arange(5) * size)
    return block, rows, columns, starts


def _orthonormal(modes: F64, block: I64, count: int) -> tuple[F64, F64]:
    """Make the modes orthonormal within every block, twice by Gram-Schmidt.

    Args:
        modes: N×4.
        block: N, the block of each row.
        count: of blocks.

    Returns:
        Orthonormal modes, N×4, 0 where a mode adds nothing; and the modes in terms of those,
        4·count × 4.
    """
    basis = np.empty_like(modes)
    terms = np.zeros((count, MODES, MODES))
    for mode in range(MODES):
        rest = modes[:, mode].copy()
        size = np.bincount(block, rest * rest, count)
        for _ in range(2):
            for other in range(mode):
                share = np.bincount(block, basis[:, other] * rest, count)
                terms[:, other, mode] += share
                rest -= share[block] * basis[:, other]
        left = np.bincount(block, rest * rest, count)
        new = left > 1e-10 * size
        length = np.sqrt(np.where(new, left, 0.0))
        terms[:, mode, mode] = length
        basis[:, mode] = rest * np.divide(1.0, length, out=np.zeros(count), where=new)[block]
    return basis, terms.reshape(-1, MODES)


def _coarser(matrix: Any, up: Any, terms: F64, width: int) -> Any:
    """Return the matrix between blocks, with 1 on the diagonal of modes that add nothing."""
    from scipy import sparse

    if width == 1:
        # As blocks of one number: a product of blocks looks up a quarter of the indices.
        data = matrix.data[:, None, None]
        matrix = sparse.bsr_array((data, matrix.indices, matrix.indptr), matrix.shape)
    out = sparse.bsr_array(up.T @ (matrix @ up), blocksize=(MODES, MODES))
    out.sort_indices()
    count = len(out.indptr) - 1
    middle = np.flatnonzero(np.repeat(np.arange(count), np.diff(out.indptr)) == out.indices)
    mode = np.arange(MODES)
    idle = terms.reshape(count, MODES, MODES)[:, mode, mode] == 0.0
    out.data[middle[:, None], mode, mode] += idle
    return out
