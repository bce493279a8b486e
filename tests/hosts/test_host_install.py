"""`relume host`: what is written, what is left alone, and that it all goes away again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from relume.errors import InputError, UsageError
from relume.hosts import install as hosts
from relume.hosts.cli import main
from relume.hosts.worker.install import client_source


class Files(dict):
    """The files of a host, by path; and where it goes by default."""

    place: Path


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of a host `toy`, which a test may change."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    found = Files({"init.py": b"1\n", "menu/deep/icon.png": b"\x89PNG"})
    found.place = tmp_path / "application"
    module = ModuleType("toy_host")
    module.HOST = hosts.Host("Toy", lambda: found.place, lambda: dict(found))
    monkeypatch.setitem(sys.modules, "toy_host", module)
    monkeypatch.setitem(hosts.HOSTS, "toy", "toy_host")
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in folder.rglob("*")
    }


def test_what_is_installed_is_taken_away_again(files, tmp_path):
    files.place.mkdir()
    (files.place / "mine.py").write_bytes(b"mine")
    (files.place / "menu").mkdir()
    before = tree(files.place)
    place, written = hosts.install("toy")
    assert place == files.place
    assert {path.relative_to(place).as_posix(): path.read_bytes() for path in written} == files
    assert hosts.problems("toy") == (place, [])
    removed, kept = hosts.uninstall("toy")
    assert (set(removed), kept) == (set(written), [])
    assert tree(files.place) == before
    assert not (tmp_path / "config" / "relume").exists()


def test_a_file_of_somebody_else_is_never_replaced(files):
    files.place.mkdir()
    (files.place / "init.py").write_bytes(b"theirs")
    before = tree(files.place)
    with pytest.raises(UsageError, match="relume did not write it"):
        hosts.install("toy")
    assert tree(files.place) == before


def test_a_newer_version_replaces_an_older_one(files):
    hosts.install("toy")
    files["init.py"] = b"2\n"
    files["new.py"] = b"new"
    del files["menu/deep/icon.png"]
    _, problems = hosts.problems("toy")
    assert problems == []  # what was written is still there
    hosts.install("toy")
    found = tree(files.place)
    assert found["init.py"] == b"2\n" and found["new.py"] == b"new"
    assert "menu/deep/icon.png" not in found
    hosts.uninstall("toy")
    assert not files.place.exists()


def test_what_was_changed_since_is_kept_and_named(files):
    hosts.install("toy")
    (files.place / "init.py").write_bytes(b"changed")
    (files.place / "menu/deep/icon.png").unlink()
    _, problems = hosts.problems("toy")
    assert problems == [
        f"{files.place / 'init.py'} was changed.",
        f"{files.place / 'menu/deep/icon.png'} is missing.",
    ]
    removed, kept = hosts.uninstall("toy")
    assert (removed, kept) == ([], [files.place / "init.py"])
    assert tree(files.place) == {"init.py": b"changed"}


def test_uninstall_and_check_remember_where_it_was_put(files, tmp_path):
    elsewhere = tmp_path / "studio" / "tools"
    hosts.install("toy", elsewhere)
    hosts.install("client", tmp_path / "other")
    assert hosts.problems("toy") == (elsewhere, [])
    hosts.uninstall("toy")
    with pytest.raises(InputError, match="toy is not installed"):
        hosts.uninstall("toy")
    # The command that starts the worker stays while any host is there.
    command = tmp_path / "config/relume/command"
    assert command.read_text().splitlines() == [sys.executable, "-m", "relume"]
    hosts.uninstall("client")
    assert not command.exists()


def test_a_file_outside_the_folder_is_a_fault_of_the_host(files):
    for path in ("../escape", "/etc/passwd", ""):
        files.clear()
        files[path] = b""
        with pytest.raises(ValueError, match="is not a path below"):
            hosts.install("toy")


def test_the_command_says_what_it_wrote_and_whether_the_worker_answers(
    files, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "tools"
    assert main(["host", "install", "client", "--dir", str(folder)]) == 0
    said = capsys.readouterr().out
    assert str(folder / "relume_client.py") in said and "1 file in" in said
    assert (folder / "relume_client.py").read_bytes() == client_source()
    monkeypatch.setenv("RELUME_WORKER_DIR", str(tmp_path / ("x" * 90)))
    assert main(["host", "check", "client"]) == 5
    assert "too long for a socket" in capsys.readouterr().out
    assert main(["host", "uninstall", "client"]) == 0
    assert not folder.exists()
    assert main(["host", "install", "photoshop"]) == 2
    assert main(["host", "install", "client"]) == 2


def test_the_installed_client_starts_the_worker_that_install_noted(files, tmp_path, monkeypatch):
    """A tool in another Python, with the one file beside it and nothing else of relume."""
    monkeypatch.setenv("RELUME_WORKER_DIR", f"/tmp/relume-test-{os.getpid()}")
    monkeypatch.delenv("RELUME_COMMAND", raising=False)
    hosts.install("client", tmp_path / "tools")
    guide = Path(__file__).resolve().parents[2] / "docs/guides/hosts.md"
    (example,) = re.findall(r"```py\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    script = example + (
        "    brightest = max(found.pixels)\n"
        "import json, sys\n"
        "assert 'relume' not in sys.modules\n"
        "worker = Worker('tool')\n"
        "print(json.dumps([len(worker.nodes()), worker.about['relume'], brightest]))\n"
        "worker.shut_down()\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "tools")},
        capture_output=True,
        text=True,
        check=False,
    )
    from relume import __version__
    from relume.nodes.registry import REGISTRY

    assert done.stderr == ""
    assert json.loads(done.stdout) == [len(REGISTRY), __version__, 1.0]
    for path in Path(os.environ["RELUME_WORKER_DIR"]).iterdir():
        path.unlink()
    Path(os.environ["RELUME_WORKER_DIR"]).rmdir()
