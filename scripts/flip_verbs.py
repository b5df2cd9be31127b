#!/usr/bin/env python3
"""Count how many verbs of minimal pairs flip when the state after the subject comes from the other sentence."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from unspool import load
from unspool.samples import agreement

EDITS = {
    "the whole state": "{place} / state",
    "the cell state c": "{place} / c",
    "the hidden state h": "{place} / h",
    "the forget gate": "{place} / forget",
}


def main() -> None:
    """Swap between the sentences of each pair, in both directions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="LSTM of `unspool demo agreement --out`, such as my-demo/lstm.")
    parser.add_argument("--pairs", type=int, default=100, help="Number of minimal pairs.")
    parser.add_argument("--seed", type=int, default=7, help="Seed of the sentences.")
    chosen = parser.parse_args()
    model = load(chosen.model)
    examples = agreement.generate(chosen.pairs, chosen.seed, min_attractors=1)
    for name, form in EDITS.items():
        flips, same = count_flips(model, examples, form.format(place="layer 1"))
        counts = f"{flips} of {len(examples)} verbs flip; {same} of them with the donor's probabilities exactly"
        sys.stdout.write(f"{name:20} {counts}\n")


def count_flips(model: Any, examples: list[agreement.AgreementExample], name: str) -> tuple[int, int]:
    """Return how many predictions flip to the donor's, and how many of these are equal to it bit by bit."""
    flips = same = 0
    for example in examples:
        text, other = agreement.minimal_pair(example)
        fork = model.fork(text, [f"{name} = copy {other!r} @ {example.subject + 1}"])
        donor = model.fork(other).edited.prediction
        flipped = fork.original.prediction["label"] != fork.edited.prediction["label"] == donor["label"]
        flips += flipped
        same += flipped and fork.edited.prediction == donor
    return flips, same


if __name__ == "__main__":
    main()
