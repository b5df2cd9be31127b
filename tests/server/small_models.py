"""Small models of several tasks, trained in a second."""

from __future__ import annotations

import random
from pathlib import Path

from unspool import Assistant, Classifier, LanguageModel, Tagger

__all__ = ["CASES", "train"]

CASES = Path(__file__).resolve().parents[1] / "cases.py"
QUICK = {"epochs": 1, "seed": 1, "device": "cpu", "plan": False}
WRITER = {**QUICK, "batch_size": 2, "steps": 8, "embedding": 8}


def lines(count=60, seed=1):
    draw = random.Random(seed)
    return ["".join(draw.choice("abcdef ghé") for _ in range(draw.randint(3, 40))) for _ in range(count)]


def train(folder):
    """Train the models; distinct seeds, ragged texts, a custom cell among them."""
    writers = {
        "writer": {"units": "character", "hidden": 24, "layers": 2},
        "own": {"units": "character", "hidden": 20, "cell": f"{CASES}:PairCell"},
        "context": {"units": "character", "network": "transformer", "hidden": 16, "layers": 1, "heads": 2},
        "mixed": {"units": "word", "hidden": 16, "mix": True},
        "bytes": {"units": "bpe", "hidden": 16},
    }
    for name, values in writers.items():
        LanguageModel(**{**WRITER, **values}).fit(lines(), out=folder / name, baselines=False)
    texts = [f"{line} {'good' if number % 2 else 'bad'} day" for number, line in enumerate(lines(40, 2))]
    labels = ["plus" if number % 2 else "minus" for number in range(40)]
    Classifier(hidden=8, embedding=6, **QUICK).fit(texts, labels, out=folder / "classifier", baselines=False)
    words = [line.split() or ["x"] for line in lines(30, 3)]
    tags = [["long" if len(word) > 3 else "short" for word in one] for one in words]
    Tagger(hidden=8, embedding=6, **QUICK).fit(words, tags, out=folder / "tagger", baselines=False)
    pairs = [("when do you open", "At nine."), ("where are you", "In Paris."), ("who are you", "A network.")]
    Assistant(hidden=8, embedding=6, **QUICK).fit(*map(list, zip(*pairs, strict=True)), out=folder / "assistant")
