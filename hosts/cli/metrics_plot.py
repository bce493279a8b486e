"""The errors of a matte over a shot, as a drawing that needs no library."""

from __future__ import annotations

from collections.abc import Sequence

from relume.hosts.cli.metrics import NAMES
from relume.matting.metrics_shot import METRICS, UNKNOWN, WHOLE, FrameErrors

_WIDTH, _HEIGHT = 420, 130
"""Of the field of one chart, px."""

_LEFT, _TOP, _GAP = 64, 48, 56
_COLOURS = {WHOLE: "#1f5fa8", UNKNOWN: "#c2571a"}


def drawing(frames: Sequence[FrameErrors]) -> str:
    """Return an SVG with a chart for each metric, two in a row, a line for each region."""
    regions = [name for name in (WHOLE, UNKNOWN) if any(name in f.regions for f in frames)]
    parts = []
    for number, metric in enumerate(METRICS):
        x = _LEFT + number % 2 * (_WIDTH + _LEFT + 12)
        y = _TOP + number // 2 * (_HEIGHT + _GAP)
        parts.append(f'<g transform="translate({x} {y})">{_chart(frames, metric, regions)}</g>')
    for number, region in enumerate(regions):
        parts.append(_text(_LEFT + 90 * number, 18, region, fill=_COLOURS[region]))
    width = 2 * (_WIDTH + _LEFT) + 36
    height = _TOP + (len(METRICS) + 1) // 2 * (_HEIGHT + _GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _chart(frames: Sequence[FrameErrors], metric: str, regions: Sequence[str]) -> str:
    numbers = [frame.frame for frame in frames]
    first, span = numbers[0], max(numbers[-1] - numbers[0], 1)
    highest = max(getattr(e, metric) for f in frames for e in f.regions.values())
    scale = highest or 1.0
    out = [
        _text(0, -8, NAMES[metric], weight="bold"),
        f'<path d="M0 0V{_HEIGHT}H{_WIDTH}" fill="none" stroke="#999"/>',
        _text(-6, 10, f"{highest:.3g}", anchor="end"),
        _text(-6, _HEIGHT, "0", anchor="end"),
        _text(0, _HEIGHT + 16, str(first)),
    ]
    if len(numbers) > 1:
        out.append(_text(_WIDTH, _HEIGHT + 16, str(numbers[-1]), anchor="end"))
    for region in regions:
        points = [
            (
                _WIDTH * (frame.frame - first) / span,
                _HEIGHT * (1.0 - getattr(frame.regions[region], metric) / scale),
            )
            for frame in frames
            if region in frame.regions
        ]
        colour = _COLOURS[region]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(points) <= 60:
            dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)
            out.append(f'<g fill="{colour}">{"".join(dots)}</g>')
    return "".join(out)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", fill: str = ""
) -> str:
    colour = f' fill="{fill}"' if fill else ""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}"{colour}>{text}</text>'
    )
