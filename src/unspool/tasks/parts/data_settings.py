"""Settings of data that several tasks read: what is held out, how tables are read."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from unspool.data.forms import forms_of
from unspool.data.tables import delimiter_character
from unspool.errors import DataError, SettingError
from unspool.settings import Fraction, Settings

__all__ = ["ReadingSettings", "SplitSettings", "TableSettings"]


class SplitSettings(Settings):
    """What is held out of the files."""

    valid_fraction: Fraction = 0.1
    """Share of the training data (of what a test leaves) held out for validation where no file for it is given; 0 keeps
    everything for training, and the last weights."""
    test_fraction: Fraction = 0.0
    """Share of the training data held out for a test at the very end where no test file is given."""


class ReadingSettings(SplitSettings):
    """How files with one example a line, or a block of lines, are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows", "sentences")}

    format: str | None = None
    """Form of the files ({forms}); None: by file name."""
    skip_bad: bool = False
    """Leave out lines that can't be read, and count them, instead of stopping at the first."""


class TableSettings(ReadingSettings):
    """How tables are read."""

    header: Literal["auto", "yes", "no"] = "auto"
    """Whether tables of text begin with a line of column names; auto: if a wanted column is named there, or the line
    differs in kind from those below it."""
    delimiter: str | None = None
    """What parts the cells of tables of text: one character, or tab. None: by file name and content."""

    def check(self) -> None:
        """Refuse a delimiter that is none."""
        if self.delimiter is not None:
            try:
                delimiter_character(self.delimiter)
            except DataError as error:
                raise SettingError(error.message) from None
