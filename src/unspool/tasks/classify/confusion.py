"""Confusion matrix with the worst examples of each cell: in the terminal, and as HTML, JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from unspool.inspection.columns import Columns
from unspool.inspection.png import data_address
from unspool.inspection.result import Result
from unspool.tasks.parts.metrics import scores
from unspool.tasks.tables import table

__all__ = ["Confusion", "WorstExample", "confusion_of", "label_scores", "worst_places"]

_MOST_LABELS = 30  # of a matrix in the terminal; beyond, only the most frequent confusions
_LISTED = 10  # confusions listed
_TEXT = 80  # characters of a text in a cell


class WorstExample(NamedTuple):
    """An example of one cell of a confusion matrix."""

    where: str
    """`file:line`, or the path of a file."""
    text: str
    probability: float
    """Of the predicted label."""
    picture: NDArray[np.uint8] | None = None
    """Pixels, (height, width, channels), of an image; else None."""


@dataclass(frozen=True, eq=False, repr=False)
class Confusion(Result):
    """Counts of each predicted label for each correct label, with the examples that the model is most wrong about."""

    noun: ClassVar[str] = "confusion matrix"

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    """(correct label, predicted label)."""
    worst: Mapping[tuple[int, int], Sequence[WorstExample]] = field(default_factory=dict)
    """Examples of the cells with mistakes, the most confident first, by the ids of correct and predicted label."""

    def record(self) -> dict[str, Any]:
        """Return labels, counts and the worst examples of each cell as JSON values."""
        cells = [
            {
                "correct": self.labels[right],
                "predicted": self.labels[predicted],
                "count": int(self.counts[right, predicted]),
                "worst": [{"where": each.where, "text": each.text, "probability": each.probability} for each in worst],
            }
            for (right, predicted), worst in self.worst.items()
        ]
        return {"labels": list(self.labels), "counts": self.counts.tolist(), "confusions": cells}

    def to_columns(self) -> Columns:
        """Return one row for each cell that occurs: correct, predicted, count."""
        cells = [(int(row), int(column)) for row, column in np.argwhere(self.counts)]
        return {
            "correct": [self.labels[row] for row, _ in cells],
            "predicted": [self.labels[column] for _, column in cells],
            "count": [int(self.counts[cell]) for cell in cells],
        }

    def __repr__(self) -> str:
        return f"<Confusion of {len(self.labels)} labels: {int(np.trace(self.counts))} of {self.counts.sum()} correct>"

    def _drawing(self) -> RenderableType:
        parts: list[RenderableType] = []
        if len(self.labels) <= _MOST_LABELS:
            rows = [
                {"correct": label, **dict(zip(self.labels, map(str, row.tolist()), strict=True))}
                for label, row in zip(self.labels, self.counts, strict=True)
            ]
            parts.append(table(["correct", *self.labels], [list(row.values()) for row in rows]))
        lines = [
            f"{self.counts[cell]:,} times {self.labels[cell[0]]!r} was called {self.labels[cell[1]]!r}: "
            f"{', '.join(each.where for each in worst)}"
            for cell, worst in list(self.worst.items())[:_LISTED]
        ]
        return Group(*parts, *map(Text, lines))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(label)}</th>" for label in self.labels)
        rows = "".join(
            f"<tr><th>{escape(label)}</th>{''.join(self._cell(row, column) for column in range(len(self.labels)))}</tr>"
            for row, label in enumerate(self.labels)
        )
        return f"{_STYLE}<table class=confusion><tr><th>correct ↓ predicted →</th>{head}</tr>{rows}</table>"

    def _cell(self, row: int, column: int) -> str:
        count, total = int(self.counts[row, column]), max(1, int(self.counts[row].sum()))
        shade = f"background:rgba({'42,138,87' if row == column else '196,80,27'},{count / total:.2f})"
        worst = "".join(map(_example, self.worst.get((row, column), ())))
        return f'<td style="{shade}">{f"<b>{count:,}</b>" if count else ""}{worst}</td>'


_STYLE = (
    "<style>.confusion{border-collapse:collapse}.confusion td,.confusion th{border:1px solid #8886;padding:4px;"
    "vertical-align:top;text-align:center}.confusion img{display:inline-block;margin:2px;image-rendering:pixelated}"
    ".confusion p{margin:2px;font-size:11px;max-width:16em;text-align:left}</style>"
)


def _example(example: WorstExample) -> str:
    title = escape(f"{example.where}: {example.probability:.3f}", quote=True)
    if example.picture is None:
        text = example.text if len(example.text) <= _TEXT else example.text[: _TEXT - 1] + "…"
        return f'<p title="{title}">{escape(text)}</p>'
    return f'<img width=48 title="{title}" alt="{title}" src="{data_address(example.picture)}">'


def confusion_of(
    labels: Sequence[str],
    gold: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    examples: Sequence[tuple[str, str]],
    pictures: Mapping[int, NDArray[np.uint8]] | None = None,
    *,
    most: int = 3,
) -> Confusion:
    """Count predictions by label, and pick the most confident mistakes of each cell.

    Args:
        labels: Names of the labels.
        gold: Ids of the correct labels, (examples,).
        probabilities: (examples, labels).
        examples: `file:line` and text of each example.
        pictures: Pixels of examples, by index, for examples that are images.
        most: Examples of each cell.
    """
    predicted = probabilities.argmax(1)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (gold, predicted), 1)
    cells: dict[tuple[int, int], list[WorstExample]] = {}
    for place in worst_places(gold, probabilities):
        cell = int(gold[place]), int(predicted[place])
        chosen = cells.setdefault(cell, [])
        if len(chosen) < most:
            where, text = examples[place]
            share = float(probabilities[place, cell[1]])
            chosen.append(WorstExample(where, text, share, None if pictures is None else pictures.get(int(place))))
    order = sorted(cells, key=lambda cell: (-counts[cell], cell))
    return Confusion(tuple(labels), counts, {cell: cells[cell] for cell in order})


def worst_places(gold: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the indices of the mistakes, the most confident first, int64 (mistakes,)."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != gold)
    return wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]


def label_scores(labels: Sequence[str], gold: NDArray[Any], predicted: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support of each label.

    Args:
        labels: Names of the labels.
        gold: Ids of the correct labels, (examples,), below 0 for others; or 0 and 1 for each label, (examples, labels).
        predicted: Predicted labels in the same form.
    """
    if gold.ndim == 1:
        every = np.arange(len(labels))
        gold, predicted = gold[:, None] == every, predicted[:, None] == every
    gold, predicted = gold.astype(bool), predicted.astype(bool)
    counts = zip((predicted & gold).sum(0), predicted.sum(0), gold.sum(0), strict=True)
    return {name: scores(*map(int, each))._asdict() for name, each in zip(labels, counts, strict=True)}
