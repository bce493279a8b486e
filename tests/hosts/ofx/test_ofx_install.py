"""The bundle put in place for an application, as a user does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relume.errors import Exit
from relume.hosts.cli import main
from relume.hosts.ofx import build, install
from relume.hosts.ofx.build import LIBRARY, TABLE, missing_tools
from relume.hosts.ofx.generate import text
from relume.nodes.registry import REGISTRY


@pytest.fixture
def home(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OFX_PLUGIN_PATH", raising=False)
    return tmp_path


def test_the_bundle_goes_where_applications_look(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install.HOST.folder() == home / "OFX"
    monkeypatch.setenv("OFX_PLUGIN_PATH", f"{home / 'show'}:/elsewhere")
    assert install.HOST.folder() == home / "show"


def test_it_is_built_installed_checked_and_taken_away_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing := missing_tools():
        pytest.skip(f"there is no {' and no '.join(missing)}")
    assert main(["host", "install", "ofx"]) == Exit.DONE
    assert "OFX_PLUGIN_PATH" in capsys.readouterr().out
    folder = home / "OFX"
    assert (folder / TABLE).read_text() == text(REGISTRY)
    assert install.HOST.check(folder) == []
    exported = (folder / LIBRARY).read_bytes()
    assert b"OfxGetNumberOfPlugins" in exported
    (folder / TABLE).write_text("{}")
    assert any("have changed" in problem for problem in install.HOST.check(folder))
    (folder / TABLE).write_text(text(REGISTRY))
    assert main(["host", "uninstall", "ofx"]) == Exit.DONE
    assert not folder.exists() or not list(folder.iterdir())


def test_without_a_compiler_it_says_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "missing_tools", lambda: ["cmake"])
    assert main(["host", "install", "ofx"]) == Exit.USAGE
    assert "apt-get install cmake" in capsys.readouterr().err
    assert not (home / "OFX").exists()


def test_a_compiler_that_fails_is_told_in_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing := missing_tools():
        pytest.skip(f"there is no {' and no '.join(missing)}")
    monkeypatch.setenv("CXX", "/bin/false")
    assert main(["host", "install", "ofx"]) == Exit.FRAMES_FAILED
    assert "cannot be built" in capsys.readouterr().err
