"""Smaller scripts: without comments and indentation."""

from __future__ import annotations

import re

__all__ = ["minified"]

_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)


def minified(script: str) -> str:
    """Return a script without comments that fill their line, without indentation and empty lines."""
    lines = (line.strip() for line in _COMMENT.sub("", script).splitlines())
    return "\n".join(line for line in lines if line)
