"""`relume farm`: jobs, checks, shots and reports for the render farm."""

from __future__ import annotations

import click

from relume.hosts.cli.app import debug_option
from relume.hosts.cli.farm_check import report, verify
from relume.hosts.cli.farm_job import bundle, local, task
from relume.hosts.cli.farm_shots import shots


@click.group()
@debug_option
def command() -> None:
    """Jobs, checks, shots and reports for the render farm."""


for _part in (verify, bundle, task, local, shots, report):
    command.add_command(_part)
