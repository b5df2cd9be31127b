"""Answers of a model and of what was exported from it, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unspool.ship.judge_text import labels_of
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels

__all__ = ["EXPORTED_UNITS", "Answer", "Comparison", "answer_text", "compare_answers", "score_answers"]

Answer = Mapping[str, float] | Sequence[str] | str
"""Of a classifier: the probability of every label, by name. Of a tagger: a tag for each unit. Else the text."""


EXPORTED_UNITS = 40
"""Units that an exported language model writes after each text, to be compared with the model."""


@dataclass(frozen=True)
class Comparison:
    """What a model and its export answered to the same texts."""

    texts: int
    agreement: float
    """Share of the texts with the same answer, between 0 and 1."""
    largest_difference: float
    """Largest difference of a probability; of answers without probabilities, 0 if all are equal, else 1."""
    first_difference: tuple[str, str, str] | None
    """The first text with another answer, the answer of the model, and that of the export."""


def answer_text(sheet: Sheet, answer: Answer) -> str:
    """Return the answer as labelled data write it: sorted labels joined by commas, tags joined by blanks, or a text."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Mapping):
        assert isinstance(sheet.back, Labels)
        row = np.array([answer[name] for name in sheet.back.names], np.float32)
        return ", ".join(sorted(labels_of(sheet.back, row)))
    return " ".join(answer)


def compare_answers(
    sheet: Sheet, texts: Sequence[Any], model: Sequence[Answer], exported: Sequence[Answer]
) -> Comparison:
    """Compare the answers of a model and of its export."""
    largest, same, first = 0.0, 0, None
    for text, right, actual in zip(texts, model, exported, strict=True):
        words = answer_text(sheet, right), answer_text(sheet, actual)
        same += words[0] == words[1]
        if words[0] != words[1] and first is None:
            first = (text if isinstance(text, str) else " ".join(text), *words)
        if isinstance(right, Mapping) and isinstance(actual, Mapping):
            differences = [abs(right[name] - actual[name]) for name in right]
            largest = max(largest, *differences) if not np.isnan(differences).any() else float("inf")
        else:
            largest = max(largest, float(words[0] != words[1]))
    return Comparison(len(texts), same / max(1, len(texts)), largest, first)


def score_answers(sheet: Sheet, answers: Sequence[Answer], right: Sequence[str]) -> float:
    """Return the share of right answers; of tags, the share of units with the right one. Between 0 and 1."""
    hits = total = 0
    for answer, expected in zip(answers, right, strict=True):
        if isinstance(answer, str | Mapping):
            hits, total = hits + (answer_text(sheet, answer) == expected), total + 1
        else:
            tags = expected.split(" ")
            hits, total = hits + sum(a == b for a, b in zip(answer, tags, strict=False)), total + len(tags)
    return hits / max(1, total)
