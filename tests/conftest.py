"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from relume import weights as stored
from relume.errors import InputError

# A deadline is a timing, and a busy machine would miss it.
settings.register_profile("relume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relume")


@pytest.fixture(scope="session")
def assets() -> Iterator[Path]:
    """The folder of openly licensed heads, skins, environments and photographs."""
    default = Path(__file__).resolve().parents[2] / "shared" / "assets"
    folder = Path(os.environ.get("RELUME_ASSETS", default))
    if not folder.is_dir():
        pytest.skip(f"no assets at {folder}; set RELUME_ASSETS to the folder that holds them")
    with pytest.MonkeyPatch.context() as patch:
        # An installed package does not know what lies beside the checkout.
        patch.setenv("RELUME_ASSETS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def weights() -> None:
    """Skip where the trained networks are not installed."""
    try:
        for name in ("matte", "normals", "albedo", "transport", "express", "neural", "light"):
            stored.find(name)
    except InputError as error:
        pytest.skip(str(error))
