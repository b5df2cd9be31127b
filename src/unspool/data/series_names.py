"""Usual names of columns of series; imports nothing heavy."""

from __future__ import annotations

__all__ = ["ID_NAMES", "TIME_NAMES"]

TIME_NAMES = ("date", "datetime", "timestamp", "time", "ds", "period", "month", "day", "week", "year")
"""Usual names of the column of times."""
ID_NAMES = ("unique_id", "series_id", "item_id", "series", "id", "item", "name", "store")
"""Usual names of the column that tells series apart."""
