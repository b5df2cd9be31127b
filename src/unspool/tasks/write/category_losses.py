"""Loss of two language models on the same text: by kind of unit, by frequency, and unit by unit."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from unspool.tasks.disagreements import CategoryLoss, Disagreement, Disagreements

__all__ = ["compare_losses", "kind_of"]

_LARGEST, _CONTEXT = 1000, 24  # units in the listing; units before each
_SHARES = {"most frequent half": 0.5, "next 40 %": 0.9, "rarest 10 %": 1.0}
_KINDS = {"L": "letter", "M": "letter", "N": "digit", "P": "punctuation", "S": "punctuation", "Z": "space"}


def kind_of(unit: str) -> str:
    """Return the kind of a unit: letter, digit, punctuation, space, mixed, or other."""
    kinds = {_kind_of_sign(sign) for sign in unit.strip(" ")}  # subwords begin with a space
    if not kinds:
        return "space"
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _kind_of_sign(sign: str) -> str:
    return "space" if sign.isspace() else _KINDS.get(unicodedata.category(sign)[0], "other")


def compare_losses(
    units: Sequence[str],
    losses: tuple[NDArray[np.float64], NDArray[np.float64]],
    names: tuple[str, str],
    join: Callable[[Sequence[str]], str],
) -> Disagreements:
    """Compare the loss of two models unit by unit.

    Args:
        units: Units of the text; an empty text for the end of a line, `<unk>` for one that a model does not know.
        losses: Negative log-likelihood of each unit under both models, in nats, (units,) each.
        names: Names of the models.
        join: Joins units to a text, for the context.
    """
    kinds = np.array([_category(unit) for unit in units])
    classes = _frequency_classes(units)
    categories = [
        *_means("kind", list(dict.fromkeys(sorted(kinds.tolist()))), kinds, losses),
        *_means("frequency", list(_SHARES), classes, losses),
    ]
    difference = losses[1] - losses[0]
    order = np.argsort(-np.abs(difference), kind="stable")[:_LARGEST]
    examples = [
        Disagreement(
            f"unit {place + 1:,}",
            join(units[max(0, place - _CONTEXT) : place]),
            units[place],
            (f"{losses[0][place]:.3f}", f"{losses[1][place]:.3f}"),
            ({units[place]: float(np.exp(-losses[0][place]))}, {units[place]: float(np.exp(-losses[1][place]))}),
            float(difference[place]),
        )
        for place in order.tolist()
    ]
    return Disagreements(names, tuple(examples), tuple(categories))


def _category(unit: str) -> str:
    return {"": "end of line", "\n": "end of line", "<unk>": "unknown"}.get(unit) or kind_of(unit)


def _frequency_classes(units: Sequence[str]) -> NDArray[np.str_]:
    """Return the class of each unit by the share of the text that units of its frequency or more make up."""
    names, inverse, counts = np.unique(np.array(units), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(names))
    before[order] = (np.cumsum(counts[order]) - counts[order]) / len(units)
    labels = np.array(list(_SHARES))
    return labels[np.searchsorted(list(_SHARES.values()), before[inverse], side="right")]


def _means(
    grouping: str, order: Sequence[str], classes: NDArray[np.str_], losses: tuple[NDArray[np.float64], ...]
) -> Iterator[CategoryLoss]:
    for category in order:
        inside = classes == category
        if inside.any():
            first, second = (float(each[inside].mean()) for each in losses)
            yield CategoryLoss(grouping, category, int(inside.sum()), (first, second))
