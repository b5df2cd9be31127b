"""Numbers that only their unit gives away: `a mile`, `half a pound`, `two cups and a half`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from unspool.commands import Command
from unspool.commands.english.numbers import match_fraction
from unspool.commands.kinds.choice import ChoiceKind
from unspool.commands.tokens import Match, Token, word_at

__all__ = ["count_before", "fraction_after", "units_of"]

_PLACE = re.compile(r"\{(\w+)[^{}]*\}(?= ?\{(\w+))")
_ARTICLES = ("a", "an")
_LONGEST = 5  # tokens of `three quarters of a`


def units_of(command: Command) -> Iterator[tuple[str, str]]:
    """Yield the slots of a number and of the choice that follows the number in a template: `{amount} {unit}`."""
    pairs = {pair for source in (*command.templates, *command.examples) for pair in _PLACE.findall(source)}
    for number, unit in sorted(pairs):
        is_number = command.slot(number).kind.name in ("number", "integer")
        if is_number and isinstance(command.slot(unit).kind, ChoiceKind):
            yield number, unit


def count_before(tokens: list[Token], unit: int) -> Match[Fraction] | None:
    """Return the count before a unit that no number names: 1 for `a mile`, 1/2 for `half a mile`.

    Args:
        tokens: Tokens of the sentence.
        unit: Index of the unit's first token.

    Returns:
        Index of the count's first token, and the count.
    """
    has_article = word_at(tokens, unit - 1) in _ARTICLES
    for start in range(max(0, unit - _LONGEST), unit):
        fraction = match_fraction(tokens, start)
        if fraction is None or word_at(tokens, start - 1) in ("and", "point", "-"):
            continue
        end = fraction[0] + (word_at(tokens, fraction[0]) == "of")
        if end == unit or (has_article and end == unit - 1):
            return start, fraction[1]
    return (unit - 1, Fraction(1)) if has_article else None


def fraction_after(tokens: list[Token], end: int) -> Match[Fraction] | None:
    """Return the fraction after a unit, `and a half`: the index after its last token, and the fraction.

    Args:
        tokens: Tokens of the sentence.
        end: Index after the unit's last token.
    """
    if word_at(tokens, end) != "and":
        return None
    fraction = match_fraction(tokens, end + 1)
    if fraction is None or word_at(tokens, fraction[0]) in ("of", *_ARTICLES):
        return None  # `a mile and half a metre`
    return fraction
