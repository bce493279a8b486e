"""Colour in: every kind of file, under no `$OCIO`, a show's OCIO-2 and an OCIO-1 configuration.

Each file holds the same picture, encoded as the file claims; what arrives in the working space must
be that picture, whoever decided how to read it.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO as ocio
import pytest
from numpy.typing import NDArray

from relume import colour, notices
from relume.colour.spaces import resolve
from relume.colour.transforms import transform
from relume.errors import InputError, UsageError
from relume.image import Image
from relume.media.read import read
from relume.media.write import write
from relume.ocio import GAMUTS, PINNED

Pixels = NDArray[np.float32]

AP1_TO_AP0 = [
    [0.6954522414, 0.1406786965, 0.1638690622],
    [0.0447945634, 0.8596711185, 0.0955343182],
    [-0.0055258826, 0.0040252103, 1.0015006723],
]
REC709_TO_AP0 = [
    [0.4396329819, 0.3829886981, 0.1773783199],
    [0.0897764433, 0.8134394287, 0.0967841280],
    [0.0175411704, 0.1115465500, 0.8709122797],
]
"""Academy S-2014-004 and ITU-R BT.709 with Bradford, to ACES2065-1."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)
    notices.forget()


def add(
    config: ocio.Config, name: str, matrix: list[list[float]] | None = None, **options: object
) -> None:
    space = ocio.ColorSpace(name=name, **options)
    if matrix is not None:
        full = np.eye(4)
        full[:3, :3] = matrix
        step = ocio.MatrixTransform(matrix=full.ravel().tolist())
        space.setTransform(step, ocio.COLORSPACE_DIR_TO_REFERENCE)
    config.addColorSpace(space)


def empty(major: int, minor: int) -> ocio.Config:
    config = ocio.Config()
    config.setVersion(major, minor)
    for name in list(config.getColorSpaceNames()):
        config.removeColorSpace(name)
    return config


def save(config: ocio.Config, path: Path) -> Path:
    config.validate()
    path.write_text(config.serialize())
    return path


def aces1(folder: Path, *, role: bool = False) -> Path:
    """Write a configuration in the style of ACES 1.0.3: long names, LUT files, no ids."""
    config = empty(1, 0)
    add(config, "ACES - ACES2065-1")
    add(config, "ACES - ACEScg", AP1_TO_AP0)
    add(config, "Utility - Linear - sRGB", REC709_TO_AP0)
    add(config, "Utility - Raw", isData=True)
    samples = np.linspace(0.0, 1.0, 4096)
    decoded = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    (folder / "luts").mkdir()
    (folder / "luts" / "srgb.spi1d").write_text(
        "Version 1\nFrom 0.0 1.0\nLength 4096\nComponents 1\n{\n"
        + "\n".join(f"{value:.8f}" for value in decoded)
        + "\n}\n"
    )
    texture = ocio.ColorSpace(name="Utility - sRGB - Texture")
    full = np.eye(4)
    full[:3, :3] = REC709_TO_AP0
    texture.setTransform(
        ocio.GroupTransform(
            [
                ocio.FileTransform(src="srgb.spi1d", interpolation=ocio.INTERP_LINEAR),
                ocio.MatrixTransform(matrix=full.ravel().tolist()),
            ]
        ),
        ocio.COLORSPACE_DIR_TO_REFERENCE,
    )
    config.addColorSpace(texture)
    config.setSearchPath("luts")
    config.setRole("scene_linear", "ACES - ACEScg")
    config.setRole("default", "ACES - ACES2065-1")
    config.setRole("data", "Utility - Raw")
    if role:
        config.setRole("aces_interchange", "ACES - ACES2065-1")
    config.addDisplayView("ACES", "Raw", "Utility - Raw", "")
    return save(config, folder / "config.ocio")


def show2(folder: Path) -> Path:
    """Write a small OCIO-2 configuration with house names, interchange roles and file rules."""
    config = empty(2, 1)
    add(config, "house_ap0")
    add(config, "house_linear", AP1_TO_AP0, aliases=["hl"])
    add(config, "house_709", REC709_TO_AP0)
    add(config, "numbers", isData=True)
    config.setRole("aces_interchange", "house_ap0")
    config.setRole("scene_linear", "house_linear")
    config.setRole("default", "house_ap0")
    rules = config.getFileRules()
    rules.insertRule(0, "plates", "house_linear", "*plate*", "exr")
    rules.insertRule(1, "paintings", "house_709", "*linear*", "png")
    rules.setDefaultRuleColorSpace("house_ap0")
    config.setFileRules(rules)
    config.addDisplayView("screen", "raw", "numbers", "")
    return save(config, folder / "show.ocio")


CONFIGS: dict[str, Callable[[Path], Path | str | None]] = {
    "none": lambda folder: None,
    "show": show2,
    "ocio1": aces1,
    "ocio1-role": lambda folder: aces1(folder, role=True),
    "studio": lambda folder: PINNED,
}


@pytest.fixture(params=CONFIGS)
def under(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = CONFIGS[request.param](tmp_path)
    if path is not None:
        monkeypatch.setenv("OCIO", str(path))
    return str(request.param)


def picture() -> Pixels:
    """Return the picture that every file holds, in ACEScg, inside every gamut used here."""
    rng = np.random.default_rng(5)
    return (0.2 + 0.5 * rng.uniform(size=(6, 8, 1)) + rng.uniform(-0.05, 0.05, (6, 8, 3))).astype(
        np.float32
    )


def encoded(space: str) -> Pixels:
    """Return the picture in a space of the pinned configuration."""
    conversion = colour.pinned().getProcessor("ACEScg", space).getDefaultCPUProcessor()
    pixels = picture().reshape(-1, 3).copy()
    conversion.applyRGB(pixels)
    return pixels.reshape(picture().shape)


def store(path: Path, pixels: Pixels, sample: str = "float", **attributes: object) -> Path:
    """Write a file with OpenImageIO alone."""
    output = oiio.ImageOutput.create(path.suffix[1:])
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], sample)
    for name, value in attributes.items():
        if name == "chromaticities":
            spec.attribute(name, oiio.TypeDesc("float[8]"), value)
        else:
            spec.attribute(name.replace("__", ":"), value)
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()
    return path


def arrives(path: Path, tolerance: float, rule: str, space: str = "") -> None:
    reading = read(path, space=space)
    assert reading.space.rule == rule
    out = colour.convert(reading.layer(), "lin_ap1_scene")
    rgb = out.rgb / out.take("A") if out.alpha == "premultiplied" else out.rgb
    np.testing.assert_allclose(rgb, picture(), rtol=tolerance, atol=tolerance)


def test_untagged_exr(under: str, tmp_path: Path) -> None:
    written = {"none": "lin_rec709_scene"}.get(under, "ACES2065-1")
    path = store(tmp_path / "frame.exr", encoded(written))
    arrives(path, 1e-5, "convention" if under == "none" else "file rules")


@pytest.mark.parametrize("under", ["show"], indirect=True)
def test_untagged_exr_that_a_rule_matches(under: str, tmp_path: Path) -> None:
    arrives(store(tmp_path / "plate.exr", picture()), 1e-6, "file rules")


@pytest.mark.parametrize("under", ["ocio1", "ocio1-role"], indirect=True)
def test_a_space_in_the_file_name_is_a_rule_of_ocio1(under: str, tmp_path: Path) -> None:
    path = store(tmp_path / "x_ACES - ACEScg.exr", picture())
    arrives(path, 1e-6, "file rules")


def test_untagged_hdr(under: str, tmp_path: Path) -> None:
    path = store(tmp_path / "light.hdr", encoded("lin_rec709_scene"))
    arrives(path, 0.01, "convention")  # eight bits and a shared exponent


@pytest.mark.parametrize("tag", ["lin_ap0_scene", "lin_rec2020_scene", "ocio:acescct_ap1_scene"])
def test_tagged_exr(under: str, tmp_path: Path, tag: str) -> None:
    path = store(tmp_path / "plate.exr", encoded(tag), colorInteropID=tag)
    arrives(path, 1e-4, "tag")


def test_the_tag_wins_over_chromaticities_and_the_option_over_both(
    under: str, tmp_path: Path
) -> None:
    attributes = {
        "colorInteropID": "lin_ap0_scene",
        "chromaticities": GAMUTS["lin_rec2020_scene"],
    }
    arrives(store(tmp_path / "a.exr", encoded("ACES2065-1"), **attributes), 1e-5, "tag")
    path = store(tmp_path / "b.exr", encoded("lin_p3d65_scene"), **attributes)
    arrives(path, 1e-5, "option", space="lin_p3d65_scene")


def test_legacy_tags_of_openimageio() -> None:
    # Older writers stored the word itself, which today's turns into an id on the way out.
    found = colour.input_space(
        "a.exr", {"oiio:ColorSpace": "Linear"}, file_format="openexr", sample="half"
    )
    assert found.rule == "convention"
    found = colour.input_space(
        "a.exr", {"oiio:ColorSpace": "sRGB"}, file_format="openexr", sample="half"
    )
    assert found == colour.InputSpace("srgb_rec709_scene", "tag")


@pytest.mark.parametrize("gamut", ["lin_ap1_scene", "lin_p3d65_scene", "ocio:lin_awg4_scene"])
def test_chromaticities_only(under: str, tmp_path: Path, gamut: str) -> None:
    path = store(tmp_path / "a.exr", encoded(gamut), chromaticities=GAMUTS[gamut])
    arrives(path, 1e-5, "chromaticities")


def test_chromaticities_of_no_known_space(under: str, tmp_path: Path) -> None:
    odd = (0.6295, 0.341, 0.2867, 0.6108, 0.1489, 0.0712, 0.3155, 0.3316)
    path = store(tmp_path / "a.exr", np.ones((2, 2, 3), np.float32), chromaticities=odd)
    out = colour.convert(read(path).layer(), "lin_ap1_scene")
    np.testing.assert_allclose(out.pixels, 1.0, atol=1e-4)  # its white is white


def test_eight_bit_srgb_png_with_straight_alpha(under: str, tmp_path: Path) -> None:
    alpha = np.linspace(0.2, 1.0, 48, dtype=np.float32).reshape(6, 8, 1)
    rgba = np.dstack([encoded("srgb_rec709_scene"), alpha])
    path = store(tmp_path / "a.png", rgba, "uint8", oiio__UnassociatedAlpha=1)
    image = read(path).layer()
    assert (image.alpha, image.channels) == ("straight", ("R", "G", "B", "A"))
    np.testing.assert_allclose(image.take("A"), alpha, atol=0.5 / 255 + 1e-6)
    arrives(path, 0.012, "convention")


def png(path: Path, pixels: Pixels, *chunks: tuple[bytes, bytes]) -> Path:
    """Write an 8-bit RGB PNG with chunks of our own, as OpenImageIO writes few of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in colour.to_uint8(pixels))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + b"".join(chunk(*item) for item in chunks)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


def test_png_that_says_what_it_is(under: str, tmp_path: Path) -> None:
    cicp = png(tmp_path / "p3.png", encoded("srgb_p3d65_scene"), (b"cICP", bytes([12, 13, 0, 1])))
    arrives(cicp, 0.015, "tag")
    gamma = png(
        tmp_path / "g18.png", encoded("g18_rec709_scene"), (b"gAMA", struct.pack(">I", 55556))
    )
    arrives(gamma, 0.015, "tag")


def test_png_that_a_rule_matches(under: str, tmp_path: Path) -> None:
    path = png(
        tmp_path / "linear.png",
        encoded("lin_rec709_scene" if under == "show" else "srgb_rec709_scene"),
    )
    arrives(path, 0.02, "file rules" if under == "show" else "convention")


def test_icc_profile(assets: Path) -> None:
    reading = read(assets / "photos" / "astronaut.png")
    assert reading.space == colour.InputSpace("srgb_rec709_scene", "tag")


def test_logc4_and_acescg_are_the_same_plate(under: str, tmp_path: Path) -> None:
    log = read(store(tmp_path / "a.exr", encoded("ARRI LogC4")), space="ARRI LogC4").layer()
    linear = read(store(tmp_path / "b.exr", picture()), space="ACES - ACEScg").layer()
    first = colour.convert(log, "lin_ap1_scene").pixels.astype(np.float16)
    second = colour.convert(linear, "lin_ap1_scene").pixels.astype(np.float16)
    np.testing.assert_allclose(first, second, rtol=2**-10)


def test_dpx_is_refused_until_told(tmp_path: Path) -> None:
    path = store(tmp_path / "a.dpx", encoded("ADX10"), "uint16")
    with pytest.raises(InputError, match=r"a\.dpx.*--input-space"):
        read(path)
    arrives(path, 5e-3, "option", space="ADX10")


def test_an_unknown_tag_is_refused(under: str, tmp_path: Path) -> None:
    path = store(tmp_path / "a.exr", picture(), colorInteropID="elsewhere:foo")
    with pytest.raises(InputError, match=r"tagged 'elsewhere:foo'.*--input-space"):
        read(path)
    arrives(path, 1e-6, "option", space="lin_ap1_scene")


def test_the_guess_is_announced_once_for_a_sequence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "relume"):
        for frame in (1001, 1002, 1003):
            read(store(tmp_path / f"a.{frame}.exr", picture()))
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path}/a.1001.exr has no colour tag: read as lin_rec709_scene by convention; "
        "--input-space says otherwise"
    ]


def test_a_guess_about_a_light_names_the_option_of_lights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "relume"):
        read(store(tmp_path / "light.exr", picture()), environment=True)
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path}/light.exr has no colour tag: read as lin_rec709_scene by convention; "
        "--light-space says otherwise"
    ]


@pytest.mark.parametrize(
    "space", ["lin_ap1_scene", "lin_rec709_scene", "lin_ap0_scene", "scene_linear", "ARRI LogC4"]
)
def test_what_is_written_in_a_space_comes_back(under: str, tmp_path: Path, space: str) -> None:
    image = colour.convert(Image(picture(), ("R", "G", "B"), colour="lin_ap1_scene"), space)
    write(tmp_path / "a.exr", {"rgba": image}, depth="float")
    arrives(tmp_path / "a.exr", 1e-4, "tag")


class TestNames:
    def test_spaces_of_ocio1_are_known_by_their_numbers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OCIO", str(aces1(tmp_path)))
        assert colour.interop_id("ACES - ACEScg") == "lin_ap1_scene"
        assert colour.interop_id("scene_linear") == "lin_ap1_scene"
        assert colour.interop_id("Utility - sRGB - Texture") == "srgb_rec709_scene"
        assert colour.chromaticities("ACES - ACEScg") == GAMUTS["lin_ap1_scene"]
        assert colour.is_linear("ACES - ACEScg")
        assert not colour.is_linear("Utility - sRGB - Texture")
        assert colour.canonical("Utility - Raw") == "data"

    def test_the_shows_own_definition_wins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OCIO", str(show2(tmp_path)))
        assert resolve("hl").owner == "show"
        assert resolve("lin_ap1_scene").owner == "pinned"
        # A role means what the show says, and nothing where it says nothing.
        with pytest.raises(UsageError, match="compositing_log"):
            resolve("compositing_log")

    def test_a_missing_role_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = empty(1, 0)
        add(config, "house", [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.2, 0.9]])
        add(config, "reference")
        config.addDisplayView("screen", "raw", "reference", "")
        config.setRole("default", "house")
        monkeypatch.setenv("OCIO", str(save(config, tmp_path / "c.ocio")))
        plate = Image(picture(), ("R", "G", "B"), colour="house")
        with pytest.raises(UsageError, match=r"has no role aces_interchange.*'house'"):
            colour.convert(plate, "lin_ap1_scene")
        assert colour.interop_id("house") is None
        # Within the configuration, nothing is missing.
        assert colour.convert(plate, "reference").colour == "reference"

    @pytest.mark.parametrize("text", [None, "", "not: [a config"])
    def test_a_bad_config_is_an_error_and_no_traceback(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
    ) -> None:
        path = tmp_path / "c.ocio"
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv("OCIO", str(path))
        with pytest.raises(InputError, match=r"\$OCIO names .*c\.ocio"):
            colour.config()

    def test_an_empty_variable_is_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OCIO", "")
        assert colour.canonical("ACEScg") == "lin_ap1_scene"


class TestDigest:
    def test_it_follows_the_config_and_its_luts_and_not_their_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digests = []
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
            monkeypatch.setenv("OCIO", str(aces1(tmp_path / name)))
            digests.append(colour.config_digest())
        assert digests[0] == digests[1]
        config = tmp_path / "there" / "config.ocio"
        lut = tmp_path / "there" / "luts" / "srgb.spi1d"
        lut.write_text(lut.read_text().replace("1.00000000", "0.99000000"))
        config.touch()
        assert colour.config_digest() != digests[0]
        monkeypatch.delenv("OCIO")
        assert colour.config_digest() not in digests

    def test_a_changed_config_is_read_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = show2(tmp_path)
        monkeypatch.setenv("OCIO", str(path))
        before = transform(resolve("house_709"), resolve("house_ap0"))
        assert colour.convert(Image(picture(), ("R", "G", "B"), "house_709"), "house_ap0")
        path.write_text(path.read_text().replace("0.43963", "0.53963"))
        assert transform(resolve("house_709"), resolve("house_ap0")) is not before
