"""What the commands of the training lab share: options, and what is missing said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from relume.errors import InputError, UsageError

FOLDER = click.Path(file_okay=False, path_type=Path)
FOLDER.name = "folder"

data_option = click.option(
    "--data", type=FOLDER, required=True, help="Folder of lit views, from `relume train light`."
)
stage_option = click.option(
    "--data", type=FOLDER, required=True, help="Folder of views, from `relume train views`."
)
runs_option = click.option("--out", type=FOLDER, required=True, help="Folder of the runs.")
assets_option = click.option(
    "--assets",
    type=FOLDER,
    required=True,
    envvar="RELUME_ASSETS",
    show_envvar=True,
    help="Folder of environments and stills, for backgrounds.",
)
split_option = click.option(
    "--split",
    type=click.Choice(("train", "val", "test")),
    default="train",
    show_default=True,
    help="Which views; no person is in two splits.",
)


@contextmanager
def lab() -> Iterator[None]:
    """Tell what is missing for training in a sentence.

    Raises:
        UsageError: a package of the extra is not installed.
        InputError: a file is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"training needs the package '{error.name}', which is not installed",
            way_out="pip install 'relume[training]'",
        ) from error
    except FileNotFoundError as error:
        file = f" ({error.filename})" if error.filename else ""
        raise InputError(
            f"{error.strerror or error}{file}", way_out="Make the data first: relume train --help"
        ) from error
