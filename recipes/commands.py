#!/usr/bin/env python3
"""Train command parsers on public data: SNIPS, ATIS, CLINC150 and NLU++; see `docs/results.md`, "Commands".

    python recipes/commands.py $UNSPOOL_DATA snips            # or atis, clinc150, nlupp; more flags go to the training
    python recipes/commands.py $UNSPOOL_DATA clinc150 --seed 1 --minutes 3
    python recipes/commands.py $UNSPOOL_DATA nlupp-hotels --minutes 0.5   # one domain of NLU++

Training data, validation data and test data are those of each set. CLINC150 is trained without sentences out of scope;
its own come in the test alone. NLU++ is the regime "Large": ten trainings on 18 folds, scored on the other two.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Rows = Iterable[dict[str, Any]]

_CLOCK = Path(__file__).resolve().parents[1] / "benchmarks" / "rivals" / "processor_clock.py"
"""Runs Unspool with processor time as its clock, so that a time limit means the same on a busy machine."""


def tagged(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the sentences of a split of SNIPS or ATIS: aligned files of words, tags and intents."""
    names = ("seq.in", "seq.out", "label")
    words, tags, intents = ((folder / name).read_text(encoding="utf-8").splitlines() for name in names)
    for tokens, slots, intent in zip(words, tags, intents, strict=True):
        yield {"tokens": tokens.split(), "tags": slots.split(), "intent": intent.strip()}


def clinc(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Return training, validation and test sentences of CLINC150, those out of scope in the test alone."""
    parts = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    splits = {"train": parts["train"], "valid": parts["val"], "test": parts["test"] + parts["oos_test"]}
    return {name: [{"text": text, "intent": intent} for text, intent in rows] for name, rows in splits.items()}


def folds(data: Path, domain: str) -> list[list[dict[str, Any]]]:
    """Return the 20 folds of a domain of NLU++."""
    rows = [json.loads((data / "nlupp" / domain / f"fold{number}.json").read_text("utf-8")) for number in range(20)]
    return [[_spans(row) for row in fold] for fold in rows]


def _spans(row: dict[str, Any]) -> dict[str, Any]:
    slots = {name: {"span": slot["span"]} for name, slot in row.get("slots", {}).items()}
    return {"text": row["text"], "intents": row.get("intents", []), "slots": slots}


def train(place: Path, splits: dict[str, Rows], flags: list[str]) -> dict[str, float]:
    """Train a parser by the command line; return its scores on the test data."""
    place.mkdir(parents=True)
    files = {}
    for name, rows in splits.items():
        files[name] = place / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    valid = ["--valid", str(files["valid"])] if "valid" in files else []
    words = ["train", "command", str(files["train"]), *valid, "--test", str(files["test"])]
    words += ["--out", str(place / "model"), "--skip-bad", "--json"]
    command = [sys.executable, str(_CLOCK), *words, *flags]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    scores: dict[str, float] = json.loads(done.stdout)["test"]
    return scores


def main(data: Path, name: str, flags: list[str]) -> None:
    """Train and print the scores."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if name.startswith("nlupp"):
            _, _, only = name.partition("-")
            for domain in [only] if only else ["banking", "hotels"]:
                parts = folds(data, domain)
                runs = []
                for number in range(0, 20, 2):
                    rest = [
                        row for place, fold in enumerate(parts) if place not in (number, number + 1) for row in fold
                    ]
                    splits = {"train": rest, "test": [*parts[number], *parts[number + 1]]}
                    runs.append(train(place / f"{domain}{number}", splits, flags))
                    print(domain, number, runs[-1], flush=True)
                for score in ("micro_f1", "accuracy", "slot_f1"):
                    print(domain, score, round(statistics.mean(run[score] for run in runs), 4))
            return
        parts = (
            clinc(data)
            if name == "clinc150"
            else {p: list(tagged(data / name / p)) for p in ("train", "valid", "test")}
        )
        print(name, train(place / name, parts, flags))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
