"""Writing: what a file holds, what it never holds, and that it appears whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import relume
from relume import files
from relume.errors import OutputError, UsageError
from relume.image import Box, Image
from relume.media import formats
from relume.media.read import read
from relume.media.sequence import existing_frames
from relume.media.write import check_target, fingerprint_of, is_current, write
from relume.ocio import GAMUTS

Pixels = NDArray[np.float32]


@pytest.fixture(autouse=True)
def no_user_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def noise(channels: int, height: int = 5, width: int = 7) -> Pixels:
    rng = np.random.default_rng(channels)
    return rng.normal(0, 2, (height, width, channels)).astype(np.float16).astype(np.float32)


def image(channels: str = "RGBA", **options: object) -> Image:
    options.setdefault("alpha", "premultiplied")
    return Image(noise(len(channels)), tuple(channels), **options)  # type: ignore[arg-type]


def passes() -> dict[str, Image]:
    return {
        "rgba": image(),
        "albedo": image("RGB"),
        "normal": image("XYZ", colour="data"),
        "matte": image("A", colour="data"),
    }


def header(path: Path, part: int = 0) -> oiio.ImageSpec:
    source = oiio.ImageInput.open(str(path))
    assert source is not None
    spec = source.spec(part)
    source.close()
    return spec


class TestContents:
    @pytest.mark.parametrize("multipart", [False, True])
    @pytest.mark.parametrize("depth", ["half", "float"])
    def test_every_layer_comes_back(self, tmp_path: Path, depth: str, multipart: bool) -> None:
        path = tmp_path / "a.exr"
        assert write(path, passes(), depth=depth, multipart=multipart) == []
        back = read(path).layers
        assert set(back) == set(passes())
        assert next(iter(back)) == "rgba"
        for name, layer in passes().items():
            np.testing.assert_array_equal(back[name].pixels, layer.pixels)
            assert back[name].channels == layer.channels
            assert (back[name].colour, back[name].alpha) == (layer.colour, layer.alpha)
        assert str(header(path).format) == depth

    def test_channel_names_are_the_contract(self, tmp_path: Path) -> None:
        write(tmp_path / "a.exr", dict(reversed(passes().items())))
        assert header(tmp_path / "a.exr").channelnames[:4] == ("R", "G", "B", "A")
        assert set(header(tmp_path / "a.exr").channelnames[4:]) == {
            "albedo.R", "albedo.G", "albedo.B", "normal.X", "normal.Y", "normal.Z", "matte.A",
        }  # fmt: skip

    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        values=st.lists(st.floats(-65504, 65504, width=32), min_size=1, max_size=12),
        compression=st.sampled_from(["none", "rle", "zips", "zip", "piz"]),
    )
    def test_half_rounds_to_nearest_and_clamps_nothing(
        self, tmp_path: Path, values: list[float], compression: str
    ) -> None:
        pixels = np.array(values, np.float32).reshape(1, -1, 1)
        path = tmp_path / "a.exr"
        write(path, {"rgba": Image(pixels, ("Y",))}, compression=compression)
        expected = pixels.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(read(path).layer().pixels, expected)

    def test_what_half_cannot_hold_is_float_and_never_infinite(self, tmp_path: Path) -> None:
        layers = passes()
        hot = layers["rgba"].pixels.copy()
        hot[0, 0] = (-5.0, 1e5, 65520.0, 1.0)
        layers["rgba"] = image().like(hot)
        warnings = write(tmp_path / "a.exr", layers)
        assert warnings == ["rgba reaches 100000, more than half can hold, and is written as float"]
        back = read(tmp_path / "a.exr").layers
        np.testing.assert_array_equal(back["rgba"].pixels, hot)
        formats = {
            name: str(header(tmp_path / "a.exr").channelformat(index))
            for index, name in enumerate(header(tmp_path / "a.exr").channelnames)
        }
        assert (formats["R"], formats["A"], formats["albedo.R"]) == ("float", "float", "half")

    def test_the_last_of_half_stays_half(self, tmp_path: Path) -> None:
        pixels = np.full((1, 1, 3), 65504.0, np.float32)
        assert write(tmp_path / "a.exr", {"rgba": Image(pixels, ("R", "G", "B"))}) == []
        assert read(tmp_path / "a.exr").layer().pixels.max() == 65504.0

    def test_nan_is_reported(self, tmp_path: Path) -> None:
        pixels = noise(3)
        pixels[1, 2, 0] = np.nan
        warnings = write(tmp_path / "a.exr", {"rgba": Image(pixels, ("R", "G", "B"))})
        assert warnings == ["1 pixels of rgba are NaN or infinite"]

    def test_windows_and_aspect(self, tmp_path: Path) -> None:
        plate = image(data=Box(-3, 4, 4, 9), display=Box(-1, 2, 99, 52), pixel_aspect=2.0)
        write(tmp_path / "a.exr", {"rgba": plate})
        back = read(tmp_path / "a.exr").layer()
        assert (back.data, back.display, back.pixel_aspect) == (plate.data, plate.display, 2.0)
        np.testing.assert_array_equal(back.pixels, plate.pixels)

    def test_layers_of_different_data_windows_share_a_part(self, tmp_path: Path) -> None:
        display = Box(0, 0, 20, 600)
        low = Image(noise(1, 300), ("A",), colour="data", data=Box(2, 290, 9, 590), display=display)
        main = replace(image(), data=Box(-1, 0, 6, 5), display=display)
        write(tmp_path / "a.exr", {"rgba": main, "matte": low})
        back = read(tmp_path / "a.exr").layers
        assert back["rgba"].data == back["matte"].data == Box(-1, 0, 9, 590)
        expected = np.zeros((590, 10, 1), np.float32)
        expected[290:590, 3:10] = low.pixels
        np.testing.assert_array_equal(back["matte"].pixels, expected)
        np.testing.assert_array_equal(back["rgba"].pixels[:5, :7], main.pixels)
        assert not back["rgba"].pixels[5:].any()
        write(tmp_path / "b.exr", {"rgba": main, "matte": low}, multipart=True)
        assert read(tmp_path / "b.exr").layers["matte"].data == low.data

    def test_straight_alpha_is_multiplied(self, tmp_path: Path) -> None:
        straight = image(alpha="straight")
        write(tmp_path / "a.exr", {"rgba": straight}, depth="float")
        back = read(tmp_path / "a.exr").layer()
        np.testing.assert_allclose(back.rgb, straight.rgb * straight.take("A"), rtol=1e-6)
        assert back.alpha == "premultiplied"

    def test_strided_pixels_are_written_as_they_look(self, tmp_path: Path) -> None:
        planar = np.moveaxis(noise(4).transpose(2, 0, 1).copy(), 0, -1)
        assert not planar.flags.c_contiguous
        write(tmp_path / "a.exr", {"rgba": Image(planar, tuple("RGBA"))})
        np.testing.assert_array_equal(read(tmp_path / "a.exr").layer().pixels, planar)

    @pytest.mark.parametrize(
        "compression",
        ["none", "rle", "zips", "zip", "zip:2", "piz", "pxr24", "b44", "b44a", "dwaa:45", "dwab"],
    )
    def test_compressions_are_stored(self, tmp_path: Path, compression: str) -> None:
        write(tmp_path / "a.exr", passes(), compression=compression)
        stored = str(header(tmp_path / "a.exr").getattribute("compression"))
        assert stored.partition(":")[0] == compression.partition(":")[0]


class TestHeader:
    def test_colour_is_told_twice(self, tmp_path: Path) -> None:
        write(tmp_path / "a.exr", {"rgba": image(colour="lin_rec709_scene")})
        spec = header(tmp_path / "a.exr")
        assert spec.getattribute("colorInteropID") == "lin_rec709_scene"
        expected = GAMUTS["lin_rec709_scene"]
        assert spec.getattribute("chromaticities") == pytest.approx(expected, abs=1e-6)

    def test_numbers_are_tagged_as_data(self, tmp_path: Path) -> None:
        write(tmp_path / "a.exr", {"matte": image("A", colour="data")})
        assert header(tmp_path / "a.exr").getattribute("colorInteropID") == "data"
        assert header(tmp_path / "a.exr").getattribute("chromaticities") is None
        assert list(read(tmp_path / "a.exr").layers) == ["matte"]

    def test_two_spaces_in_one_file_are_refused(self, tmp_path: Path) -> None:
        layers = {"rgba": image(), "albedo": image("RGB", colour="lin_rec709_scene")}
        with pytest.raises(UsageError, match="rgba in lin_ap1_scene, albedo in lin_rec709_scene"):
            write(tmp_path / "a.exr", layers)
        assert not list(tmp_path.iterdir())

    def test_the_plates_attributes_go_on_and_those_of_its_file_do_not(self, tmp_path: Path) -> None:
        kept = {
            "FramesPerSecond": ("rational", (24000, 1001)),
            "smpte:TimeCode": ("timecode", (0x01020304, 7)),
            "worldToCamera": ("matrix", tuple(float(i) for i in range(16))),
            "cameraLabel": ("string", "A"),
            "Exif:FNumber": ("float", 2.75),
            "DateTime": ("string", "2024:01:02 03:04:05"),
        }
        stale = {
            "chromaticities": ("float[8]", tuple(GAMUTS["lin_ap0_scene"])),
            "colorInteropID": ("string", "lin_ap0_scene"),
            "acesImageContainerFlag": ("int", 1),
            "compression": ("string", "piz"),
            "Orientation": ("int", 6),
            "oiio:UnassociatedAlpha": ("int", 1),
            "screenWindowWidth": ("float", 9.0),
            "PixelAspectRatio": ("float", 3.0),
            "relume:fingerprint": ("string", "old"),
            "channels": ("string", "R"),
        }
        path = tmp_path / "a.exr"
        write(path, {"rgba": image(metadata=kept | stale)}, fingerprint="new")
        spec = header(path)
        back = read(path).layer()
        for name, (kind, value) in kept.items():
            assert back.metadata[name] == (kind, value)
        assert spec.getattribute("colorInteropID") == "lin_ap1_scene"
        assert spec.getattribute("acesImageContainerFlag") is None
        assert spec.getattribute("compression") == "zips"
        assert spec.getattribute("Orientation") is None
        assert spec.getattribute("screenWindowWidth") == 1.0
        assert (back.alpha, back.pixel_aspect) == ("premultiplied", 1.0)
        assert spec.getattribute("relume:version") == relume.__version__
        assert fingerprint_of(path) == "new"

    def test_metadata_of_the_caller_is_added(self, tmp_path: Path) -> None:
        write(tmp_path / "a.exr", {"rgba": image()}, metadata={"shot": ("string", "sc010")})
        assert header(tmp_path / "a.exr").getattribute("shot") == "sc010"


class TestFlatFormats:
    @pytest.mark.parametrize(
        ("name", "depth", "step"),
        [
            ("a.png", "half", 1 / 255), ("a.png", "uint16", 1 / 65535),
            ("a.tif", "half", 1 / 65535), ("a.tif", "uint8", 1 / 255), ("a.tif", "float", 1e-7),
        ],
    )  # fmt: skip
    def test_the_picture_comes_back(
        self, tmp_path: Path, name: str, depth: str, step: float
    ) -> None:
        straight = np.random.default_rng(0).uniform(0.1, 0.9, (5, 7, 4)).astype(np.float32)
        pixels = straight.copy()
        pixels[..., :3] *= pixels[..., 3:]
        plate = Image(pixels, tuple("RGBA"), "srgb_rec709_scene", "premultiplied")
        write(tmp_path / name, {"rgba": plate}, depth=depth)
        back = read(tmp_path / name).layer()
        assert back.alpha == "straight"
        np.testing.assert_allclose(back.pixels, straight, atol=step * 0.51)

    def test_linear_light_is_encoded(self, tmp_path: Path) -> None:
        grey = Image(np.full((2, 2, 3), 0.3185468, np.float32), tuple("RGB"), "lin_rec709_scene")
        write(tmp_path / "a.png", {"rgba": grey})
        np.testing.assert_allclose(read(tmp_path / "a.png").layer().pixels, 153 / 255, atol=1e-6)

    def test_a_jpeg_shows_the_picture_over_black(self, tmp_path: Path) -> None:
        pixels = np.full((16, 16, 4), 0.5, np.float32)
        plate = Image(pixels, tuple("RGBA"), "srgb_rec709_scene", "straight")
        write(tmp_path / "a.jpg", {"rgba": plate})
        back = read(tmp_path / "a.jpg").layer()
        assert back.channels == ("R", "G", "B")
        np.testing.assert_allclose(back.pixels, 0.25, atol=0.01)

    def test_a_matte_is_a_grey_picture_of_its_numbers(self, tmp_path: Path) -> None:
        matte = Image(np.full((4, 4, 1), 0.25, np.float32), ("A",), colour="data")
        write(tmp_path / "a.png", {"matte": matte}, depth="uint16")
        back = read(tmp_path / "a.png").layer()
        assert back.channels == ("Y",)
        np.testing.assert_allclose(back.pixels, 0.25, atol=1e-5)

    def test_the_display_window_is_what_is_seen(self, tmp_path: Path) -> None:
        ones = np.ones((4, 4, 3), np.float32)
        plate = Image(
            ones, tuple("RGB"), "srgb_rec709_scene", data=Box(-2, 1, 2, 5), display=Box(0, 0, 6, 3)
        )
        write(tmp_path / "a.png", {"rgba": plate})
        back = read(tmp_path / "a.png").layer()
        expected = np.zeros((3, 6, 3), np.float32)
        expected[1:3, :2] = 1.0
        np.testing.assert_array_equal(back.pixels, expected)
        assert back.data == back.display == Box(0, 0, 6, 3)

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
    def test_they_carry_a_fingerprint(self, tmp_path: Path, name: str) -> None:
        plate = Image(np.ones((4, 4, 3), np.float32), tuple("RGB"))
        write(tmp_path / name, {"rgba": plate}, fingerprint="abc123")
        assert fingerprint_of(tmp_path / name) == "abc123"
        write(tmp_path / name, {"rgba": plate})
        assert fingerprint_of(tmp_path / name) == ""


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "layers", "options", "message"),
        [
            ("a.exr", passes(), {"compression": "htj2k"}, "no compression 'htj2k'.*htj2k256"),
            ("a.exr", passes(), {"compression": "zip2"}, "no compression"),
            ("a.exr", passes(), {"depth": "uint8"}, "no depth 'uint8'.*half, float"),
            ("a.png", {"rgba": image()}, {"depth": "float"}, "no depth 'float'"),
            ("a.png", passes(), {}, "one layer, not rgba, albedo"),
            ("a.png", {"normal": image("XYZ", colour="data")}, {}, "cannot hold.*X, Y, Z"),
            ("a.webp", {"rgba": image()}, {}, r"no format.*\.exr"),
            ("a", {"rgba": image()}, {}, "no format"),
            ("a.exr", {}, {}, "no layer"),
            ("a.exr", {"2nd": image()}, {}, "'2nd' is no name"),
            ("a.exr", {"left": image()}, {}, "'left' is no name"),
            (
                "a.exr", {"rgba": image(), "b": image(display=Box(0, 0, 9, 9))}, {},
                "b has another display window",
            ),
        ],
    )  # fmt: skip
    def test_what_no_file_can_hold(
        self,
        tmp_path: Path,
        name: str,
        layers: dict[str, Image],
        options: dict[str, str],
        message: str,
    ) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            write(tmp_path / name, layers, **options)  # type: ignore[arg-type]
        assert caught.value.exit_code == 2
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("link", ["same", "symlink", "hardlink", "folder"])
    def test_an_input_is_never_written_over(self, tmp_path: Path, link: str) -> None:
        plate = tmp_path / "plate.exr"
        write(plate, {"rgba": image()}, fingerprint="f")
        before = plate.read_bytes()
        target = tmp_path / "out.exr"
        if link == "same":
            target = tmp_path / "." / "plate.exr"
        elif link == "symlink":
            target.symlink_to(plate)
        elif link == "hardlink":
            target.hardlink_to(plate)
        else:
            (tmp_path / "alias").symlink_to(tmp_path)
            target = tmp_path / "alias" / "plate.exr"
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="read by this graph"):
                write(target, {"rgba": image()}, inputs=["/none.exr", plate], overwrite=overwrite)
        assert plate.read_bytes() == before

    def test_a_link_to_a_missing_input_is_not_written(self, tmp_path: Path) -> None:
        (tmp_path / "out.exr").symlink_to(tmp_path / "plate.exr")
        with pytest.raises(UsageError, match="read by this graph"):
            write(tmp_path / "out.exr", {"rgba": image()}, inputs=[tmp_path / "plate.exr"])

    @pytest.mark.parametrize("content", [b"", b"somebody's notes", None])
    def test_a_file_of_somebody_else_is_kept(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "a.exr"
        if content is None:
            assert oiio.ImageBuf(noise(3)).write(str(path))
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(UsageError, match=r"relume did not write it.*--overwrite"):
            write(path, {"rgba": image()})
        assert path.read_bytes() == before
        write(path, {"rgba": image()}, overwrite=True)
        assert fingerprint_of(path) is not None
        write(path, {"rgba": image()})  # its own file, again

    def test_a_target_in_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match=r"nothing can be written in .*file"):
            write(tmp_path / "file" / "a.exr", {"rgba": image()})
        with pytest.raises(UsageError, match="is a folder"):
            check_target(tmp_path)

    def test_a_read_only_folder(self, tmp_path: Path) -> None:
        result = on_a_small_disk(tmp_path, "ro", "write(folder / 'a.exr', {'rgba': image})")
        assert result == (
            f"UsageError nothing can be written in {tmp_path}. Choose another folder. []\n"
        )

    def test_a_folder_that_turns_read_only_is_one_sentence(self) -> None:
        # The kernel's own read-only folder, which not even root may write in.
        with pytest.raises((OutputError, UsageError), match=r"/proc/.*\.$") as caught:
            write("/proc/self/a.exr", {"rgba": image()})
        assert "full" not in str(caught.value), "it holds nothing, and is not full"


class TestWhole:
    def test_missing_folders_are_made_and_the_mode_follows_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write(tmp_path / "b" / "c" / "a.exr", {"rgba": image()})
        finally:
            os.umask(before)
        path = tmp_path / "b" / "c" / "a.exr"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert [p.name for p in path.parent.iterdir()] == ["a.exr"]

    @pytest.mark.parametrize("name", ["a.exr", "a.png", "a.tif", "a.jpg"])
    def test_the_same_pixels_give_the_same_bytes_at_any_time(
        self, tmp_path: Path, name: str
    ) -> None:
        picture = Image(np.ones((4, 4, 3), np.float32), tuple("RGB"))
        write(tmp_path / name, {"rgba": picture})
        first = (tmp_path / name).read_bytes()
        time.sleep(1.1)  # a header's date counts whole seconds
        write(tmp_path / name, {"rgba": picture})
        assert (tmp_path / name).read_bytes() == first

    def test_a_plate_s_own_date_is_kept(self, tmp_path: Path) -> None:
        date = "2020:02:03 04:05:06"
        write(tmp_path / "a.exr", {"rgba": image()}, metadata={"DateTime": ("string", date)})
        assert read(tmp_path / "a.exr").layer().metadata["DateTime"] == ("string", date)

    def test_is_current_needs_the_fingerprint_and_the_last_line(self, tmp_path: Path) -> None:
        path = tmp_path / "a.exr"
        assert not is_current(path, "f")
        write(path, passes(), fingerprint="f")
        assert is_current(path, "f")
        assert not is_current(path, "g")
        assert not is_current(path, "")
        path.write_bytes(path.read_bytes()[:-40])
        assert fingerprint_of(path) == "f"
        assert not is_current(path, "f")

    @pytest.mark.parametrize("multipart", [False, True])
    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path: Path, multipart: bool) -> None:
        """A file-size limit of the kernel stops the write half way, as a full quota does."""
        path = tmp_path / "a.exr"
        write(path, {"rgba": image()}, fingerprint="old")
        before = path.read_bytes()
        result = child(
            f"""
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            pixels = np.random.default_rng(0).uniform(size=(600, 400, 4)).astype(np.float32)
            image = Image(pixels, tuple("RGBA"))
            try:
                write({str(path)!r}, {{"rgba": image, "albedo": image}}, depth="float",
                      multipart={multipart})
            except OutputError as error:
                print(error)
            """
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"{path} could not be written")
        assert result.stdout.count("\n") == 1
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]

    def test_a_full_disk(self, tmp_path: Path) -> None:
        result = on_a_small_disk(
            tmp_path, "size=2m", "write(folder / 'a.exr', {'rgba': image}, depth='float')"
        )
        assert result == (
            f"OutputError {tmp_path}/a.exr could not be written: the disk is full. "
            "Free some space, or choose another folder. []\n"
        )

    def test_a_killed_write_is_never_a_frame(self, tmp_path: Path) -> None:
        path = tmp_path / "a.1001.exr"
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                program(
                    f"""
                    import time
                    from relume.media.formats import Part
                    rows = Part.rows
                    def slow(part, begin, end):
                        if begin:
                            print("half", flush=True)
                            time.sleep(600)
                        return rows(part, begin, end)
                    Part.rows = slow
                    write({str(path)!r}, {{"rgba": Image(np.ones((600, 8, 4)), tuple("RGBA"))}})
                    """
                ),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            names = [p.name for p in tmp_path.iterdir()]
            assert len(names) == 1
            assert names[0].startswith(".a.1001.exr.")
            assert names[0].endswith(f".{process.pid}.tmp")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()
        assert not path.exists()
        assert existing_frames(tmp_path / "a.%04d.exr") == []
        write(path, {"rgba": image()})  # what was left behind is in nobody's way
        assert existing_frames(tmp_path / "a.%04d.exr") == [1001]

    def test_an_interrupt_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(path: Path) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(files, "sync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "a.exr", {"rgba": image()})
        assert not list(tmp_path.iterdir())

    def test_a_compression_that_was_not_stored_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(formats, "_COMPRESSION", re.compile("nosuch"))
        with pytest.raises(UsageError, match="cannot write nosuch and stored zip"):
            write(tmp_path / "a.exr", {"rgba": image()}, compression="nosuch")
        assert not list(tmp_path.iterdir())


def program(body: str) -> str:
    """Return a program of its own that writes."""
    imports = """
        import numpy as np
        from pathlib import Path
        from relume.errors import OutputError, RelumeError
        from relume.image import Image
        from relume.media.write import write
    """
    return textwrap.dedent(imports) + textwrap.dedent(body)


def child(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program(body)], capture_output=True, text=True)


def on_a_small_disk(folder: Path, options: str, statement: str) -> str:
    """Run a statement while a file system of its own lies on the folder; return what it printed."""
    script = folder.parent / f"{folder.name}.py"
    script.write_text(
        program(
            f"""
            folder = Path({str(folder)!r})
            pixels = np.random.default_rng(0).uniform(size=(600, 400, 4)).astype(np.float32)
            image = Image(pixels, tuple("RGBA"))
            try:
                {statement}
            except RelumeError as error:
                print(type(error).__name__, error, list(folder.iterdir()))
            """
        )
    )
    mount = f"mount -t tmpfs -o {options} tmpfs '{folder}' && exec "
    inside = ["unshare", "-rm", "sh", "-c"]
    allowed = shutil.which("unshare") and not subprocess.run([*inside, mount + "true"]).returncode
    if not allowed:
        pytest.skip("this machine lets no user mount a disk of their own")
    command = [*inside, f"{mount} '{sys.executable}' '{script}'"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
