"""Tables of scores as text."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.tasks.tables import figure, table

__all__ = ["score_table", "scores_beside_baselines"]

Scores = Mapping[str, float]


def score_table(rows: Mapping[str, Scores], head: str = "", titles: Mapping[str, str] | None = None) -> str:
    """Return a table of scores as text.

    Args:
        rows: The scores of each row, by the row's name.
        head: Title of the first column.
        titles: Title of a score's column, by the score's name; None: the name itself.
    """
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    body = [[label, *(figure(scores.get(name)) for name in names)] for label, scores in rows.items()]
    return table([head, *(dict(titles or {}).get(name, name) for name in names)], body)


def scores_beside_baselines(
    metrics: Mapping[str, Scores], baselines: Mapping[str, Scores], titles: Mapping[str, str] | None = None
) -> str:
    """Return a table of a model's scores on each part of the data, and of the baselines on the last part."""
    part = "test" if "test" in metrics else "valid"  # tasks score baselines on this part
    rows = {name: metrics[name] for name in ("valid", "test") if name in metrics}
    rows |= {f"{name} ({part})": scores for name, scores in baselines.items()}
    return score_table(rows, titles=titles)
