"""The recipe of the frozen split of mattes: its list, its people and their scenes.

People, hair and environments are the test split's, and no still or training scene is used. Alpha
comes from a pass of Cycles in which everything shines evenly, which leaves no noise in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from relume.errors import InputError
from relume.geometry.camera import Camera as Lens
from relume.image import Box, Image
from relume.light import latlong
from relume.training.lights import TO_WORKING
from relume.training.matte_backgrounds import Rng, blur, clutter, log_mean, plain, scatter
from relume.training.stage import environment as envs
from relume.training.stage.camera import SENSOR, Camera
from relume.training.stage.geometry import rotation
from relume.training.stage.subject import make_subject
from relume.training.stage.validation import job, read_picture, run

F32 = NDArray[np.float32]

LIST = Path(__file__).with_name("matte_frozen.json")

FRAME = (1080, 1920)

PERSON = (1080, 1280)
"""Size at which people are traced; they end at the lower edge and nowhere else."""

MARGIN = 32
"""Pixels of background beyond the frame, so that a clean plate taken askew shows real ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A scene of the split, in scene-linear ACEScg.

    Attributes:
        name: person and background.
        strand: whether the person has loose strands of hair.
        plate: R, G, B, the person before the background.
        clean_plate: R, G, B, the background in another take, with its faults.
        truth: H×W alpha.
    """

    name: str
    strand: bool
    plate: Image
    clean_plate: Image
    truth: F32


def read_list(path: Path = LIST) -> dict[str, Any]:
    """Return the list of people and scenes."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_list(known: Mapping[str, Any], path: Path = LIST) -> None:
    """Write the list, a line for each person and scene."""
    lines = [f'"stage": {known["stage"]}']
    for key in ("people", "scenes"):
        rows = ",\n".join(f"  {json.dumps(row)}" for row in known[key])
        lines.append(f'"{key}": [\n{rows}\n]')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def takes(folder: Path, names: Sequence[str] = ()) -> Iterator[Take]:
    """Yield the scenes of the split in order.

    Args:
        folder: of the people.
        names: persons or numbers of the scenes wanted; all of them by default.

    Raises:
        InputError: a person is missing.
    """
    known = read_list()
    strand = {person["name"]: bool(person["strand"]) for person in known["people"]}
    for scene in known["scenes"]:
        person = scene["person"]
        if not names or person in names or str(scene["seed"]) in names:
            yield take(scene, *read_person(folder / f"{person}.npz"), strand=strand[person])


def person_job(known: Mapping[str, Any], threads: int) -> dict[str, NDArray[np.generic]]:
    """Return what Cycles needs to picture a person of the list under its one light."""
    subject = make_subject(known["person"], known["hair"], known["pose"])
    height, focal = float(known["height"]), float(known["focal"])
    away = 0.5 * height / (0.5 * SENSOR / focal)
    place = np.array([known["aside"], 0.5 * height - known["above"], -away], np.float32)
    camera = Camera(focal, rotation(*known["turn"]), subject.eyes, place)
    light = envs.rotated(envs.read(known["environment"], 1024), known["rotation"])
    colour, coverage = known["samples"]
    stored = job(subject, camera, PERSON, [light], colour, threads, known["pose"])
    stored["coverage"] = np.array(coverage)
    return stored


def finished(rgb: F32, alpha: F32) -> tuple[F32, F32]:
    """Return premultiplied ACEScg and alpha of what Cycles made.

    Denoising smears the colour of strands beyond them, so that at edges colour is what is there
    within about a pixel, and alpha alone says how much of it.

    Args:
        rgb: H×W×3 premultiplied linear Rec. 709, denoised.
        alpha: H×W of the coverage pass.
    """
    near = (
        ndimage.gaussian_filter(rgb, (1.2, 1.2, 0))
        / np.maximum(ndimage.gaussian_filter(alpha, 1.2), 1e-3)[..., None]
    )
    solid = (alpha > 0.98)[..., None]
    straight = np.where(solid, rgb / np.maximum(alpha, 0.98)[..., None], near)
    return np.asarray(straight @ TO_WORKING.T * alpha[..., None], np.float32), alpha


def traced(bpy: Path, known: Mapping[str, Any], threads: int) -> dict[str, NDArray[np.generic]]:
    """Path-trace a person of the list.

    Returns:
        `colour` H×W×3 premultiplied ACEScg as float16, `alpha` H×W, 65535 is 1.

    Raises:
        InputError: Cycles cannot be run.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(bpy, person_job(known, threads), folder)
        return stored_person(folder / "out")


def stored_person(prefix: Path) -> dict[str, NDArray[np.generic]]:
    """Return a person as it is kept, from the pictures that Cycles left; see `traced`."""
    rgb, _, _ = read_picture(prefix.with_name(prefix.name + "_0.exr"))
    _, alpha, _ = read_picture(prefix.with_name(prefix.name + "_coverage.exr"))
    code = np.round(np.clip(alpha, 0.0, 1.0) * 65535.0).astype(np.uint16)
    colour, _ = finished(rgb, code.astype(np.float32) / np.float32(65535.0))
    return {"colour": colour.astype(np.float16), "alpha": code}


def read_person(path: Path) -> tuple[F32, F32]:
    """Return premultiplied colour H×W×3 and alpha H×W of a person.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            alpha = stored["alpha"].astype(np.float32) / np.float32(65535.0)
            return stored["colour"].astype(np.float32), alpha
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            "this is no person of the frozen split",
            file=str(path),
            way_out="Run `python -m relume.training.matte_frozen make` on the folder",
        ) from error


def background(known: Mapping[str, Any], height: int, width: int, rng: Rng) -> torch.Tensor:
    """Return what a scene of the list has behind the person, 3×height×width ACEScg."""
    kind = known["kind"]
    if kind == "clutter":
        return clutter(rng, height, width)
    if kind == "plain":
        return plain(rng, height, width)
    pitch = np.radians(known["pitch"])
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    box = Box.of_size(width, height)
    light = envs.read(known["environment"], 1024)
    seen = latlong.crop(light, Lens(known["fov"], tilt), box, box, rotation=known["rotation"])
    planar = np.ascontiguousarray((seen @ TO_WORKING.T).transpose(2, 0, 1), np.float32)
    picture = torch.from_numpy(planar)
    picture = picture * (0.18 / log_mean(picture))
    return scatter(rng, picture, known["things"]) if known["things"] else picture


def placed(known: Mapping[str, Any], colour: F32, alpha: F32) -> tuple[F32, F32]:
    """Return a person in a frame of its scene, middle grey on the mean."""
    solid = alpha > 0.5
    level = float(np.exp(np.log(np.maximum(colour[solid].mean(-1), 1e-4)).mean()))
    height, width = FRAME
    front, cover = np.zeros((height, width, 3), np.float32), np.zeros(FRAME, np.float32)
    start = (width - PERSON[1]) // 2 + int(known["shift"])
    across = slice(start, start + PERSON[1])
    step = -1 if known["mirror"] else 1
    front[:, across] = colour[:, ::step] * np.float32(0.18 / level)
    cover[:, across] = alpha[:, ::step]
    return front, cover


def take(known: Mapping[str, Any], colour: F32, alpha: F32, *, strand: bool) -> Take:
    """Return a scene of the list.

    The plate is front + (1 − α)B; B bears the person's shadow, and the clean plate does not. The
    clean plate is askew, at another exposure, and has noise of its own.

    Args:
        known: the scene.
        colour: h×w×3 premultiplied ACEScg of its person.
        alpha: h×w of its person.
        strand: whether the person has loose strands.
    """
    rng = np.random.default_rng([771, known["seed"]])
    height, width = FRAME
    faults = known["faults"]
    back = background(known["background"], height + 2 * MARGIN, width + 2 * MARGIN, rng)
    back = back * 2.0 ** known["stops"]
    front, cover = placed(known, colour, alpha)
    behind = _inner(back).permute(1, 2, 0).numpy()
    shade = 1.0 - faults["shadow"] * _cast(cover)[..., None]
    plate = front + (1.0 - cover[..., None]) * behind * shade
    gain = np.array(faults["gain"], np.float32)
    clean = _askew(back, faults, rng).permute(1, 2, 0).numpy() * gain + np.float32(faults["bias"])
    kind = known["background"].get("environment", known["background"]["kind"])

    def exposed(picture: F32) -> Image:
        shot, read = faults["noise"]
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        sigma = np.sqrt(np.maximum(picture, 0.0) * shot**2 + read**2)
        return Image(np.asarray(picture + grain * sigma, np.float32), ("R", "G", "B"))

    name = f"{known['seed']:02d} {known['person']}, {kind}"
    return Take(name, strand, exposed(plate), exposed(clean), cover)


def _inner(back: torch.Tensor) -> torch.Tensor:
    return back[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def _cast(cover: F32) -> F32:
    """Return the soft shadow of a person on what is behind, 0 to 1."""
    height, width = cover.shape
    down, across = round(height / 18), round(0.0573 * width)
    moved = np.roll(cover, (down, across), (0, 1))
    moved[:down], moved[:, :across] = moved[down], 0.0
    return blur(torch.from_numpy(moved)[None], height / 36)[0].numpy()


def _askew(back: torch.Tensor, faults: Mapping[str, Any], rng: Rng) -> torch.Tensor:
    """Return the frame of a background as a camera that has moved a little sees it."""
    dx, dy = faults["shift"]
    if not (dx or dy or faults["turn"] or faults["parallax"]):
        return _inner(back)
    _, rows, columns = back.shape
    height, width = FRAME
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = x - 0.5 * (width - 1), y - 0.5 * (height - 1)
    turn = np.radians(faults["turn"])
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    at = torch.stack((cos * x - sin * y + dx, sin * x + cos * y + dy))
    if faults["parallax"]:
        coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 2, 4, 6)).astype("f4"))
        local = torch.nn.functional.interpolate(
            coarse, size=FRAME, mode="bicubic", align_corners=True
        )
        at = at + faults["parallax"] * local[0]
    grid = torch.stack((at[0] * (2.0 / columns), at[1] * (2.0 / rows)), -1)[None]
    return torch.nn.functional.grid_sample(
        back[None], grid, mode="bicubic", padding_mode="border", align_corners=False
    )[0]
