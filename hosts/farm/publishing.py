"""Publish a sequence through pyblish: what is asked for, and what came of it."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from relume.errors import Exit, OutputError, RelumeError, UsageError
from relume.frames import Shot
from relume.hosts.farm.verify import Problem, merged

PLUGINS = Path(__file__).with_name("publish")
"""The folder of the plug-ins."""

FAMILY = "relume.sequence"

_MOST_TOLD = 4

_ROUNDED = 0.002
"""Frames a second by which a rate written in decimals may be off."""


class Refusal(RelumeError):
    """A validator found something that must not be published."""

    exit_code = Exit.VERIFICATION


@dataclass(frozen=True, slots=True)
class Request:
    """What to publish, and what it must be.

    Attributes:
        file: the sequence or file that was rendered.
        to: folder of all published versions; `to/name/v001` is one of them.
        name: what it is called.
        version: number of the version; 0 for the next.
        cut: first and last frame of the cut, such as `1001-1100`; empty for all there are.
        handles: frames before and after the cut.
        rate: frames a second, such as `24` or `24000/1001`; empty to ask for none.
        depth: `half` or `float`.
        colour: interop id the files must be in; empty for any, but one must be declared.
        size: width and height of the display window; empty for any.
        pixel_aspect: width of a pixel over its height; 0 for any.
        graph: document that should have made the files; empty to ask only that relume did.
    """

    file: str
    to: str
    name: str
    version: int = 0
    cut: str = ""
    handles: int = 0
    rate: str = ""
    depth: str = "half"
    colour: str = ""
    size: tuple[int, ...] = ()
    pixel_aspect: float = 0.0
    graph: str = ""

    @classmethod
    def of(cls, value: object) -> Self:
        """Return the request that a host put into the context: one, a mapping, or JSON text.

        Raises:
            UsageError: it is none of these.
        """
        if isinstance(value, cls):
            return value
        try:
            given = json.loads(value) if isinstance(value, str) else value
            if not isinstance(given, Mapping):
                raise TypeError("it is no object")
            return cls(**{**given, "size": tuple(given.get("size", ()))})
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"context.data['relume'] asks for nothing relume can publish: {error}",
                way_out="Give an object with at least file, to and name",
            ) from None

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of the cut with its handles, or none where no cut is given."""
        if not self.cut:
            return ()
        cut = Shot.parse(self.cut)
        return tuple(range(cut.first - self.handles, cut.last + self.handles + 1))

    @property
    def fraction(self) -> tuple[int, int] | None:
        """The frame rate as a fraction, or None."""
        from fractions import Fraction

        if not self.rate:
            return None
        try:
            rate = Fraction(self.rate)
        except (ValueError, ZeroDivisionError):
            raise UsageError(
                f"'{self.rate}' is no frame rate", way_out="Write it as 24, 25 or 24000/1001"
            ) from None
        ntsc = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
        if abs(rate - ntsc) < _ROUNDED:
            rate = ntsc  # 23.976, 29.97 and 59.94 are how people write it
        return rate.numerator, rate.denominator


@dataclass(slots=True)
class Outcome:
    """What became of a publish.

    Attributes:
        folder: the published version, or None.
        refusals: plug-in → why it stopped the publish.
        code: the exit code.
    """

    folder: Path | None = None
    refusals: list[tuple[str, str]] = field(default_factory=list)
    code: Exit = Exit.DONE


def load_pyblish() -> tuple[Any, Any]:
    """Return pyblish's `api` and `util`, without the import hook that comes with them.

    The old `six` inside pyblish hooks into every later import of the process, each of which then
    warns; what it is for has been imported by then.
    """
    from pyblish import api, util

    sys.meta_path[:] = [
        finder for finder in sys.meta_path if type(finder).__name__ != "_SixMetaPathImporter"
        or not type(finder).__module__.startswith("pyblish.")
    ]  # fmt: skip
    return api, util


def refuse(problems: Sequence[Problem], way_out: str) -> None:
    """Stop the publish if there is a problem.

    Raises:
        Refusal: the first few problems, in words.
    """
    if problems:
        together = merged(problems)
        told = "; ".join(str(problem) for problem in together[:_MOST_TOLD])
        more = len(together) - _MOST_TOLD
        raise Refusal(told + (f"; and {more} more" if more > 0 else ""), way_out=way_out)


def publish(
    request: Request,
    *,
    folders: Iterable[str | Path] = (),
    targets: Iterable[str] = (),
    debug: bool = False,
) -> Outcome:
    """Publish a sequence through relume's plug-ins and the studio's.

    Plug-ins in `PYBLISHPLUGINPATH` and those registered already take part. Nothing is deleted.

    Args:
        request: what to publish.
        folders: further folders of plug-ins.
        targets: targets of pyblish beside `default`, which the validators belong to: named alone,
            another target would publish without one of them having looked.
        debug: let pyblish log the traceback of what fails.
    """
    api, util = load_pyblish()
    with tempfile.TemporaryDirectory(prefix="relume.publish.") as work:
        context = api.Context()
        context.data.update({"relume": request, "relume_work": work})
        added = [str(PLUGINS), *map(str, folders)]
        registered = set(api.registered_paths())
        for folder in added:
            api.register_plugin_path(folder)
        log = logging.getLogger("pyblish")
        level = log.level
        log.setLevel(level if debug else logging.CRITICAL + 1)  # what failed is told in words
        try:
            util.publish(context, targets=["default", *targets])
        finally:
            log.setLevel(level)
            for folder in set(added) - registered:
                api.deregister_plugin_path(folder)
        return _outcome(context)


def _outcome(context: Any) -> Outcome:
    """Read the results: pyblish itself neither raises nor returns that something failed."""
    outcome = Outcome()
    codes: list[Exit] = []
    failed = [result for result in context.data.get("results", []) if result["error"] is not None]
    for result in failed:
        plugin, error = result["plugin"], result["error"]
        if round(plugin.order) != round(failed[0]["plugin"].order):
            break  # what a stage fails for want of the one before says nothing
        outcome.refusals.append((plugin.label or plugin.__name__, str(error)))
        fallback = Exit.VERIFICATION if round(plugin.order) == 1 else Exit.FRAMES_FAILED
        codes.append(error.exit_code if isinstance(error, RelumeError) else fallback)
    folders = [i.data["published"] for i in context if i.data.get("published")]
    if codes:
        outcome.code = codes[0]
    elif not folders:
        raise OutputError(
            "nothing was published, though no plug-in refused it",
            way_out="Look for a plug-in of the studio that removes the instance",
        )
    else:
        outcome.folder = Path(folders[0])
    return outcome
