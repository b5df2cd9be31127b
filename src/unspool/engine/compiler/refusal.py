"""The compiler's answer to a step that it can't take."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """Why the compiler can't take a step."""
