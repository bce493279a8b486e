"""The commands on a photograph, with the real networks: files as the contract says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from relume.colour import convert
from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.media.read import read
from relume.media.write import write

Capture = pytest.CaptureFixture[str]
Layers = Mapping[str, Image]

pytestmark = pytest.mark.usefixtures("weights")

LOBES = [f"specular_light_{n:03d}" for n in (1, 16, 32, 64)]
GIVEN = {"foreground", "albedo", "normal", "matte"}
SHADED = {"rgba", "relit", "diffuse", "specular", "residual", "diffuse_light", *LOBES}


@pytest.fixture(scope="module")
def photograph() -> Path:
    """The astronaut that scikit-image carries."""
    data = pytest.importorskip("skimage.data")
    return Path(data.__file__).with_name("astronaut.png")


@pytest.fixture(scope="module")
def relit(photograph: Path, tmp_path_factory: pytest.TempPathFactory) -> Layers:
    """The photograph at half size under two lights, over the first one's own picture."""
    out = tmp_path_factory.mktemp("relit") / "relit.exr"
    arguments = ["relight", str(photograph), "--light", "key=rig:key_left", "--light", "original"]
    arguments += ["--background", "environment", "--proxy", "2", "--depth", "float"]
    assert main([*arguments, "--out", str(out)]) == Exit.DONE
    return read(out).layers


def test_every_pass_is_there_under_its_name(relit: Layers) -> None:
    assert set(relit) == SHADED | GIVEN | {"relit_key", "relit_original"}
    for name, image in relit.items():
        wanted = {"rgba": "RGBA", "relit": "RGBA", "normal": "XYZ", "matte": "A"}.get(name, "RGB")
        assert image.channels == tuple(wanted), name
        assert image.pixels.shape[:2] == (256, 256)
        assert image.colour == ("data" if name in ("normal", "matte") else "lin_ap1_scene")


def test_the_passes_rebuild_the_beauty(relit: Layers) -> None:
    beauty = relit["relit"].rgb
    parts = sum(relit[name].rgb.astype(np.float64) for name in ("diffuse", "specular", "residual"))
    lights = sum(relit[name].rgb.astype(np.float64) for name in ("relit_key", "relit_original"))
    scale = float(np.abs(beauty).max())
    np.testing.assert_allclose(parts, beauty, atol=1e-6 * scale)
    np.testing.assert_allclose(lights, beauty, atol=1e-5 * scale)
    np.testing.assert_array_equal(relit["relit"].take("A"), relit["matte"].take("A"))


def test_the_fast_profile_gives_the_same_passes_of_much_the_same_picture(
    photograph: Path, relit: Layers, here: Path
) -> None:
    arguments = ["relight", str(photograph), "--light", "key=rig:key_left", "--light", "original"]
    arguments += ["--background", "environment", "--proxy", "2", "--depth", "float"]
    assert main([*arguments, "--profile", "fast", "--out", "fast.exr"]) == Exit.DONE
    fast = read("fast.exr").layers
    assert set(fast) == set(relit)
    np.testing.assert_array_equal(fast["matte"].pixels, relit["matte"].pixels)
    inside = relit["matte"].take("A")[..., 0] > 0.99
    cosine = (fast["normal"].pixels * relit["normal"].pixels).sum(-1)[inside]
    assert 2.0 < np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 20.0
    for name in ("albedo", "relit_key"):
        ours, theirs = (layers[name].rgb[inside] for layers in (fast, relit))
        assert np.abs(ours - theirs).mean() < 0.35 * theirs.mean(), name


def test_rgba_is_opaque_over_the_environment(relit: Layers) -> None:
    np.testing.assert_allclose(relit["rgba"].take("A"), 1.0, atol=1e-6)
    beyond = relit["matte"].take("A")[:, :, 0] == 0.0
    assert beyond.any()
    assert (relit["rgba"].rgb[beyond] > 0.0).all()


def test_rgba_is_the_composite_over_a_picture(photograph: Path, here: Path) -> None:
    write("flat.exr", {"rgba": Image(np.full((512, 512, 3), 0.25, np.float32), tuple("RGB"))})
    arguments = ["relight", str(photograph), "--light", "rig:rim", "--background", "flat.exr"]
    arguments += ["--proxy", "4", "--depth", "float", "--passes", "relit,matte"]
    assert main([*arguments, "--out", "over.exr"]) == Exit.DONE
    layers = read("over.exr").layers
    keep = 1.0 - layers["matte"].take("A")
    wanted = layers["relit"].rgb + keep * np.float32(0.25)
    np.testing.assert_allclose(layers["rgba"].rgb, wanted, atol=1e-5)


def test_the_original_light_gives_the_plate_back(relit: Layers) -> None:
    alpha = relit["matte"].take("A")
    wanted = relit["foreground"].rgb * alpha
    np.testing.assert_allclose(relit["relit_original"].rgb, wanted, atol=1e-5)


def test_the_unet_renderer_writes_the_same_passes_but_none_a_light(
    photograph: Path, here: Path, capsys: Capture
) -> None:
    arguments = ["relight", str(photograph), "--light", "key=rig:key_left", "--renderer", "unet"]
    arguments += ["--proxy", "4", "--depth", "float"]
    assert main([*arguments, "--out", "one.exr"]) == Exit.DONE
    one = read("one.exr").layers
    assert set(one) == SHADED | GIVEN
    assert main([*arguments, "--light-exposure", "1", "--out", "two.exr"]) == Exit.DONE
    two = read("two.exr").layers["relit"].rgb
    np.testing.assert_allclose(two, 2.0 * one["relit"].rgb, rtol=1e-5, atol=1e-6)
    assert main([*arguments, "--gloss", "1", "--out", "three.exr"]) == Exit.USAGE
    assert "--gloss has no effect with --renderer unet" in capsys.readouterr().err


def test_analysing_and_shading_is_relighting(photograph: Path, here: Path) -> None:
    light = ["--light", "rig:neon", "--light-rotation", "40"]
    common = ["--proxy", "2", "--depth", "float"]
    assert main(["relight", str(photograph), *light, *common, "--out", "whole.exr"]) == Exit.DONE
    assert main(["analyse", str(photograph), *common, "--out", "transport.exr"]) == Exit.DONE
    shade = ["shade", "transport.exr", *light, "--depth", "float", "--out", "shaded.exr"]
    assert main(shade) == Exit.DONE
    whole, shaded = read("whole.exr").layers, read("shaded.exr").layers
    assert set(whole) == set(shaded) == SHADED | GIVEN | {"relit_neon"}
    for name in whole:
        np.testing.assert_allclose(
            whole[name].pixels, shaded[name].pixels, rtol=1e-4, atol=1e-4, err_msg=name
        )


def test_one_stop_more_light_doubles_the_subject(photograph: Path, here: Path) -> None:
    arguments = ["relight", str(photograph), "--light", "rig:rim", "--proxy", "4"]
    arguments += ["--depth", "float", "--passes", "relit", "--cache", "kept"]
    assert main([*arguments, "--out", "one.exr"]) == Exit.DONE
    assert main([*arguments, "--out", "two.exr", "--light-exposure", "1"]) == Exit.DONE
    one, two = read("one.exr").layers, read("two.exr").layers
    assert set(one) == {"rgba", "relit"}
    np.testing.assert_array_equal(2.0 * one["relit"].rgb, two["relit"].rgb)


def test_defocus_blurs_what_is_behind(photograph: Path, here: Path) -> None:
    arguments = ["defocus", str(photograph), "--radius", "16", "--blades", "6", "--proxy", "2"]
    assert main([*arguments, "--depth", "float", "--out", "blurred.exr"]) == Exit.DONE
    assert main(["matte", str(photograph), "--proxy", "2", "--out", "matte.exr"]) == Exit.DONE
    layers = read("blurred.exr").layers
    assert set(layers) == {"rgba", "background", "foreground", "matte"}
    plate, alpha = read("matte.exr").layers["rgba"], layers["matte"].pixels
    solid = alpha[:, :, 0] == 1.0
    np.testing.assert_allclose(layers["rgba"].rgb[solid], plate.rgb[solid], atol=2e-3)
    # Where the background is seen, nothing is as sharp as it was.
    given = convert(read(photograph).layer(), "lin_ap1_scene").rgb[::2, ::2]
    seen = alpha[:, :, 0] == 0.0
    steps = [np.abs(np.diff(x, axis=1))[seen[:, 1:]].mean() for x in (given, layers["rgba"].rgb)]
    assert steps[1] < 0.5 * steps[0]


def test_the_subject_is_joined_with_its_background_and_its_passes_are_not(
    photograph: Path, here: Path
) -> None:
    rng = np.random.default_rng(0)
    wall = np.float32((0.9, 0.6, 0.3)) + rng.normal(0, 0.05, (512, 512, 3))
    write("wall.exr", {"rgba": Image(np.float32(wall), ("R", "G", "B"))})
    arguments = ["relight", str(photograph), "--light", "rig:rim", "--background", "wall.exr"]
    arguments += ["--proxy", "4", "--depth", "float", "--passes", "relit,matte", "--cache", "kept"]
    join = ["--match-levels", "--light-wrap", "32", "--match-grain"]
    assert main([*arguments, "--out", "plain.exr"]) == Exit.DONE
    assert main([*arguments, *join, "--out", "joined.exr"]) == Exit.DONE
    plain, joined = read("plain.exr").layers, read("joined.exr").layers
    np.testing.assert_array_equal(plain["relit"].pixels, joined["relit"].pixels)
    beyond = plain["matte"].pixels[:, :, 0] == 0
    np.testing.assert_array_equal(plain["rgba"].rgb[beyond], joined["rgba"].rgb[beyond])
    inside = plain["matte"].pixels[:, :, 0] > 0.9
    moved = (joined["rgba"].rgb - plain["rgba"].rgb)[inside].mean(axis=0)
    assert moved[0] > moved[2], "the warm wall warms"


def test_matte_normals_and_albedo_write_their_layers(photograph: Path, here: Path) -> None:
    plate = [str(photograph), "--proxy", "4"]
    assert main(["matte", *plate, "--out", "matte.exr"]) == Exit.DONE
    assert main(["normals", *plate, "--out", "normals.exr"]) == Exit.DONE
    assert main(["albedo", *plate, "--out", "albedo.exr"]) == Exit.DONE
    assert set(read("matte.exr").layers) == {"rgba", "foreground", "matte", "trimap"}
    assert set(read("normals.exr").layers) == {"normal", "matte"}
    assert set(read("albedo.exr").layers) == {"albedo", "matte"}
    # A matte that relume wrote is a matte that relume reads, whatever is beside it.
    again = ["matte", str(photograph), "--matte", "matte.exr", "--out", "again.exr"]
    assert main(again) == Exit.USAGE  # of another size
    small = ["matte", "matte.exr", "--matte", "matte.exr", "--depth", "float", "--out", "small.exr"]
    assert main(small) == Exit.DONE
    matte, kept = read("matte.exr").layers["matte"], read("small.exr").layers["matte"]
    np.testing.assert_array_equal(matte.pixels, kept.pixels)


def test_a_mask_wins(photograph: Path, here: Path) -> None:
    mask = np.zeros((512, 512, 3), np.float32)
    mask[150:400, 150:400] = 1.0
    write("mask.exr", {"rgba": Image(mask, ("R", "G", "B"))})
    arguments = ["matte", str(photograph), "--mask", "mask.exr", "--proxy", "2"]
    assert main([*arguments, "--out", "matte.exr"]) == Exit.DONE
    alpha = read("matte.exr").layers["matte"].pixels[:, :, 0]
    assert (alpha[110:165, 110:165] == 1.0).all()
    assert (alpha[:30] == 0.0).all() and (alpha[:, 240:] == 0.0).all()


def test_the_demo(here: Path, capsys: Capture) -> None:
    pytest.importorskip("skimage.data")
    assert main(["demo"]) == Exit.DONE
    assert "Look at demo/contact_sheet.png" in capsys.readouterr().out
    sheet = read("demo/contact_sheet.png").layer()
    assert sheet.channels == ("R", "G", "B")
    exrs = sorted(path.name for path in Path("demo").glob("*.exr"))
    assert len(exrs) == 6
    before = {path: path.read_bytes() for path in Path("demo").iterdir()}
    assert main(["demo"]) == Exit.DONE
    assert "0 frames" not in capsys.readouterr().out
    assert {path: path.read_bytes() for path in Path("demo").iterdir()} == before
