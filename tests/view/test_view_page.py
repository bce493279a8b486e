"""The page in a browser: it shows what the command renders, and hands it back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
import pytest
from numpy.typing import NDArray

from relume.colour import config
from relume.colour.transforms import prepare
from relume.errors import Exit
from relume.hosts.cli import main
from relume.image import Image
from relume.media.read import read
from relume.media.write import write

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("starlette", reason="the extra [view] is not installed")
pytest.importorskip("uvicorn", reason="the extra [view] is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DISPLAY, VIEW = "sRGB - Display", "Un-tone-mapped"
READY = "#stage[aria-busy=false]"
STILL = ("still.exr", "--background", "behind.exr", "--light", "key=rig:rembrandt")
SHOT = ("shot.####.exr",)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window, its graphics card in software."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_api.sync_playwright() as playwright:
        path = path or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium is installed; apt-get install chromium")
        flags = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        flags += ["--no-sandbox", "--force-color-profile=srgb"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(show: Path, tmp_path_factory: Any) -> Iterator[Callable[..., str]]:
    """Return what serves a source as a user would, and says at which address."""
    kept = tmp_path_factory.mktemp("cache")
    servers: dict[tuple[str, ...], tuple[subprocess.Popen[str], str]] = {}

    def serve(*words: str) -> str:
        if words not in servers:
            command = [sys.executable, "-m", "relume", "view", *words, "--no-open"]
            server = subprocess.Popen(
                [*command, "--threads", "1"],
                cwd=show,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "XDG_CACHE_HOME": str(kept), "PYTHONUNBUFFERED": "1"},
            )
            assert server.stdout
            servers[words] = server, server.stdout.readline().split()[-1]
        return servers[words][1]

    yield serve
    for server, _ in servers.values():
        server.send_signal(signal.SIGINT)
    for server, _ in servers.values():
        assert server.wait(30) == Exit.DONE
        if server.stdout:
            server.stdout.close()


@pytest.fixture
def opened(browser: Any, served: Callable[..., str]) -> Iterator[Callable[..., Any]]:
    """Return what opens the page of a source."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    complaints: list[str] = []

    def open_page(*words: str) -> Any:
        page = context.new_page()
        page.set_default_timeout(300_000)  # a busy machine is no failure
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.goto(served(*words))
        page.wait_for_selector(READY)
        combo(page, "View").select_option(VIEW)
        page.get_by_label("Show the light on two balls").uncheck()
        page.wait_for_selector(READY)
        return page

    yield open_page
    context.close()
    assert not complaints


def combo(page: Any, name: str) -> Any:
    return page.get_by_role("combobox", name=name, exact=True)


def seen(page: Any, size: tuple[int, int] = (72, 96)) -> NDArray[np.uint8]:
    """Return the picture on the screen, one pixel to one pixel."""
    page.get_by_role("button", name="1:1").click()
    page.wait_for_selector(READY)
    page.mouse.move(0, 0)
    canvas = page.locator("canvas")
    box = canvas.bounding_box()
    across, down = canvas.evaluate("canvas => [canvas.width, canvas.height]")
    height, width = size
    # The middle as JavaScript rounds it, halves upwards.
    left = round(box["x"]) + (across - width + 1) // 2
    top = round(box["y"]) + (down - height + 1) // 2
    clip = {"x": left, "y": top, "width": width, "height": height}
    shot = page.screenshot(clip=clip, type="png")
    return decoded(shot)


def decoded(png: bytes) -> NDArray[np.uint8]:
    import io

    from PIL import Image as Picture

    return np.asarray(Picture.open(io.BytesIO(png)).convert("RGB"))


def displayed(path: Path, layer: str = "rgba", view: str = VIEW) -> NDArray[np.float32]:
    """Return a rendered layer as OCIO itself shows it, 0 to 255."""
    rgb = read(path).layers[layer].rgb
    transform = ocio.DisplayViewTransform(src="ACEScg", display=DISPLAY, view=view)
    shown = prepare(config().getProcessor(transform)).apply_rgb(rgb)
    return np.clip(shown, 0, 1) * 255


def worst(a: NDArray[Any], b: NDArray[Any], share: float = 0.999) -> float:
    """Return the difference that a share of the pixels does not exceed, in 1/255."""
    apart = np.abs(a.astype(np.float64) - b).max(axis=-1).ravel()
    return float(np.quantile(apart, share, method="higher"))


def render_command(page: Any, out: Path, *more: str) -> Path:
    """Render what the page hands over as a command."""
    page.get_by_label("Write to").fill(str(out))
    page.get_by_role("button", name="Copy as command").click()
    page.get_by_text("The command is copied.").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == page.get_by_label("Command", exact=True).input_value()
    program, *words = shlex.split(command)
    assert program == "relume"
    assert main([*words, *more]) == Exit.DONE
    return out


def render_graph(page: Any, out: Path) -> Path:
    """Render what the page hands over as a graph."""
    page.get_by_label("Write to").fill(str(out))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save graph").click()
    graph = out.with_suffix(".json")
    download.value.save_as(graph)
    assert main(["run", str(graph)]) == Exit.DONE
    return out


def set_number(page: Any, label: str, value: float) -> None:
    field = page.get_by_label(f"{label}, as a number")
    field.fill(str(value))
    field.press("Enter")
    page.wait_for_selector(READY)


def drag(page: Any, across: int) -> None:
    """Drag over the picture, in CSS pixels."""
    box = page.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across / 2, y, steps=4)
    page.mouse.move(x + across, y, steps=4)
    page.mouse.up()
    page.wait_for_selector(READY)


def number(page: Any, label: str) -> float:
    return float(page.get_by_label(f"{label}, as a number").input_value())


def test_the_picture_is_that_of_the_command_and_of_the_graph(opened, tmp_path):
    page = opened(*STILL)
    page.get_by_label("original on").check()
    first = seen(page)
    drag(page, -100)
    assert number(page, "rotate of key, degrees") == pytest.approx(40.0)
    page.locator("canvas").hover()
    page.mouse.wheel(0, -500)
    exposure = page.get_by_label("exposure of key, stops, as a number")
    sync_api.expect(exposure).to_have_value("0.5")
    set_number(page, "rotate of key, degrees", 33.3)
    set_number(page, "exposure of original, stops", -1.5)
    set_number(page, "diffuse gain of the subject", 0.8)
    set_number(page, "gloss of the subject, octaves", 0.7)
    set_number(page, "blur of key, degrees", 6.0)
    shown = seen(page)
    assert worst(first, shown, 0.8) > 3
    by_command = render_command(page, tmp_path / "command.exr")
    by_graph = render_graph(page, tmp_path / "graph.exr")
    assert worst(shown, displayed(by_command)) <= 2.0
    assert worst(shown, displayed(by_graph)) <= 2.0
    for layer in ("rgba", "relit_key"):
        a, b = (read(path).layers[layer].pixels for path in (by_command, by_graph))
        np.testing.assert_array_equal(a, b)


def test_every_pass_is_that_of_the_command(opened, tmp_path):
    page = opened(*STILL)
    page.get_by_label("original on").check()
    out = render_command(page, tmp_path / "out.exr")
    layers = read(out).layers
    chooser = combo(page, "Pass")
    names = chooser.locator("option").evaluate_all("all => all.map(one => one.value)")
    assert {"relit", "diffuse", "specular", "residual", "relit_key", "relit_original"} <= set(names)
    inside = layers["matte"].pixels[..., 0] > 0
    for name in names:
        if name in ("rgba", "background", "normal", "matte"):
            continue
        chooser.select_option(name)
        page.wait_for_selector(READY)
        shown = seen(page)
        assert worst(shown[inside], displayed(out, name)[inside]) <= 2.0, name
    chooser.select_option("normal")
    normal = 127.5 + 127.5 * layers["normal"].pixels
    assert worst(seen(page)[inside], normal[inside]) <= 1.0
    chooser.select_option("matte")
    assert worst(seen(page), 255 * layers["matte"].pixels) <= 1.0


def test_a_dropped_environment_lights_the_picture(opened, show, tmp_path):
    page = opened(*STILL)
    first = seen(page)
    content = list((show / "hdri" / "sun.exr").read_bytes())
    page.evaluate(
        """content => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "my sun.exr"));
          const event = (name) =>
            new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true });
          const canvas = document.querySelector("canvas");
          canvas.dispatchEvent(event("dragover"));
          canvas.dispatchEvent(event("drop"));
        }""",
        content,
    )
    page.get_by_role("article", name="Light my_sun").wait_for()
    page.wait_for_selector(READY)
    set_number(page, "rotate of my_sun, degrees", -71.7)
    combo(page, "Background").select_option("environment")
    page.wait_for_selector(READY)
    assert not page.get_by_label("key on").is_checked()
    shown = seen(page)
    assert worst(first, shown, 0.8) > 3
    out = render_command(page, tmp_path / "dropped.exr")
    assert worst(shown, displayed(out)) <= 2.0
    graph = json.loads(
        (render_graph(page, tmp_path / "again.exr").with_suffix(".json")).read_text()
    )
    kept = Path(graph["nodes"]["my_sun_environment"]["knobs"]["file"])
    assert kept.read_bytes() == (show / "hdri" / "sun.exr").read_bytes()


def test_a_light_is_turned_off_and_on_and_undone(opened, tmp_path):
    page = opened(*STILL)
    page.locator("#library").select_option("rig:rim")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_selector(READY)
    both = seen(page)
    page.get_by_label("rim on").uncheck()
    page.wait_for_selector(READY)
    one = seen(page)
    assert worst(both, one) > 3
    layers = read(render_graph(page, tmp_path / "one.exr")).layers
    assert "relit_key" in layers
    assert "relit_rim" not in layers
    assert worst(one, displayed(tmp_path / "one.exr")) <= 2.0
    page.keyboard.press("Control+z")
    page.wait_for_selector(READY)
    np.testing.assert_array_equal(seen(page), both)
    page.locator("canvas").focus()
    page.keyboard.press("3")
    page.wait_for_selector(READY)
    np.testing.assert_array_equal(seen(page), one)


def test_the_wipe_shows_the_plate_on_the_left(opened):
    page = opened(*STILL)
    relit = seen(page)
    for light, state in (("key", False), ("original", True)):
        page.get_by_label(f"{light} on").set_checked(state)
    page.wait_for_selector(READY)
    plate = seen(page)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.get_by_label("Wipe", exact=True).check()
    page.wait_for_selector(READY)
    wiped = seen(page)
    middle = wiped.shape[1] // 2
    np.testing.assert_array_equal(wiped[:, : middle - 2], plate[:, : middle - 2])
    np.testing.assert_array_equal(wiped[:, middle + 2 :], relit[:, middle + 2 :])


def test_the_timeline_shows_the_frames_there_are(opened, tmp_path):
    page = opened(*SHOT)
    pictures = [seen(page)]
    for _ in range(2):
        page.keyboard.press(".")
        page.wait_for_selector(READY)
        pictures.append(seen(page))
    assert page.locator("#number").inner_text() == "1004"
    page.get_by_label("This frame only").check()
    render_command(page, tmp_path / "relit.####.exr")
    assert [path.name for path in tmp_path.glob("*.exr")] == ["relit.1004.exr"]
    assert worst(pictures[2], displayed(tmp_path / "relit.1004.exr")) <= 2.0
    assert worst(pictures[0], pictures[2]) > 3


def test_the_aces_view_is_that_of_ocio(opened, tmp_path):
    page = opened(*STILL)
    view = "ACES 2.0 - SDR 100 nits (Rec.709)"
    combo(page, "View").select_option(view)
    page.wait_for_selector(READY)
    shown = seen(page)
    out = render_command(page, tmp_path / "out.exr")
    assert worst(shown, displayed(out, view=view)) <= 2.0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_and_everything_has_a_name(opened, width):
    page = opened(*SHOT)
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.locator("button, input, select, textarea").evaluate_all(
        """all => all.filter(one => one.checkVisibility()
          && !(one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim()))
          .map(one => one.outerHTML)"""
    )
    assert not nameless
    # All of it is reached with the keyboard alone.
    visible = page.locator(
        "header :is(button:enabled, input, select), #lights input, #copy, #frame, canvas"
    ).evaluate_all("all => all.filter(one => one.checkVisibility()).length")
    assert visible > 15
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    assert {"pass", "wipe", "canvas", "add", "copy", "save", "frame", "key on"} <= reached


def test_a_plate_is_analysed_first(opened, tmp_path, weights):
    rng = np.random.default_rng(1)
    pixels = np.float32(rng.uniform(0.05, 0.6, (96, 72, 3)))
    matte = np.zeros((96, 72, 1), np.float32)
    matte[20:80, 15:60] = 1.0
    write(tmp_path / "plate.exr", {"rgba": Image(pixels, ("R", "G", "B"))})
    write(tmp_path / "matte.exr", {"matte": Image(matte, ("A",), colour="data")})
    kept = "--cache", str(tmp_path / "analyses")
    page = opened(str(tmp_path / "plate.exr"), "--matte", str(tmp_path / "matte.exr"), *kept)
    combo(page, "Background").select_option("plate")
    page.wait_for_selector(READY)
    shown = seen(page, (96, 72))
    # Analysed once is enough: the command finds it in the cache.
    out = render_command(page, tmp_path / "relit.exr", *kept, "--threads", "1")
    assert worst(shown, displayed(out)) <= 2.0
