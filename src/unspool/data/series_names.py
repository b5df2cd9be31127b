"""Usual names of columns of series; imports nothing heavy."""

from __future__ import annotations

from unspool.data import history_names

__all__ = ["COUNT_NAMES", "ID_NAMES", "TIME_NAMES"]

COUNT_NAMES = ("step", "steps", "t", "index", "frame", "row", "unnamed: 0", "")
"""Usual names of a column that counts the rows, which is no channel."""

TIME_NAMES = (*history_names.TIME_NAMES, "ds", "period", "month", "day", "week", "year")
"""Usual names of the column of times."""
ID_NAMES = ("unique_id", "series_id", "item_id", "series", "id", "item", "name", "store")
"""Usual names of the column that tells series apart."""
