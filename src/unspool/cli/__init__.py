"""The command line: one module per verb, imported when the verb runs."""

from unspool.cli.main import run, unspool

__all__ = ["run", "unspool"]
