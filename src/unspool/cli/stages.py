"""Progress of commands that measure a model in stages, on stderr."""

from __future__ import annotations

import sys

import click

from unspool.cli.talk import quiet, say

__all__ = ["StageLines"]

_COUNTED = {"ablation": "units", "gradients": "losses"}


class StageLines:
    """Write one line per stage; on a terminal the line counts up."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if quiet():
            return
        if not sys.stderr.isatty():
            if stage != self._stage:
                say(f"{stage}: {total:,} {_COUNTED.get(stage, 'tokens')}")
        else:
            click.echo(f"\r{stage}: {done:,} of {total:,}", nl=done >= total, err=True)
        self._stage = stage
