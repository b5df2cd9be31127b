"""Text lines for parts of a prediction that views do not draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["lines_of"]


def lines_of(name: str, value: Any) -> list[str]:
    """Return a part of a prediction as lines of text.

    A list of records with a `share` becomes one line per record, the share first. A list of texts with numbers becomes
    one line. A text stays as it is, and any other value is JSON.
    """
    if _is_list_of(value, _is_source):
        return [f"{name}:", *(f"{each['share']:6.1%}  {_texts(each)}" for each in value)]
    if _is_list_of(value, _is_counted):
        return [f"{name}: {', '.join(f'{text} {number:.4g}' for text, number in value)}"]
    return [f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"]


def _is_list_of(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(kind, value))


def _is_source(entry: Any) -> bool:
    return isinstance(entry, Mapping) and len(entry) > 1 and isinstance(entry.get("share"), float)


def _is_counted(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], float)


def _texts(source: Mapping[str, Any]) -> str:
    return "  =>  ".join(str(part) for name, part in source.items() if name != "share")
