"""Sheet of a translator: the encoded source, and one step of the decoder."""

from __future__ import annotations

from unspool.data import END, PADDING, UNKNOWN
from unspool.models import EncoderDecoder
from unspool.ship.pairs import pair_programs
from unspool.ship.sheet import Sheet, Writer
from unspool.ship.sheet_text import Writing
from unspool.ship.text_building import text_front, units_of
from unspool.tasks.translate.fitted import FittedTranslator

__all__ = ["translator_sheet"]


def translator_sheet(model: EncoderDecoder, fitted: FittedTranslator, most_units: int) -> Sheet:
    """Return the sheet of a translator, which writes greedily.

    Args:
        model: The network, in evaluation mode.
        fitted: Its vocabularies.
        most_units: Units of a source that are read.

    Raises:
        UsageError: If the network has no operations in the sheet.
    """
    start, step, state = pair_programs(model)
    writer = Writer(
        start, step, state, first=END, end=END, longest=10, ratio=fitted.lengths.ratio, never=(PADDING, UNKNOWN)
    )
    front = text_front(fitted.source, most_units=most_units)
    return Sheet("translate", front, None, Writing(units_of(fitted.target)), writer)
