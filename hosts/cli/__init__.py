"""The `relume` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from relume.errors import Exit, RelumeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Errors are told on stderr in one or two sentences; only `--debug` shows a traceback. Nothing is
    said when a pipe is closed early, as in `relume nodes | head`.

    Args:
        argv: the arguments after `relume`; those of the process by default.
    """
    from relume.hosts.cli.app import Session, relume

    session = Session()
    try:
        code = relume.main(argv, prog_name="relume", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return Exit.CANCELLED
    except SystemExit as stop:  # click's own end: a closed pipe, or a shell's completion
        return Exit.CANCELLED if stop.code else Exit.DONE
    except click.Abort:
        click.echo("Cancelled.", err=True)
        return Exit.CANCELLED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except RelumeError as error:
        if session.debug:
            _traceback()
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except Exception as error:
        if session.debug:
            _traceback()
        click.echo(f"Error: {_unforeseen(error)}", err=True)
        return Exit.FRAMES_FAILED
    return code if isinstance(code, int) else Exit.DONE


def _traceback() -> None:
    import traceback

    click.echo(traceback.format_exc(), err=True, nl=False)


def _unforeseen(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{what}. This is a fault in relume; --debug shows where."


def _silence() -> None:
    """Let Python's own flush at exit fail quietly: nobody reads what is left."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # a stdout that is no file, as in a test
        pass
    finally:
        os.close(null)
