"""Reading: layers, parts, windows, types, attributes, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from relume import notices
from relume.errors import InputError
from relume.image import Box
from relume.light.types import Environment
from relume.media.layers import MAIN, file_channels, holds_colour, sort_channels
from relume.media.read import content_digest, identify, open_image, read, verify

Pixels = NDArray[np.float32]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)
    notices.forget()


def spec_of(
    channels: str | tuple[str, ...], sample: str = "float", **options: object
) -> oiio.ImageSpec:
    names = tuple(channels.split()) if isinstance(channels, str) else channels
    spec = oiio.ImageSpec(7, 5, len(names), sample)
    spec.channelnames = names
    for name, value in options.items():
        spec.attribute(name.replace("__", ":"), *(value if isinstance(value, list) else [value]))
    return spec


def store(path: Path, *parts: tuple[oiio.ImageSpec, Pixels], kind: str = "") -> Path:
    """Write a file with OpenImageIO alone."""
    output = oiio.ImageOutput.create(kind or path.suffix[1:])
    specs = tuple(spec for spec, _ in parts)
    assert output.open(str(path), specs if len(specs) > 1 else specs[0]), output.geterror()
    for number, (spec, pixels) in enumerate(parts):
        if number:
            assert output.open(str(path), spec, "AppendSubimage"), output.geterror()
        assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()
    return path


def noise(channels: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).normal(0, 2, (5, 7, channels)).astype(np.float32)


class TestLayers:
    def test_a_file_of_passes(self, tmp_path: Path) -> None:
        names = "R G B A Z albedo.R albedo.G albedo.B normal.X normal.Y normal.Z matte.A"
        pixels = noise(12)
        layers = read(store(tmp_path / "a.exr", (spec_of(names), pixels))).layers
        assert {k: v.channels for k, v in layers.items()} == {
            "rgba": ("R", "G", "B", "A"),
            "albedo": ("R", "G", "B"),
            "normal": ("X", "Y", "Z"),
            "matte": ("A",),
            "depth": ("Z",),
        }
        np.testing.assert_array_equal(layers["rgba"].pixels, pixels[..., :4])
        np.testing.assert_array_equal(layers["depth"].pixels, pixels[..., 4:5])
        np.testing.assert_array_equal(layers["albedo"].pixels, pixels[..., 5:8])
        np.testing.assert_array_equal(layers["normal"].pixels, pixels[..., 8:11])
        assert {k for k, v in layers.items() if v.is_data} == {"normal", "matte", "depth"}
        assert layers["rgba"].alpha == "premultiplied"

    def test_only_the_layers_wanted(self, tmp_path: Path) -> None:
        pixels = noise(8)
        path = store(tmp_path / "a.exr", (spec_of("R G B A n.X n.Y n.Z m.A"), pixels))
        reading = read(path, layers=["n"])
        assert list(reading.layers) == ["n"]
        np.testing.assert_array_equal(reading.layer().pixels, pixels[..., 4:7])
        with pytest.raises(InputError, match=r"none of the layers x.*rgba, m, n"):
            read(path, layers=["x"])
        with pytest.raises(InputError, match=r"no layer 'x'.*rgba"):
            read(path).layer("x")

    def test_parts_with_windows_of_their_own(self, tmp_path: Path) -> None:
        first, second = spec_of("R G B A"), spec_of("R G B", "half")
        second.width, second.height, second.x, second.y = 3, 2, -2, 9
        for spec, name in ((first, "beauty"), (second, "albedo")):
            spec.attribute("oiio:subimagename", name)
            spec.full_width, spec.full_height = 20, 12
        small = np.ones((2, 3, 3), np.float32)
        layers = read(store(tmp_path / "a.exr", (first, noise(4)), (second, small))).layers
        assert list(layers) == ["rgba", "albedo"]
        assert layers["albedo"].data == Box(-2, 9, 1, 11)
        assert layers["albedo"].display == layers["rgba"].display == Box(0, 0, 20, 12)
        np.testing.assert_array_equal(layers["albedo"].pixels, small)

    def test_views(self, tmp_path: Path) -> None:
        parts = []
        for seed, view in enumerate(("left", "right")):
            spec = spec_of("R G B", oiio__subimagename=f"rgba.{view}", view=view)
            parts.append((spec, noise(3, seed)))
        path = store(tmp_path / "a.exr", *parts)
        np.testing.assert_array_equal(read(path).layer().pixels, noise(3, 0))
        np.testing.assert_array_equal(read(path, view="right").layer().pixels, noise(3, 1))
        with pytest.raises(InputError, match="left, right"):
            read(path, view="middle")

    def test_views_in_one_part(self, tmp_path: Path) -> None:
        views = [oiio.TypeDesc("string[2]"), ("left", "right")]
        spec = spec_of("R G B right.R right.G right.B", multiView=views)
        path = store(tmp_path / "a.exr", (spec, noise(6)))
        np.testing.assert_array_equal(read(path).layer().pixels, noise(6)[..., :3])
        right = read(path, view="right").layers
        np.testing.assert_array_equal(right["rgba"].pixels, noise(6)[..., 3:])
        assert list(read(path).layers) == list(right) == ["rgba"]

    def test_whole_numbers_of_an_exr_stay_what_they_are(self, tmp_path: Path) -> None:
        spec = spec_of("R G B object.id")
        spec.channelformats = tuple(oiio.TypeDesc(t) for t in ("half", "half", "half", "uint"))
        # Written as floats, OpenImageIO would scale them: hand over whole numbers.
        ids = np.zeros((5, 7, 4), np.uint32)
        ids[..., 3] = np.arange(35).reshape(5, 7) * 1000
        layers = read(store(tmp_path / "a.exr", (spec, ids))).layers
        np.testing.assert_array_equal(layers["object"].pixels[..., 0], ids[..., 3])
        assert layers["object"].is_data

    @pytest.mark.parametrize(
        ("names", "part", "expected"),
        [
            ("red green blue alpha", "", {"rgba": ("R", "G", "B", "A")}),
            ("rgba.R rgba.G rgba.B", "", {"rgba": ("R", "G", "B")}),
            ("albedo.red albedo.green albedo.blue", "", {"albedo": ("R", "G", "B")}),
            ("b g r", "beauty", {"beauty": ("R", "G", "B")}),
            ("a.b.R a.b.G", "", {"a.b": ("R", "G")}),
            ("Y", "", {"rgba": ("Y",)}),
            ("X Y Z", "", {"rgba": ("X", "Y", "Z")}),
            ("A", "", {"rgba": ("A",)}),
            ("Z", "", {"depth": ("Z",)}),
            ("R r G B", "", {"rgba": ("R", "G", "B"), "r": ("r",)}),
            ("R G B u v", "", {"rgba": ("R", "G", "B"), "u": ("u",), "v": ("v",)}),
        ],
    )
    def test_names(self, names: str, part: str, expected: dict[str, tuple[str, ...]]) -> None:
        found = sort_channels(dict(enumerate(names.split())), part)
        assert {layer: tuple(channels) for layer, channels in found.items()} == expected

    @given(
        st.lists(
            st.from_regex(r"([a-z]{1,3}\.)?[A-Za-z]{1,5}", fullmatch=True), unique=True, max_size=12
        )
    )
    def test_no_channel_is_read_twice(self, names: list[str]) -> None:
        found = [
            i
            for channels in sort_channels(dict(enumerate(names))).values()
            for i in channels.values()
        ]
        assert len(found) == len(set(found))
        assert set(found) <= set(range(len(names)))

    @pytest.mark.parametrize(
        ("layer", "channels", "colour"),
        [
            (MAIN, "RGBA", True), (MAIN, "Y", True), (MAIN, "A", False), (MAIN, "XYZ", False),
            ("albedo", "RGB", True), ("diffuse_light", "RGB", True), ("normal", "XYZ", False),
            ("ViewLayer.Normal", "RGB", False), ("CryptoObject00", "RGBA", False),
            ("relit_id", "RGB", False), ("matte", "RGB", False), ("position", "RGB", False),
        ],
    )  # fmt: skip
    def test_light_or_numbers(self, layer: str, channels: str, colour: bool) -> None:
        assert holds_colour(layer, list(channels)) is colour

    def test_channel_names_in_a_file(self) -> None:
        assert file_channels(MAIN, ("R", "A")) == ["R", "A"]
        assert file_channels("matte", ("A",)) == ["matte.A"]


class TestPicture:
    def test_windows_aspect_and_attributes(self, tmp_path: Path) -> None:
        spec = spec_of(
            "R G B",
            "half",
            PixelAspectRatio=2.0,
            FramesPerSecond=[oiio.TypeDesc("rational"), (24000, 1001)],
            smpte__TimeCode=[oiio.TypeDesc("timecode"), (0x01020304, 7)],
            worldToCamera=[oiio.TypeDesc("matrix"), tuple(float(i) for i in range(16))],
            note="grüße",
        )
        spec.x, spec.y, spec.full_x, spec.full_y = -3, 4, -1, 2
        spec.full_width, spec.full_height = 100, 50
        image = read(store(tmp_path / "a.exr", (spec, noise(3)))).layer()
        assert image.data == Box(-3, 4, 4, 9)
        assert image.display == Box(-1, 2, 99, 52)
        assert image.pixel_aspect == 2.0
        assert image.metadata["FramesPerSecond"] == ("rational", (24000, 1001))
        assert image.metadata["smpte:TimeCode"] == ("timecode", (0x01020304, 7))
        assert image.metadata["worldToCamera"] == ("matrix", tuple(float(i) for i in range(16)))
        assert image.metadata["note"] == ("string", "grüße")

    @pytest.mark.parametrize(("sample", "scale"), [("uint8", 255), ("uint16", 65535)])
    def test_whole_numbers_are_shares_of_one(self, tmp_path: Path, sample: str, scale: int) -> None:
        codes = np.random.default_rng(0).integers(0, scale + 1, (5, 7, 3)).astype(sample)
        image = read(store(tmp_path / "a.tif", (spec_of("R G B", sample), codes))).layer()
        np.testing.assert_allclose(image.pixels * scale, codes, rtol=1e-6, atol=1e-3)

    def test_straight_alpha_arrives_straight(self, tmp_path: Path) -> None:
        codes = np.zeros((5, 7, 4), np.uint8)
        codes[..., 0], codes[..., 3] = 200, 3  # premultiplied, 200 would become 2
        spec = spec_of("R G B A", "uint8", oiio__UnassociatedAlpha=1)
        image = read(store(tmp_path / "a.png", (spec, codes))).layer()
        assert image.alpha == "straight"
        np.testing.assert_allclose(image.take("R"), 200 / 255, rtol=1e-6)

    def test_values_of_light_are_never_clamped(self, tmp_path: Path) -> None:
        pixels = noise(3)
        pixels[0, 0] = (-5.0, 1e5, 1e-6)
        image = read(store(tmp_path / "a.exr", (spec_of("R G B"), pixels))).layer()
        np.testing.assert_array_equal(image.pixels, pixels)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_photograph_stands_upright(self, tmp_path: Path, orientation: int) -> None:
        upright = np.arange(35, dtype=np.uint8).reshape(5, 7, 1).repeat(3, 2)
        # Exif: what must be done to the stored picture to see it upright, undone.
        stored = {
            1: upright,
            2: upright[:, ::-1],
            3: np.rot90(upright, 2),
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright, 1),
            7: np.rot90(upright, 2).transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        spec = oiio.ImageSpec(stored.shape[1], stored.shape[0], 3, "uint8")
        spec.attribute("Orientation", orientation)
        image = read(store(tmp_path / "a.tif", (spec, stored))).layer()
        np.testing.assert_array_equal(np.rint(image.pixels * 255), upright)


class TestNotFinite:
    def test_some_pixels_are_mended_and_counted(self, tmp_path: Path) -> None:
        pixels = np.ones((5, 7, 4), np.float32)
        pixels[1, 1, 0], pixels[1, 2], pixels[4, 6, 2] = np.nan, np.inf, -np.inf
        reading = read(store(tmp_path / "a.exr", (spec_of("R G B A"), pixels)))
        np.testing.assert_array_equal(reading.layer().pixels, 1.0)
        assert reading.repaired == {"rgba": 3}
        assert reading.notices == ["3 pixels of rgba NaN or infinite, repaired from neighbours"]

    def test_a_frame_without_a_finite_pixel_fails(self, tmp_path: Path) -> None:
        pixels = noise(4)
        pixels[..., 1] = np.nan
        path = store(tmp_path / "a.exr", (spec_of("R G B A"), pixels))
        with pytest.raises(InputError, match=r"frame 7, .*a\.exr: no pixel of rgba is finite"):
            read(path, frame=7)

    def test_a_pass_nobody_asked_for_fails_nothing(self, tmp_path: Path) -> None:
        pixels = noise(6)
        pixels[..., 3:] = np.nan
        path = store(tmp_path / "a.exr", (spec_of("R G B p.X p.Y p.Z"), pixels))
        assert read(path).repaired == {}
        with pytest.raises(InputError, match="no pixel of p"):
            read(path, layers=["p"])

    def test_the_depth_of_nothing_is_infinite(self, tmp_path: Path) -> None:
        pixels = noise(4)
        pixels[0, 0, 3] = np.inf
        layers = read(store(tmp_path / "a.exr", (spec_of("R G B Z"), pixels))).layers
        assert layers["depth"].pixels[0, 0, 0] == np.inf

    def test_an_infinite_sun_stays_bright(self, tmp_path: Path) -> None:
        pixels = np.ones((5, 7, 3), np.float32)
        pixels[2, 3], pixels[0, 0, 0] = np.inf, np.nan
        path = store(tmp_path / "a.exr", (spec_of("R G B", "half"), pixels))
        reading = read(path, environment=True)
        assert reading.layer().pixels[2, 3].tolist() == [65504.0] * 3
        assert reading.layer().pixels[0, 0, 0] == 1.0
        assert reading.repaired == {"rgba": 1}

    def test_an_environment_is_twice_as_wide_as_high(self, tmp_path: Path) -> None:
        path = store(tmp_path / "a.exr", (spec_of("R G B"), noise(3)))
        with pytest.raises(InputError, match="7×5"):
            Environment(read(path, environment=True).layer())


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "sample"),
        [("a.exr", "half"), ("a.png", "uint8"), ("a.tif", "uint8"), ("a.jpg", "uint8")],
    )
    @pytest.mark.parametrize("share", [0.98, 0.5, 0.02, 0.0])
    def test_truncated(self, tmp_path: Path, name: str, sample: str, share: float) -> None:
        spec = oiio.ImageSpec(64, 48, 3, sample)
        pixels = np.random.default_rng(0).uniform(size=(48, 64, 3)).astype(np.float32)
        path = store(tmp_path / name, (spec, pixels))
        verify(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
            read(path, frame=1001)
        assert (caught.value.exit_code, caught.value.frame) == (3, 1001)
        with pytest.raises(InputError):
            verify(path)

    def test_missing_unknown_and_movie(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="No such file"):
            read(tmp_path / "a.exr")
        (tmp_path / "a.exr").write_text("not an image at all")
        with pytest.raises(InputError, match="no readable image"):
            read(tmp_path / "a.exr")
        with pytest.raises(InputError, match="ffmpeg"):
            read(tmp_path / "a.mov")
        odd = tmp_path / "a\udcff.exr"
        odd.touch()
        with pytest.raises(InputError, match="not UTF-8"):
            read(odd)

    def test_deep(self, tmp_path: Path) -> None:
        spec = oiio.ImageSpec(2, 2, 4, "float")
        spec.deep = True
        spec.channelnames = ("R", "G", "B", "A")
        samples = oiio.DeepData()
        samples.init(4, 4, (oiio.TypeDesc("float"),) * 4, spec.channelnames)
        output = oiio.ImageOutput.create("exr")
        assert output.open(str(tmp_path / "a.exr"), spec)
        assert output.write_deep_image(samples)
        assert output.close()
        with pytest.raises(InputError, match="deep"):
            read(tmp_path / "a.exr")


class TestIdentity:
    def test_it_changes_with_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.exr"
        path.write_bytes(b"one")
        first, digest = identify(path), content_digest(path)
        assert first.path == str(path)
        assert first.size == 3
        assert content_digest(path) == digest
        path.write_bytes(b"three")
        assert identify(path) != first
        assert content_digest(path) != digest

    def test_the_content_and_not_the_name_is_digested(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(b"abc")
        # SHA-256 of "abc", FIPS 180-4.
        expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b") == expected
        with pytest.raises(InputError, match="No such file"):
            content_digest(tmp_path / "c")


def test_real_files_arrive(assets: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "relume"):
        tree = read(assets / "backgrounds" / "Tree.exr")
    assert tree.space.rule == "chromaticities"
    assert not caplog.records
    with open_image(assets / "hdri" / "venice_1k.hdr") as source:
        raw = source.read_image("float")
    light = read(assets / "hdri" / "venice_1k.hdr", environment=True)
    np.testing.assert_array_equal(Environment(light.layer()).image.pixels, raw)
