"""Scores as tables."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.tasks.tables import figure, table

__all__ = ["score_table", "scores_beside_baselines"]

Scores = Mapping[str, float]


def score_table(rows: Mapping[str, Scores], head: str = "", titles: Mapping[str, str] | None = None) -> str:
    """One row for each name, one column for each score that any of them has, under its title if it has one."""
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    body = [[label, *(figure(scores.get(name)) for name in names)] for label, scores in rows.items()]
    return table([head, *(dict(titles or {}).get(name, name) for name in names)], body)


def scores_beside_baselines(
    metrics: Mapping[str, Scores], baselines: Mapping[str, Scores], titles: Mapping[str, str] | None = None
) -> str:
    """The scores of a model on each part of the data, and of simple methods on what they were scored on."""
    part = "test" if "test" in metrics else "valid"  # as the task has it
    rows = {name: metrics[name] for name in ("valid", "test") if name in metrics}
    rows |= {f"{name} ({part})": scores for name, scores in baselines.items()}
    return score_table(rows, titles=titles)
