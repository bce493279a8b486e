"""`relume doctor`: says what works, and fails where something does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from relume import weights as stored
from relume.errors import Exit
from relume.hosts.cli import main

Capture = pytest.CaptureFixture[str]
NAMES = ("matte", "normals", "albedo", "transport", "express", "neural", "light")


@pytest.fixture
def own_weights(weights: None, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the weights to a folder of the test's own."""
    folder = here / "weights"
    folder.mkdir()
    for name in NAMES:
        manifest = stored.find(name)
        for file in (manifest, manifest.with_suffix(".safetensors")):
            shutil.copy(file, folder)
    monkeypatch.setenv(stored.VARIABLE, str(folder))
    return folder


def test_everything_works(own_weights: Path, capsys: Capture) -> None:
    assert main(["doctor"]) == Exit.DONE
    text = capsys.readouterr().out
    for word in ("relume", "torch", "OpenImageIO", "opencolorio", "cpu", "ocio://", *NAMES):
        assert word in text
    assert text.count("sha256 matches") == len(NAMES)
    assert text.endswith("Everything works.\n")


def test_damaged_weights_are_found(own_weights: Path, capsys: Capture) -> None:
    file = own_weights / "normals.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    assert main(["doctor"]) == Exit.VERIFICATION
    captured = capsys.readouterr()
    lines = [" ".join(line.split()) for line in captured.out.splitlines()]
    assert f"! normals {file} does not match its manifest; install again" in lines
    assert "marked !" in captured.err


def test_a_broken_ocio_is_found(
    own_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("OCIO", "nowhere.ocio")
    assert main(["doctor"]) == Exit.VERIFICATION
    assert "nowhere.ocio" in capsys.readouterr().out


def test_json(own_weights: Path, capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == Exit.DONE
    findings = json.loads(capsys.readouterr().out)
    assert {"section", "subject", "state", "works"} == set(findings[0])
    assert all(found["works"] for found in findings)
