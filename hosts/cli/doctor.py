"""`relume doctor`: what is installed, and whether it works."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path

import click

from relume.errors import Exit, RelumeError
from relume.hosts.cli.app import debug_option, example

_LIBRARIES = ("numpy", "scipy", "torch", "OpenImageIO", "opencolorio", "safetensors", "fileseq")
_EXTRAS = {
    "demo": ("skimage", "PIL"),
    "onnx": ("onnxruntime",),
    "training": ("embreex", "trimesh", "matplotlib"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        section: what it belongs to.
        subject: what was looked at.
        state: what was found.
        works: False where something must be put right.
    """

    section: str
    subject: str
    state: str
    works: bool = True


@click.command(epilog=example("relume doctor"))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@debug_option
def command(as_json: bool) -> int:
    """Say what is installed and whether it works: versions, devices, colour, weights, extras.

    The exit code is 5 if something is broken.
    """
    findings = list(examine())
    if as_json:
        click.echo(json.dumps([asdict(found) for found in findings], indent=2, ensure_ascii=False))
    else:
        _print(findings)
    return Exit.DONE if all(found.works for found in findings) else Exit.VERIFICATION


def examine() -> Iterator[Finding]:
    """Yield everything there is to say, broken things included."""
    yield from _versions()
    yield from _devices()
    yield from _colour()
    yield from _weights()
    yield from _data()


def _versions() -> Iterator[Finding]:
    from relume import __version__

    yield Finding("Versions", "relume", f"{__version__} in {Path(__file__).parents[2]}")
    yield Finding("Versions", "Python", f"{platform.python_version()} on {platform.platform()}")
    for name in _LIBRARIES:
        try:
            yield Finding("Versions", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("Versions", name, "missing; install relume again", works=False)
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if util.find_spec(module) is None]
        way_out = f"not installed: pip install 'relume[{extra}]'" if missing else "installed"
        yield Finding("Versions", f"extra [{extra}]", way_out)


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("Devices", "cpu", f"{cores} cores")
    try:
        import torch
    except ImportError as error:
        yield Finding("Devices", "torch", f"cannot be imported ({error})", works=False)
        return
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(index)
        gib = about.total_memory / (1 << 30)
        yield Finding("Devices", f"cuda:{index}", f"{about.name}, {gib:.0f} GiB")
    if torch.backends.mps.is_available():
        yield Finding("Devices", "mps", "Apple GPU")


def _colour() -> Iterator[Finding]:
    try:
        from relume.colour.config import config, user_config_path
        from relume.ocio import PINNED

        loaded = config()
        where = f"$OCIO, {user_config_path()}" if user_config_path() else f"relume's own, {PINNED}"
        count = len(list(loaded.getColorSpaceNames()))
        yield Finding("Colour", "configuration", f"{where} ({count} spaces)")
        from relume.colour import working_space

        yield Finding("Colour", "working space", working_space())
    except (RelumeError, ImportError) as error:
        yield Finding("Colour", "configuration", str(error), works=False)


def _weights() -> Iterator[Finding]:
    from relume import weights
    from relume.nodes.registry import REGISTRY

    names = dict.fromkeys(name for node in REGISTRY.values() for name in node.weights)
    for name in names:
        try:
            manifest = weights.manifest(name)
            file = weights.find(name).with_suffix(".safetensors")
            data = file.read_bytes()
        except (RelumeError, OSError) as error:
            yield Finding("Weights", name, str(error), works=False)
            continue
        if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
            yield Finding(
                "Weights", name, f"{file} does not match its manifest; install again", works=False
            )
            continue
        millions = manifest.get("parameters", 0) / 1e6
        size = f"{millions:.2f} M parameters, {len(data) / 1e6:.1f} MB"
        yield Finding("Weights", name, f"{size}, sha256 matches, {file.parent}")


def _data() -> Iterator[Finding]:
    folder = os.environ.get("RELUME_ASSETS")
    if not folder:
        state = "$RELUME_ASSETS is not set (only training and some tests need it)"
        yield Finding("Data", "assets", state)
    else:
        there = Path(folder).is_dir()
        yield Finding("Data", "assets", folder if there else f"{folder} is no folder", works=there)


def _print(findings: list[Finding]) -> None:
    width = max(len(found.subject) for found in findings)
    section = ""
    for found in findings:
        if found.section != section:
            section = found.section
            click.echo(section)
        mark = " " if found.works else "!"
        click.echo(f"{mark} {found.subject:<{width}}  {found.state}")
    broken = sum(not found.works for found in findings)
    if not broken:
        click.echo("Everything works.")
    else:
        sys.stdout.flush()
        click.echo(
            f"Error: {broken} of {len(findings)} findings must be put right (marked !).", err=True
        )
