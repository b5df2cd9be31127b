"""Train one peer of the frontier benchmark in a process of its own: `python -m rivals NAME < description.json`."""

from __future__ import annotations

import json
import sys
from importlib import import_module

from workloads.frontier_sets import DataSet

from rivals.frontier_peers import PEERS


def main() -> None:
    """Read data set, limit and seed in JSON from stdin; write scores and details in JSON to stdout."""
    description = json.load(sys.stdin)
    data = DataSet(**{name: _tuple(value) for name, value in description["data"].items()})
    module, _, name = PEERS[sys.argv[1]].learn.partition(":")
    learn = getattr(import_module(module), name)
    print(json.dumps(learn(data, description["minutes"], description["seed"])))


def _tuple(value: str | list[str]) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)


if __name__ == "__main__":
    main()
