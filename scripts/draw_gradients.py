#!/usr/bin/env python3
"""Train networks on the adding problem, and draw how far their gradients reach: `draw_gradients.py [OUT.svg]`."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from unspool import Algorithm, compare_gradients
from unspool.inspection import Gradients
from unspool.settings import make, read_recipe
from unspool.tasks.algorithm.settings import AlgorithmSettings

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "assets" / "pictures" / "gradients.svg"
NETWORKS = {
    "elman": {"cell": "elman"},
    "elman, orthogonal": {"cell": "elman", "initialization": "orthogonal"},
    "lstm": {"cell": "lstm"},
    "lstm, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
}


def exercise(length: int, seed: int) -> str:
    """Return one exercise of the adding problem as a text."""
    chance = random.Random(seed)
    marks = {chance.randrange(length // 2), chance.randrange(length // 2, length)}
    return " ".join(f"{chance.random():.2f}{'*' * (step in marks)}" for step in range(length))


def measured(values: dict[str, object], updates: int, text: str) -> Gradients:
    """Train one network of the recipe for a number of updates; return its gradients on an exercise."""
    recipe = make(AlgorithmSettings, read_recipe(ROOT / "recipes" / "adding.toml"))
    model = Algorithm(recipe, epochs=1, examples=32 * updates, **values)
    return model.fit("adding", baselines=False).gradients(text)


def main() -> None:
    """Train, print the comparison, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=PICTURE)
    parser.add_argument("--updates", type=int, default=300, help="updates of each training  [300]")
    chosen = parser.parse_args()
    text = exercise(200, seed=1)
    results = {name: measured(values, chosen.updates, text) for name, values in NETWORKS.items()}
    comparison = compare_gradients(results)
    comparison.show()
    comparison.save(chosen.out, overwrite=True)


if __name__ == "__main__":
    main()
