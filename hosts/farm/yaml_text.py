"""Plain values as YAML that people can read and change."""

from __future__ import annotations

import json
import re
from typing import Any

_NOT_PRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_PLAIN = re.compile(r"(?!(true|false|yes|no|on|off|null|y|n)$)[a-z_][a-z0-9_]*", re.IGNORECASE)
"""A key that YAML reads as text without quotes."""


def to_yaml(value: dict[str, Any]) -> str:
    """Return a document in block style; text is quoted, so that `no` and `1e3` stay text."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    """Return the lines of a mapping or list that is not empty."""
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            name = key if _PLAIN.fullmatch(key) else _scalar(key)
            if isinstance(item, dict | list) and item:
                lines += [f"{name}:", *(f"  {line}" for line in _lines(item))]
            else:
                lines.append(f"{name}: {_scalar(item)}")
        return lines
    for item in value:
        inner = _lines(item) if isinstance(item, dict | list) and item else [_scalar(item)]
        lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
    return lines


def _scalar(value: Any) -> str:
    # A JSON string is a YAML string, but for characters that YAML wants escaped.
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda match: f"\\U{ord(match[0]):08x}", text)
