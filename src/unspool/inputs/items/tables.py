"""Tables of items and of users: a column of names, one of titles, and columns of features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unspool.data.history_names import ITEM_NAMES, USER_NAMES
from unspool.data.rows import Row, Side, find_sides, read_rows
from unspool.errors import DataError

__all__ = ["TITLE_NAMES", "FeatureRows", "read_items", "read_titles", "read_users"]

TITLE_NAMES = ("title", "name", "item_name", "movie_title", "product_name")
"""Usual names of the column of titles, in lower case."""

_ITEM_NAMES = (*ITEM_NAMES[:-1], "id")
_USER_NAMES = (*USER_NAMES, "id")


@dataclass(eq=False)
class FeatureRows:
    """Rows of a table of items or users, column by column."""

    path: str
    role: str
    """item or user."""
    header: list[str] = field(default_factory=list)
    """Names of all columns."""
    title: str | None = None
    """Column of titles, which is also one of features; None: there is none."""
    places: dict[str, int] = field(default_factory=dict)
    """Row of each item or user."""
    where: list[str] = field(default_factory=list)
    """`file:line` of each row."""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    """Cells of each column of features, by its name."""

    @property
    def titles(self) -> dict[str, str]:
        """Title of each item that has one."""
        if self.title is None:
            return {}
        cells = self.columns[self.title]
        return {name: str(cells[place]).strip() for name, place in self.places.items() if cells[place]}


def read_items(path: str) -> FeatureRows:
    """Read a table of items: the column of the item, a column of titles, if there is one, and columns of features.

    Without usual names, the first column is the item, and the second the title.

    Raises:
        DataError: If the file is missing or no table, or an item is empty or there twice.
    """
    rows = _read(path, "item", _ITEM_NAMES)
    titles = [name for name in rows.columns if name.casefold() in TITLE_NAMES]
    plain = all(name.isdecimal() for name in rows.header)
    rows.title = titles[0] if titles else next(iter(rows.columns)) if plain and rows.columns else None
    return rows


def read_users(path: str) -> FeatureRows:
    """Read a table of users: the column of the user, and columns of features; see `read_items`."""
    return _read(path, "user", _USER_NAMES)


def _read(path: str, role: str, usual: tuple[str, ...]) -> FeatureRows:
    rows = FeatureRows(path, role)
    for row in read_rows(path, names={*usual, *TITLE_NAMES}):
        if not rows.header:
            rows.header = list(row.values)
            key = next((name for wanted in usual for name in rows.header if name.casefold() == wanted), rows.header[0])
            rows.columns = {name: [] for name in rows.header if name != key}
            if not rows.columns:
                raise DataError(f"one column only ({key}); expected the {role} and its features", row.where)
        name = _name(row, key, role)
        if name in rows.places:
            first = rows.where[rows.places[name]]
            raise DataError(f"{role} {name!r} is there twice, first in {first}; expected a row for each", row.where)
        rows.places[name] = len(rows.where)
        rows.where.append(row.where)
        for column, cells in rows.columns.items():
            cells.append(row.values.get(column))
    return rows


def _name(row: Row, column: str, role: str) -> str:
    value = row.values.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = "" if value is None else str(value).strip()
    if not name:
        raise DataError(f"the {role} is empty (column {column!r}); expected a name or a number", row.where)
    return name


def read_titles(path: str) -> dict[str, str]:
    """Read a table of items: the column of the item, and that of its title; the first two columns by default.

    Returns:
        The title of each item.

    Raises:
        DataError: If the file is missing or no table, or a title is empty.
    """
    titles: dict[str, str] = {}
    columns: tuple[str, str] | None = None
    for row in read_rows(path, names={*_ITEM_NAMES, *TITLE_NAMES}):
        if columns is None:
            columns = find_sides(list(row.values), Side("item", _ITEM_NAMES), Side("title", TITLE_NAMES), row.where)
        item, title = (str(row.values.get(name) or "").strip() for name in columns)
        if not item or not title:
            raise DataError(f"the {'title' if item else 'item'} is empty; expected an item and its title", row.where)
        titles[item] = title
    return titles
