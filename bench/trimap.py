"""Closed-form mattes of a 1080p head of hair from a trimap, beside pymatting in the same run.

The hair is drawn strand by strand at four times the size, so that the true alpha is known; the
background has highlights above 1. Give another number of threads as OMP_NUM_THREADS.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
from scipy import ndimage

from relume.encoding import encode
from relume.matting.closed_form import EPSILON, solve_alpha
from relume.matting.metrics import matte_error

THREADS = int(os.environ["OMP_NUM_THREADS"])
HEIGHT, WIDTH = 1080, 1920
FINE = 4
STRANDS, STEPS = 2500, 700
RUNS = 3


def strands(rng: np.random.Generator) -> np.ndarray:
    """Return the tone of every fine pixel: 0 background, 1 skin, 2 to 9 hair, dark to bright."""
    height, width = HEIGHT * FINE, WIDTH * FINE
    tone = np.zeros((height, width), np.uint8)
    y, x = np.ogrid[:height, :width]
    middle, centre, radius = 0.56 * height, 0.5 * width, 0.26 * height
    tone[((y - middle) / 1.15) ** 2 + (x - centre) ** 2 < radius**2] = 1
    tone[(np.abs(x - centre) - 0.5 * radius < 1.1 * (y - middle - 0.9 * radius))
         & (y > middle + 0.8 * radius)] = 1  # fmt: skip
    count = 2 * STRANDS
    angle = rng.uniform(-1.12 * np.pi, 0.12 * np.pi, count)
    inside = np.repeat((0.0, 0.16), STRANDS)
    start = rng.uniform(0.72, 1.0, count) - inside
    reach = radius * np.where(inside > 0, 0.45, rng.gamma(3.0, 0.09, count))
    t = np.linspace(0.0, 1.0, STEPS, dtype=np.float32)[:, None]
    bend, curl = rng.normal(0.0, 0.9, count), rng.normal(0.0, 0.5, count)
    wave = np.sin(rng.uniform(4.0, 14.0, count) * t + rng.uniform(0.0, 6.3, count))
    turn = angle + rng.normal(0.0, 0.4, count) + bend * t + curl * wave
    step = reach / STEPS
    rows = middle + 1.15 * radius * start * np.sin(angle) + np.cumsum(np.sin(turn) * step, 0)
    columns = centre + radius * start * np.cos(angle) + np.cumsum(np.cos(turn) * step, 0)
    thick = FINE * np.where(inside > 0, 4.0, rng.uniform(0.35, 0.9, count))
    shade = rng.integers(2, 10, count, dtype=np.uint8)
    # Those that only fill the head come first, and lie below.
    for chosen in (inside > 0, inside == 0):
        half = int(thick[chosen].max() / 2) + 1
        for down in range(-half, half + 1):
            for across in range(-half, half + 1):
                near = (thick[chosen] / 2 * (1.0 - 0.7 * t)) ** 2 + 0.26
                drawn = down * down + across * across <= near
                at = [np.rint(rows[:, chosen][drawn] + down).astype(int)]
                at.append(np.rint(columns[:, chosen][drawn] + across).astype(int))
                seen = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
                colour = np.broadcast_to(shade[chosen], drawn.shape)[drawn]
                tone[at[0][seen], at[1][seen]] = colour[seen]
    return tone


def frame() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a scene-linear plate with grain, its alpha, and a trimap."""
    rng = np.random.default_rng(0)
    tone = strands(rng)
    cover = (tone > 0).reshape(HEIGHT, FINE, WIDTH, FINE).sum((1, 3))
    palette = np.zeros((10, 3), np.float32)
    palette[1] = 0.45, 0.27, 0.19
    palette[2:] = np.float32([0.16, 0.09, 0.05]) * np.geomspace(0.4, 2.5, 8)[:, None]
    blocks = palette[tone].reshape(HEIGHT, FINE, WIDTH, FINE, 3).sum((1, 3), dtype=np.float64)
    y, x = (axis / HEIGHT for axis in np.mgrid[:HEIGHT, :WIDTH])
    shading = (1.0 + 0.5 * np.sin(7.0 * x + 2.0 * y))[..., None]
    back = 0.12 + 0.1 * np.stack((np.sin(3 * x + 1), np.cos(4 * y), np.sin(2 * x - 3 * y)), -1)
    for _ in range(120):
        row, column, radius = rng.uniform((0, 0, 0.01), (1, WIDTH / HEIGHT, 0.12))
        blur = rng.uniform(0.005, 0.03)
        disc = np.clip((radius - np.hypot(y - row, x - column)) / blur + 0.5, 0.0, 1.0)
        back += 0.7 * disc[..., None] * (rng.lognormal(-1.2, 1.0, 3) - back)
    alpha = cover / FINE**2
    plate = blocks / FINE**2 * shading + (1.0 - alpha[..., None]) * back
    plate += 0.002 * rng.normal(size=plate.shape) * np.sqrt(np.abs(plate) + 0.02)
    soft = (alpha > 0.0) & (alpha < 1.0)
    unknown = ndimage.binary_dilation(soft, np.ones((3, 3), bool), iterations=6)
    return plate, alpha, np.where(unknown, 0.5, alpha > 0.5)


def timed(work: Callable[[], np.ndarray], runs: int = 1) -> tuple[float, float, np.ndarray]:
    """Return the shortest wall and processor time of some runs, and the result."""
    walls, processors = [], []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        found = work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors), found


def main() -> None:
    warnings.simplefilter("ignore")
    from pymatting import estimate_alpha_cf

    plate, alpha, trimap = frame()
    unknown, foreground = trimap == 0.5, trimap == 1.0

    def ours(picture: np.ndarray, epsilon: float = EPSILON, exact: bool = False) -> np.ndarray:
        return solve_alpha(picture, unknown, foreground, epsilon, exact=exact, threads=THREADS)[0]

    def theirs(part: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
        return estimate_alpha_cf(plate[part], trimap[part])

    # What is compiled or imported at the first call is not counted.
    ours(plate)
    theirs((slice(None, None, 8), slice(None, None, 8)))
    rows = {
        "relume": timed(lambda: ours(plate), RUNS),
        "relume, epsilon 1e-7 as pymatting": timed(lambda: ours(plate, 1e-7), RUNS),
        "the same, exact": timed(lambda: ours(plate, 1e-7, exact=True)),
        "pymatting estimate_alpha_cf": timed(theirs),
        "relume, log-encoded plate": timed(lambda: ours(encode(np.float32(plate)))),
    }
    print(f"1080p, {100 * unknown.mean():.0f} % unknown, {THREADS} threads\n")
    print("| what | wall s | processor s | SAD | MSE × 1e3 | Grad |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (wall, processor, found) in rows.items():
        error = matte_error(found, alpha, unknown)
        figures = f"{error.sad:.3f} | {error.mse:.2f} | {error.grad:.3f}"
        print(f"| {name} | {wall:.2f} | {processor:.2f} | {figures} |")
    quick, reference = (
        rows["relume, epsilon 1e-7 as pymatting"],
        rows["pymatting estimate_alpha_cf"],
    )
    wall, processor = (reference[i] / quick[i] for i in (0, 1))
    print(
        f"\n{wall:.1f} times as fast as pymatting by the clock, {processor:.1f} by the processor."
    )


if __name__ == "__main__":
    main()
