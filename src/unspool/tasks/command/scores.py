"""Scores of command parsers: intents, slots, whole sentences, and refusals of sentences out of scope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.data import SlotSpan, Utterance
from unspool.tasks.parts.metrics import scores
from unspool.tasks.parts.spans import Span, SpanCounts

__all__ = ["Predicted", "area_under_roc", "best_threshold", "command_scores", "refused_at"]


class Predicted(NamedTuple):
    """Prediction for one sentence, before refusal."""

    intents: tuple[str, ...]
    slots: list[SlotSpan]
    scope: float
    """Energy score; higher scores are more likely commands."""
    known: bool
    """Whether the sentence would be accepted."""


def command_scores(
    gold: Sequence[Utterance], predicted: Sequence[Predicted], *, several: bool, keep: float = 0.95
) -> dict[str, float]:
    """Score predictions.

    Args:
        gold: The sentences with their intents and slots.
        predicted: A prediction for each.
        several: Whether a sentence may have several intents.
        keep: Share of commands that stay accepted, for `refused`.

    Returns:
        Of the sentences in scope: `accuracy` of the intents (exact sets, with several), `micro_f1` with several,
        `slot_f1` over exact spans (the rule of `conlleval`) and `exact`, the share of sentences with all intents and
        slots right. With sentences out of scope: `auroc`, the area under the ROC curve of the scope scores, and
        `refused`, the share of them that is refused while the share `keep` of the others is accepted. All between
        0 and 1.
    """
    pairs = [(right, guess) for right, guess in zip(gold, predicted, strict=True) if right.intents or several]
    result: dict[str, float] = {}
    if pairs:
        right_intents = [set(right.intents) == set(guess.intents) for right, guess in pairs]
        result["accuracy"] = float(np.mean(right_intents))
        if several:
            hits = sum(len({*right.intents} & {*guess.intents}) for right, guess in pairs)
            totals = sum(len(guess.intents) for _, guess in pairs), sum(len(right.intents) for right, _ in pairs)
            result["micro_f1"] = scores(hits, *totals).f1
        if any(right.slots for right, _ in pairs):
            counts = SpanCounts()
            for right, guess in pairs:
                counts.add(_spans(right.slots), _spans(guess.slots))
            result["slot_f1"] = counts.scores()["f1"]
            whole = [
                same and list(right.slots) == guess.slots
                for same, (right, guess) in zip(right_intents, pairs, strict=True)
            ]
            result["exact"] = float(np.mean(whole))
    inside = np.array([guess.scope for right, guess in zip(gold, predicted, strict=True) if right.intents])
    outside = np.array([guess.scope for right, guess in zip(gold, predicted, strict=True) if not right.intents])
    if len(inside) and len(outside) and not several:
        result |= {"auroc": area_under_roc(inside, outside), "refused": refused_at(inside, outside, keep)}
    return result


def best_threshold(shares: NDArray[np.floating], targets: NDArray[np.generic]) -> float:
    """Return the threshold with the highest micro F1, a multiple of 0.05 from 0.1 to 0.9; the lowest of equals.

    Args:
        shares: Probability of each label, (examples, labels).
        targets: 0 and 1 for each label, (examples, labels).
    """
    gold, best = targets.astype(np.bool_), (-1.0, 0.5)
    for step in range(2, 19):
        predicted = shares >= step / 20
        f1 = scores(int((predicted & gold).sum()), int(predicted.sum()), int(gold.sum())).f1
        best = max(best, (f1, -step / 20))
    return abs(best[1])


def area_under_roc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Return the probability that a command has a higher score than a sentence out of scope; ties count half."""
    ordered = np.sort(outside)
    below, upto = np.searchsorted(ordered, inside, "left"), np.searchsorted(ordered, inside, "right")
    return float((below + upto).mean() / 2 / len(outside))


def refused_at(inside: NDArray[np.float64], outside: NDArray[np.float64], keep: float) -> float:
    """Return the share of the sentences out of scope below the score that the share `keep` of the commands reaches."""
    return float((outside < np.quantile(inside, 1 - keep)).mean())


def _spans(slots: Sequence[SlotSpan]) -> list[Span]:
    return [Span(slot.start, slot.end, slot.slot) for slot in slots]
