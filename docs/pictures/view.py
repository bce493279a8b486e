"""Make the picture of `relume view` from the demo's photograph.

`python docs/pictures/view.py docs/pictures/view.jpg`
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import OpenImageIO as oiio
from drawing import write_jpeg
from playwright.sync_api import Page, sync_playwright

from relume.hosts.cli.demo import photograph

SIZE = {"width": 1280, "height": 800}
BYTES = 250_000
FLAGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]


def main(picture: str) -> None:
    """Analyse the photograph, light it on the page, and keep what is seen."""
    relume = [sys.executable, "-m", "relume"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plate = photograph(folder)
        subprocess.run([*relume, "analyse", plate, "--out", "portrait.exr"], cwd=folder, check=True)
        words = ["portrait.exr", "--background", plate, "--no-open"]
        words += ["--light", "key=rig:sunset", "--light", "rim=rig:rim", "--light", "original"]
        server = subprocess.Popen(
            [*relume, "view", *words], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout
        address = server.stdout.readline().split()[-1]
        try:
            with sync_playwright() as playwright:
                program = shutil.which("chromium") or playwright.chromium.executable_path
                browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
                page = browser.new_page(viewport=SIZE)
                page.goto(address)
                light(page)
                page.screenshot(path=folder / "page.png")
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
        seen = oiio.ImageBuf(str(folder / "page.png"))
        write_jpeg(oiio.ImageBufAlgo.channels(seen, (0, 1, 2)), Path(picture), BYTES)


def light(page: Page) -> None:
    """Set the lights, and wipe."""
    ready = "#stage[aria-busy=false]"
    page.wait_for_selector(ready)
    page.get_by_role("combobox", name="View", exact=True).select_option("Un-tone-mapped")
    for label, value in (
        ("exposure of key, stops", "0.5"),
        ("rotate of key, degrees", "-25"),
        ("exposure of rim, stops", "-1"),
        ("exposure of original, stops", "-2.5"),
    ):
        field = page.get_by_label(f"{label}, as a number")
        field.fill(value)
        field.press("Enter")
    page.get_by_label("Wipe", exact=True).check()
    page.wait_for_selector(ready)


if __name__ == "__main__":
    main(*sys.argv[1:])
