"""`Recommendation`: the next items of one history, as `Recommender.predict` returns them."""

from __future__ import annotations

from typing import Any, NamedTuple

from unspool.tasks.parts.representation import brief

__all__ = ["Recommendation"]


class Recommendation(NamedTuple):
    """Recommended items for one history, the most probable first."""

    history: list[str]
    """Titles of the items of the history, oldest first."""
    items: list[str]
    """Titles of the recommended items."""
    probabilities: list[float]
    """Probability that each is the next item, between 0 and 1, among all items that may be recommended."""
    ids: list[str]
    """Names of the recommended items in the data."""

    def __repr__(self) -> str:
        return f"<Recommendation {brief('; '.join(self.items))} after {brief(', '.join(self.history))}>"

    def line(self) -> str:
        """Format the items with their probabilities on one line, with semicolons between."""
        shares = zip(self.items, self.probabilities, strict=True)
        return "; ".join(f"{title} {share:.3f}" for title, share in shares)

    def table(self) -> str:
        """Format the history, then a line for each item: place, title and probability."""
        width = max(map(len, self.items), default=0)
        shares = enumerate(zip(self.items, self.probabilities, strict=True), 1)
        lines = [f"{place:3}. {title:{width}}  {share:.3f}" for place, (title, share) in shares]
        return "\n".join([f"after {', '.join(self.history)}:", *lines])

    def record(self) -> dict[str, Any]:
        """Return the history, and the recommended items with id, title and probability."""
        items = zip(self.ids, self.items, self.probabilities, strict=True)
        return {
            "history": self.history,
            "items": [{"id": id, "title": title, "probability": share} for id, title, share in items],
        }
