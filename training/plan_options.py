"""What the commands that train have in common on their command lines."""

from __future__ import annotations

import argparse
from typing import Any

from relume.training.trainer import Plan


def plan_options() -> argparse.ArgumentParser:
    """Return the options of a plan, for `argparse.ArgumentParser(parents=…)`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--steps", type=int, default=20000, help="at most")
    parser.add_argument("--minutes", type=float, help="in all, over resumed runs")
    parser.add_argument("--seed", type=int, default=1, help="of weights and batches")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--echo", type=int, default=1, help="how often a batch is used")
    parser.add_argument("--half", action="store_true", help="bfloat16 arithmetic on a CPU too")
    parser.add_argument("--shipped", action="store_true", help="start from the shipped weights")
    return parser


def plan_of(given: argparse.Namespace, **more: Any) -> Plan:
    """Return the plan of parsed options.

    Args:
        given: what `plan_options` parsed.
        more: further attributes of the plan.
    """
    return Plan(
        steps=given.steps,
        minutes=given.minutes,
        seed=given.seed,
        threads=given.threads,
        rate=given.rate,
        half=given.half or None,
        echo=given.echo,
        **more,
    )
