"""The report: whole in itself, every name escaped, and true to what was found."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.errors import Exit, UsageError
from relume.hosts.cli import main
from relume.hosts.farm.report import read_log, write_report
from relume.image import Image
from relume.media.read import read
from relume.media.sequence import path_at

Deliver = Callable[..., str]

VOID = {"meta", "img", "input", "br"}
EVIL = '<script>alert("1")</script>&<img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Collects the tags, their attributes and the text of a page; refuses what is not nested."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def log_line(frame: int, status: str = "done", **more: Any) -> str:
    entry = {"frame": frame, "status": status, "seconds": 0.5, "nodes": {"matte": 0.25}}
    return json.dumps(entry | more)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "frames.jsonl"
    evil = log_line(1003, "failed", error={"text": EVIL}, nodes={EVIL: 2.0})
    lines = [log_line(1001), log_line(1002, seconds=2.0), evil, "not json", "[1]"]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def made(target: Path, *args: Any, **kwargs: Any) -> Page:
    write_report(*args[:1], target, **kwargs)
    return Page(target.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_reaches_nowhere(deliver: Deliver, tmp_path: Path, log: Path) -> None:
    page = made(
        tmp_path / "report.html", deliver(), plate=deliver("plates"), log=read_log(log), samples=3
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]*", "", text))
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:image/jpeg;base64,") or (
            "src" not in attributes
        )
        assert "href" not in attributes
    policy = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy and policy[0].startswith("default-src 'none'")


def test_every_name_is_escaped(deliver: Deliver, tmp_path: Path, log: Path) -> None:
    plain = made(tmp_path / "plain.html", deliver())
    pattern = deliver(folder=EVIL.replace("/", "∕"))
    page = made(tmp_path / "report.html", pattern, log=read_log(log))
    assert len(page.all("script")) == len(plain.all("script")) == 1
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert pattern in page.text
    assert page.text.count(EVIL) == 2  # why a frame failed, and a node's name


def test_frames_are_shown_with_a_wipe(deliver: Deliver, tmp_path: Path) -> None:
    page = made(tmp_path / "r.html", deliver(), plate=deliver("plates"), samples=3)
    images = page.all("img")
    assert [image["alt"] for image in images[:3]] == [
        "plate of frame 1001", "matte of frame 1001", "relight of frame 1001",
    ]  # fmt: skip
    assert len(images) == 9
    sliders = page.all("input")
    assert [slider["max"] for slider in sliders] == ["2"] * 3
    wipes = {div["id"] for div in page.all("div") if div.get("class") == "wipe"}
    assert {slider["data-wipe"] for slider in sliders} == wipes
    matte = tmp_path / "matte.jpg"
    matte.write_bytes(base64.b64decode(images[1]["src"].partition("base64,")[2]))
    picture = read(matte).layer().pixels
    assert picture.shape == (12, 20, 3)
    assert picture[6, 6].min() > 0.9 and picture[6, 19].max() < 0.1


def test_what_is_wrong_is_told_and_shown(deliver: Deliver, tmp_path: Path, log: Path) -> None:
    def wrong(frame: int, layers: dict[str, Image]) -> dict[str, Image]:
        if frame == 1004:
            layers["relit"] = layers["relit"].like(layers["relit"].pixels * np.float32(2.0))
        return layers

    pattern = deliver(change=wrong)
    path_at(pattern, 1007).unlink()
    page = made(tmp_path / "r.html", pattern, log=read_log(log), samples=2)
    assert "frame 1004: relit stands out" in page.text
    assert "frame 1007: there is no file" in page.text
    assert "frame 1003: failed: " in page.text
    assert "Frames 1001-1008: 3 problems" in page.text
    assert "1004: matte → relight" in page.text
    assert "2 lines of the log could not be read" in page.text
    bars = page.all("rect")
    assert [bar.get("class") for bar in bars] == [None, None, "bad"]
    heights = [float(bar["height"]) for bar in bars]
    assert heights[1] == pytest.approx(4 * heights[0], rel=1e-3)
    assert len(page.all("circle")) >= 1


def test_a_missing_plate_is_said_on_the_page(deliver: Deliver, tmp_path: Path) -> None:
    page = made(tmp_path / "r.html", deliver(), plate=str(tmp_path / "none.####.exr"), samples=1)
    assert "none.1001.exr does not exist" in page.text


def test_a_frame_done_later_has_not_failed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("\n".join([log_line(1, "failed"), log_line(1), log_line(2, "skipped")]))
    log = read_log(path)
    assert (log.failures, log.seconds, log.unread) == ({}, {1: 0.5}, 0)
    assert log.nodes == {"matte": 0.75}


def test_only_a_report_is_replaced(deliver: Deliver, tmp_path: Path) -> None:
    pattern, target = deliver(), tmp_path / "notes.html"
    write_report(pattern, tmp_path / "r.html")
    write_report(pattern, tmp_path / "r.html")
    target.write_text("my notes")
    with pytest.raises(UsageError, match="is no report"):
        write_report(pattern, target)
    assert target.read_text() == "my notes"


def test_the_command_takes_the_log_of_a_render(
    deliver: Deliver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {
        "plate": {"type": "read", "knobs": {"file": deliver("plates")}},
        "write": {
            "type": "write",
            "knobs": {"file": str(tmp_path / "out" / "copy.####.exr")},
            "inputs": {"layers": {"rgba": "plate"}},
        },
    }
    graph, html, log = tmp_path / "g.json", tmp_path / "r.html", tmp_path / "log.jsonl"
    graph.write_text(json.dumps({"relume": 1, "shot": "1001-1008", "nodes": nodes}))
    assert main(["run", str(graph), "--threads", "1", "--log", str(log)]) == Exit.DONE
    out = str(tmp_path / "out" / "copy.####.exr")
    arguments = ["farm", "report", out, "--html", str(html), "--log", str(log)]
    assert main([*arguments, "--graph", str(graph)]) == Exit.DONE
    assert capsys.readouterr().out.endswith("r.html: 0 problems.\n")
    page = Page(html.read_text(encoding="utf-8"))
    assert len(page.all("rect")) == 8
    assert "plate" in page.text and "lines of the log" not in page.text
    assert main([*arguments, "--frames", "1001-1010"]) == Exit.DONE
    assert "frames 1009-1010: there is no file" in Page(html.read_text(encoding="utf-8")).text


def test_the_page_works_in_a_browser(deliver: Deliver, tmp_path: Path, log: Path) -> None:
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser is None:
        pytest.skip("no Chromium is installed")
    page = tmp_path / "report.html"
    write_report(deliver(), page, plate=deliver("plates"), log=read_log(log), samples=1)
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
         f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'data-ready="yes"' in done.stdout
    assert "CONSOLE" not in done.stderr
