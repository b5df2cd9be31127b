"""Correct pairs and correct answers of evaluation questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unspool.data import Question, wording_key

__all__ = ["Target", "targets"]


class Target(NamedTuple):
    """Correct pairs and answers of a wording."""

    entries: set[int]
    """Indices of the correct pairs."""
    answers: set[str]
    """Correct answers."""


def targets(questions: Sequence[Question], examples: Sequence[Question]) -> dict[str, Target]:
    """Return the correct pairs and answers for each wording of the examples, by `wording_key`.

    For a held-out example, the correct pairs are its own pair, and pairs whose answers are all answers of the example.
    For an example from another file, the correct pairs are those with one of its answers. A wording of several
    examples has the correct pairs of each.

    Args:
        questions: Pairs in the memory.
        examples: Questions with their correct answers.
    """
    homes = {each.where: place for place, each in enumerate(questions)}
    holders: dict[str, set[int]] = {}
    for place, each in enumerate(questions):
        for answer in each.answers:
            holders.setdefault(answer, set()).add(place)
    right: dict[str, Target] = {}
    for example in examples:
        answers, home = set(example.answers), homes.get(example.where)
        entries = {place for answer in answers for place in holders.get(answer, ())}
        if home is not None:
            entries = {home, *(place for place in entries if answers.issuperset(questions[place].answers))}
        for wording in example.wordings:
            target = right.setdefault(wording_key(wording), Target(set(), set()))
            target.entries.update(entries)
            target.answers.update(answers)
    return right
