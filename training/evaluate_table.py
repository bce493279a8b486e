"""The table that tells how good the relighting networks are."""

from __future__ import annotations

from collections.abc import Mapping

from relume.training.groups import group_table


def table(figures: Mapping[str, float]) -> str:
    """Return the figures as a Markdown table, each beside what it must be compared with."""

    def row(name: str, unit: str, *keys: str) -> str:
        cells = [f" {figures[key]:.4g} " for key in keys] + [" "] * (3 - len(keys))
        return f"| {name} | {unit} |" + "|".join(cells) + "|"

    optional = [
        row(name, unit, *keys)
        for name, unit, *keys in (
            ("normals, fast profile", "°", "fast_normals_degrees", "flat_degrees"),
            (
                "normals of skin, fast profile",
                "°",
                "fast_normals_degrees_skin",
                "flat_degrees_skin",
            ),
            (
                "albedo, fast profile",
                "RMSE",
                "fast_albedo_rmse",
                "mean_colour_rmse",
                "own_mean_colour_rmse",
            ),
            (
                "albedo up to a gain, fast profile",
                "RMSE",
                "fast_albedo_rmse_scaled",
                "plate_rmse_scaled",
            ),
            ("relight, fast profile", "dB", "fast_psnr", "unlit_copy_psnr", "true_phong_psnr"),
            ("relight, unet", "dB", "unet_psnr", "unlit_copy_psnr", "true_phong_psnr"),
            (
                "unet on true normals and albedo",
                "dB",
                "true_form_unet_psnr",
                "true_lambert_psnr",
                "true_phong_psnr",
            ),
        )
        if keys[0] in figures
    ]
    known = []
    if "fitted_psnr" in figures:
        known = [row("true diffuse transport to order 3", "dB", "fitted_psnr")]
    return "\n".join(
        [
            f"{figures['views']:.0f} views",
            "",
            "| what | unit | relume | trivial | reference |",
            "|---|---|---|---|---|",
            row("normals, whole subject", "°", "normals_degrees", "flat_degrees"),
            row("normals, skin", "°", "normals_degrees_skin", "flat_degrees_skin"),
            row("albedo", "RMSE", "albedo_rmse", "mean_colour_rmse", "own_mean_colour_rmse"),
            row(
                "albedo, set's light known",
                "RMSE",
                "calibrated_albedo_rmse",
                "mean_colour_rmse",
                "own_mean_colour_rmse",
            ),
            row("albedo up to a gain", "RMSE", "albedo_rmse_scaled", "plate_rmse_scaled"),
            row("relight", "dB", "relight_psnr", "unlit_copy_psnr", "true_phong_psnr"),
            row(
                "relight, set's light known",
                "dB",
                "calibrated_psnr",
                "unlit_copy_psnr",
                "true_phong_psnr",
            ),
            row(
                "relight, Lambert only",
                "dB",
                "relight_lambert_psnr",
                "unlit_copy_psnr",
                "true_lambert_psnr",
            ),
            row(
                "transport on true normals and albedo",
                "dB",
                "true_form_transport_psnr",
                "true_lambert_psnr",
                "true_phong_psnr",
            ),
            *optional,
            f"| below zero under single lamps | share | {figures['below_zero']:.4f} | | |",
            *known,
            "",
            group_table(figures),
            "",
            "Trivial: a normal that faces the camera; the training set's mean albedo; the plate as"
            " albedo (up to a gain); the plate unchanged. Reference: the subject's own true mean;"
            " Phong or Lambert with true normals and albedo, no visibility.",
        ]
    )
