"""Small data and settings that tests of the assistant and of the translator share."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.training import Reporter

SILENT = Reporter()

TOPICS = {
    "bake bread": "Mix flour, water and salt.",
    "mend a tyre": "Find the hole and patch it.",
    "prune roses": "Cut above a bud in March.",
    "quit vim": "Type :q! and press enter.",
    "boil an egg": "Six minutes in hot water.",
    "tune a guitar": "Turn the pegs, low string first.",
    "fold a map": "Along the creases, as it was.",
    "feed ducks": "Oats, never crusts.",
    "polish shoes": "Brush, wax, brush again.",
    "catch trout": "Stand still at dawn.",
}
SMALL_ASSISTANT: dict[str, Any] = {
    "generator": True,
    "hidden": 6,
    "embedding": 5,
    "dropout": 0.0,
    "epochs": 2,
    "warmup": 0,
    "threads": 1,
    "memory.size": 4,
    "vocabulary.size": 280,
    "decoding.max_length": 12,
}
MEMORY = {**SMALL_ASSISTANT, "generator": False}


def entries() -> list[dict[str, Any]]:
    return [
        {
            "question": f"How do I {topic}?",
            "paraphrases": [f"the way to {topic}", f"{topic}, please explain", f"show me: {topic}"],
            "answers": [answer] if place else [answer, "Buy it at the corner.", "Ask grandmother."],
        }
        for place, (topic, answer) in enumerate(TOPICS.items())
    ]


def write_entries(path: Path, listed: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in listed))
    return path


WORDS = ["ant", "bee", "cat", "dog", "elk", "fox"]
SMALL_TRANSLATOR: dict[str, Any] = {
    "units": "word",
    "size": None,
    "hidden": 6,
    "embedding": 4,
    "dropout": 0.0,
    "epochs": 1,
    "warmup": 0,
    "batch_size": 40,
    "threads": 1,
    "choose_by": "perplexity",
    "decoding.max_length": 6,
}


def reversals(count: int, seed: int = 0) -> list[tuple[str, str]]:
    lot = random.Random(seed)
    sources = [[lot.choice(WORDS) for _ in range(lot.randint(1, 4))] for _ in range(count)]
    return [(" ".join(source), " ".join(source[::-1])) for source in sources]


def write_pairs(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return path
