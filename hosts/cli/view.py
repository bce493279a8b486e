"""`relume view`: drag the light around the head, and see the picture."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from relume.errors import Exit, InputError, UsageError
from relume.hosts.cli.app import debug_option, example
from relume.hosts.cli.backdrops import backdrop_of, backdrop_options
from relume.hosts.cli.knob_options import knobs_of
from relume.hosts.cli.lights import (
    OF_ESTIMATES,
    estimate_options,
    light_space_option,
    parse_lights,
)
from relume.hosts.cli.options import (
    FILE,
    device_option,
    frame_options,
    plate_of,
    plate_options,
    profile_option,
    refuse,
)
from relume.media.sequence import is_sequence
from relume.nodes.environment_background import EnvironmentBackground
from relume.nodes.recipes import BACKGROUND, ENVIRONMENT, ORIGINAL, RIG, Lighting

if TYPE_CHECKING:
    from relume.hosts.view.look import Light, Subject
    from relume.hosts.view.server import Page

LIGHT = f"key={RIG}rembrandt"
"""What a page begins with where the user names no light."""

_BEHIND = ("background", "background__colour", "background__offset", "over__fit")


@click.command(
    epilog=example(
        "relume view transport.####.exr --light studio.hdr",
        "relume view plate.####.exr --background plate.####.exr --allow /show/hdri",
    ),
)
@click.argument("source", metavar="PLATE|TRANSPORT", type=click.Path(dir_okay=False))
@click.option(
    "--light",
    "lights",
    multiple=True,
    metavar="LIGHT",
    help="Light to begin with: a lat-long environment, rig:PRESET, background, background:FILE or "
    f"original; NAME=LIGHT names it. May be repeated.  [default: {LIGHT}]",
)
@light_space_option
@estimate_options
@backdrop_options
@plate_options
@profile_option
@frame_options
@click.option(
    "--allow",
    multiple=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Folder whose lights the page may read, beside that of the source. May be repeated.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Largest file that may be dropped on the page.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=0,
    help="Port of this machine to listen at.  [default: any that is free]",
)
@click.option("--open/--no-open", "shown", default=None, help="Open the page in the browser.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Keep analyses in this folder for the next time.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads to use.  [default: every core]",
)
@device_option
@debug_option
def command(source: str, **options: Any) -> int:
    """Relight in the browser: drag the light around the head, and see the picture.

    Opens a transport that `relume analyse` wrote, at once, or a plate, which is analysed first. The
    page is served to this machine alone. It hands back the command, or the graph, that renders
    exactly what it shows.
    """
    try:
        import starlette
        import uvicorn

        del starlette, uvicorn
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the page needs the package '{error.name}', which is not installed",
            way_out="pip install 'relume[view]'",
        ) from None
    from relume.hosts.view.server import serve

    page = make_page(source, options)
    token = secrets.token_urlsafe(24)
    with contextlib.closing(listen(options["port"])) as listener:
        # The fragment stays in the browser: it is in no request and in no log.
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/#{token}"
        click.echo(f"Open {address}\nCtrl-C ends it.")
        if options["shown"] or (options["shown"] is None and _has_browser()):
            click.launch(address)
        serve(page, token, listener)
    return Exit.DONE


def make_page(source: str, options: Mapping[str, Any]) -> Page:
    """Return the page that options of the command ask for.

    Raises:
        RelumeError: the source is missing, or an option would have no effect.
    """
    from relume.context import Settings
    from relume.hosts.cli.frames import frames_of
    from relume.hosts.cli.job import check_device, disk_cache
    from relume.hosts.view.folders import Folders
    from relume.hosts.view.opening import opening
    from relume.hosts.view.server import Page
    from relume.hosts.view.session import Session
    from relume.hosts.view.shelf import Shelf, kept_lights
    from relume.nodes.registry import REGISTRY
    from relume.render import resolve_shot

    check_device(options["device"])
    subject = subject_of(source, options)
    graph = subject.graph(Lighting({ORIGINAL: ORIGINAL}), "", subject.backdrop)
    frames = frames_of(graph, options["frames"] or "")
    settings = Settings(resolve_shot(graph, REGISTRY, frames), options["device"])
    if options["threads"]:
        settings = Settings(settings.shot, settings.device, threads=options["threads"])
    lights = lights_of(options["lights"] or (LIGHT,), subject)
    named = [one.source.removeprefix(f"{BACKGROUND}:") for one in lights if _is_file(one.source)]
    files = [*named, *subject.surroundings]
    for folder in options["allow"]:
        if not Path(folder).is_dir():
            raise InputError(f"{folder} is no folder", way_out="Check the path")
    kept = kept_lights()
    allowed = [Path(source).absolute().parent, *options["allow"], kept]
    colour = options.get("light__colour")
    shelf = Shelf(
        Folders(allowed, files),
        kept,
        settings,
        {"colour": colour} if colour else {},
        knobs_of(options, "estimate"),
    )
    session = Session(subject, frames, settings, disk_cache(options["cache"] or ""))
    behind = "none" if subject.is_transport else "plate"
    if options["background"] is not None:
        behind = ENVIRONMENT if options["background"] == ENVIRONMENT else "picture"
    fov = options.get("view__fov")
    if fov is None:
        fov = EnvironmentBackground.knobs()["fov"].default
    return Page(
        session, shelf, opening(session, lights, behind, float(fov)), options["max_upload"] << 20
    )


def subject_of(source: str, options: Mapping[str, Any]) -> Subject:
    """Return what is to be looked at.

    Raises:
        RelumeError: it is missing, or an option would have no effect on it.
    """
    from relume.hosts.view.look import Subject

    backdrop = backdrop_of(options)
    picture = None if backdrop is None or backdrop.picture == ENVIRONMENT else backdrop
    plate = None
    of_plates = (*_names(plate_options), *_names(profile_option))
    if is_transport(source, options["frames"] or ""):
        given = {name: options[name] if _is_given(name) else None for name in options}
        refuse(given, "on a transport, which is analysed already", *of_plates)
    else:
        plate = plate_of(source, options)
    return Subject(
        source,
        plate,
        picture,
        shot=options["shot"] or "",
        words=_words([*of_plates, "shot"]),
        behind=_words(_BEHIND),
        estimate=_words(OF_ESTIMATES),
    )


def lights_of(texts: Sequence[str], subject: Subject) -> list[Light]:
    """Return the lights that `--light` names.

    Args:
        texts: what `--light` was given.
        subject: whose backdrop is the picture of a light called `background`.

    Raises:
        RelumeError: a name or a rig is none, or a picture is missing.
    """
    from relume.hosts.view.look import Light

    lights = []
    for name, light in parse_lights(texts).items():
        if light == BACKGROUND:
            if not subject.surroundings:
                raise UsageError(
                    "there is no background picture to take the light from",
                    way_out=f"Give --background, or {BACKGROUND}:FILE as the light",
                )
            light = {BACKGROUND: subject.surroundings[0]}
        if isinstance(light, str):
            lights.append(Light(name, light))
            continue
        file = Path(str(light.get("file", light.get(BACKGROUND)))).absolute()
        if not file.is_file() and not is_sequence(file):
            raise InputError(f"{file} does not exist", way_out="Check the path")
        lights.append(Light(name, str(file) if "file" in light else f"{BACKGROUND}:{file}"))
    return lights


def is_transport(source: str, frames: str) -> bool:
    """Return whether a file, or the first of a sequence, holds a transport.

    Raises:
        InputError: there is none, or it is no image.
    """
    from relume.media.read import open_image
    from relume.media.sequence import existing_frames, parse_frames, resolve
    from relume.shading.transport_file import PREFIX

    there = parse_frames(frames) if frames else existing_frames(source)
    with open_image(resolve(source, there[0] if there else 1)) as image:
        part = 0
        while image.seek_subimage(part, 0):
            spec = image.spec()
            named = str(spec.getattribute("oiio:subimagename") or "")
            if any(name.startswith(f"{PREFIX}00") for name in (named, *spec.channelnames)):
                return True
            part += 1
    return False


def listen(port: int) -> socket.socket:
    """Return a socket that listens to this machine alone.

    Raises:
        UsageError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # a browser that is quicker than the server waits instead of failing
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen at port {port}: {error.strerror}", way_out="Leave --port out"
        ) from None
    return listener


def _names(options: Callable[[Any], Any]) -> list[str]:
    """Return the names of the parameters that options make."""
    return [parameter.name or "" for parameter in click.command()(options(lambda: None)).params]


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) not in (
        None,
        ParameterSource.DEFAULT,
    )


def _words(names: Sequence[str]) -> tuple[str, ...]:
    """Return the options the user gave, as words to give again, files with their whole path."""
    context = click.get_current_context()
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in names or not _is_given(name):
            continue
        words.append(parameter.opts[0])
        if isinstance(parameter, click.Option) and parameter.is_flag:
            continue
        is_file = parameter.type is FILE or name == "background"
        value = str(context.params[name])
        words.append(str(Path(value).absolute()) if is_file else value)
    return tuple(words)


def _is_file(light: str) -> bool:
    return light != ORIGINAL and not light.startswith(RIG)


def _has_browser() -> bool:
    """Return whether somebody sits in front of a desktop, so that a browser may open."""
    desktop = sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return bool(desktop) and sys.stdout.isatty()
