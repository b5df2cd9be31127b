"""Pages of assistants: stored questions, answers and weights in little room.

The entries of a memory are words and n-grams of its own texts, so that the page finds them again by itself. It stores
the weights of each, in the order in which the entries come first in the texts. Small weights are rounded in their
logarithm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.data.ngrams import split_pieces, split_words
from unspool.ship.judge_memory import MemoryJudge
from unspool.ship.memory import Memory
from unspool.ship.page.script import compact
from unspool.ship.page.weights import Weights
from unspool.ship.small import Small

__all__ = ["memory_script", "smaller"]

_LEVELS: dict[Small, int] = {"int8": 127, "int4": 15}
"""Values of a rounded weight beside 0, which means that the entry has no weight."""
_MOST = 4_000
"""Wordings that the threshold of a smaller memory is chosen by."""


def memory_script(memory: Memory, weights: Weights, small: Small | None) -> str:
    """Return JavaScript that makes the assistant, and add its arrays to the weights.

    Args:
        memory: The memory; rounded before by `smaller`, if `small`.
        weights: Of the page.
        small: Rounding.
    """
    words = dict.fromkeys(
        word for pair in _parts(memory) for part in pair for text in part for word in split_words(text)
    )
    found = dict.fromkeys(entry for word in words for entry in _pieces(memory, word))
    more = [entry for entry in memory.entries if entry not in found]
    order = [*found, *more]
    ids = {entry: id for id, entry in enumerate(memory.entries)}
    rows = np.array([ids.get(entry, -1) for entry in order])
    signs = np.where(rows < 0, 0, 1)
    vectors = "0, 0"
    if memory.vectors is not None:
        size = memory.vectors.shape[1]
        table = np.zeros((len(order), size), np.float32)
        has = (rows >= 0) & (rows < len(memory.vectors))
        table[has] = memory.vectors[rows[has]]
        signs[(rows >= 0) & ~has] = -1
        vectors = f"{weights.add(table)}, {size}"
    factors = [_weights(memory.rarity, rows, signs, weights, small)]
    factors.append(_weights(memory.importance, rows, abs(signs), weights, small))
    settings: dict[str, Any] = {
        "shortest": memory.shortest,
        "longest": memory.longest,
        "unknown": memory.unknown,
        "answers": memory.answer_weight,
        "balance": memory.balance,
        "scale": memory.scale,
        "nothing": memory.nothing,
        "threshold": memory.threshold,
        "refusal": memory.refusal,
        "more": more,
    }
    stored = weights.add_text("\n".join(f"{_line(w)}\v{_line(a)}" for w, a in _parts(memory)))
    return f"assistant({compact(settings)}, {stored}, {', '.join(factors)}, {vectors})"


def smaller(memory: Memory, small: Small) -> Memory:
    """Return a memory with rounded weights; at 4 bits without vectors, and with a threshold chosen again.

    Scores without vectors are lower. The new threshold is reached by the same share of stored wordings, each compared
    with other questions than its own, as the old one.
    """
    rarity, importance = (_rounded(part, small) for part in (memory.rarity, memory.importance))
    result = replace(memory, rarity=rarity, importance=importance)
    if small == "int8" or memory.vectors is None:
        return result
    result = replace(result, vectors=None)
    wordings = [(pair, text) for pair, part in enumerate(memory.wordings) for text in part]
    wordings = wordings[:: -(-len(wordings) // _MOST)]
    before, after = (_others(MemoryJudge(part), wordings) for part in (memory, result))
    odds = np.log(memory.threshold / (1 - memory.threshold)) if 0 < memory.threshold < 1 else 0.0
    least = memory.nothing + odds / memory.scale
    new = float(np.quantile(after, float((before < least).mean())))
    return replace(result, nothing=memory.nothing + new - least)


def _others(judge: MemoryJudge, wordings: list[tuple[int, str]]) -> NDArray[np.float64]:
    """Return the best score of each wording with other questions than its own."""
    best = []
    for pair, text in wordings:
        scores = judge.scores(text)
        scores[pair] = -1.0
        best.append(scores.max())
    return np.array(best)


def _levels(values: NDArray[np.float32], small: Small) -> tuple[NDArray[np.int64], float, float]:
    """Return levels, from 1 on, and the logarithm of the first and the distance of the others."""
    logs = np.log(values.astype(np.float64))
    low, high = float(logs.min(initial=0.0)), float(logs.max(initial=0.0))
    step = (high - low) / (_LEVELS[small] - 1) or 1.0
    return 1 + np.rint((logs - low) / step).astype(np.int64), low, step


def _rounded(values: NDArray[np.float32], small: Small) -> NDArray[np.float32]:
    levels, low, step = _levels(values, small)
    return np.asarray(np.exp(low + (levels - 1) * step), np.float32)


def _weights(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    signs: NDArray[np.int64],
    weights: Weights,
    small: Small | None,
) -> str:
    """Add the weights of entries, in the order of rows, with signs: 0 without a weight, -1 without a vector."""
    if small is None:
        return weights.add((signs * values[rows]).astype(np.float32))
    levels, low, step = _levels(values, small)
    return f"levels({weights.add_levels(signs * levels[rows])}, {low!r}, {step!r})"


def _pieces(memory: Memory, word: str) -> tuple[str, ...]:
    return (f" {word}", *split_pieces(word, memory.shortest, memory.longest))


def _parts(memory: Memory) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return list(zip(memory.wordings, memory.answers, strict=True))


def _line(texts: tuple[str, ...]) -> str:
    """Join texts; their own white space must not look like that between texts."""
    return "\t".join(
        text.replace("\t", " ").replace("\v", " ").replace("\f", " ").replace("\r\n", "\f").replace("\n", "\f")
        for text in texts
    )
