"""Figures by group: the subject's skin tone, and how hard the new light is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from relume.encoding import encode
from relume.exposure import LUMINANCE

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rows = Sequence[Mapping[str, float]]

TONES = {"dark": (0.0, 0.12), "medium": (0.12, 0.26), "light": (0.26, np.inf)}
"""Skin by the luminance of its mean albedo."""

CONTRASTS = {"soft": (0.0, 1.75), "mixed": (1.75, 3.0), "hard": (3.0, np.inf)}
"""Light by the stops between the brightest and the darkest tenth of what it makes of a subject."""

GROUPS = {"tone": TONES, "contrast": CONTRASTS}
FIGURES = ("relight_rmse", "skin_rmse", "skin_degrees")


def features(
    found: F32, truth: F32, albedo: F32, solid: Mask, skin: Mask, gain: float
) -> dict[str, float]:
    """Return what a picture is grouped by, and the figures that are averaged by group.

    Args:
        found: H×W×3 relit picture, straight, scene-linear.
        truth: H×W×3, likewise.
        albedo: H×W×3 truth.
        solid: H×W bool, where alpha is above 0.99.
        skin: H×W bool, the skin in it.
        gain: exposure that brings the true picture to middle grey.

    Returns:
        `tone` and `contrast` to group by; `relight_rmse` and `skin_rmse` of log₂(1 + 16x)/log₂ 65
        and `skin_degrees`, the angle between the mean colours of found and true skin as RGB
        vectors. Those of skin are not numbers where there is none.
    """
    weights = np.array(LUMINANCE, np.float32)
    shading = (truth[solid] @ weights) / np.maximum(albedo[solid] @ weights, 0.01)
    dark, bright = np.log2(np.maximum(np.percentile(shading, (10, 90)), 1e-9))
    light = {
        "contrast": float(bright - dark),
        "relight_rmse": _rmse(found[solid] * gain, truth[solid] * gain),
    }
    if not skin.any():
        return {**light, "tone": np.nan, "skin_rmse": np.nan, "skin_degrees": np.nan}
    a, b = found[skin].mean(0, np.float64), truth[skin].mean(0, np.float64)
    cosine = float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
    return {
        **light,
        "tone": float((albedo[skin] @ weights).mean()),
        "skin_rmse": _rmse(found[skin] * gain, truth[skin] * gain),
        "skin_degrees": float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))),
    }


def grouped(rows: Rows) -> dict[str, float]:
    """Return means by group as `DIMENSION_GROUP_FIGURE`, and `DIMENSION_GROUP_views`."""
    out: dict[str, float] = {}
    for dimension, groups in GROUPS.items():
        for group, (low, high) in groups.items():
            members = [row for row in rows if low <= row[dimension] < high]
            if not members:
                continue
            out[f"{dimension}_{group}_views"] = float(len(members))
            for figure in FIGURES:
                values = [row[figure] for row in members if np.isfinite(row[figure])]
                if values:
                    out[f"{dimension}_{group}_{figure}"] = float(np.mean(values))
    return out


def group_table(figures: Mapping[str, float]) -> str:
    """Return the figures of `grouped` as a Markdown table."""
    lines = [
        "| group | views | relit, RMSE | relit skin, RMSE | skin colour |",
        "|---|---:|---:|---:|---:|",
    ]
    for dimension, groups in GROUPS.items():
        for group in groups:
            name = f"{dimension}_{group}"
            if f"{name}_views" not in figures:
                continue
            values = [figures.get(f"{name}_{figure}", np.nan) for figure in FIGURES]
            what = f"{group} skin" if dimension == "tone" else f"{group} light"
            cells = [f"{figures[f'{name}_views']:.0f}", f"{values[0]:.3f}", f"{values[1]:.3f}"]
            lines.append(f"| {what} | {' | '.join(cells)} | {values[2]:.1f}° |")
    return "\n".join(lines)


def _rmse(found: F32, truth: F32) -> float:
    error = encode(found).astype(np.float64) - encode(truth)
    return float(np.sqrt(np.mean(error**2)))
