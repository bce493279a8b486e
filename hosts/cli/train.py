"""`relume train`: the training lab from the command line, over the functions of relume.training."""

from __future__ import annotations

import click

from relume.hosts.cli.app import debug_option
from relume.hosts.cli.train_data import light, preview, views
from relume.hosts.cli.train_networks import everything, finetune, matte, network
from relume.hosts.cli.train_results import curves, evaluate, export_onnx, release


@click.group()
@debug_option
def command() -> None:
    """Train and judge the networks; needs the extra [training].

    The order is: views, light, all (or matte, normals, albedo, transport, express one by
    one), release.
    """


_NETWORKS = [network(name) for name in ("normals", "albedo", "transport", "express", "neural")]
_RESULTS = (release, export_onnx, evaluate, curves)

for _part in (views, light, preview, *_NETWORKS, matte, everything, finetune, *_RESULTS):
    command.add_command(_part)
