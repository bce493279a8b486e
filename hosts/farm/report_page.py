"""The text of a report: HTML with everything inside it, every name escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import relume
from relume.hosts.farm.verify import Verification
from relume.media.sequence import format_frames

if TYPE_CHECKING:
    from relume.hosts.farm.report import Log

MARK = '<meta name="generator" content="relume '

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_HEIGHT = 120
_WIDE = 960


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame to look at.

    Attributes:
        frame: its number.
        pictures: name and `data:` address, from the one below to the one on top.
        note: why a picture is missing.
    """

    frame: int
    pictures: tuple[tuple[str, str], ...]
    note: str = ""


def page(found: Verification, samples: Sequence[Sample], log: Log | None) -> str:
    """Return the page.

    Args:
        found: what verification found.
        samples: the frames of the contact sheet.
        log: what the render said, or None.
    """
    name = Path(found.pattern).name
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f'{MARK}{escape(relume.__version__)}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(name)}</title>",
        f"<style>{_resource('report.css')}</style></head><body>",
        f"<h1>{escape(found.pattern)}</h1>",
        f"<p>Frames {escape(format_frames(found.frames))}: {_verdict(_lines(found, log))}</p>",
        _problems(_lines(found, log)),
        _sheet(samples),
        _passes(found),
        _timings(log) if log else "",
        f"<script>{_resource('report.js')}</script></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _lines(found: Verification, log: Log | None) -> list[str]:
    """Return what is wrong with the files, and what the log says was wrong with the render."""
    lines = [str(problem) for problem in found.problems]
    if log:
        lines += [f"frame {frame}: failed: {why}" for frame, why in sorted(log.failures.items())]
    return lines


def _verdict(lines: Sequence[str]) -> str:
    count = len(lines)
    if not count:
        return '<span class="good">nothing wrong</span>'
    return f'<span class="bad">{count} problem{"s" * (count > 1)}</span>'


def _problems(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>Problems</h2><ul class="bad" id="problems">{items}</ul>'


def _sheet(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    figures = "".join(_figure(sample) for sample in samples)
    return f'<h2>Frames</h2><div class="sheet">{figures}</div>'


def _figure(sample: Sample) -> str:
    images = "".join(
        f'<img src="{escape(address)}" alt="{escape(name)} of frame {sample.frame}">'
        for name, address in sample.pictures
    )
    top = len(sample.pictures) - 1
    names = " → ".join(name for name, _ in sample.pictures)
    note = f'<br><span class="bad">{escape(sample.note)}</span>' if sample.note else ""
    slider = (
        f'<input type="range" min="0" max="{top}" step="0.01" value="{top}" '
        f'data-wipe="frame{sample.frame}" aria-label="wipe, frame {sample.frame}">'
        if top
        else ""
    )
    return (
        f'<figure><div class="wipe" id="frame{sample.frame}">{images}</div>{slider}'
        f"<figcaption>{sample.frame}: {escape(names)}{note}</figcaption></figure>"
    )


def _passes(found: Verification) -> str:
    rows = []
    for name, held in found.passes.items():
        mean = " ".join("–" if value is None else f"{value:.4g}" for value in held["mean"])
        odd = format_frames(held["jumps"]) if held["jumps"] else ""
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{escape(', '.join(held['channels']))}</td>"
            f'<td class="number">{mean}</td><td class="number">{_figure_of(held["min"])}</td>'
            f'<td class="number">{_figure_of(held["max"])}</td>'
            f'<td class="number">{held["nan"] + held["infinite"]}</td>'
            f'<td class="number">{held["flicker"]:.2%}</td><td class="bad">{escape(odd)}</td>'
            f"<td>{_curve(found, name, held['jumps'])}</td></tr>"
        )
    if not rows:
        return ""
    heads = "pass,channels,mean,least,most,not finite,flicker,stands out,mean over the frames"
    head = "".join(f"<th>{text}</th>" for text in heads.split(","))
    return f'<h2>Passes</h2><table id="passes"><tr>{head}</tr>{"".join(rows)}</table>'


def _figure_of(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _curve(found: Verification, name: str, odd: Sequence[int]) -> str:
    """Return a plot of the mean of a pass over the frames."""
    held = [(f, facts.passes[name]) for f, facts in sorted(found.facts.items())
            if name in facts.passes]  # fmt: skip
    values = np.array([np.mean(p.mean) for _, p in held], np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return ""
    low, high = float(values.min()), float(values.max())
    scale = 28.0 / (high - low) if high > low else 0.0
    points = [
        (160.0 * i / (len(values) - 1), 30.0 - (v - low) * scale) for i, v in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>frame {frame}</title></circle>'
        for (frame, _), (x, y) in zip(held, points, strict=True)
        if frame in odd
    )
    return f'<svg viewBox="-4 -2 168 36"><polyline points="{line}"/>{marks}</svg>'


def _timings(log: Log) -> str:
    parts = ["<h2>Time</h2>"]
    if log.seconds:
        parts.append(_bars(log))
    if log.nodes:
        parts.append(_nodes(log.nodes))
    if log.unread:
        parts.append(f'<p class="dim">{log.unread} lines of the log could not be read.</p>')
    return "".join(parts)


def _bars(log: Log) -> str:
    """Return the seconds of every frame as bars, those of failed frames in another colour."""
    frames = range(min(log.seconds), max(log.seconds) + 1)
    most = max(log.seconds.values()) or 1.0
    wide = _WIDE / len(frames)
    bars = "".join(
        f"<rect{' class=' + chr(34) + 'bad' + chr(34) if frame in log.failures else ''} "
        f'x="{(frame - frames[0]) * wide:.2f}" y="{_HEIGHT * (1 - spent / most):.2f}" '
        f'width="{max(wide * 0.85, 0.3):.2f}" height="{_HEIGHT * spent / most:.2f}">'
        f"<title>frame {frame}: {spent:.2f} s</title></rect>"
        for frame, spent in sorted(log.seconds.items())
    )
    total = sum(log.seconds.values())
    return (
        f"<p>{total:.1f} s in all, {total / len(log.seconds):.2f} s a frame, at most "
        f"{most:.2f} s.</p>"
        f'<svg id="timings" viewBox="0 -4 {_WIDE} {_HEIGHT + 24}">{bars}'
        f'<text x="0" y="{_HEIGHT + 14}">{frames[0]}</text>'
        f'<text x="{_WIDE}" y="{_HEIGHT + 14}" text-anchor="end">{frames[-1]}</text></svg>'
    )


def _nodes(nodes: Mapping[str, float]) -> str:
    total = sum(nodes.values()) or 1.0
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{spent:.2f} s</td>'
        f'<td class="number">{spent / total:.0%}</td></tr>'
        for name, spent in sorted(nodes.items(), key=lambda item: -item[1])
    )
    return f'<table id="nodes"><tr><th>node</th><th>in all</th><th>share</th></tr>{rows}</table>'
