"""Samples that the package makes itself, so that there is something to train on without a file."""

from __future__ import annotations
