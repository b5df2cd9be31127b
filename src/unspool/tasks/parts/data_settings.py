"""Data settings shared by several tasks: held-out shares, file formats, table headers and delimiters."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

from unspool.data.forms import forms_of
from unspool.data.tables import delimiter_character
from unspool.errors import DataError, SettingError
from unspool.settings import Fraction, Settings

__all__ = ["ReadingSettings", "SplitSettings", "TableSettings", "table_options"]


class SplitSettings(Settings):
    """Shares of the training data that are held out."""

    valid_fraction: Fraction = 0.1
    """Share of the training data held out for validation if there is no validation file; the test share is taken
    first. 0: no validation, the model keeps the last weights."""
    test_fraction: Fraction = 0.0
    """Share of the training data held out for the final test if there is no test file."""


class ReadingSettings(SplitSettings):
    """How files with one example a line, or a block of lines, are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows", "sentences")}

    format: str | None = None
    """File format ({forms}). None: by file name."""
    skip_bad: bool = False
    """Skip and count malformed lines instead of stopping at the first one."""


class TableSettings(ReadingSettings):
    """How tables are read."""

    header: Literal["auto", "yes", "no"] = "auto"
    """Whether text tables begin with a header line of column names. auto: yes if the first line contains an expected
    column name, or differs in type from the lines below."""
    delimiter: str | None = None
    """Column delimiter of text tables: one character, or tab. None: by file name and content."""

    def check(self) -> None:
        """Refuse an invalid delimiter."""
        if self.delimiter is not None:
            try:
                delimiter_character(self.delimiter)
            except DataError as error:
                raise SettingError(error.message) from None


def table_options(data: TableSettings, skip_bad: bool | None) -> dict[str, Any]:
    """Return the arguments of a reader of tables that settings describe.

    Args:
        data: The settings.
        skip_bad: Whether malformed lines are skipped and counted; by the settings if None.
    """
    skip_bad = data.skip_bad if skip_bad is None else skip_bad
    return {"format": data.format, "header": data.header, "delimiter": data.delimiter, "skip_bad": skip_bad}
