"""The table that tells how good the relighting networks are."""

from __future__ import annotations

from collections.abc import Mapping

from relume.training.groups import group_table


def table(figures: Mapping[str, float]) -> str:
    """Return the figures as a Markdown table, each beside what it must be compared with."""

    def row(name: str, unit: str, *keys: str) -> str:
        return f"| {name} | {unit} | " + " | ".join(f"{figures[key]:.4g}" for key in keys) + " |"

    known = [
        f"| true diffuse transport to order 3 | dB | {value:.4g} | | |"
        for value in (figures.get("fitted_psnr"),)
        if value is not None
    ]
    fast = [
        row(f"{name}, fast profile", unit, *keys) + end
        for name, unit, end, *keys in (
            ("normals", "°", " |", "fast_normals_degrees", "flat_degrees"),
            ("normals of skin", "°", " |", "fast_normals_degrees_skin", "flat_degrees_skin"),
            ("albedo", "RMSE", "", "fast_albedo_rmse", "mean_colour_rmse", "own_mean_colour_rmse"),
            ("albedo up to a gain", "RMSE", " |", "fast_albedo_rmse_scaled", "plate_rmse_scaled"),
            ("relight", "dB", "", "fast_psnr", "unlit_copy_psnr", "true_phong_psnr"),
        )
        if "fast_psnr" in figures
    ]
    unet = [
        row(name, "dB", *keys)
        for name, *keys in (
            ("relight, unet", "unet_psnr", "unlit_copy_psnr", "true_phong_psnr"),
            (
                "unet on true normals and albedo",
                "true_form_unet_psnr",
                "true_lambert_psnr",
                "true_phong_psnr",
            ),
        )
        if "unet_psnr" in figures
    ]
    return "\n".join(
        [
            f"{figures['views']:.0f} views",
            "",
            "| what | unit | relume | trivial | reference |",
            "|---|---|---|---|---|",
            row("normals, whole subject", "°", "normals_degrees", "flat_degrees") + " |",
            row("normals, skin", "°", "normals_degrees_skin", "flat_degrees_skin") + " |",
            row("albedo", "RMSE", "albedo_rmse", "mean_colour_rmse", "own_mean_colour_rmse"),
            row(
                "albedo, set's light known",
                "RMSE",
                "calibrated_albedo_rmse",
                "mean_colour_rmse",
                "own_mean_colour_rmse",
            ),
            row("albedo up to a gain", "RMSE", "albedo_rmse_scaled", "plate_rmse_scaled") + " |",
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
            *fast,
            *unet,
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
