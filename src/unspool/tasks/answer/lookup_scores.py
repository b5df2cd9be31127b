"""Scores of an assistant's retrieval, over all wordings of held-out questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unspool.data import wording_key
from unspool.tasks.answer.data import Questions
from unspool.tasks.answer.matching import Matcher, targets

__all__ = ["lookup_scores"]


def lookup_scores(
    matcher: Matcher,
    examples: Questions,
    *,
    threshold: float | None = None,
    choose: Callable[[str, Sequence[str]], str] | None = None,
) -> dict[str, float]:
    """Return the shares of correct first pairs, of correct answers, and of answers above the threshold.

    Args:
        matcher: Ranks the pairs.
        examples: Questions with their correct answers.
        threshold: Minimum confidence for an answer; that of the matcher if omitted.
        choose: Selects one of several answers to a question; the first answer if omitted.

    Returns:
        `first`, `correct` and `answered`, between 0 and 1.
    """
    right = targets(matcher.questions, examples)
    first = correct = answered = 0
    wordings = [wording for each in examples for wording in each.wordings]
    for wording in wordings:
        ranking = matcher.rank(wording, top=1, threshold=threshold)
        place, target = ranking.matches[0].pair, right[wording_key(wording)]
        answers = matcher.questions[place].answers
        first += place in target.entries
        correct += (choose(wording, answers) if choose else answers[0]) in target.answers
        answered += ranking.known
    counts = {"first": first, "correct": correct, "answered": answered}
    return {name: count / len(wordings) for name, count in counts.items()}
