"""The site: it builds without a warning, has every page, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason="pip install 'relume[docs]'")
pytest.importorskip("material", reason="pip install 'relume[docs]'")

ROOT = Path(__file__).resolve().parents[1]
LOADED = re.compile(r"<(?:script|img|source|iframe)\b[^>]*?\bsrc=\"([^\"]+)\"|<link\b([^>]*)>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in ROOT.glob("docs/**/*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        name = name.with_name("index.html") if page.name == "README.md" else name
        name = Path("index.html") if page.name == "overview.md" else name
        assert (site / name).is_file(), page.name


def test_links_lead_to_files_of_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links begin at the server's root
            continue
        for target in re.findall(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"#]+)", page.read_text()):
            if not re.match(r"https?:|mailto:", target):
                path = (page.parent / unquote(target)).resolve()
                assert path.is_relative_to(site.resolve()), (page.name, target)
                assert path.exists(), (page.name, target)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for source, link in LOADED.findall(page.read_text()):
            address = source or (re.findall(r"href=\"([^\"]*)\"", link) or [""])[0]
            assert not re.match(r"https?:|//", address), (page.name, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", sheet.read_text()), sheet.name
