"""The finished half: questions in, pairs out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.data import LONGEST_TEXT, NgramVocabulary, Question, split_words
from unspool.errors import DataError, ModelFolderError
from unspool.models import Retriever
from unspool.reading import read_json
from unspool.tasks.answer.matching.confidence import Confidence
from unspool.tasks.answer.matching.keys import KeyIndex, PairBags
from unspool.writing import replace_file

__all__ = ["Calibration", "Match", "Matcher", "Ranking"]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was chosen from the training data after training."""

    confidence: Confidence
    answer_weight: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    """How much the answers count in a key."""

    def save(self, folder: Path) -> None:
        """Write `matching.json` into a folder."""
        replace_file(folder / "matching.json", msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelFolderError: If the file is missing or damaged.
        """
        return read_json(folder / "matching.json", cls, "the record of the confidence")


class Match(NamedTuple):
    """A pair that a question may belong to."""

    pair: int
    """Its place among the questions."""
    score: float
    """How well its key fits, between -1 and 1."""
    probability: float
    """How likely it is the right one, all other pairs and "none of them" considered, between 0 and 1."""


class Ranking(NamedTuple):
    """What was found for a question."""

    matches: list[Match]
    """The best pairs, best first."""
    confidence: float
    """How sure it is that the question belongs to the first, between 0 and 1; 1 for a wording from the file."""
    known: bool
    """Whether that reaches the threshold; if not, the answer is "I don't know"."""
    exact: bool
    """Whether the question is a wording from the file, case and the marks at its end set aside."""
    cut: bool
    """Whether the question was too long, so that only its first `LONGEST_TEXT` characters were read."""


class Matcher:
    """Ranks pairs for a question.

    Keys are made of the pairs when it is made, so that nothing but pairs, vocabulary and network is stored.

    Args:
        questions: The pairs; those with the same set of wordings should be one (`merge_questions`), so that all their
            answers are found.
        vocabulary: What the texts are counted in.
        model: The retriever, trained or not; moved to the CPU, where one question is answered soonest.
        confidence: From scores to "I don't know"; see `calibrate`.
        answer_weight: How much the answers count in a key; as in training.

    Raises:
        DataError: If there are no pairs.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        vocabulary: NgramVocabulary,
        model: Retriever,
        confidence: Confidence,
        *,
        answer_weight: float,
    ) -> None:
        if not questions:
            raise DataError("there are no pairs to answer from")
        self.questions, self.vocabulary, self.confidence = list(questions), vocabulary, confidence
        self.answer_weight = answer_weight
        self.model = model.cpu().eval()
        bags = PairBags(questions, vocabulary, answer_weight=answer_weight)
        self._index = KeyIndex(self.model, bags.keys())
        # first by all words and marks, then without the marks at the end
        self._exact: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for pair, each in enumerate(questions):
            for forms in {_forms(text) for text in each.wordings}:
                for known, form in zip(self._exact, forms, strict=True):
                    known.setdefault(form, []).append(pair)

    def rank(self, question: str, *, top: int = 5, threshold: float | None = None) -> Ranking:
        """Find the pairs that a question belongs to.

        A wording from the file has the highest score with every pair that has it; they stand in the order of how well
        the whole of their keys fits.

        Args:
            question: Any text, of any length.
            top: Most pairs to return.
            threshold: The least confidence at which the answer is known; the calibrated one if None.
        """
        scores = self._index.scores(self.vocabulary.bag(question))
        forms = zip(self._exact, _forms(question), strict=True)
        exact = next((known[form] for known, form in forms if form in known), [])
        evidence = scores.copy()
        scores[exact] = 1.0
        best = _highest(scores, evidence, top)
        probabilities = self.confidence.probabilities(scores)
        matches = [Match(int(pair), float(scores[pair]), float(probabilities[pair])) for pair in best]
        sure = 1.0 if exact else self.confidence.confidence(matches[0].score)
        least = self.confidence.threshold if threshold is None else threshold
        return Ranking(matches, sure, sure >= least, bool(exact), len(question) > LONGEST_TEXT)

    def contributions(self, question: str) -> tuple[list[str], NDArray[np.float32]]:
        """The words of a question, and how much lower the best pair's score would be without each, (words,).

        Raises:
            DataError: If the question holds no word.
        """
        words = split_words(question)
        if not words:
            raise DataError("there is no word in it; expected at least one", "text")
        scores = self._index.scores(self.vocabulary.bag(words))
        best = int(scores.argmax())
        bags = [self.vocabulary.bag(words[:place] + words[place + 1 :]) for place in range(len(words))]
        without = np.array([self._index.scores(bag)[best] for bag in bags])
        return words, (scores[best] - without).astype(np.float32)

    def extended(self, questions: Sequence[Question]) -> Matcher:
        """A matcher that knows more pairs as well, after those it knows; nothing is trained.

        Entries that are new count by their rarity alone, and rarities of all entries are counted anew.
        """
        asked, answered = [each.wordings for each in questions], [each.answers for each in questions]
        vocabulary = self.vocabulary.extended(asked, answered)
        model = self.model.grown(len(vocabulary))
        everything = [*self.questions, *questions]
        return Matcher(everything, vocabulary, model, self.confidence, answer_weight=self.answer_weight)

    def save(self, folder: Path) -> None:
        """Write the vocabulary and what was calibrated into a folder; pairs and weights are the caller's to keep."""
        self.vocabulary.save(folder)
        Calibration(self.confidence, self.answer_weight).save(folder)

    @classmethod
    def load(cls, folder: Path, questions: Sequence[Question], model: Retriever) -> Self:
        """Read what `save` wrote.

        Args:
            folder: Where it was saved.
            questions: The pairs, in their order then.
            model: The retriever, with its weights.

        Raises:
            ModelFolderError: If a file is missing or damaged, or the network was made for another vocabulary.
        """
        vocabulary = NgramVocabulary.load(folder)
        if len(vocabulary) != len(model.importance):
            raise ModelFolderError(
                f"{folder}: {len(vocabulary)} entries for a network of {len(model.importance)}: "
                f"the folder is damaged, or was changed"
            )
        chosen = Calibration.load(folder)
        return cls(questions, vocabulary, model, chosen.confidence, answer_weight=chosen.answer_weight)


_MARKS = frozenset(".?!…,;")


def _forms(text: str) -> tuple[str, str]:
    """What is compared to find a wording from the file: its words with all marks, and without those at its end."""
    words = split_words(text)
    end = len(words)
    while end > 1 and words[end - 1] in _MARKS:
        end -= 1
    return " ".join(words), " ".join(words[:end])


def _highest(scores: NDArray[np.float64], evidence: NDArray[np.float64], top: int) -> NDArray[np.intp]:
    """Places of the highest scores, falling; of equal ones those with more evidence first, then the first."""
    count = min(top, len(scores))
    least = np.partition(scores, -count)[-count]
    places = np.flatnonzero(scores >= least)
    return places[np.lexsort((-evidence[places], -scores[places]))][:count]
