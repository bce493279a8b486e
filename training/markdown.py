"""Figures in Markdown: tables, and a document's part that is written anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is words and whose others are figures."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def put(text: str, into: str, marks: tuple[str, str]) -> str:
    """Return a document with the text between its marks.

    Raises:
        ValueError: the document lacks one of them.
    """
    begin, end = marks
    before, found, rest = into.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the document has no {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
