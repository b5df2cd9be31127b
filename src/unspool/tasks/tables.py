"""Text formatting of scores and tables."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["figure", "table"]


def figure(value: float | None, half_width: float | None = None) -> str:
    """Format a score to four digits, with the half width of its interval if there is one; empty without a score."""
    if value is None:
        return ""
    return f"{value:.4g}" if half_width is None else f"{value:.4g} ± {half_width:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format aligned columns: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )
