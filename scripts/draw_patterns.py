#!/usr/bin/env python3
"""Draw the picture of `docs/one-or-many.md`: one to one, one to many, many to one, many to many.

python scripts/draw_patterns.py
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from unspool.inspection.svg import document, line, text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "assets" / "pictures" / "patterns.svg"
CELL, GAP, PAD = 62, 12, 24  # width of a step, between two steps, and around a panel
HIGH, APART = 30, 34  # height of a box, and between two rows of boxes


class Pattern(NamedTuple):
    """A pattern: its title, its task, and what goes in and comes out at each step; an empty text is nothing."""

    title: str
    task: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


PATTERNS = (
    Pattern("one to one", "classify an image", ("image",), ("8",)),
    Pattern("one to many", "caption an image", ("image", "", "", ""), ("a", "dog", "runs", "end")),
    Pattern("many to one", "classify a sentence", ("a", "joy", "to", "watch"), ("", "", "", "positive")),
    Pattern("many to many, aligned", "tag each word", ("dogs", "chase", "cats"), ("NOUN", "VERB", "NOUN")),
    Pattern(
        "many to many, free length",
        "translate a sentence",
        ("two", "dogs", "play", "", "", ""),
        ("", "", "deux", "chiens", "jouent", "end"),
    ),
)
ROWS = (PATTERNS[:3], PATTERNS[3:])


def width_of(pattern: Pattern) -> int:
    """Return the width of the boxes of a pattern."""
    return len(pattern.inputs) * (CELL + GAP) - GAP


def box(x: float, y: float, content: str, kind: str) -> list[str]:
    """Draw a box with a text."""
    return [
        f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{CELL}" height="{HIGH}" rx="5"/>',
        text(x + CELL / 2, y + 19, content, "small", "middle"),
    ]


def arrow(x1: float, y1: float, x2: float, y2: float) -> list[str]:
    """Draw an arrow to the right or up."""
    tip = f"M{x2} {y2}l-5 -3.5v7z" if y1 == y2 else f"M{x2} {y2}l-3.5 5h7z"
    return [line(x1, y1, x2, y2), f'<path class="tip" d="{tip}"/>']


def panel(pattern: Pattern, left: float, top: float) -> list[str]:
    """Draw one pattern: inputs below, a row of states, outputs above."""
    body = [
        text(left, top + 16, pattern.title, "title"),
        text(left, top + 36, pattern.task, "dim"),
    ]
    out, state, into = (top + 56 + row * (HIGH + APART) for row in range(3))
    for step, (source, target) in enumerate(zip(pattern.inputs, pattern.outputs, strict=True)):
        x = left + step * (CELL + GAP)
        middle = x + CELL / 2
        body += box(x, state, "", "state")
        if step:
            body += arrow(x - GAP, state + HIGH / 2, x, state + HIGH / 2)
        if source:
            body += [*box(x, into, source, "input"), *arrow(middle, into, middle, state + HIGH)]
        if target:
            body += [*box(x, out, target, "output"), *arrow(middle, state, middle, out + HIGH)]
    return body


def main() -> None:
    """Draw the panels in two rows."""
    high = 56 + 3 * HIGH + 2 * APART + PAD
    body: list[str] = []
    widest = 0.0
    for number, row in enumerate(ROWS):
        left = float(PAD)
        for pattern in row:
            body += panel(pattern, left, PAD + number * high)
            left += max(width_of(pattern), 7.25 * len(pattern.task), 8.5 * len(pattern.title)) + 2 * PAD
        widest = max(widest, left - PAD)
    light = ".input{fill:#dcebf7;stroke:#1f6fb2}.state{fill:#e4efe6;stroke:#2a8a57}.output{fill:#fbe6da;stroke:#c4501b}"
    light += ".tip{fill:#9aa3ab}"
    dark = ".input{fill:#1d3346;stroke:#74b6ee}.state{fill:#1e3a2b;stroke:#6fcf9a}.output{fill:#452a1c;stroke:#f39462}"
    title = "One to one, one to many, many to one, many to many: inputs below, states in the middle, outputs above"
    picture = document(title, widest, PAD + 2 * high, body, light=light, dark=f"{dark}.tip{{fill:#5a646d}}")
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
