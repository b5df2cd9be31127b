"""Data of the task `answer`: questions with answers from files or memory; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from unspool.data import (
    DataSource,
    Layout,
    Question,
    Reader,
    RowsInMemory,
    Sample,
    questions_of_rows,
    read_questions,
    shared_wordings,
    wording_key,
)
from unspool.errors import DataError
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["Questions", "in_wordings", "note_of_shared", "open_data", "question_of", "samples", "whole"]

_EXAMPLES, _PLACES = 3, 2  # wordings in a note, and locations of each


class Questions(list[Question], Examples):
    """Questions with all their wordings and answers."""

    def divide(self, fraction: float, seed: int) -> tuple[Questions, Questions | None]:
        """Hold out wordings, never a whole question, because the model could not know its answer.

        A wording of several questions is held out of all of them; see `Examples.divide`.
        """
        spare = _spare_wordings(self)
        if not spare:
            return self, None
        generator = np.random.default_rng([seed, 0x5B117])
        order = generator.permutation(len(spare))[: max(1, round(len(spare) * fraction))]
        out: dict[int, set[int]] = {}
        for place, one in chain.from_iterable(spare[each] for each in np.sort(order)):
            out.setdefault(place, set()).add(one)
        rest = (in_wordings(each, set(range(len(each.wordings))) - out.get(i, set())) for i, each in enumerate(self))
        return Questions(rest), Questions(in_wordings(self[place], out[place]) for place in sorted(out))

    def sizes(self) -> dict[str, int]:
        """Return the number of questions, wordings and answers."""
        return {
            "questions": len(self),
            "wordings": sum(len(each.wordings) for each in self),
            "answers": sum(len(each.answers) for each in self),
        }

    def samples(self) -> Iterator[Sample]:
        """Yield each wording with the first answer of its question."""
        return samples(self)


def open_data(
    settings: AssistantSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Question]:
    """Open questions and answers for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    if isinstance(source, RowsInMemory):
        return questions_of_rows(
            source.reader(skip_bad=options["skip_bad"]),
            question=data.question,
            answer=data.answer,
        )
    return read_questions(
        source,
        question=data.question,
        answer=data.answer,
        columns=[] if before is None else before.columns_of("question", "answer"),
        **options,
    )


def samples(questions: Iterable[Question]) -> Iterator[Sample]:
    """Convert questions to samples for summaries and checks."""
    for each in questions:
        for wording in each.wordings:
            yield Sample(each.where, (wording, each.answers[0]))


def note_of_shared(examples: Sequence[Question]) -> list[str]:
    """Return a note on wordings that several questions share, with their locations."""
    shared = shared_wordings(examples)
    if not shared:
        return []
    parts = []
    for key, places in list(shared.items())[:_EXAMPLES]:
        first = next(text for text in examples[places[0]].wordings if wording_key(text) == key)
        parts.append(f"{first!r} ({', '.join(examples[place].where for place in places[:_PLACES])})")
    count = f"{len(shared):,} wordings belong" if len(shared) > 1 else "1 wording belongs"
    return [
        f"{count} to several questions: {', '.join(parts)}{' ...' if len(shared) > _EXAMPLES else ''}. "
        f"For these wordings, the assistant answers from the question with the most similar key, and shows all of them"
    ]


def _spare_wordings(examples: Sequence[Question]) -> list[list[tuple[int, int]]]:
    """List the wordings that can be held out, each as (question index, wording index) pairs."""
    first = {wording_key(each.wordings[0]) for each in examples}
    spare: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(examples):
        for one, wording in enumerate(each.wordings[1:], 1):
            if (key := wording_key(wording)) not in first:
                spare.setdefault(key, []).append((place, one))
    return list(spare.values())


def whole(train: Sequence[Question], held_out: Sequence[Question] | None) -> list[Question]:
    """Return the training questions with their held-out wordings at the end."""
    more = {each.where: each.wordings for each in held_out or ()}
    return [
        Question(each.where, [*each.wordings, *more[each.where]], each.answers) if each.where in more else each
        for each in train
    ]


def in_wordings(question: Question, places: Iterable[int]) -> Question:
    """Return a question with only some of its wordings, by index."""
    return Question(question.where, [question.wordings[place] for place in sorted(places)], question.answers)


def question_of(question: str, answer: str) -> Question:
    """Convert a (question, answer) pair with normalised white space.

    Raises:
        DataError: If either text is empty.
    """
    question, answer = (" ".join(side.split()) for side in (question, answer))
    if not question or not answer:
        side = "answer" if question else "question"
        raise DataError(f"the {side} is empty; expected a text on both sides")
    return Question("what was added", [question], [answer])
