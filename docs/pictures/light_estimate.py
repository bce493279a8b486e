"""Make the picture of estimated light: plates, the true environments, and what is estimated.

`python docs/pictures/light_estimate.py docs/pictures/light_estimate.jpg`
"""

from __future__ import annotations

import sys

import numpy as np
from drawing import TO_SCREEN, srgb
from numpy.typing import NDArray

from relume import weights
from relume.compositing.resample import resize_pixels
from relume.exposure import anchor_of
from relume.geometry.camera import Camera, reflect
from relume.hosts.cli.contact_sheet import Tile, sheet
from relume.image import Box, Image
from relume.light import latlong
from relume.light.estimate import estimate_environment
from relume.light.prefilter import prefilter
from relume.light.types import Environment
from relume.media.write import write
from relume.training.light_evaluate import plate_of, unseeing
from relume.training.light_views import scene

F32 = NDArray[np.float32]

SCENES = {
    "noon sun": ("kloppenheim_05", 0.0),
    "studio": ("blocky_photo_studio", 0.0),
    "night": ("dikhololo_night", 0.0),
    "overcast": ("potsdamer_platz", 0.0),
}
"""What is shown, and the degrees by which it is turned."""

FOV = 60.0
PLATE = Box.of_size(384, 216)
BALL = 200
STOPS = 0.5
"""Over middle grey, for the screen."""


def screen(pixels: F32, gain: float) -> F32:
    """Return linear ACEScg as it looks on a screen: exposed, its highlights rolled off, sRGB."""
    light = np.clip(pixels * np.float32(gain) @ TO_SCREEN.T, 0, None)
    return srgb(light * (1 + light / 16) / (1 + light))


def ball(environment: Environment) -> F32:
    """Return a grey ball, half matt and half glossy, under an environment."""
    maps = prefilter(environment, (1, 64))
    y, x = np.mgrid[1 : -1 : BALL * 1j, -1 : 1 : BALL * 1j]
    inside = x * x + y * y < 1
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, None))
    normals = np.stack((x, y, z), -1).astype(np.float32)
    matt = latlong.look_up(maps.diffuse, normals)
    gloss = latlong.look_up(maps.specular[64], reflect(normals))
    return np.where(inside[..., None], 0.4 * matt + 0.25 * gloss, 0.0).astype(np.float32)


def row(label: str, name: str, turn: float) -> list[Tile]:
    """Return the tiles of one scene: plate, truth, estimate and a ball under each."""
    image = scene(name)
    picture = plate_of(image, turn, True, PLATE, FOV)
    gain = 2.0 ** (anchor_of(picture) + STOPS)
    model = unseeing(weights.load("light"), name, weights.manifest("light"))
    found = estimate_environment(Image(picture, ("R", "G", "B")), Camera(FOV), model=model)
    true = Environment(Image(latlong.turn(latlong.resize(image, 128), turn), ("R", "G", "B")))
    wide = {"truth": true.image.pixels, "estimate": found.image.pixels.repeat(2, 0).repeat(2, 1)}
    return [
        Tile(f"{label}: plate, clipped", screen(picture, gain)),
        Tile(f"the environment ({name})", screen(resize_pixels(wide["truth"], 400, 200), gain)),
        Tile("estimated from the plate", screen(wide["estimate"], gain)),
        Tile("a ball in the environment", screen(ball(true), gain)),
        Tile("in the estimate", screen(ball(found), gain)),
    ]


def main(path: str) -> None:
    """Write the picture as a JPEG."""
    page = sheet([row(label, *where) for label, where in SCENES.items()])
    small = resize_pixels(page.pixels, 1600, round(1600 * page.height / page.width))
    out = Image(np.clip(small, 0, 1), ("R", "G", "B"), colour=page.colour)
    write(path, {"rgba": out})


if __name__ == "__main__":
    main(*sys.argv[1:])
