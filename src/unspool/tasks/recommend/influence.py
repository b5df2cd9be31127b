"""Influence of each item of a history on each recommendation: the change of its log-probability without the item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.maps import Map
from unspool.tasks.recommend.recommendation import Recommendation

if TYPE_CHECKING:
    from unspool.tasks.recommend.recommender import Recommender

__all__ = ["influence_map"]

_MOST = 50  # items of a history, the last ones, that are left out in turn


def influence_map(task: Recommender, history: NDArray[np.int64], result: Recommendation) -> dict[str, Map]:
    """Return the map `left out`: recommended items by items of the history, in nats.

    A value is the log-probability of the recommended item minus its log-probability after the history without one item;
    above 0, the item spoke for the recommendation. Without its only item, a history counts as that of a person without
    one, for whom popularity decides. Items hidden after the whole history stay hidden.

    Args:
        task: The recommender.
        history: Its items, from 0, oldest first.
        result: What it recommends.
    """
    items = task.fitted.items
    if not result.ids:
        return {}
    hidden = items.only_items(history) if task.fitted.hides else history[:0]
    first = max(0, len(history) - _MOST)
    shorter = [np.delete(history, place) for place in range(first, len(history))]
    shares = task.log_shares([history, *shorter], hidden)[:, items.table(result.ids)]
    moved = np.nan_to_num(shares[:1] - shares[1:], posinf=0.0, neginf=0.0)
    columns = tuple(items.title(place) for place in history[first:].tolist())
    return {"left out": Map(moved.T.astype(np.float32), tuple(result.items), columns)}
