"""Small tasks with large random weights, untrained, whose networks are looked into and changed."""

from __future__ import annotations

import torch

from unspool import Classifier, LanguageModel, Tagger, Translator
from unspool.tasks.translate.translator import PairExamples

WORDS = ["one", "two", "three", "four", "five", "six"]
LINES = [" ".join(WORDS[(row * step + step) % 6] for step in range(1, 3 + row % 5)) for row in range(40)]
TEXT, OTHER = "one two three four", "six five four"


def settings(**values):
    return {"hidden": 6, "embedding": 5, "epochs": 1, "plan": False, "seed": 2, "threads": 1, "units": "blank"} | values


def random_weights(task, seed=3):
    """Large distinct weights, so that every part of the network matters."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in task.model.parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() < 2 else 1.5 * weight.shape[-1] ** -0.5))
    task.model.eval()
    return task


def classifier(**values):
    labels = ["odd" if len(line.split()) % 2 else "even" for line in LINES]
    task = Classifier(**settings(ngrams=False, calibrate=False, **values))
    task._learn(task._read(task._data_source(LINES, labels)))
    task.model = task._build()
    return random_weights(task)


def writer(**values):
    task = LanguageModel(**settings(units="character", steps=64, **values))
    task._learn(task._read(task._data_source(["\n".join(LINES) + "\n"])))
    task.model = task._build()
    return random_weights(task)


def translator(network):
    sizes = {"layers": 2, "heads": 2, "feedforward": 7, "min_length": 3, "beam": 3}
    task = Translator(**settings(network=network, **sizes))
    targets = [line[::-1] for line in LINES]
    task._learn(PairExamples(LINES, targets, [""] * len(LINES)))
    task.model = task._build()
    return random_weights(task)


def tagger():
    task = Tagger(hidden=6, embedding=5, layers=2, output="crf", threads=1, plan=False)
    rows = [(line.split(), ["long" if len(word) > 3 else "short" for word in line.split()]) for line in LINES]
    task._learn(task._read(task._data_source(rows)))
    task.model = task._build()
    return random_weights(task)
