"""The pack for ComfyUI, in a stand-in of ComfyUI written here; the real one is not run."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.errors import Exit, UsageError
from relume.hosts import install as hosts
from relume.hosts.cli import main
from relume.hosts.comfyui.install import source, wires
from relume.image import Image
from relume.knobs import OutputFile
from relume.media.read import read
from relume.media.write import write
from relume.nodes.registry import REGISTRY

RGB = ("R", "G", "B")


def image(*shape: int, seed: int = 1) -> torch.Tensor:
    """Return an IMAGE with values below 0 and far above 1."""
    numbers = np.random.default_rng(seed).normal(0.5, 1.0, shape).astype(np.float32)
    numbers[:, 0, 0] = (11.98, -4.99, 0.5)[: shape[-1]]
    return torch.from_numpy(numbers)


def given(value: Any, kind: str = "IMAGE") -> dict[str, Any]:
    """Return a node of another pack."""
    return {"type": kind, "value": value}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def linear(pixels: torch.Tensor) -> torch.Tensor:
    """Decode sRGB, mirrored below 0. Source: IEC 61966-2-1."""
    size = pixels.abs().double()
    small = size / 12.92
    large = ((size + 0.055) / 1.055) ** 2.4
    return (torch.where(size <= 0.04045, small, large) * pixels.sign()).float()


def test_every_declared_node_knob_and_port_is_there(comfy: Any) -> None:
    for id, declared in REGISTRY.items():
        _, schema = comfy.nodes["Relume" + "".join(p.capitalize() for p in id.split("_"))]
        saves = any(isinstance(knob, OutputFile) for knob in declared.knobs().values())
        assert schema.is_output_node == saves
        for name, knob in declared.knobs().items():
            shown = schema.inputs.get(name) or schema.inputs[f"{name}_r"]
            assert knob.doc in shown.tooltip
            assert ("set" in knob.kind or f"{name}_set" in schema.inputs) == (
                knob.kind.startswith("optional_")
            )
        for name, port in declared.inputs().items():
            shown = schema.inputs[f"{name.removesuffix('s')}1" if port.many else name]
            assert shown.optional == port.optional
        if not saves:
            assert [out.id for out in schema.outputs] == list(declared.outputs())


def test_light_maps_go_where_a_light_goes() -> None:
    found = wires(REGISTRY)
    assert found["LightMaps"] == found["Light"] == "Light"
    assert found["Image"] == "Image" and found["Layers"] == "Layers"


def test_an_image_goes_through_unclamped(comfy: Any) -> None:
    picture = image(2, 5, 7, 3)
    prompt = {
        "1": given(picture),
        "2": node("RelumeFromImage", image=["1", 0]),
        "3": node("RelumeToImage", picture=["2", 0]),
    }
    back, mask = comfy.run(prompt, "3")
    assert back.dtype == torch.float32 and back.shape == (2, 5, 7, 3)
    torch.testing.assert_close(back, picture, rtol=0, atol=0)
    assert (mask == 1).all() and mask.shape == (2, 5, 7)


def test_an_image_is_srgb_and_the_wire_is_linear(comfy: Any) -> None:
    """One stop on scene-linear light is a factor of two there, and not on sRGB numbers."""
    picture = image(1, 4, 6, 3).abs() + 0.1
    prompt = {
        "1": given(picture),
        "2": node("RelumeGrade", image=["1", 0], exposure=1.0),
        "3": node("RelumeToImage", picture=["2", 0]),
    }
    back, _ = comfy.run(prompt, "3")
    torch.testing.assert_close(linear(back), 2 * linear(picture), rtol=2e-4, atol=1e-5)
    numbers = prompt | {"3": node("RelumeToImage", picture=["2", 0], colour="lin_rec709_scene")}
    back, _ = comfy.run(numbers, "3")
    torch.testing.assert_close(back, 2 * linear(picture), rtol=2e-4, atol=1e-5)


def test_one_in_a_mask_is_the_subject(comfy: Any) -> None:
    mask = torch.linspace(0, 1, 24).reshape(1, 4, 6)
    for polarity, wanted in (("1 is the subject", mask), ("1 is the background", 1 - mask)):
        prompt = {
            "1": given(mask, "MASK"),
            "2": node("RelumeFromMask", mask=["1", 0], mask_is=polarity),
            "3": node("RelumeToImage", picture=["2", 0]),
            "4": given(torch.ones(1, 4, 6, 3)),
            "5": node("RelumeFromImage", image=["4", 0], mask=["1", 0], mask_is=polarity),
            "6": node("RelumeToImage", picture=["5", 0], alpha="premultiplied"),
        }
        assert torch.equal(comfy.run(prompt, "3")[1], wanted)
        pixels, alpha = comfy.run(prompt, "6")
        assert torch.equal(alpha, wanted)
        assert torch.allclose(pixels[..., 0], wanted, atol=1e-5)
    # Straight into a port that takes a matte, without a node in between.
    full = torch.zeros(1, 64, 64)
    full[:, 16:48, 16:48] = 1
    prompt = {
        "1": given(full, "MASK"),
        "2": node("RelumeTrimap", matte=["1", 0], erode=4.0, dilate=4.0),
        "3": node("RelumeToImage", picture=["2", 0]),
    }
    _, trimap = comfy.run(prompt, "3")
    assert trimap[0, 32, 32] == 1 and trimap[0, 2, 2] == 0 and 0 < trimap[0, 16, 32] < 1


def test_a_batch_is_the_frames_of_a_shot(comfy: Any) -> None:
    """A still holds beside a batch; other frames that meet are refused in words."""
    plate, still = image(3, 4, 6, 3, seed=2).abs(), image(1, 4, 6, 3, seed=3).abs()
    alpha = torch.full((3, 4, 6), 0.25)
    prompt = {
        "1": given(plate),
        "2": given(alpha, "MASK"),
        "3": node("RelumeFromImage", image=["1", 0], mask=["2", 0], first_frame=1001),
        "4": node("RelumePremult", image=["3", 0]),
        "5": given(still),
        "6": node("RelumeOver", foreground=["4", 0], background=["5", 0]),
        "7": node("RelumeToImage", picture=["6", 0], colour="lin_rec709_scene"),
    }
    back, _ = comfy.run(prompt, "7")
    wanted = 0.25 * linear(plate) + 0.75 * linear(still)
    torch.testing.assert_close(back, wanted, rtol=1e-3, atol=1e-4)
    prompt["5"] = given(image(2, 4, 6, 3))
    with pytest.raises(Exception, match=r"other frames: 1-2 and 1001-1003") as caught:
        comfy.run(prompt, "7")
    assert type(caught.value).__name__ == "RelumeError"


def test_windows_colour_and_names_travel(comfy: Any, tmp_path: Path) -> None:
    """A file with a data window off its display window, read, written, read by OpenImageIO."""
    from relume.image import Box, Layers

    pixels = np.random.default_rng(4).normal(0, 40000, (5, 6, 3)).astype(np.float32)
    plate = Image(
        pixels, RGB, colour="lin_ap1_scene", data=Box(-2, 1, 4, 6), display=Box(0, 0, 8, 9),
        pixel_aspect=2.0,
    )  # fmt: skip
    normal = Image(pixels / 1e5, ("X", "Y", "Z"), colour="data", data=plate.data,
                   display=plate.display, pixel_aspect=2.0)  # fmt: skip
    write(tmp_path / "in.0007.exr", Layers({"rgba": plate, "normal": normal}), depth="float")
    for compression in ("none", "zips", "zip"):
        out = tmp_path / f"{compression}.####.exr"
        prompt = {
            "1": node("RelumeRead", file=str(tmp_path / "in.####.exr")),
            "2": node("RelumeRead", file=str(tmp_path / "in.####.exr"), layer="normal"),
            "3": node(
                "RelumeWrite", layer1=["1", 0], layer2=["2", 0], layer2_name="normal",
                file=str(out), depth="float", compression=compression, frames="7",
            ),
        }  # fmt: skip
        assert comfy.run(prompt, "3") == ()
        found = read(tmp_path / f"{compression}.0007.exr")
        main_layer = found.layers["rgba"]
        np.testing.assert_array_equal(main_layer.pixels, pixels)
        np.testing.assert_array_equal(found.layers["normal"].pixels, normal.pixels)
        assert found.layers["normal"].channels == ("X", "Y", "Z")
        assert (main_layer.data, main_layer.display) == (plate.data, plate.display)
        assert main_layer.pixel_aspect == 2.0
        assert main_layer.colour == "lin_ap1_scene"
        # What is there stays.
        with pytest.raises(Exception, match="exists"):
            comfy.run(prompt, "3")
        prompt["3"]["inputs"]["overwrite"] = True
        comfy.run(prompt, "3")
    shown = {
        "1": prompt["1"],
        "2": node("RelumeToImage", picture=["1", 0], colour="lin_ap1_scene", frames="7"),
    }
    back, _ = comfy.run(shown, "2")
    assert back.shape == (1, 9, 8, 3)
    np.testing.assert_array_equal(back[0, 1:6, :4].numpy(), pixels[:, 2:])
    assert (back[0, 6:] == 0).all() and (back[0, :, 4:] == 0).all()


def test_half_keeps_what_it_can_and_is_float_where_it_cannot(comfy: Any, tmp_path: Path) -> None:
    for top, exact in ((60000.0, False), (70000.0, True)):
        picture = image(1, 20, 6, 3)
        picture[0, 3, 3] = top
        prompt = {
            "1": given(picture),
            "2": node("RelumeFromImage", image=["1", 0], colour="lin_ap1_scene"),
            "3": node("RelumeWrite", layer1=["2", 0], file=str(tmp_path / "x.exr"), overwrite=True),
        }
        comfy.run(prompt, "3")
        found = read(tmp_path / "x.exr").layers["rgba"].pixels
        assert np.array_equal(found, picture[0].numpy()) == exact
        np.testing.assert_allclose(found, picture[0].numpy(), rtol=1e-3, atol=1e-6)


def test_two_lights_and_their_passes(comfy: Any, tmp_path: Path) -> None:
    """A whole relight without networks; the passes add up, and relume run makes the same."""
    plate = image(1, 24, 32, 3).abs()
    matte = torch.zeros(1, 24, 32)
    matte[:, 4:20, 6:26] = 1
    facing = torch.zeros(1, 24, 32, 3)
    facing[..., 2] = 1
    prompt = {
        "1": given(plate),
        "2": given(matte, "MASK"),
        "3": given(facing),
        "4": node(
            "RelumePhong", foreground=["1", 0], matte=["2", 0], normals=["3", 0], albedo=["1", 0]
        ),
        "5": node("RelumeLightRig"),
        "6": node("RelumePrefilterLight", environment=["5", 0]),
        "7": node("RelumeAdjustLight", light=["6", 0], gain_r=2.0, gain_g=0.5),
        "8": node(
            "RelumeRelight", transport=["4", 0], light1=["6", 0], light1_name="key",
            light2=["7", 0], light2_name="rim",
        ),
        "9": node("RelumeToImage", picture=["8", 1], layer="relit_rim", colour="lin_ap1_scene"),
        "10": node("RelumeSaveGraph", picture=["8", 0], file=str(tmp_path / "graph.json")),
    }  # fmt: skip
    rim = comfy.run(prompt, "9")[0]
    prompt["9"]["inputs"]["layer"] = "relit_key"
    key = comfy.run(prompt, "9")[0]
    torch.testing.assert_close(rim[..., 0], 2 * key[..., 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rim[..., 1], 0.5 * key[..., 1], rtol=1e-4, atol=1e-5)
    prompt["9"] = node("RelumeToImage", picture=["8", 0], colour="lin_ap1_scene")
    both, alpha = comfy.run(prompt, "9")
    torch.testing.assert_close(both, key + rim, rtol=1e-4, atol=1e-5)
    assert torch.equal(alpha, matte)
    # The graph is that of the farm: pictures of ComfyUI become files of the same names.
    comfy.run(prompt, "10")
    graph = json.loads((tmp_path / "graph.json").read_text())
    files = {}
    for name, entry in graph["nodes"].items():
        if entry["type"] == "input":
            pixels = {"4_matte": matte[0, ..., None], "4_normals": facing[0]}
            found = next((p for end, p in pixels.items() if name.endswith(end)), plate[0])
            colour = "data" if name.endswith(("matte", "normals")) else "srgb_rec709_scene"
            channels = ("A",) if name.endswith("matte") else RGB
            if name.endswith("normals"):
                channels = ("X", "Y", "Z")
            layer = Image(found.numpy(), channels, colour=colour)
            files[name] = tmp_path / f"{name}.exr"
            write(files[name], {"rgba": layer}, depth="float")
            graph["nodes"][name] = {
                "type": "read", "knobs": {"file": str(files[name]), "colour": colour}
            }  # fmt: skip
    relight = next(name for name, entry in graph["nodes"].items() if entry["type"] == "relight")
    graph["nodes"]["write"] = {
        "type": "write", "inputs": {"layers": {"rgba": f"{relight}.relit"}},
        "knobs": {"file": str(tmp_path / "farm.exr"), "depth": "float"},
    }  # fmt: skip
    (tmp_path / "farm.json").write_text(json.dumps(graph))
    assert main(["run", str(tmp_path / "farm.json"), "--threads", "1"]) == Exit.DONE
    farm = read(tmp_path / "farm.exr").layers["rgba"].pixels
    np.testing.assert_allclose(farm, torch.cat((both, alpha[..., None]), -1)[0], atol=1e-5)


def test_progress_is_told_and_an_interrupt_is_comfyuis(comfy: Any) -> None:
    prompt = {
        "1": given(image(3, 8, 8, 3)),
        "2": node("RelumeGrade", image=["1", 0], exposure=1.5),
        "3": node("RelumeToImage", picture=["2", 0]),
    }
    comfy.run(prompt, "3")
    shown = [value for value, total in comfy.progress.shown if total == 1000]
    assert shown[-1] == 1000 and shown == sorted(shown) and len(set(shown)) >= 3
    comfy.progress.stop = True
    rendering = comfy.part("rendering")

    def cancelled(*unused: Any, is_cancelled: Any, **others: Any) -> None:
        assert is_cancelled()
        raise comfy.part("relume_client").Cancelled("stopped")

    rendering.worker.render, kept = cancelled, rendering.worker.render
    with pytest.raises(comfy.Interrupted):
        comfy.run(prompt, "3")
    rendering.worker.render = kept
    comfy.run(prompt, "3")


def test_failures_are_sentences(comfy: Any, tmp_path: Path) -> None:
    prompt = {
        "1": node("RelumeRead", file=str(tmp_path / "none.exr")),
        "2": node("RelumeToImage", picture=["1", 0]),
    }
    with pytest.raises(Exception, match=r"none\.exr"):
        comfy.run(prompt, "2")
    prompt["2"]["inputs"]["frames"] = "first"
    with pytest.raises(Exception, match="no range of frames"):
        comfy.run(prompt, "2")
    saving = {
        "1": given(image(2, 4, 4, 3)),
        "2": node("RelumeWrite", layer1=["1", 0], file=str(tmp_path / "x.exr")),
    }
    with pytest.raises(Exception, match="add ####"):
        comfy.run(saving, "2")
    saving["2"]["inputs"] |= {"file": str(tmp_path / "x.####.exr"), "compression": "piz"}
    with pytest.raises(Exception, match="not piz"):
        comfy.run(saving, "2")
    assert list(tmp_path.glob("*.exr")) == []


def test_a_file_that_changed_is_another_input(comfy: Any, tmp_path: Path) -> None:
    cls, _ = comfy.nodes["RelumeRead"]
    pattern = str(tmp_path / "a.####.exr")
    assert cls.fingerprint_inputs(file="") == [None]
    (tmp_path / "a.0001.exr").write_bytes(b"1")
    before = cls.fingerprint_inputs(file=pattern)
    assert cls.fingerprint_inputs(file=pattern) == before
    (tmp_path / "a.0002.exr").write_bytes(b"22")
    assert cls.fingerprint_inputs(file=pattern) != before


def test_the_pack_is_installed_whole_and_needs_no_relume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    with pytest.raises(UsageError, match="nothing says where ComfyUI is"):
        hosts.install("comfyui")
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "ComfyUI"))
    place, written = hosts.install("comfyui")
    assert place == tmp_path / "ComfyUI" / "custom_nodes"
    assert {p.relative_to(place / "relume").as_posix() for p in written} == set(source(REGISTRY))
    assert hosts.problems("comfyui") == (place, [])
    project = tomllib.loads((place / "relume" / "pyproject.toml").read_text())
    assert project["project"]["dependencies"] == []
    assert "comfyui" not in project["project"]["name"].lower()
    assert {"PublisherId", "DisplayName"} <= project["tool"]["comfy"].keys()
    imports = "import ast, pathlib, sys\nfor f in pathlib.Path(sys.argv[1]).glob('*.py'):\n" + (
        "  for n in ast.walk(ast.parse(f.read_text())):\n"
        "    if isinstance(n, ast.ImportFrom) and not n.level: print(n.module.split('.')[0])\n"
        "    if isinstance(n, ast.Import): print(n.names[0].name.split('.')[0])\n"
    )
    found = subprocess.run(
        [sys.executable, "-S", "-c", imports, str(place / "relume")],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    foreign = set(found) - set(sys.stdlib_module_names)
    assert foreign == {"torch", "numpy", "comfy", "comfy_api"}
    (place / "relume" / "nodes.json").write_text("{}")
    assert any("changed" in problem for problem in hosts.problems("comfyui")[1])
    hosts.uninstall("comfyui")


def test_the_graph_of_a_value_is_a_document(comfy: Any) -> None:
    prompt = {
        "1:4": node("RelumeRead", file="plate.####.exr"),
        "2": node("RelumeCrop", image=["1:4", 0]),
    }
    (value,) = comfy.run(prompt, "2")
    assert list(value.nodes) == ["read_1_4", "crop_2"]
    assert value.nodes["crop_2"]["inputs"] == {"image": "read_1_4.image"}
