"""What tests of exporters share: cells of every kind, and small trained models with texts that they have not seen."""

from __future__ import annotations

import random
from typing import Any

from unspool.training import Reporter

FIT: dict[str, Any] = {"baselines": False, "reporter": Reporter()}
WORDS = [
    "a",
    "joy",
    "dull",
    "from",
    "end",
    "to",
    "it's",
    "Grand",
    "café",
    "İstanbul",
    "ÉTÉ",
    "42",
    "17",
    "plot-less",
    ",",
    "!",
    "?",
    "…",
    "<unk>",
    "naïve",
    "straße",
    "ΣΑΣ",
    "the",
    "of",
]


def sentences(count: int, seed: int, words: list[str] = WORDS) -> list[str]:
    """Draw sentences of 1 to 12 words, some joined without a blank."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice(words) + chance.choice([" ", " ", "  ", ""]) for _ in range(chance.randint(1, 12)))
        for _ in range(count)
    ]


def reviews(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw sentences with labels that depend on their words."""
    texts = sentences(count, seed)
    return texts, ["good" if "joy" in text or "É" in text else "bad" if "dull" in text else "so-so" for text in texts]
