"""Smaller scripts: without what a page does not call, without comments and indentation."""

from __future__ import annotations

import re

__all__ = ["called", "minified"]

_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
_DECLARATION = re.compile(r"^(?:(?:async )?function\*? ?|const |let )(\w+)", re.MULTILINE)
_NAME = re.compile(r"[\w$]+")


def called(library: str, script: str) -> str:
    """Return the declarations of a library that a script needs, directly or through others, in order.

    Every declaration of the library begins its line, and nothing else does but its last line and comments. Variables,
    declared by `let`, are always kept.
    """
    library = _COMMENT.sub("", library)
    starts = [match.start() for match in _DECLARATION.finditer(library)]
    declarations = [library[start:stop] for start, stop in zip(starts, [*starts[1:], len(library)], strict=True)]
    names = [match[1] for match in _DECLARATION.finditer(library)]
    words = [set(_NAME.findall(declaration)) for declaration in declarations]
    kept: set[int] = set()
    found = set(_NAME.findall(script))
    while True:
        more = {
            number
            for number, declaration in enumerate(declarations)
            if number not in kept and (names[number] in found or declaration.startswith("let "))
        }
        if not more:
            return "\n".join(declarations[number] for number in sorted(kept))
        kept |= more
        found |= set().union(*(words[number] for number in more))


def minified(script: str) -> str:
    """Return a script without comments that fill their line, without indentation and empty lines."""
    lines = (line.strip() for line in _COMMENT.sub("", script).splitlines())
    return "\n".join(line for line in lines if line)
