"""Peers of taggers: a conditional random field through python-crfsuite, and an averaged perceptron."""

from __future__ import annotations

import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workloads.frontier_sets import DataSet

from rivals.reading import Sentences, read_tagged
from unspool.tasks.parts.metrics import accuracy
from unspool.tasks.parts.spans import convert, looks_like_spans, span_scores

__all__ = ["AveragedPerceptron", "averaged_perceptron", "crf", "word_features"]

_CRF = {"c1": 0.1, "c2": 0.1, "max_iterations": 100, "feature.possible_transitions": True}
_EPOCHS = 10  # of the perceptron; validation data choose the best


def crf(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Train a CRF with the standard features, L-BFGS with elastic penalty."""
    import pycrfsuite

    train, _, test = _parts(data)
    trainer = pycrfsuite.Trainer(verbose=False)
    for words, tags in train:
        trainer.append(word_features(words), tags)
    trainer.set_params(_CRF)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.crfsuite")
        trainer.train(file)
        tagger = pycrfsuite.Tagger()
        tagger.open(file)
        predicted = [tagger.tag(word_features(words)) for words, _ in test]
        tagger.close()
    return {"scores": _scores(test, predicted), "detail": f"c1 {_CRF['c1']}, c2 {_CRF['c2']}, 100 iterations"}


def averaged_perceptron(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Train for ten epochs, and keep the epoch that is best on validation data."""
    train, valid, test = _parts(data)
    model = AveragedPerceptron(seed)
    sentences = [(word_features(words), tags) for words, tags in train]
    valid_features = [word_features(words) for words, _ in valid]
    best, best_epoch, weights = -1.0, 0, {}
    for epoch in range(1, _EPOCHS + 1):
        model.epoch(sentences)
        averages = model.averages()
        scores = _scores(valid, [model.tag(features, averages) for features in valid_features])
        score = scores[data.score]
        if score > best:
            best, best_epoch, weights = score, epoch, averages
    predicted = [model.tag(word_features(words), weights) for words, _ in test]
    return {"scores": _scores(test, predicted), "detail": f"best of {_EPOCHS} epochs: {best_epoch}"}


Weights = dict[str, dict[str, float]]


class AveragedPerceptron:
    """A tagger that goes from left to right and takes the tag with the highest score (Collins 2002).

    Args:
        seed: Seed of the order of the sentences.
    """

    def __init__(self, seed: int = 0) -> None:
        self.tags: list[str] = []
        self._weights: Weights = defaultdict(dict)
        self._totals: Weights = defaultdict(lambda: defaultdict(float))  # weight times the steps that it stood
        self._changed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._steps, self._random = 0, random.Random(seed)

    def epoch(self, sentences: Sequence[tuple[list[list[str]], list[str]]]) -> None:
        """Go through all sentences once, in random order, and learn from each wrong tag."""
        self.tags = sorted({tag for _, tags in sentences for tag in tags})
        for features, gold in self._random.sample(list(sentences), len(sentences)):
            before, last = "<s>", "<s>"
            for word, right in zip(features, gold, strict=True):
                self._steps += 1
                active = _with_history(word, before, last)
                guess = self._best(active, self._weights)
                if guess != right:
                    for feature in active:
                        self._change(feature, right, 1.0)
                        self._change(feature, guess, -1.0)
                before, last = last, guess

    def averages(self) -> Weights:
        """Return the mean of the weights over all steps so far."""
        means: Weights = {}
        for feature, weights in self._weights.items():
            totals, changed = self._totals[feature], self._changed[feature]
            row = {tag: (totals[tag] + (self._steps - changed[tag]) * each) for tag, each in weights.items()}
            if any(row.values()):
                means[feature] = {tag: total / self._steps for tag, total in row.items() if total}
        return means

    def tag(self, features: Sequence[list[str]], weights: Weights) -> list[str]:
        """Tag one sentence, of which `word_features` gave the features."""
        before, last, tags = "<s>", "<s>", []
        for word in features:
            tags.append(self._best(_with_history(word, before, last), weights))
            before, last = last, tags[-1]
        return tags

    def _best(self, active: Iterable[str], weights: Weights) -> str:
        scores = dict.fromkeys(self.tags, 0.0)
        for feature in active:
            for tag, weight in weights.get(feature, {}).items():
                scores[tag] += weight
        return max(scores, key=scores.__getitem__)

    def _change(self, feature: str, tag: str, by: float) -> None:
        weight = self._weights[feature].get(tag, 0.0)
        self._totals[feature][tag] += (self._steps - self._changed[feature][tag]) * weight
        self._changed[feature][tag] = self._steps
        self._weights[feature][tag] = weight + by


def word_features(words: Sequence[str]) -> list[list[str]]:
    """Return the standard features of each word: its form, prefixes, suffixes and shape, and its neighbours."""
    padded = ["<s>", "<s>", *words, "</s>", "</s>"]
    lower, shapes = [word.lower() for word in padded], [_shape(word) for word in padded]
    rows = []
    for place in range(2, len(words) + 2):
        word = lower[place]
        row = ["bias", f"word={padded[place]}", f"lower={word}", f"shape={shapes[place]}"]
        row += [f"prefix={word[:length]}" for length in range(1, min(4, len(word)) + 1)]
        row += [f"suffix={word[-length:]}" for length in range(1, min(4, len(word)) + 1)]
        row += [f"{offset:+d}={lower[place + offset]}" for offset in (-2, -1, 1, 2)]
        row += [f"{offset:+d}shape={shapes[place + offset]}" for offset in (-1, 1)]
        row += [f"{offset:+d}suffix={lower[place + offset][-3:]}" for offset in (-1, 1)]
        row += [f"-1,0={lower[place - 1]} {word}", f"0,+1={word} {lower[place + 1]}"]
        rows.append(row)
    return rows


def _with_history(features: list[str], before: str, last: str) -> list[str]:
    return [*features, f"tag={last}", f"tags={before} {last}", f"tag, {features[2]}, {last}"]


def _shape(word: str) -> str:
    """Return the kinds of characters in order, runs cut to two: `Xxx`, `XXd`, `xx-xx`."""
    kinds = "".join("X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word)
    return re.sub(r"(.)\1+", r"\1\1", kinds)


def _parts(data: DataSet) -> list[Sentences]:
    """Read training, validation and test sentences; spans in the scheme IOB2, which both peers learn well."""
    parts = [read_tagged(files) for files in (data.train, data.valid, data.test)]
    if looks_like_spans({tag for _, tags in parts[0] for tag in tags}):
        return [[(words, convert(tags, "IOB2")) for words, tags in part] for part in parts]
    return parts


def _scores(gold: Sentences, predicted: list[list[str]]) -> dict[str, float]:
    tags = [tags for _, tags in gold]
    flat, guesses = ([tag for row in side for tag in row] for side in (tags, predicted))
    scores = {"accuracy": accuracy(flat, guesses)}
    return scores | (span_scores(tags, predicted) if looks_like_spans(set(flat)) else {})
