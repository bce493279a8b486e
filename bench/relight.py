"""How long a changed light takes: rotation and gain of prefiltered light maps, to a picture."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import numpy as np
from timing import best

from relume.geometry.camera import reflect
from relume.image import Image
from relume.light import harmonics, latlong
from relume.light.maps import turned
from relume.light.prefilter import prefilter
from relume.light.rig import PRESETS, draw
from relume.light.types import LightMaps
from relume.shading.lookup import prepare
from relume.shading.phong import phong_transport
from relume.shading.relight import relight
from relume.shading.types import Transport

WIDTH, HEIGHT = 1920, 1080
RUNS = 9


def subject(share: float) -> Transport:
    """Return a transport with every weight in use, over an ellipse of the given share of 1080p."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x, y = (x - WIDTH / 2) / WIDTH * 2, (HEIGHT / 2 - y) / HEIGHT * 2
    radius = 2.0 if share >= 1 else np.sqrt(share * 4 / np.pi)
    rng = np.random.default_rng(0)
    # Pores and hair: neighbouring pixels do not read neighbouring texels.
    rough = rng.normal(0, 0.05, (HEIGHT, WIDTH, 3)).astype(np.float32)
    normals = np.dstack((x, y, np.sqrt(np.maximum(2.1 - x * x - y * y, 0.05)))) + rough
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    alpha = np.float32((x * x + y * y < radius * radius)[..., None])
    colour = rng.uniform(0.1, 0.8, (HEIGHT, WIDTH, 3)).astype(np.float32)
    transport = phong_transport(
        Image(colour, ("R", "G", "B")),
        Image(alpha, ("A",), colour="data"),
        Image(normals, ("X", "Y", "Z"), colour="data"),
        Image(colour, ("R", "G", "B")),
        (0.02, 0.04, 0.02, 0.02),
    )
    residual = rng.normal(0, 0.02, transport.residual.shape).astype(np.float32)
    return replace(transport, residual=residual)


def plain(transport: Transport, light: LightMaps) -> np.ndarray:
    """Return the same picture by the equation as it is written, in whole arrays."""
    index = transport.index
    normals = transport.normals.pixels.reshape(-1, 3)[index]
    albedo = transport.albedo.pixels.reshape(-1, 3)[index]
    alpha = transport.matte.pixels.reshape(-1, 1)[index]
    mirrored = reflect(normals)
    specular = {n: turned(image, light.rotation) for n, image in light.specular.items()}
    diffuse = turned(light.diffuse, light.rotation)
    around = harmonics.turn(light.harmonics.astype(np.float64), light.rotation)
    picture = albedo * transport.diffuse[:, None] * latlong.look_up(diffuse, normals)
    for row, n in enumerate(transport.exponents):
        picture += transport.specular[row][:, None] * latlong.look_up(specular[n], mirrored)
    picture += albedo * (transport.residual.T @ around[: len(transport.residual)])
    out = np.zeros((HEIGHT * WIDTH, 3), np.float32)
    out[index] = picture * light.gain * alpha
    return out.reshape(HEIGHT, WIDTH, 3)


def main() -> None:
    threads = len(os.sched_getaffinity(0))
    maps = prefilter(draw(PRESETS["rembrandt"]), threads=threads)
    light = maps.adjusted(gain=np.float32([1.5, 1.4, 1.3]), rotation=33.3)
    print(f"Changed light at {WIDTH}×{HEIGHT}, {threads} threads, best of {RUNS}\n")
    print("| coverage | changed light, ms | aim | with all passes, ms | prepare, once a frame, ms |"
          " the plain equation, ms | largest difference |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for share, aim in ((0.35, 60), (1.0, 150)):
        transport = subject(share)
        covered = len(transport.index) / (WIDTH * HEIGHT)

        def change(passes: bool = False, transport: Transport = transport) -> Image:
            lights = {"key": light}
            return relight(transport, lights, passes=passes, threads=threads).relit

        def once(transport: Transport = transport) -> None:
            fresh = replace(transport)
            prepared = prepare(fresh, threads)
            prepared.normal(fresh, len(maps.diffuse), threads)
            prepared.mirror(fresh, len(maps.diffuse), threads)

        fast = 1000 * best(change, RUNS)
        passes = 1000 * best(lambda: change(True), 3)
        preparing = 1000 * best(once, 3)
        reference = 1000 * best(partial(plain, transport, light), 2)
        difference = np.abs(change().pixels[..., :3] - plain(transport, light)).max()
        print(
            f"| {covered:.0%} | {fast:.0f} | {aim} | {passes:.0f} | {preparing:.0f} "
            f"| {reference:.0f} | {difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
