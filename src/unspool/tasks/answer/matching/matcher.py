"""`Matcher`, which ranks pairs for a question with a calibrated confidence."""

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
    """Calibration on the training data, computed after training."""

    confidence: Confidence
    answer_weight: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    """Weight of the answers in a key."""

    def save(self, folder: Path) -> None:
        """Write `matching.json` into a folder."""
        replace_file(folder / "matching.json", msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file that `save` wrote.

        Raises:
            ModelFolderError: If the file is missing or damaged.
        """
        return read_json(folder / "matching.json", cls, "the record of the confidence")


class Match(NamedTuple):
    """A candidate pair for a question."""

    pair: int
    """Index of the pair."""
    score: float
    """Similarity of question and key, between -1 and 1."""
    probability: float
    """Probability of this pair among all pairs and "no pair", between 0 and 1."""


class Ranking(NamedTuple):
    """Ranked pairs for a question."""

    matches: list[Match]
    """Best pairs, best first."""
    confidence: float
    """Probability that the first pair matches, against no match, between 0 and 1; 1 for an exact match."""
    known: bool
    """Whether the confidence reaches the threshold; if not, the answer is "I don't know"."""
    exact: bool
    """Whether the question equals a stored wording, apart from case and final punctuation."""
    cut: bool
    """Whether the question was truncated to its first `LONGEST_TEXT` characters."""


class Matcher:
    """Ranks pairs for a question.

    The constructor computes the keys, so a model folder stores only pairs, vocabulary and network.

    Args:
        questions: The pairs. Merge pairs with the same set of wordings (`merge_questions`) to find all their answers.
        vocabulary: The n-gram vocabulary.
        model: The retriever, trained or not; moved to the CPU, where single questions are fastest.
        confidence: Calibrated conversion of scores to probabilities; see `calibrate`.
        answer_weight: Weight of the answers in a key, as in training.

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
        # pairs by wording: with final punctuation, and without
        self._exact: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        for pair, each in enumerate(questions):
            for forms in {_forms(text) for text in each.wordings}:
                for pairs, form in zip(self._exact, forms, strict=True):
                    pairs.setdefault(form, []).append(pair)

    def rank(self, question: str, *, top: int = 5, threshold: float | None = None) -> Ranking:
        """Rank the pairs for a question.

        An exact wording has score 1 with all of its pairs; the similarity of their keys decides the order.

        Args:
            question: Any text, of any length.
            top: Maximum number of pairs to return.
            threshold: Minimum confidence for `known`, between 0 and 1; the calibrated threshold if None.
        """
        scores = self._index.scores(self.vocabulary.bag(question))
        forms = zip(self._exact, _forms(question), strict=True)
        exact = next((pairs[form] for pairs, form in forms if form in pairs), [])
        evidence = scores.copy()
        scores[exact] = 1.0
        best = _highest(scores, evidence, top)
        probabilities = self.confidence.probabilities(scores)
        matches = [Match(int(pair), float(scores[pair]), float(probabilities[pair])) for pair in best]
        sure = 1.0 if exact else self.confidence.confidence(matches[0].score)
        least = self.confidence.threshold if threshold is None else threshold
        return Ranking(matches, sure, sure >= least, bool(exact), len(question) > LONGEST_TEXT)

    def contributions(self, question: str) -> tuple[list[str], NDArray[np.float32]]:
        """Return the words of a question, and the drop of the best pair's score without each word, (words,).

        Raises:
            DataError: If the question contains no word.
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
        """Return a matcher with additional pairs at the end, without training.

        New entries are weighted by inverse document frequency alone; the frequencies of all entries are recomputed.
        """
        wordings, answers = [each.wordings for each in questions], [each.answers for each in questions]
        vocabulary = self.vocabulary.extended(wordings, answers)
        model = self.model.grown(len(vocabulary))
        everything = [*self.questions, *questions]
        return Matcher(everything, vocabulary, model, self.confidence, answer_weight=self.answer_weight)

    def save(self, folder: Path) -> None:
        """Write vocabulary and calibration into a folder; the caller saves pairs and weights."""
        self.vocabulary.save(folder)
        Calibration(self.confidence, self.answer_weight).save(folder)

    @classmethod
    def load(cls, folder: Path, questions: Sequence[Question], model: Retriever) -> Self:
        """Read the files that `save` wrote.

        Args:
            folder: The folder.
            questions: The pairs, in the order of training.
            model: The retriever, with its weights.

        Raises:
            ModelFolderError: If a file is missing or damaged, or the network has another vocabulary size.
        """
        vocabulary = NgramVocabulary.load(folder)
        if len(vocabulary) != len(model.importance):
            raise ModelFolderError(
                f"{folder}: {len(vocabulary)} entries for a network of {len(model.importance)}: "
                f"the folder is damaged, or was changed"
            )
        calibration = Calibration.load(folder)
        return cls(questions, vocabulary, model, calibration.confidence, answer_weight=calibration.answer_weight)


_MARKS = frozenset(".?!…,;")


def _forms(text: str) -> tuple[str, str]:
    """Normalise a text for exact matching: its words with final punctuation, and without."""
    words = split_words(text)
    end = len(words)
    while end > 1 and words[end - 1] in _MARKS:
        end -= 1
    return " ".join(words), " ".join(words[:end])


def _highest(scores: NDArray[np.float64], evidence: NDArray[np.float64], top: int) -> NDArray[np.intp]:
    """Return the indices of the highest scores, in descending order; ties by evidence, then by index."""
    count = min(top, len(scores))
    least = np.partition(scores, -count)[-count]
    places = np.flatnonzero(scores >= least)
    return places[np.lexsort((-evidence[places], -scores[places]))][:count]
