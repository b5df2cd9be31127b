"""Fork: one input read twice, without and with edits, and how far the predictions diverge at each token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType

from unspool.errors import UsageError
from unspool.inspection.columns import Columns
from unspool.inspection.edits import Edit
from unspool.inspection.notebook import show_result
from unspool.inspection.result import Result
from unspool.inspection.trace import Trace

__all__ = ["BothTexts", "Fork", "Outcomes", "Step"]

_MOST = 8  # choices of a distribution that a fork keeps


class Outcomes(NamedTuple):
    """Distributions that a network predicts for one input."""

    probabilities: NDArray[np.float64]
    """As the task reports them, (distributions, choices)."""
    log_probabilities: NDArray[np.float64]
    """The same in nats."""
    name: Callable[[int], str]
    """Returns the name of a choice."""
    independent: bool = False
    """Whether each choice is a yes or no of its own, as in multi-label classification."""


class Step(NamedTuple):
    """The most probable choices of one distribution, in both runs."""

    original: dict[str, float]
    """Probabilities without the edits, most probable first."""
    edited: dict[str, float]
    """Probabilities of the same choices with the edits."""


class BothTexts(NamedTuple):
    """Text that a language model generates, without and with the edits, from the same seed."""

    original: str
    edited: str


@dataclass(frozen=True, eq=False, repr=False)
class Fork(Result):
    """One input read twice: without and with edits.

    Args:
        text: The input.
        edits: The edits of the fork.
        base: Edits of both runs, for a fork of a fork.
        original: Trace without `edits`.
        edited: Trace with them.
        divergence: Kullback-Leibler divergence of the original prediction from the edited one, in nats: after each
            token for a language model, at each token for a tagger, and one number for a classifier. Empty for tasks
            whose output is not a distribution.
        steps: The most probable choices of each of these distributions.
        continuations: Generated texts, if a length was passed.
    """

    noun = "fork"

    text: Any
    edits: tuple[Edit, ...]
    base: tuple[Edit, ...]
    original: Trace
    edited: Trace
    divergence: NDArray[np.float64]
    steps: tuple[Step, ...] = ()
    continuations: BothTexts | None = None

    @classmethod
    def of(
        cls,
        text: Any,
        edits: Sequence[Edit],
        base: Sequence[Edit],
        traces: tuple[Trace, Trace],
        outcomes: tuple[Outcomes | None, Outcomes | None],
        continuations: BothTexts | None = None,
    ) -> Fork:
        """Compare two runs."""
        before, after = outcomes
        divergence: NDArray[np.float64] = np.zeros(0)
        steps: tuple[Step, ...] = ()
        if before is not None and after is not None:
            divergence = _divergence(before, after)
            steps = tuple(_step(before, after, row) for row in range(len(divergence)))
        divergence.flags.writeable = False
        return cls(text, tuple(edits), tuple(base), *traces, divergence, steps, continuations)

    @property
    def all_edits(self) -> tuple[Edit, ...]:
        """Edits of the edited run: those of both runs, then those of the fork alone."""
        return (*self.base, *self.edits)

    @property
    def first_divergence(self) -> int | None:
        """Index of the first distribution that differs, from 0: the token for language models and taggers."""
        places = np.flatnonzero(self.divergence > 0)
        return int(places[0]) if len(places) else None

    @property
    def differences(self) -> dict[str, NDArray[np.float32]]:
        """Mean absolute difference over the units of each array at each token, (tokens,), `written` included."""
        pairs = [(self.original, self.edited)]
        if self.original.written is not None and self.edited.written is not None:
            pairs.append((self.original.written, self.edited.written))
        return {
            name: np.abs(array - after.arrays[name]).mean(1)
            for before, after in pairs
            for name, array in before.arrays.items()
            if name in after.arrays and after.arrays[name].shape == array.shape
        }

    def show(self, console: Console | None = None, *, array: str | None = None, maps: str | None = None) -> None:
        """Display both runs in a notebook, or print them side by side in a terminal.

        Args:
            console: Console to print to, also from a notebook; if omitted, the notebook or the standard output.
            array: Array to print unit by unit, for both runs.
            maps: Maps to print, for both runs: a part of their names, or a whole name with `*` and `?`.

        Raises:
            UsageError: If there is no such array, or no map matches.
        """
        from unspool.inspection.fork_view import show_fork

        show_result(
            self,
            console,
            lambda console: show_fork(self, console, array=array, maps=maps),
            lambda: self._html(array=array, maps=maps),
        )

    def to_columns(self) -> Columns:
        """Return one row per token: the tokens of both runs, the divergence, and the mean difference of each array.

        A divergence of the whole input, as for a classifier, stands in no row.
        """
        tokens, edited = self.original.tokens, self.edited.tokens
        columns: Columns = {"token": list(tokens)}
        if len(edited) == len(tokens):
            columns["edited token"] = list(edited)
        if len(self.divergence) == len(tokens) > 1:
            columns["divergence"] = self.divergence
        return columns | {name: values for name, values in self.differences.items() if len(values) == len(tokens)}

    def _drawing(self) -> RenderableType:
        from unspool.inspection.fork_view import Sides

        return Sides(self)

    def _traces(self) -> Mapping[str, Trace]:
        return {"original": self.original, "fork": self.edited}

    def record(self) -> dict[str, Any]:
        """Return plain JSON values; tokens count from 1. The traces have files of their own."""
        first = self.first_divergence
        return {
            "text": self.text if isinstance(self.text, str) else np.asarray(self.text).tolist(),
            "base": [edit.record() for edit in self.base],
            "edits": [edit.record() for edit in self.edits],
            "tokens": list(self.original.tokens),
            "edited_tokens": list(self.edited.tokens),
            "original": dict(self.original.prediction),
            "edited": dict(self.edited.prediction),
            "divergence": [float(value) if np.isfinite(value) else None for value in self.divergence],
            "first_divergence": None if first is None else first + 1,
            "steps": [step._asdict() for step in self.steps],
            "continuations": None if self.continuations is None else self.continuations._asdict(),
        }

    def __repr__(self) -> str:
        lines = [f"Fork of {len(self.original.tokens)} tokens: {'; '.join(map(str, self.edits)) or 'no edit'}"]
        if self.base:
            lines.append(f"  both runs: {'; '.join(map(str, self.base))}")
        if len(self.divergence):
            first = self.first_divergence
            where = "nowhere" if first is None else f"first at token {first + 1}"
            where = f"{where}, largest " if len(self.divergence) > 1 else ""
            lines.append(f"  divergence: {where}{self.divergence.max():.4g} nats")
        return "\n".join(lines)


def _divergence(before: Outcomes, after: Outcomes) -> NDArray[np.float64]:
    p, q = before.log_probabilities, after.log_probabilities
    if p.shape != q.shape:
        raise UsageError(f"both runs need distributions of one shape, and {p.shape} and {q.shape} came")
    terms = _terms(p, q)
    if before.independent:
        terms = terms + _terms(_log_of_rest(p), _log_of_rest(q))
    return np.asarray(np.maximum(terms.sum(1), 0.0))


def _terms(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(p)
    with np.errstate(invalid="ignore"):
        return np.where(shares > 0, shares * (p - q), 0.0)


def _log_of_rest(p: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.log1p(-np.minimum(np.exp(p), 1.0))


def _step(before: Outcomes, after: Outcomes, row: int) -> Step:
    p, q = before.probabilities[row], after.probabilities[row]
    best = [np.argsort(-values, kind="stable")[:_MOST].tolist() for values in (p, q)]
    choices = sorted({*best[0], *best[1]}, key=lambda choice: (-p[choice], choice))
    shares: list[Mapping[str, float]] = [
        {before.name(choice): float(values[choice]) for choice in choices} for values in (p, q)
    ]
    return Step(*map(dict, shares))
