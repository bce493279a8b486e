"""What the site needs beyond the pages, which are written for a reader of the repository.

Pages link to files outside of `docs`; these come along, below `source`, so that no link is dead.
MkDocs calls the functions by their names: it is a list of hooks in `mkdocs.yml`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

HOME = "overview.md"
"""The page that is the site's first."""

FOLDER = "folder.md"
"""The page made for a folder outside of `docs`."""

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
BLOCK = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Put the pages of a folder in the place of its name in the navigation."""
    config["nav"] = [_listed(item, Path(config["docs_dir"])) for item in config["nav"]]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Make one page the first, and add the files outside of `docs` that pages link to."""
    home = files.get_file_from_path(HOME)
    home.dest_uri, home.url = "index.html", "index.html"
    docs = Path(config["docs_dir"])
    waiting = [docs / file.src_uri for file in files.documentation_pages()]
    seen: set[Path] = set()
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            if target in seen or target.is_relative_to(docs) or not target.exists():
                continue
            seen.add(target)
            if target.is_dir():
                waiting.append(target)
                content: dict[str, str] = {"content": _contents(target)}
            else:
                waiting += [target] if target.suffix == ".md" else []
                content = {"abs_src_path": str(target)}
            added = File.generated(config, _uri(target, docs), **content)
            added.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to files outside of `docs` to where these lie on the site."""
    docs = Path(config["docs_dir"])
    origin = _origin(page.file.src_uri, docs)
    here = Path(page.file.src_uri).parent

    def led(match: re.Match[str]) -> str:
        target = (origin.parent / match[1]).resolve()
        return os.path.relpath(_uri(target, docs), here)

    parts, end = [], 0
    for block in BLOCK.finditer(markdown):
        parts += [LINK.sub(led, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(led, markdown[end:])])


def _listed(item: Any, docs: Path) -> Any:
    if isinstance(item, dict):
        return {title: _listed(content, docs) for title, content in item.items()}
    if isinstance(item, list):
        return [_listed(content, docs) for content in item]
    if not item.endswith("/"):
        return item
    pages = _pages(docs / item, docs)
    return pages if len(pages) > 1 else pages[0]


def _pages(folder: Path, docs: Path) -> list[str]:
    """Return the pages of a folder below `docs`, its README first."""
    pages = sorted(folder.glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
    return [_uri(page, docs) for page in pages]


def _contents(folder: Path) -> str:
    """Return a page that stands for a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return "\n".join([f"# {folder.name}", "", *(f"- [{name}]({name})" for name in names), ""])


def _targets(page: Path) -> list[Path]:
    if page.is_dir():
        return sorted(page.iterdir())
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [(page.parent / target).resolve() for target in LINK.findall(text)]


def _uri(path: Path, docs: Path) -> str:
    """Return where a file or folder is on the site: as it is below `docs`, others in `source`."""
    if path.is_relative_to(docs):
        pages = _pages(path, docs) if path.is_dir() else []
        return pages[0] if pages else path.relative_to(docs).as_posix()
    name = "source/" + path.relative_to(docs.parent).as_posix()
    return f"{name}/{FOLDER}" if path.is_dir() else name


def _origin(uri: str, docs: Path) -> Path:
    """Return the file that `_uri` names."""
    outside = uri.startswith("source/")
    return docs.parent / uri.removeprefix("source/") if outside else docs / uri
