"""Rules for the settings of a recommender that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["RULES"]

RULES = Rules(minutes=10, sizes=(Size(0, {}),), epochs=epochs_for(3000, 10, 60), suits=is_gated)
