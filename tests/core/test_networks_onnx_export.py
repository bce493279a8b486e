"""Networks as ONNX files: onnxruntime says what torch says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.errors import Exit
from relume.hosts.cli import main
from relume.networks import onnx_export
from relume.networks.transport import TransportNet
from relume.weights import digest

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
pytest.importorskip("onnxscript", reason="the extra [training] is not installed")


def planes(count: int, height: int, width: int) -> torch.Tensor:
    """Return a picture with a subject in its middle."""
    rng = np.random.default_rng(2)
    found = rng.normal(0, 0.5, (1, count, height, width)).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width]
    inside = np.hypot(y - height / 2, x - width / 2) < 0.4 * height
    found[:, -1] = inside
    return torch.from_numpy(found)


@pytest.mark.parametrize("name", ["normals", "express", "matte"])
def test_onnxruntime_says_what_torch_says(name: str, tmp_path: Path) -> None:
    """The size makes the coarse pass of the normals shrink the picture, antialiased."""
    file = tmp_path / f"{name}.onnx"
    width, height = 320, 160
    size = f"{width}x{height}"
    assert main(["train", "export-onnx", name, "--size", size, "--out", str(file)]) == Exit.DONE
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    form = onnx_export.FORMS[name]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    x = planes(len(form.planes), height, width)
    found = session.run(None, {"planes": x.numpy()})
    with torch.inference_mode():
        wanted = onnx_export.module(name)(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    assert [output.name for output in session.get_outputs()] == list(form.outputs)
    for got, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, right.numpy(), atol=1e-4)
        assert np.std(got) > 1e-3
    about = session.get_modelmeta().custom_metadata_map
    assert about["relume.sha256"] == digest(name)
    assert json.loads(about["relume.planes"]) == list(form.planes)


def test_a_small_transport_keeps_half_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    small = TransportNet(
        channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1, 1), width=8, features=4, side=64
    ).eval()
    monkeypatch.setattr("relume.weights.load", lambda name: small)
    onnx_export.export("transport", tmp_path / "t.onnx", (96, 72))
    session = onnxruntime.InferenceSession(tmp_path / "t.onnx", providers=["CPUExecutionProvider"])
    x = planes(10, 72, 96)
    (found,) = session.run(None, {"planes": x.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(found, small(x).numpy(), atol=1e-5)
    assert found.shape == (1, 21, 36, 48)


def test_what_cannot_be_exported_is_refused(tmp_path: Path, capsys) -> None:
    out = ["--out", str(tmp_path / "x.onnx")]
    for arguments, sentence in (
        (["light"], "cannot be exported alone"),
        (["normals", "--size", "101x64"], "multiples of 2"),
        (["matte", "--size", "100x64"], "multiples of 32"),
        (["matte", "--size", "large"], "Give it as 1920x1080"),
    ):
        assert main(["train", "export-onnx", *arguments, *out]) == Exit.USAGE
        assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
