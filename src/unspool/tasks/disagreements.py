"""Disagreements of two models on labelled data: their predictions side by side, the largest difference first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from unspool.errors import UsageError, counted, printable
from unspool.inspection.columns import Columns
from unspool.inspection.result import Result
from unspool.tasks.tables import table

__all__ = ["CategoryLoss", "Disagreement", "Disagreements", "Questions", "disagreements_of"]

_TEXT = 300  # characters of an input in the listing


class Questions(NamedTuple):
    """Inputs of labelled data, as `predict` takes them, with the correct answers."""

    inputs: Sequence[Any]
    answers: Sequence[str]
    """Correct answers: sorted labels joined by commas, tags joined by blanks, or the output text."""
    where: Sequence[str]
    """`file:line` of each."""


class Disagreement(NamedTuple):
    """One example with the predictions of both models."""

    where: str
    text: str
    right: str
    """The correct answer."""
    answers: tuple[str, str]
    probabilities: tuple[dict[str, float], dict[str, float]]
    """Of each label, for classifiers; of the predicted tag of each word, for taggers; of the unit, for language models;
    empty for translators."""
    difference: float
    """Classifiers: half the sum of the differences of all probabilities, between 0 and 1. Taggers: the largest of a
    word, between 0 and 1. Translators: share of words that differ. Language models: nats, the other minus the first."""


class CategoryLoss(NamedTuple):
    """Loss of two language models on one category of units."""

    grouping: str
    """`kind` or `frequency`."""
    category: str
    units: int
    """Number of units in the data."""
    nats: tuple[float, float]
    """Mean loss per unit of each model, in nats."""


@dataclass(frozen=True, repr=False)
class Disagreements(Result):
    """Two models on the same data: every example, the largest difference first.

    Printing shows the summary and the first ten examples whose predictions differ.
    """

    noun = "comparison"

    names: tuple[str, str]
    examples: tuple[Disagreement, ...]
    """Sorted by the size of the difference."""
    categories: tuple[CategoryLoss, ...] = ()
    """For language models: the loss by kind and by frequency of the unit."""

    @property
    def is_zero(self) -> bool:
        """Whether both models predict the same probabilities everywhere."""
        return not any(example.difference for example in self.examples)

    @property
    def differing(self) -> list[Disagreement]:
        """The examples with different answers, the largest difference first."""
        return [example for example in self.examples if example.answers[0] != example.answers[1]]

    def counts(self) -> dict[str, int]:
        """Return the number of examples that both models, one of them, or neither predict correctly."""
        marks = [tuple(answer == each.right for answer in each.answers) for each in self.examples]
        names = {(True, True): "both right", (True, False): f"only {self.names[0]} right"}
        names |= {(False, True): f"only {self.names[1]} right", (False, False): "neither right"}
        return {name: marks.count(mark) for mark, name in names.items()}

    def record(self, most: int | None = None) -> dict[str, Any]:
        """Return everything as JSON values.

        Args:
            most: Maximum number of examples; all if omitted.
        """
        return {
            "models": list(self.names),
            "examples": len(self.examples),
            "differing": len(self.differing),
            "counts": {} if self.categories else self.counts(),
            "categories": [category._asdict() for category in self.categories],
            "disagreements": [example._asdict() for example in self.examples[:most]],
        }

    def to_columns(self) -> Columns:
        """Return one row per example, the largest difference first: place, text, correct answer, and both answers."""
        fields = ("where", "text", "right", "difference")
        columns: Columns = {name: [getattr(example, name) for example in self.examples] for name in fields}
        return columns | {
            name: [example.answers[side] for example in self.examples] for side, name in enumerate(self._sides())
        }

    def _sides(self) -> tuple[str, str]:
        """Return two different names for the two models' columns."""
        one, other = self.names
        return (f"answer of {one}", f"answer of {other}") if one != other else (f"{one} (1)", f"{other} (2)")

    def _drawing(self) -> str:
        return self.text()

    def text(self, most: int = 10, width: int = 80) -> str:
        """Return the summary, and the examples with the largest differences, as text.

        Args:
            most: Maximum number of examples.
            width: Columns of the terminal.
        """
        if self.is_zero:
            return f"no difference in {counted(len(self.examples), 'examples')}"
        if self.categories:
            return "\n\n".join([*map(self._category_table, ("kind", "frequency")), self._unit_table(most)])
        lines = [self._summary()]
        for example in self.differing[:most]:
            lines += ["", *self._example_lines(example, width)]
        return "\n".join(lines)

    def _summary(self) -> str:
        equal = len(self.examples) - len(self.differing)
        parts = [f"{name} {count:,}" for name, count in self.counts().items()]
        head = f"{counted(len(self.examples), 'examples')}: {equal:,} equal answers, {len(self.differing):,} different"
        return f"{head}\n{', '.join(parts)}"

    def _example_lines(self, example: Disagreement, width: int) -> list[str]:
        label = f"{example.difference:.3f}  {example.where}"
        text = printable(example.text, _TEXT)
        lines = [label, f"  {text if len(text) <= width - 2 else text[: width - 3] + '…'}"]
        names = max(map(len, (*self.names, "right")))
        lines.append(f"  {'right':{names}}  {printable(example.right)}")
        for name, answer, shares in zip(self.names, example.answers, example.probabilities, strict=True):
            chance = f" {shares[answer]:.3f}" if answer in shares else ""
            lines.append(f"  {name:{names}}  {printable(answer)}{chance}")
        return lines

    def _category_table(self, grouping: str) -> str:
        rows = [
            [each.category, f"{each.units:,}", *(f"{nats:.4f}" for nats in each.nats), _signed(each.nats)]
            for each in self.categories
            if each.grouping == grouping
        ]
        return table([f"nats by {grouping}", "units", *self.names, "difference"], rows)

    def _unit_table(self, most: int) -> str:
        rows = [
            [each.where, f"{each.text!r} → {each.right!r}", *each.answers, f"{each.difference:+.3f}"]
            for each in self.examples[:most]
        ]
        return table(["largest differences", "context", *self.names, "nats"], rows)

    def __repr__(self) -> str:
        return self.text()


def disagreements_of(
    questions: Questions, one: Sequence[Any], other: Sequence[Any], names: tuple[str, str]
) -> Disagreements:
    """Put the predictions of two models for the same inputs side by side.

    Args:
        questions: The inputs and correct answers.
        one: Predictions of the first model.
        other: Predictions of the other model.
        names: Names of the models.

    Raises:
        UsageError: If predictions of this kind can't be compared.
    """
    rows = []
    for value, right, where, a, b in zip(*questions, one, other, strict=True):
        answers, shares = (_answer_of(a), _answer_of(b)), (_shares(a), _shares(b))
        rows.append(Disagreement(where, _text(value), right, answers, shares, _distance(a, b)))
    return Disagreements(names, tuple(sorted(rows, key=lambda row: -abs(row.difference))))


def _answer_of(prediction: Any) -> str:
    """Return the answer of a prediction as one text: labels, tags, or the output.

    Raises:
        UsageError: If predictions of this kind can't be compared.
    """
    if hasattr(prediction, "labels"):
        return ", ".join(sorted(prediction.labels))
    if hasattr(prediction, "tags"):
        return " ".join(prediction.tags)
    for output in ("translation", "caption"):
        if hasattr(prediction, output):
            return str(getattr(prediction, output))
    raise UsageError(f"predictions of the kind {type(prediction).__name__} can't be compared")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _shares(prediction: Any) -> dict[str, float]:
    if hasattr(prediction, "labels"):
        return dict(prediction.probabilities)
    if hasattr(prediction, "tags"):
        words = enumerate(zip(prediction.words, prediction.probabilities, strict=True), start=1)
        return {f"{number} {word}": share for number, (word, share) in words}
    return {}


def _distance(one: Any, other: Any) -> float:
    if hasattr(one, "labels"):
        names = {*one.probabilities, *other.probabilities}
        gaps = [abs(one.probabilities.get(name, 0.0) - other.probabilities.get(name, 0.0)) for name in names]
        total = sum(one.probabilities.values())
        return float(sum(gaps) / 2 if abs(total - 1) < 1e-3 else max(gaps))  # several labels have no sum of 1
    if hasattr(one, "tags"):
        pairs = zip(one.tags, other.tags, one.probabilities, other.probabilities, strict=True)
        return float(max(abs(p - q) if a == b else max(p, q) for a, b, p, q in pairs))
    first, second = (_answer_of(each).split() for each in (one, other))
    return 1 - SequenceMatcher(None, first, second, autojunk=False).ratio()


def _signed(nats: tuple[float, float]) -> str:
    return f"{nats[1] - nats[0]:+.4f}"
