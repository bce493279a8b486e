"""Check a delivered sequence frame by frame, and as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from relume.errors import InputError, RelumeError
from relume.hosts.farm.facts import FrameFacts, PassFacts, look_at
from relume.hosts.farm.jumps import flicker, jumps
from relume.media.guard import fingerprint_of
from relume.media.sequence import existing_frames, format_frames, is_sequence, path_at

Fingerprint = Callable[[int], str]
"""Returns the fingerprint that the file of a frame should carry."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with some frames.

    Attributes:
        kind: one word for programs: missing, unreadable, windows, channels, colour, timecode,
            rate, fingerprint, stale, finite, jump.
        text: what is wrong, without the frames.
        frames: the frames concerned.
    """

    kind: str
    text: str
    frames: tuple[int, ...]

    def __str__(self) -> str:
        plural = "s" if len(self.frames) > 1 else ""
        return f"frame{plural} {format_frames(self.frames)}: {self.text}"


@dataclass(slots=True)
class Verification:
    """What was found.

    Attributes:
        pattern: the sequence.
        frames: the frames that should be there.
        facts: frame → what its file holds, for every file there is.
        problems: what is wrong.
        passes: pass → statistics over all frames.
    """

    pattern: str
    frames: tuple[int, ...]
    facts: dict[int, FrameFacts]
    problems: list[Problem] = field(default_factory=list)
    passes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "file": self.pattern,
            "frames": format_frames(self.frames),
            "good": not self.problems,
            "problems": [
                {"kind": p.kind, "frames": list(p.frames), "text": p.text} for p in self.problems
            ],
            "passes": self.passes,
        }


def verify(
    pattern: str,
    frames: Iterable[int] = (),
    *,
    fingerprint: Fingerprint | None = None,
    allow_jumps: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> Verification:
    """Check that every frame is there, whole, like the others, finite and current.

    Args:
        pattern: a sequence or a single file.
        frames: the frames that should be there; by default all from the first to the last.
        fingerprint: returns what the file of a frame should carry; it must carry any by default.
        allow_jumps: let frames pass that stand out from their neighbours.
        on_frame: called after each file.

    Raises:
        InputError: there is nothing to check.
    """
    wanted = tuple(sorted(set(frames))) or existing(pattern)
    facts: dict[int, FrameFacts] = {}
    for frame in wanted:
        path = path_at(pattern, frame)
        if path.is_file():
            facts[frame] = look_at(path, frame)
        if on_frame:
            on_frame(frame)
    result = Verification(pattern, wanted, facts)
    whole = [entry for entry in facts.values() if not entry.problem]
    missing = [frame for frame in wanted if frame not in facts]
    result.problems += _problem("missing", "there is no file", missing)
    for entry in facts.values():
        if entry.problem:
            result.problems += _problem("unreadable", entry.problem, [entry.frame])
    result.problems += alike(whole)
    result.problems += colour(whole)
    result.problems += timecode(whole)
    result.problems += fingerprints(whole, fingerprint)
    result.problems += finite(whole)
    result.passes, odd = _statistics(whole)
    if not allow_jumps:
        result.problems += odd
    result.problems = merged(result.problems)
    return result


def merged(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems with the frames of those that read alike put together."""
    frames: dict[tuple[str, str], list[int]] = {}
    for problem in problems:
        frames.setdefault((problem.kind, problem.text), []).extend(problem.frames)
    return [Problem(kind, text, tuple(sorted(some))) for (kind, text), some in frames.items()]


def alike(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames whose windows, channels or rate are not those of the others.

    How a channel is stored may differ: one too bright for half is float in that frame alone.
    """
    return [*windows_alike(facts), *channels_alike(facts), *rates_alike(facts)]


def windows_alike(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames of other windows or another pixel aspect than most."""
    return [
        *_odd_ones(facts, "windows", lambda f: str(f.display), "its display window is {}"),
        *_odd_ones(facts, "windows", lambda f: str(f.data), "its data window is {}"),
        *_odd_ones(facts, "windows", lambda f: f.pixel_aspect, "its pixel aspect is {}"),
    ]


def rates_alike(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames of another frame rate than most."""
    return _odd_ones(facts, "rate", lambda f: f.rate, "its frame rate is {}")


def colour(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames that do not say which colour space they are in, or another one."""
    silent = [f.frame for f in facts if not f.colour]
    return [
        *_problem("colour", "the file does not say which colour space it is in", silent),
        *_odd_ones([f for f in facts if f.colour], "colour", lambda f: f.colour, "it is in {}"),
    ]


def timecode(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames whose time code does not go on as their numbers do."""
    with_code = [f for f in facts if f.timecode is not None]
    if not with_code:
        return []
    none = [f.frame for f in facts if f.timecode is None]
    found = _problem("timecode", "there is no time code, and others have one", none)
    for before, after in pairwise(with_code):
        if before.timecode is None or after.timecode is None:
            continue
        steps = after.frame - before.frame
        if after.rate is None:
            # Without a rate it is only known that time goes on.
            midnight = after.timecode.hours < before.timecode.hours
            ok = after.timecode > before.timecode or midnight
        else:
            rate = after.rate[0] / after.rate[1]
            day = 24 * 3600 * round(rate)
            ok = (after.timecode.count(rate) - before.timecode.count(rate) - steps) % day == 0
        if not ok:
            text = f"the time code {after.timecode} does not follow {before.timecode}"
            found += _problem("timecode", f"{text} of frame {before.frame}", [after.frame])
    return found


def fingerprints(facts: Sequence[FrameFacts], expected: Fingerprint | None) -> list[Problem]:
    """Return the frames without a fingerprint, or with another one than they should carry."""
    carried = {f.frame: f.fingerprint or fingerprint_of(f.path) or "" for f in facts}
    none = [frame for frame, text in carried.items() if not text]
    found = _problem("fingerprint", "there is no fingerprint: relume did not write it", none)
    stale = []
    for frame, text in carried.items():
        if expected is None or not text:
            continue
        try:
            if expected(frame) != text:
                stale.append(frame)
        except RelumeError as error:
            found += _problem("stale", f"whether it is current is not known: {error}", [frame])
    text = "it was made from another graph, other inputs, weights or another version of relume"
    return found + _problem("stale", text, stale)


def finite(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames with values that are NaN or infinite."""
    found = []
    for entry in facts:
        for name, held in entry.passes.items():
            if held.nan + held.infinite and held.channels != ("Z",):
                text = f"{name} has {held.nan} values that are NaN and {held.infinite} infinite"
                found += _problem("finite", text, [entry.frame])
    return found


def _statistics(facts: Sequence[FrameFacts]) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Return pass → statistics, and the frames that jump."""
    passes: dict[str, dict[str, Any]] = {}
    odd: list[Problem] = []
    names = list(dict.fromkeys(name for f in facts for name in f.passes))
    for name in names:
        held = [(f.frame, f.passes[name]) for f in facts if name in f.passes]
        usual = Counter((p.channels, p.picture.shape) for _, p in held).most_common(1)[0][0]
        same = [(frame, p) for frame, p in held if (p.channels, p.picture.shape) == usual]
        passes[name] = _over_all([p for _, p in same])
        out = [(same[at][0], times) for at, times in jumps([p.picture for _, p in same])]
        passes[name]["jumps"] = [frame for frame, _ in out]
        for frame, times in out:
            text = f"{name} stands out from its neighbours, {times:.1f} times what is allowed"
            odd += _problem("jump", text, [frame])
    return passes, odd


def _over_all(held: Sequence[PassFacts]) -> dict[str, Any]:
    means = np.array([p.mean for p in held], np.float64)
    finite_ones = np.isfinite(means).all(axis=1)
    mean = means[finite_ones].mean(axis=0) if finite_ones.any() else means[0]
    return {
        "channels": list(held[0].channels),
        "mean": [float(value) if np.isfinite(value) else None for value in mean],
        "min": _number(min(p.minimum for p in held)),
        "max": _number(max(p.maximum for p in held)),
        "nan": sum(p.nan for p in held),
        "infinite": sum(p.infinite for p in held),
        "flicker": flicker([p.mean for p in held]),
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def existing(pattern: str) -> tuple[int, ...]:
    """Return the frames from the first that exists to the last.

    Raises:
        InputError: there is none.
    """
    if not is_sequence(pattern):
        if not path_at(pattern, 1).is_file():
            raise InputError(f"{pattern} does not exist", way_out="Check the path")
        return (1,)
    there = existing_frames(pattern)
    if not there:
        raise InputError(
            f"there is no frame of {pattern}",
            way_out="Check the path, or say with --frames which there should be",
        )
    # A step is part of how the sequence was rendered and no gap.
    steps = np.diff(there)
    step = int(Counter(steps.tolist()).most_common(1)[0][0]) if len(there) > 1 else 1
    return tuple(sorted({*range(there[0], there[-1] + 1, step), *there}))


def _odd_ones(
    facts: Sequence[FrameFacts], kind: str, value: Callable[[FrameFacts], Hashable], text: str
) -> list[Problem]:
    """Return the frames that differ from most, grouped by what they have instead."""
    values: Mapping[int, Hashable] = {f.frame: value(f) for f in facts}
    if len(set(values.values())) < 2:
        return []
    usual = Counter(values.values()).most_common(1)[0][0]
    found = []
    for other in dict.fromkeys(v for v in values.values() if v != usual):
        frames = [frame for frame, v in values.items() if v == other]
        found += _problem(kind, f"{text.format(_shown(other))}, most have {_shown(usual)}", frames)
    return found


def channels_alike(facts: Sequence[FrameFacts]) -> list[Problem]:
    """Return the frames whose channels are not those of most, saying only what differs."""
    sets = {f.frame: frozenset(f.channels) for f in facts}
    if len(set(sets.values())) < 2:
        return []
    usual = Counter(sets.values()).most_common(1)[0][0]
    found = []
    for other in dict.fromkeys(held for held in sets.values() if held != usual):
        parts = [("lacks", usual - other), ("has besides", other - usual)]
        text = " and ".join(f"{verb} {', '.join(sorted(some))}" for verb, some in parts if some)
        frames = [frame for frame, held in sets.items() if held == other]
        found += _problem("channels", f"it {text}", frames)
    return found


def _shown(value: Hashable) -> str:
    if isinstance(value, tuple):
        return "/".join(str(part) for part in value)
    return "none" if value is None else str(value)


def _problem(kind: str, text: str, frames: Iterable[int]) -> list[Problem]:
    some = tuple(frames)
    return [Problem(kind, text, some)] if some else []
