"""`Classification`, the prediction of a classifier: labels and their probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

from unspool.tasks.parts.representation import brief

__all__ = ["Classification"]


class Classification(NamedTuple):
    """Prediction of a classifier for one text."""

    text: str
    labels: tuple[str, ...]
    """The predicted label; in multi-label classification any number of labels, most probable first."""
    probabilities: dict[str, float]
    """Probability of each label, between 0 and 1, most probable first."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """Probability of the most probable label."""
        return self.probabilities[self.label]

    def __repr__(self) -> str:
        labels = ", ".join(f"{label!r} ({self.probabilities[label]:.3f})" for label in self.labels)
        return f"<Classification {labels or 'without label'}: {brief(self.text)}>"

    def line(self) -> str:
        """Format labels, probabilities and text, separated by tabs."""
        shares = ",".join(f"{self.probabilities[label]:.3f}" for label in self.labels)
        return f"{','.join(self.labels)}\t{shares}\t{self.text}"

    def record(self) -> dict[str, Any]:
        """Return text, labels, and the probabilities of all labels."""
        return {**self._asdict(), "labels": list(self.labels)}
