"""Help that does not help: the command says so in a sentence with a way out, and stays sensible."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from relume.colour import convert
from relume.compositing.resample import resize_pixels
from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.media.read import read
from relume.media.write import write

Capture = pytest.CaptureFixture[str]
Matte = Callable[..., tuple[Mapping[str, Image], str]]

pytestmark = pytest.mark.usefixtures("weights")

SIDE = 160


def save(path: Path, pixels: np.ndarray) -> str:
    """Write a picture, or a mask as grey, and return its name."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    image = Image(np.ascontiguousarray(pixels, np.float32), ("R", "G", "B"), "lin_ap1_scene")
    write(path, {"rgba": image}, depth="float")
    return str(path)


def wall(seed: int, side: int = SIDE) -> np.ndarray:
    """Return a textured backdrop."""
    noise = np.random.default_rng(seed).standard_normal((side, side, 3))
    mixed = sum(ndimage.gaussian_filter(noise, (s, s, 0)) * s for s in (1, 4, 12))
    return np.float32(0.2 * np.exp(0.8 * mixed / np.std(mixed)))


def disc(radius: float, soft: float = 6.0) -> np.ndarray:
    """Return a soft disc about the middle of the frame."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A photograph of somebody, small."""
    data = pytest.importorskip("skimage.data")
    photograph = read(Path(data.__file__).with_name("astronaut.png")).layer()
    pixels = convert(photograph, "lin_ap1_scene").rgb
    return save(tmp_path_factory.mktemp("person") / "person.exr", resize_pixels(pixels, SIDE, SIDE))


@pytest.fixture
def matte(here: Path, capsys: Capture) -> Matte:
    """Return what runs `relume matte`: the layers it writes, and what it says."""

    def run(plate: str, *options: str) -> tuple[Mapping[str, Image], str]:
        out = here / f"out{len(list(here.glob('out*')))}.exr"
        arguments = ["matte", plate, *options, "--depth", "float", "--threads", "1"]
        assert main([*arguments, "--out", str(out)]) == Exit.DONE
        return read(out).layers, capsys.readouterr().err

    return run


def alpha(layers: Mapping[str, Image]) -> np.ndarray:
    return layers["matte"].pixels[:, :, 0]


def test_a_clean_plate_of_another_size_is_refused(person: str, here: Path, capsys: Capture) -> None:
    small = save(here / "small.exr", wall(1, SIDE // 2))
    arguments = ["matte", person, "--clean-plate", small, "--out", "out.exr"]
    assert main(arguments) == Exit.USAGE
    said = capsys.readouterr().err
    assert "the clean plate is 80×80, the plate 160×160. Reformat the clean plate" in said
    assert "Traceback" not in said
    assert not Path("out.exr").exists()


def test_a_clean_plate_of_another_scene_is_left_aside(
    person: str, matte: Matte, here: Path
) -> None:
    other = save(here / "other.exr", wall(1))
    alone, _ = matte(person)
    found, said = matte(person, "--clean-plate", other)
    words = r"the clean plate explains only \d+ % of the background, so it was not used; is it of"
    assert re.search(words, said)
    np.testing.assert_array_equal(alpha(found), alpha(alone))
    # The other scene must not come in by the foreground's edges either.
    np.testing.assert_allclose(found["foreground"].pixels, alone["foreground"].pixels, atol=1e-5)


@pytest.mark.parametrize("help_", [[], ["--clean-plate", "wall.exr"]], ids=["alone", "plate"])
def test_a_trimap_without_unknown_is_the_matte_and_says_so(
    help_: list[str], person: str, matte: Matte, here: Path
) -> None:
    save(here / "wall.exr", wall(1))
    hard = (disc(50) > 0.5).astype(np.float32)
    found, said = matte(person, *help_, "--trimap", save(here / "hard.exr", hard))
    share = f"{100 * hard.mean():.3g} % foreground"
    assert f"the guide has no unknown pixel ({share}" in said
    assert "paint the soft edge grey" in said
    np.testing.assert_array_equal(alpha(found), hard)


def test_a_trimap_without_foreground_still_shuts_out_its_background(
    person: str, matte: Matte, here: Path
) -> None:
    half = np.full((SIDE, SIDE), 0.5, np.float32)
    half[:, : SIDE // 4] = 0.0
    alone, _ = matte(person)
    found, said = matte(person, "--trimap", save(here / "half.exr", half))
    assert "the guide has no foreground (75 % unknown, the rest background)" in said
    assert "paint the inside of the subject white" in said
    assert "no person" not in said
    assert not alpha(found)[:, : SIDE // 4].any()
    # What is left is the person that the network finds by itself.
    np.testing.assert_array_equal(alpha(found)[:, SIDE // 4 :], alpha(alone)[:, SIDE // 4 :])
    assert alpha(found).mean() > 0.1


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "the whole guide is background, so the matte is empty"), (1.0, "the matte is full")],
)
def test_a_trimap_of_one_value_is_the_matte(
    value: float, words: str, person: str, matte: Matte, here: Path
) -> None:
    flat = np.full((SIDE, SIDE), value, np.float32)
    found, said = matte(person, "--trimap", save(here / "flat.exr", flat))
    assert words in said
    assert "no person" not in said
    np.testing.assert_array_equal(alpha(found), flat)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("hard", "the trimap has no unknown pixel, so the matte is the trimap"),
        ("soft", "the trimap has no foreground, so the matte is empty"),
    ],
)
def test_the_closed_form_says_the_same(
    value: str, words: str, person: str, matte: Matte, here: Path
) -> None:
    hard = (disc(50) > 0.5).astype(np.float32)
    trimap = {"hard": hard, "soft": 0.5 * hard}[value]
    options = ["--method", "closed-form", "--trimap", save(here / "trimap.exr", trimap)]
    found, said = matte(person, *options)
    assert words in said
    np.testing.assert_array_equal(alpha(found), hard if value == "hard" else 0.0)


@pytest.mark.parametrize("help_", [[], ["--clean-plate", "wall.exr"]], ids=["alone", "plate"])
def test_nobody_in_frame_is_an_empty_matte_and_a_warning(
    help_: list[str], matte: Matte, here: Path
) -> None:
    empty = wall(1)
    save(here / "wall.exr", empty)
    grain = np.random.default_rng(3).normal(0, 0.004, empty.shape)
    found, said = matte(save(here / "plate.exr", empty + grain), *help_)
    assert "no person was found, the matte is empty; draw a mask and use --mask" in said
    assert not alpha(found).any()
    assert not found["rgba"].pixels.any()


def test_what_is_no_person_comes_out_of_a_clean_plate_once_it_is_drawn(
    matte: Matte, here: Path
) -> None:
    cover, behind = disc(45), wall(1)
    thing = np.float32((0.9, 0.15, 0.1)) * (0.6 + 0.4 * disc(20, 30)[..., None])
    plate = cover[..., None] * thing + (1 - cover[..., None]) * behind
    plate += np.random.default_rng(3).normal(0, 0.002, plate.shape)
    shot, clean = save(here / "plate.exr", plate), save(here / "wall.exr", behind)
    # Drawn roughly: well inside the thing, and well around it.
    drawn = np.where(disc(30) == 1, 1.0, np.where(disc(60) > 0, 0.5, 0.0)).astype(np.float32)
    trimap = save(here / "trimap.exr", drawn)
    found, said = matte(shot, "--clean-plate", clean, "--trimap", trimap)
    assert "Warning" not in said
    assert np.abs(alpha(found) - cover).mean() < 0.02
    assert np.abs(alpha(found) - cover).mean() < 0.2 * np.abs(drawn - cover).mean()
