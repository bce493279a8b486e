"""The bundle in melt, an OpenFX host nobody here wrote. `make ofx-melt` puts one in place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from relume import weights
from relume.colour import convert
from relume.errors import InputError
from relume.evaluate import Evaluator, Settings
from relume.frames import Shot
from relume.graph import Graph
from relume.hosts.ofx.build import build
from relume.image import Image
from relume.media.read import read
from relume.nodes.registry import REGISTRY

MELT = os.environ.get("RELUME_MELT", "")

pytestmark = pytest.mark.skipif(not MELT, reason="RELUME_MELT names no melt; see `make ofx-melt`")

PROFILE = """description=square
frame_rate_num=25
frame_rate_den=1
width={0}
height={1}
progressive=1
sample_aspect_num=1
sample_aspect_den=1
display_aspect_num={0}
display_aspect_den={1}
colorspace=709
"""


class Melt:
    """Runs melt with the bundle, on pictures of one size."""

    def __init__(self, folder: Path, bundles: Path, size: tuple[int, int]) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "OFX_PLUGIN_PATH": str(bundles),
            "RELUME_COMMAND": f"'{sys.executable}' -m relume",
        }
        self.profile = folder / "profile"
        self.profile.write_text(PROFILE.format(*size))

    def run(self, *arguments: str) -> str:
        """Return what melt prints; nothing where it hangs, as it does now and then."""
        try:
            done = subprocess.run(
                [MELT, *arguments],
                capture_output=True,
                text=True,
                env=self.environment,
                timeout=120,
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout + done.stderr

    def render(self, producer: str, *filter: str) -> np.ndarray[Any, Any]:
        """Return a frame as MLT writes it: 16 bit a channel, 0 to 1."""
        out = self.folder / "out_001.png"
        attached = ["-attach", *filter] if filter else []
        said = ""
        # This melt ends without a frame now and then, without a filter too.
        for _ in range(20):
            said = self.run(
                *("-silent", "-profile", str(self.profile), producer, "out=0", *attached),
                *("-consumer", f"avformat:{self.folder / 'out_%03d.png'}", "vcodec=png"),
                *("pix_fmt=rgba64be", "mlt_image_format=rgba64", "real_time=-1"),
            )
            if out.exists():
                break
        assert "OfxMessageError" not in said, said
        pixels: np.ndarray[Any, Any] = oiio.ImageBuf(str(out)).get_pixels(oiio.FLOAT)
        out.unlink()
        return pixels


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as it is shipped: without sanitizers, for a host that has none."""
    folder = tmp_path_factory.mktemp("melt")
    return build(folder, REGISTRY).parent


@pytest.fixture
def melt(tmp_path: Path, bundles: Path, place: Path) -> Any:
    from relume.hosts.worker.client import Worker

    yield Melt(tmp_path, bundles, (64, 36))
    if (place / "worker-1.json").exists():
        Worker("test").shut_down()


def test_melt_lists_every_effect_and_says_its_parameters(melt: Melt) -> None:
    listed = melt.run("-query", "filters")
    assert "openfx.org.relume.Relight" in listed
    assert "openfx.org.relume.Matte" in listed
    said = melt.run("-query", "filter=openfx.org.relume.EnvironmentBackground")
    assert "identifier: light_rig_intensity" in said
    assert "Horizontal field of view." in said


def test_what_melt_shows_is_what_relume_computes(melt: Melt) -> None:
    effect = "openfx.org.relume.EnvironmentBackground"
    shown = melt.render(
        "color:0xff4080c0", effect, "rotate=90", "exposure=-2", "relume_space_name=lin_rec709_scene"
    )
    graph = Graph()
    graph.add("plate", "input", {"serial": "plate"})
    graph.add("rig", "light_rig")
    knobs = {"rotate": 90.0, "exposure": -2.0}
    graph.add("shown", "environment_background", knobs, environment="rig", plate="plate")
    plate = Image(np.zeros((36, 64, 3), np.float32), ("R", "G", "B"))
    settings = Settings(Shot(1, 1), threads=1)
    evaluator = Evaluator(graph, REGISTRY, settings, externals={"plate": plate})
    expected = convert(evaluator.evaluate("shown.image", 1), "lin_rec709_scene").pixels
    assert expected.max() > 0.5
    np.testing.assert_allclose(shown[..., :3], expected.clip(0, 1), atol=0.6 / 65535)
    assert (shown[..., 3] == 1).all()


def test_melt_cuts_a_person_out(tmp_path: Path, bundles: Path, place: Path, assets: Path) -> None:
    try:
        weights.find("matte")
    except InputError as error:
        pytest.skip(str(error))
    photo = assets / "photos" / "astronaut.png"
    size = read(str(photo)).layer()
    melt = Melt(tmp_path, bundles, (size.width, size.height))
    # melt takes a photograph through video levels, so what it lends is asked for first.
    pixels = melt.render(f"avformat:{photo}")
    shown = melt.render(
        f"avformat:{photo}", "openfx.org.relume.Matte", "relume_space_name=srgb_rec709_scene"
    )
    graph = Graph()
    graph.add("plate", "input", {"serial": "plate"})
    graph.add("anchor", "exposure_anchor", plate="plate")
    graph.add("matte", "matte", plate="plate", anchor="anchor")
    plate = Image(pixels, ("R", "G", "B", "A"), colour="srgb_rec709_scene", alpha="straight")
    settings = Settings(Shot(1, 1), threads=1)
    evaluator = Evaluator(graph, REGISTRY, settings, externals={"plate": plate})
    expected = evaluator.evaluate("matte.matte", 1).pixels[..., 0]
    assert 0.2 < expected.mean() < 0.8
    # With a filter melt converts colour on another way, whose rounding differs.
    np.testing.assert_allclose(shown[..., 3], expected, atol=5e-3)
    from relume.hosts.worker.client import Worker

    Worker("test").shut_down()
