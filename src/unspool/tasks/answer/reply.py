"""`Reply`: the answer of an assistant to one question, with its sources."""

from __future__ import annotations

from typing import Any, NamedTuple

from unspool.tasks.parts.representation import brief

__all__ = ["Reply", "Source"]


class Source(NamedTuple):
    """A candidate pair for an answer."""

    question: str
    answer: str
    share: float
    """Probability of this pair among all pairs and "no pair", between 0 and 1."""


class Reply(NamedTuple):
    """Answer of an assistant to one question."""

    question: str
    answer: str
    """An answer from the pairs, or the text of `unknown`."""
    confidence: float
    """Probability that the question matches the first source, against no match, between 0 and 1."""
    known: bool
    """Whether the confidence reaches the threshold."""
    threshold: float
    """Minimum confidence for an answer, between 0 and 1."""
    answers: list[str]
    """All answers of the first source."""
    sources: list[Source]
    """Most probable pairs, best first; also below the threshold."""

    def __repr__(self) -> str:
        sure = f"{self.confidence:.0%} sure" + ("" if self.known else f", below {self.threshold:.0%}")
        return f"<Reply {brief(self.answer)} ({sure}) to {brief(self.question)}>"

    def line(self) -> str:
        """Return the answer."""
        return self.answer

    def record(self) -> dict[str, Any]:
        """Return all fields."""
        return {**self._asdict(), "sources": [source._asdict() for source in self.sources]}

    def source_line(self) -> str:
        """Format confidence and source in one line."""
        nearest, *others = self.sources
        if self.known:
            alike = "".join(f"; as likely: {each.question}" for each in others if each.share == nearest.share)
            return f"{self.confidence:.0%} sure, from: {nearest.question}{alike}"
        return f"{self.confidence:.0%} sure, below {self.threshold:.0%}; the nearest it knows: {nearest.question}"
