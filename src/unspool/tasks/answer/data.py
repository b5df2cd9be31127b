"""Questions with answers for the task `answer`, read from files or memory; imports no torch."""

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
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options

__all__ = ["Questions", "in_wordings", "note_of_shared", "open_data", "samples", "whole"]

_EXAMPLES, _PLACES = 3, 2  # wordings that a note names, and places of each


class Questions(list[Question], Examples):
    """Questions in all their wordings, with their answers."""

    def divide(self, fraction: float, seed: int) -> tuple[Questions, Questions | None]:
        """Hold out wordings, never a whole question, whose answer could not be known.

        A wording of several questions is held out of all of them.
        """
        spare = _spare_wordings(self)
        if not spare:
            return self, None
        generator = np.random.default_rng([seed, 0x5B117])
        order = generator.permutation(len(spare))[: max(1, round(len(spare) * fraction))]
        held: dict[int, set[int]] = {}
        for place, one in chain.from_iterable(spare[each] for each in np.sort(order)):
            held.setdefault(place, set()).add(one)
        rest = (in_wordings(each, set(range(len(each.wordings))) - held.get(i, set())) for i, each in enumerate(self))
        return Questions(rest), Questions(in_wordings(self[place], held[place]) for place in sorted(held))

    def sizes(self) -> dict[str, int]:
        """How many questions, wordings and answers there are."""
        return {
            "questions": len(self),
            "wordings": sum(len(each.wordings) for each in self),
            "answers": sum(len(each.answers) for each in self),
        }

    def samples(self) -> Iterator[Sample]:
        """Each wording with the first answer of its question."""
        return samples(self)


def open_data(
    settings: AssistantSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[Question]:
    """Open questions and answers for reading.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Leave bad lines out and count them; as the settings say if omitted.

    Raises:
        DataError: If a file is missing, empty or of unknown form.
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
    """The questions as summaries and checks show them."""
    for each in questions:
        for wording in each.wordings:
            yield Sample(each.where, (wording, each.answers[0]))


def note_of_shared(examples: Sequence[Question]) -> list[str]:
    """Say which wordings several questions share, and where they stand."""
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
        f"Asked so, the assistant takes the question whose other wordings and answers fit best, and shows all"
    ]


def _spare_wordings(examples: Sequence[Question]) -> list[list[tuple[int, int]]]:
    """Wordings that can be held out: for each, the places of the questions that have it, and its place in them."""
    first = {wording_key(each.wordings[0]) for each in examples}
    spare: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(examples):
        for one, wording in enumerate(each.wordings[1:], 1):
            if (key := wording_key(wording)) not in first:
                spare.setdefault(key, []).append((place, one))
    return list(spare.values())


def whole(train: Sequence[Question], held_out: Sequence[Question] | None) -> list[Question]:
    """The questions trained on, with the wordings that were held out of them behind their others."""
    more = {each.where: each.wordings for each in held_out or ()}
    return [
        Question(each.where, [*each.wordings, *more[each.where]], each.answers) if each.where in more else each
        for each in train
    ]


def in_wordings(question: Question, places: Iterable[int]) -> Question:
    """A question in some of its wordings."""
    return Question(question.where, [question.wordings[place] for place in sorted(places)], question.answers)
