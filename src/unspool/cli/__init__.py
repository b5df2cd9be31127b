"""The command line: one small module per verb, imported when it is called."""

from unspool.cli.main import run, unspool

__all__ = ["run", "unspool"]
