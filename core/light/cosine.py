"""The clamped cosine summed over an environment, exactly, per pair of latitudes.

Between a map's row at colatitude θ and an environment's row at ϑ the kernel depends on the
difference in longitude only: max(0, a + b cos Δ) with a = cos θ cos ϑ and b = sin θ sin ϑ. Both
rows lie on a common grid of N longitudes, on which the samples inside the support |Δ| < φ₀ number
c, and the discrete Fourier series of the kernel has a closed form:

    K_m = a S_m + (b/2)(S_{m−1} + S_{m+1}),  S_m = sin(m c π/N) / sin(m π/N),  S_0 = c.

So a row of the map costs one product of a matrix and a vector per mode, and is the plain sum over
all texels to rounding: nothing is cut off where the kernel has its kink.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from relume.light import latlong

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
C64 = NDArray[np.complex64]
C128 = NDArray[np.complex128]
Complex = NDArray[np.complexfloating]
Numbers = NDArray[np.inexact]

MODES = 64
"""Modes of a task. The recurrence over modes starts afresh in each, so errors do not build up."""

CELLS = 1 << 15
"""Pairs of latitudes in a block: its arrays stay in a core's cache."""


def common_grid(width: int, out_width: int) -> int:
    """Return N, the longitudes on which an environment's columns and a map's both lie."""
    return math.lcm(width, out_width)


def convolve(modes: C64, height: int, threads: int = 1) -> F32:
    """Return Σ L ΔΩ max(0, n·ω) / Σ ΔΩ max(0, n·ω) for the directions n of a map.

    Args:
        modes: rows × (rows + 1) × C, the real Fourier transform of an environment's rows.
        height: rows of the map.
        threads: to compute with; the result does not depend on it.

    Returns:
        height × 2·height × C.
    """
    pairs = _Pairs.of(len(modes), height)
    last = pairs.grid // 2
    spectrum = np.zeros((last + 1, height, modes.shape[2]), np.complex64)
    tasks = [range(start, min(start + MODES, last + 1)) for start in range(2, last + 1, MODES)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(partial(_fill, spectrum, pairs, modes), tasks))
    total = spectrum.astype(np.complex128)
    # The first two modes carry nearly all the light: their sums are kept in float64.
    solid = latlong.solid_angles(len(modes))[:, None]
    for m, low in enumerate(pick(modes, range(2)) * solid):
        kernel = pairs.kernel(m)
        _both_halves(total[m], slice(0, len(kernel)), kernel @ low, kernel @ low[::-1])
    # Samples of a constant are a comb: its modes are multiples of the width, of changing sign.
    constant = np.zeros((last + 1, height, 1), np.complex128)
    ones = 2 * len(modes) * solid
    for turn, m in enumerate(range(0, last + 1, 2 * len(modes))):
        response = pairs.kernel(m) @ ones * (-1) ** turn
        _both_halves(constant[m], slice(0, len(response)), response, response)
    # Every mode but the first and the last stands for its conjugate too.
    total[1:last] *= 2.0
    constant[1:last] *= 2.0
    width = 2 * height
    return (rows_of(total, width) / rows_of(constant, width)).astype(np.float32)


def pick(modes: C64, wanted: range) -> C64:
    """Return Σ_j L_j exp(−2πi m u_j) of each row for some m; samples are a comb, so m never ends.

    Args:
        modes: rows × (rows + 1) × C, the transform of the rows.
        wanted: any m ≥ 0.

    Returns:
        len(wanted) × rows × C.
    """
    width = 2 * len(modes)
    # The transform counts from the first texel's centre, u = ½/width.
    centre = np.exp(-1j * np.pi / width * (np.asarray(wanted) % width))
    turns, rest = np.divmod(np.asarray(wanted), width)
    folded = rest > width // 2
    found = modes[:, np.where(folded, width - rest, rest)].transpose(1, 0, 2).copy()
    np.conjugate(found, out=found, where=folded[:, None, None])
    found *= (np.where(turns % 2, -1, 1) * centre).astype(np.complex64)[:, None, None]
    return found


def rows_of(spectrum: C128, width: int) -> F64:
    """Return Σ_m Re(F_m exp(2πi m u)) at the centres of a map's columns.

    Args:
        spectrum: M×H×C, any number of modes.
        width: columns.

    Returns:
        H×width×C.
    """
    count, height, channels = spectrum.shape
    periods = -(-count // width)
    folded = np.zeros((periods * width, height, channels), np.complex128)
    folded[:count] = spectrum
    # u = (i + ½)/width: a mode one period up is the same wave with its sign changed.
    sign = (-1.0) ** np.arange(periods)
    summed = np.einsum("pwhc,p->hwc", folded.reshape(periods, width, height, channels), sign)
    summed *= np.exp(1j * np.pi / width * np.arange(width))[:, None]
    return np.fft.ifft(summed, axis=1, norm="forward").real


@dataclass(slots=True)
class _Pairs:
    """Pairs of a map row in the upper half and an environment row; the lower half mirrors them.

    Attributes:
        height: rows of the map.
        grid: N.
        a, b: the kernel is max(0, a + b cos Δ).
        inside: c, samples inside the support: 0 none, N all.
    """

    height: int
    grid: int
    a: F64
    b: F64
    inside: F64

    @classmethod
    def of(cls, rows: int, height: int) -> _Pairs:
        grid = common_grid(2 * rows, 2 * height)
        there = latlong.colatitudes(rows)
        here = latlong.colatitudes(height)[: (height + 1) // 2, None]
        a, b = np.cos(here) * np.cos(there), np.sin(here) * np.sin(there)
        half = np.arccos(np.clip(-a / b, -1.0, 1.0)) * (grid / (2 * np.pi))
        if (grid // (2 * height) - grid // (2 * rows)) % 2:
            inside = 2.0 * np.floor(half + 0.5)  # Δ = ±½, ±1½, … steps
        else:
            inside = 2.0 * np.floor(half) + 1.0  # Δ = 0, ±1, … steps
        return cls(height, grid, a, b, np.where(a <= -b, 0.0, np.where(a >= b, grid, inside)))

    def kernel(self, m: int) -> F64:
        """Return K_m of all pairs, as it is written above."""
        step = np.pi / self.grid

        def term(n: int) -> F64:
            return np.sin(n * self.inside * step) / np.sin(n * step) if n else self.inside

        return self.a * term(m) + self.b / 2 * (term(abs(m - 1)) + term(m + 1))

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield some rows of the map and the rows of the environment whose kernel has a kink.

        Elsewhere K_m is 0 for m ≥ 2.
        """
        tall = max(1, CELLS // self.a.shape[1])
        for start in range(0, len(self.a), tall):
            here = slice(start, min(start + tall, len(self.a)))
            inside = self.inside[here]
            kinked = np.nonzero(((inside > 0) & (inside < self.grid)).any(0))[0]
            if len(kinked):
                yield here, slice(int(kinked[0]), int(kinked[-1]) + 1)

    def kernels(self, here: slice, there: slice, wanted: range) -> Iterator[F32]:
        """Yield K_m of a block for each wanted m ≥ 2; the array is used again."""
        a = self.a[here, there].astype(np.float32)
        half_b = (self.b[here, there] / 2).astype(np.float32)
        angle = self.inside[here, there] * (np.pi / self.grid)
        twice = (2 * np.cos(angle)).astype(np.float32)
        # sin(m ψ) by Chebyshev's recurrence, and S_m one step behind and ahead of it.
        before = np.sin((wanted.start - 1) * angle).astype(np.float32)
        now = np.sin(wanted.start * angle).astype(np.float32)
        scale = 1.0 / np.sin(np.arange(wanted.start - 1, wanted.stop + 1) * (np.pi / self.grid))
        scale = scale.astype(np.float32)
        s_before, s_now = before * scale[0], now * scale[1]
        kernel, s_after = np.empty_like(a), np.empty_like(a)
        for position in range(len(wanted)):
            np.multiply(twice, now, out=kernel)
            np.subtract(kernel, before, out=before)
            before, now = now, before
            np.multiply(now, scale[position + 2], out=s_after)
            np.add(s_before, s_after, out=s_before)
            np.multiply(s_before, half_b, out=s_before)
            np.multiply(a, s_now, out=kernel)
            np.add(kernel, s_before, out=kernel)
            yield kernel
            s_before, s_now, s_after = s_now, s_after, s_before


def _fill(spectrum: C64, pairs: _Pairs, modes: C64, wanted: range) -> None:
    """Fill the wanted modes of a map: kernel times environment, summed over latitudes."""
    source = pick(modes, wanted)
    source *= latlong.solid_angles(len(modes)).astype(np.float32)[:, None]
    channels = source.shape[2]
    # The lower half of the map sees the upside-down environment with the upper half's kernels.
    both = np.concatenate((source, source[:, ::-1]), axis=2).view(np.float32)
    for here, there in pairs.blocks():
        for at, kernel in enumerate(pairs.kernels(here, there, wanted)):
            # Halves of a block are products so small that BLAS leaves them to this thread.
            halves = kernel.reshape(2 - len(kernel) % 2, -1, kernel.shape[1])
            found = np.matmul(halves, both[at, there]).reshape(len(kernel), -1).view(np.complex64)
            _both_halves(spectrum[wanted[at]], here, found[:, :channels], found[:, channels:])


def _both_halves(rows: Complex, here: slice, upper: Numbers, lower: Numbers) -> None:
    """Write rows of the upper half and their mirror images in the lower half."""
    rows[here] = upper
    rows[len(rows) - here.stop : len(rows) - here.start] = lower[::-1]
