"""The command itself: help, exit codes, errors, pipes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from relume.errors import Exit, InputError
from relume.hosts.cli import main
from relume.hosts.cli.app import COMMANDS


def run(*arguments: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relume", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,  # type: ignore[call-overload]
    )


def all_commands() -> list[tuple[str, click.Command]]:
    found = []
    for name in COMMANDS:
        command = importlib.import_module(f"relume.hosts.cli.{name}").command
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", cmd) for sub, cmd in command.commands.items()]
    return found


def test_help_lists_every_command_and_returns_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from relume.hosts.cli import main; main(['--help']);"
        "print([m for m in ('numpy', 'torch', 'OpenImageIO', 'PyOpenColorIO', 'scipy', 'rich')"
        " if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_torch(name: str) -> None:
    code = (
        "import sys; from relume.hosts.cli import main;"
        f"main([{name!r}, '--help']); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "False", result.stderr


@pytest.mark.parametrize(("name", "command"), all_commands())
def test_every_command_says_what_it_does_with_an_example(name: str, command: click.Command) -> None:
    assert command.help and command.help.splitlines()[0].endswith((".", ":"))
    if not isinstance(command, click.Group):
        assert command.epilog and f"relume {name}" in command.epilog
    flags = [flag for parameter in command.params for flag in parameter.opts]
    assert "--debug" in flags


@pytest.mark.parametrize(("name", "command"), all_commands())
def test_every_option_is_explained(name: str, command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import relume

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"relume {relume.__version__}\n"


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relihgt"]) == Exit.USAGE
    assert "Did you mean 'relight'?" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matte", "plate.exr", "--out", "x.exr", "--light-space", "ACEScg"]) == Exit.USAGE
    assert "--light-space" in capsys.readouterr().err


def test_errors_are_sentences_and_debug_adds_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from relume.hosts.cli import nodes

    def fail(_: object) -> str:
        raise InputError("the plate is gone", way_out="Look for it", frame=7)

    monkeypatch.setattr(nodes, "listing", fail)
    assert main(["nodes"]) == Exit.INPUT
    captured = capsys.readouterr()
    assert captured.err == "Error: frame 7: the plate is gone. Look for it.\n"
    assert captured.out == ""
    assert main(["nodes", "--debug"]) == Exit.INPUT
    assert "Traceback" in capsys.readouterr().err
    assert main(["--debug", "nodes"]) == Exit.INPUT
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_in_relume_is_no_traceback_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from relume.hosts.cli import nodes

    def fail(_: object) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(nodes, "listing", fail)
    assert main(["nodes"]) == Exit.FRAMES_FAILED
    error = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in error and "--debug" in error
    assert "Traceback" not in error


def test_control_c_cancels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from relume.hosts.cli import nodes

    def interrupt(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(nodes, "listing", interrupt)
    assert main(["nodes"]) == Exit.CANCELLED
    assert "Cancelled" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "relume", "nodes", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert result.stderr == ""
    assert result.returncode == Exit.CANCELLED


def test_nodes_json_is_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    from relume.nodes.registry import REGISTRY

    assert main(["nodes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps({id: node.schema() for id, node in REGISTRY.items()})
    )
    assert main(["nodes", "grade", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "grade"


def test_nodes_shows_every_knob_with_its_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "grade"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "exposure Exposure, applied first. [from -40 to 40; stops; default: 0]" in text
    assert main(["nodes"]) == 0
    assert "grade" in capsys.readouterr().out


def test_nodes_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "relihgt"]) == Exit.USAGE
    assert "Did you mean 'relight'?" in capsys.readouterr().err


def test_the_module_is_the_command(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout.startswith("relume ")
    assert run("nosuch", cwd=tmp_path).returncode == Exit.USAGE
