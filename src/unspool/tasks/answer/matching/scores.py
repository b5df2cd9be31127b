"""Which entry is the right one for a question, and which answers are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unspool.data import Question, wording_key

__all__ = ["Target", "targets"]


class Target(NamedTuple):
    """What is right for a wording."""

    entries: set[int]
    """Places of the right questions."""
    answers: set[str]


def targets(questions: Sequence[Question], examples: Sequence[Question]) -> dict[str, Target]:
    """Return what is right for each wording of the examples, by `wording_key`.

    Right is the question that an example was held out of, and one of which every answer is an answer of the example.
    Where an example comes from another file, every question is right that has one of its answers. For a wording of
    several examples, what is right for one of them is right.

    Args:
        questions: What the memory holds.
        examples: Questions with the answers that are right for them.
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
