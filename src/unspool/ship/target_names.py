"""Names of the targets of exports, without importing torch."""

from __future__ import annotations

__all__ = ["TARGETS"]

TARGETS = {"onnx": "unspool.ship.onnx", "c": "unspool.ship.c", "html": "unspool.ship.page"}
"""Package of each target. Each has a function `export`, a `Target`."""
