"""`python -m relume.training.stage make|preview`: fill a data set, and look at it."""

from __future__ import annotations

import argparse
from pathlib import Path

from relume.training.stage.make import make_views


def main() -> None:
    """Run the stage's command line."""
    parser = argparse.ArgumentParser(prog="relume.training.stage", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="render views that are not on disk yet")
    make.add_argument("out", type=Path)
    make.add_argument("--split", choices=("train", "val", "test"), default="train")
    make.add_argument("--count", type=int, default=100)
    make.add_argument("--first", type=int, default=0, help="number of the first view")
    make.add_argument("--seed", type=int, default=1)
    make.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    make.add_argument("--worker", type=int, nargs=2, default=(0, 1), metavar=("I", "N"))
    make.add_argument("--refresh", action="store_true", help="render older versions again")
    look = commands.add_parser("preview", help="draw a sheet of what a batch looks like")
    look.add_argument("root", type=Path)
    look.add_argument("--split", choices=("train", "val", "test"), default="train")
    look.add_argument("--out", type=Path, default=Path("preview.png"))
    look.add_argument("--first", type=int, default=0)
    look.add_argument("--count", type=int, default=8)
    given = parser.parse_args()
    if given.command == "make":
        make_views(
            given.out,
            given.split,
            given.count,
            given.seed,
            (given.size[0], given.size[1]),
            (given.worker[0], given.worker[1]),
            given.refresh,
            lambda line: print(line, flush=True),
            given.first,
        )
    else:
        from relume.training.stage.preview import write_preview

        write_preview(given.root, given.split, given.out, given.first, given.count)


if __name__ == "__main__":
    main()
