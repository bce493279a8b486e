"""`relume worker`: the process that renders for applications."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading

import click

from relume.errors import Exit
from relume.hosts.cli.app import debug_option, example
from relume.nodes.registry import REGISTRY


@click.command(epilog=example("relume worker", "relume worker --stop"))
@click.option(
    "--idle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=900.0,
    show_default=True,
    envvar="RELUME_WORKER_IDLE",
    show_envvar=True,
    help="Seconds without a request after which it ends; 0 for never.",
)
@click.option(
    "--max-memory",
    type=click.FloatRange(min=0),
    metavar="GIB",
    envvar="RELUME_WORKER_MEMORY",
    show_envvar=True,
    help="GiB it may hold: caches give way first, then the render fails. 0 for no limit. "
    " [default: half of what there is]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    envvar="RELUME_WORKER_THREADS",
    show_envvar=True,
    help="Threads of a network.  [default: every core]",
)
@click.option(
    "--device",
    metavar="DEVICE",
    default="cpu",
    show_default=True,
    envvar="RELUME_WORKER_DEVICE",
    show_envvar=True,
    help="Where networks run: cpu, cuda, cuda:1, mps.",
)
@click.option("--tcp", is_flag=True, help="Listen on the loopback interface, not at a socket file.")
@click.option("--stop", is_flag=True, help="End the worker that runs.")
@debug_option
def command(
    idle: float, max_memory: float | None, threads: int, device: str, tcp: bool, stop: bool
) -> int:
    """Render for applications on this computer, until none needs it any more.

    Applications start it themselves. A second one sees that there is one, and ends.
    """
    from relume.hosts.worker.client import Worker
    from relume.hosts.worker.server import (
        Options,
        Place,
        Server,
        Taken,
        default_memory,
        logging_to,
    )

    place = Place.find()
    if stop:
        Worker("relume worker --stop").shut_down()
        return Exit.DONE
    memory = default_memory() if max_memory is None else max_memory
    try:
        server = Server(place, REGISTRY, Options(idle, memory, tcp, device, threads))
    except Taken:
        click.echo(f"A worker serves already: {place.file('json')}")
        return Exit.DONE
    with logging_to(place) as path:
        click.echo(f"Serving at {server.address}; log: {path}")
        faulthandler.enable()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A handler may interrupt the very wait that `stop` ends, and must not wait for it.
            signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
        server.run()
    # What computes for nobody need not end first, nor networks be unloaded.
    sys.stdout.flush()
    os._exit(Exit.DONE)
