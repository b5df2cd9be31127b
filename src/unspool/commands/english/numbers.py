"""Numbers in words and digits: cardinals, decimals, fractions, ordinals, and their words."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from unspool.commands.tokens import Match, Token, word_at

__all__ = [
    "MONTH_DAYS",
    "Number",
    "ends_number",
    "match_cardinal",
    "match_fraction",
    "match_number",
    "match_ordinal",
    "number_words",
    "ordinal_words",
]

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNITS = {word: value for value, word in enumerate(_SMALL)}
_TEN_VALUES = {word: 10 * value for value, word in enumerate(_TENS) if word} | {"fourty": 40}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_GROUPS = {"dozen": 12, "hundred": 100, **_SCALES}
_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth",
)  # fmt: skip
_ORDINAL_VALUES = {word: value for value, word in enumerate(_ORDINALS) if value} | {"thirtieth": 30}
_DENOMINATORS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4}
_VULGAR = {"½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3)}
_LAST_WORDS = frozenset((*_UNITS, *_TEN_VALUES, *_GROUPS, *_DENOMINATORS, *_VULGAR, "%", "percent"))
_MOST_DIGITS = 15  # a float holds every integer of 15 digits

MONTH_DAYS = 31


class Number(NamedTuple):
    """A number in a text."""

    value: Fraction
    whole: bool
    """Whether it is written as an integer: `20`, `twenty`, not `20.0` or `two halves`."""
    sure: bool = True
    """Whether it can hardly mean something else in running text; `half` and `one` after `this` can."""

    @property
    def integer(self) -> int:
        """The value of a whole number."""
        return self.value.numerator


def match_number(tokens: list[Token], start: int, *, percent: bool = True) -> Match[Number] | None:
    """Match a number at a token: `minus three`, `20 point 5`, `two and a half`, `1,250`, `half a dozen`, `20%`.

    Args:
        tokens: Tokens of the text.
        start: Index of the first token of the number.
        percent: Whether `percent` after the number belongs to it; the value does not change.
    """
    index, sign = start, 1
    if word_at(tokens, index) in ("minus", "negative") or (
        word_at(tokens, index) in ("-", "−") and not tokens[index].glued and _glued(tokens, index + 1)
    ):
        index, sign = index + 1, -1
    match = _match_positive(tokens, index)
    if match is None:
        return None
    end, number = match
    if percent and word_at(tokens, end) in ("%", "percent"):
        end, number = end + 1, number._replace(sure=True)
    elif percent and (word_at(tokens, end), word_at(tokens, end + 1)) == ("per", "cent"):
        end, number = end + 2, number._replace(sure=True)
    return end, number._replace(value=sign * number.value)


def ends_number(tokens: list[Token], end: int) -> bool:
    """Return whether the token before a place may be the last one of a number: `three`, `%`, `half`."""
    word = word_at(tokens, end - 1)
    return word.isdigit() or word in _LAST_WORDS


def match_cardinal(tokens: list[Token], start: int) -> Match[int] | None:
    """Match an integer in words: `twenty-one`, `a hundred and twenty`, `fifteen hundred`, `two million`."""
    total, part, scale = 0, -1, 10**15  # `part` is below a thousand, or hundreds up to 9900; -1 if there is none
    index, end = start, start
    while index < len(tokens):
        word = tokens[index].text
        if word in ("a", "an") and index == start and word_at(tokens, index + 1) in _GROUPS:
            part, index = 1, index + 1
            continue
        if word in ("-", "‐", "–") and index > start and _glued(tokens, index) and _glued(tokens, index + 1):
            index += 1
            continue
        if word == "and" and end == index > start and (part >= 100 or (part < 0 and total)):
            index += 1
            if word_at(tokens, index) not in _UNITS and word_at(tokens, index) not in _TEN_VALUES:
                break
            continue
        added = _join(part, word, total > 0)
        if added is not None:
            part = added
        elif word == "hundred" and 0 < part < 100:
            part *= 100
        elif word in _SCALES and part > 0 and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, part = total + part * scale, -1
        else:
            break
        index += 1
        end = index
        if part == 0:
            break
    value = total + max(part, 0)
    return (end, value) if end > start else None


def match_fraction(tokens: list[Token], start: int) -> Match[Fraction] | None:
    """Match a fraction below one: `half`, `a quarter`, `three quarters`, `two thirds`, `1/2`, `½`."""
    word = word_at(tokens, start)
    if word in _VULGAR:
        return start + 1, _VULGAR[word]
    if word in ("half", "quarter"):
        return start + 1, Fraction(1, _DENOMINATORS[word])
    if word in ("a", "an", "one") and word_at(tokens, start + 1) in ("half", "quarter", "third"):
        return start + 2, Fraction(1, _DENOMINATORS[tokens[start + 1].text])
    if word in ("two", "three") and word_at(tokens, start + 1) in ("thirds", "quarters"):
        value = Fraction(_UNITS[word], _DENOMINATORS[tokens[start + 1].text])
        return (start + 2, value) if value < 1 else None
    if word.isdigit() and word_at(tokens, start + 1) == "/" and _glued(tokens, start + 1) and _glued(tokens, start + 2):
        below = word_at(tokens, start + 2)
        if (
            below in ("2", "3", "4", "5", "8")
            and len(word) < 3
            and 0 < int(word) < int(below)
            and not _glued(tokens, start + 3, "/")
        ):
            return start + 3, Fraction(int(word), int(below))
    return None


def match_ordinal(tokens: list[Token], start: int) -> Match[int] | None:
    """Match an ordinal from 1st to 31st: `3rd`, `third`, `twenty-first`, `31st`."""
    word = word_at(tokens, start)
    if word.isdigit():
        is_ordinal = _glued(tokens, start + 1) and word_at(tokens, start + 1) in ("st", "nd", "rd", "th")
        return (start + 2, int(word)) if is_ordinal and len(word) <= 2 and 1 <= int(word) <= MONTH_DAYS else None
    if word in _ORDINAL_VALUES:
        return start + 1, _ORDINAL_VALUES[word]
    if word in ("twenty", "thirty"):
        index = start + 1
        if word_at(tokens, index) in ("-", "‐", "–"):
            index += 1
        value = _TEN_VALUES[word] + _ORDINAL_VALUES.get(word_at(tokens, index), 99)
        return (index + 1, value) if value <= MONTH_DAYS and value % 10 else None
    return None


def number_words(value: float | Fraction) -> str:
    """Return a number in words: `one hundred and twenty-one`, `minus two point five`."""
    if value < 0:
        return f"minus {number_words(-value)}"
    if value == int(value):
        return _integer_words(int(value))
    thirds = round(3 * float(value))
    if abs(3 * float(value) - thirds) < 1e-9:
        whole, rest = divmod(thirds, 3)
        part = "a third" if rest == 1 else "two thirds"
        return f"{_integer_words(whole)} and {part}" if whole else part
    decimals = format(Decimal(repr(float(value))), "f").partition(".")[2]
    digits = " ".join(_SMALL[int(digit)] for digit in decimals)
    return f"{_integer_words(int(value))} point {digits}"


def ordinal_words(value: int) -> str:
    """Return an ordinal from 1 to 99 in words: `twenty-first`."""
    if value <= 20:
        return _ORDINALS[value]
    tens, unit = divmod(value, 10)
    return f"{_TENS[tens]}-{_ORDINALS[unit]}" if unit else f"{_TENS[tens][:-1]}ieth"


def _match_positive(tokens: list[Token], start: int) -> Match[Number] | None:
    match = _match_digits(tokens, start) or _match_point(tokens, start)
    if match is None and word_at(tokens, start) == "a" and word_at(tokens, start + 1) in ("couple", "pair"):
        end = start + 2 + (word_at(tokens, start + 2) == "of")
        return end, Number(Fraction(2), whole=True, sure=word_at(tokens, start + 1) == "couple")
    if match is None and (word_at(tokens, start), word_at(tokens, start + 1)) == ("couple", "of"):
        return start + 2, Number(Fraction(2), whole=True)
    if match is None and (words := match_cardinal(tokens, start)) is not None:
        end, integer = words
        sure = integer != 1 or word_at(tokens, start - 1) not in _BEFORE_ONE
        match = _match_point(tokens, end, integer) or (end, Number(Fraction(integer), whole=True, sure=sure))
    fraction = match_fraction(tokens, start)
    if fraction is not None and (match is None or fraction[0] > match[0]):
        end, part = fraction
        index = end + (word_at(tokens, end) in ("a", "of"))
        index += word_at(tokens, index) == "a"
        if word_at(tokens, index) in _GROUPS:  # half a dozen
            value = part * _GROUPS[tokens[index].text]
            return index + 1, Number(value, whole=value.denominator == 1)
        return end, Number(part, whole=False, sure=end > start + 1)
    if match is None and word_at(tokens, start) == "a" and word_at(tokens, start + 1) == "dozen":
        return start + 2, Number(Fraction(12), whole=True)
    if match is None:
        return None
    end, number = match
    in_words = number.whole and not word_at(tokens, start).isdigit()
    groups = ("dozen",) if in_words else _GROUPS
    while word_at(tokens, end) in groups and number.value < 10**9:
        number = Number(number.value * _GROUPS[tokens[end].text], whole=True)
        end += 1
    number = number._replace(whole=number.whole and number.value.denominator == 1)
    index = end + (word_at(tokens, end) == "and")
    more = match_fraction(tokens, index)
    if (
        more is not None
        and number.whole
        and (index > end or word_at(tokens, index) in _VULGAR or _is_slash(tokens, index))
    ):
        return more[0], Number(number.value + more[1], whole=False)
    return end, number


_BEFORE_ONE = frozenset((
    "this", "that", "the", "which", "another", "any", "every", "each", "no", "next", "last", "other", "first",
))  # fmt: skip


def _match_digits(tokens: list[Token], start: int) -> Match[Number] | None:
    word = word_at(tokens, start)
    if not (word.isascii() and word.isdigit()):
        return None
    end = start + 1
    if len(word) <= 3 and word != "0":
        while _glued(tokens, end, ",") and _glued(tokens, end + 1) and len(group := word_at(tokens, end + 1)) == 3:
            if not (group.isascii() and group.isdigit()) or len(word) > _MOST_DIGITS:
                break
            word, end = word + group, end + 2
    if len(word) > _MOST_DIGITS:
        return None
    if _glued(tokens, end, ".") and _glued(tokens, end + 1) and _is_digits(word_at(tokens, end + 1)):
        decimals = word_at(tokens, end + 1)
        return end + 2, Number(Fraction(f"{word}.{decimals[:_MOST_DIGITS]}"), whole=False)
    return _match_point(tokens, end, int(word)) or (end, Number(Fraction(int(word)), whole=True))


def _match_point(tokens: list[Token], start: int, whole: int = 0) -> Match[Number] | None:
    """Match `point five`, `point two five`, `point twenty-five`, `point 5`, `.5` after a whole number."""
    if word_at(tokens, start) == "." and not tokens[start].glued and _glued(tokens, start + 1):
        end, digits = start + 2, word_at(tokens, start + 1)
    elif word_at(tokens, start) == "point":
        end, digits = start + 1, ""
        if _is_digits(word_at(tokens, end)):
            end, digits = end + 1, word_at(tokens, end)
        else:
            while (value := {"oh": 0, "o": 0}.get(word_at(tokens, end), _UNITS.get(word_at(tokens, end), 99))) < 10:
                end, digits = end + 1, digits + str(value)
            if not digits and (words := match_cardinal(tokens, end)) is not None and words[1] < 100:
                end, digits = words[0], str(words[1])
    else:
        return None
    if not _is_digits(digits):
        return None
    return end, Number(Fraction(f"{whole}.{digits[:_MOST_DIGITS]}"), whole=False)


def _join(part: int, word: str, after_scale: bool) -> int | None:
    """Return a part of a number with one word more; None if the word does not go on with the number."""
    if word in _UNITS:
        value = _UNITS[word]
        if part < 0:
            return value if value or not after_scale else None
        if value and (part % 100 == 0 or (value < 10 and part % 10 == 0 and part % 100 >= 20)) and part > 0:
            return part + value
    elif word in _TEN_VALUES:
        if part < 0:
            return _TEN_VALUES[word]
        if part > 0 and part % 100 == 0:
            return part + _TEN_VALUES[word]
    return None


def _integer_words(value: int) -> str:
    if value < 20:
        return _SMALL[value]
    if value < 100:
        tens, unit = divmod(value, 10)
        return f"{_TENS[tens]}-{_SMALL[unit]}" if unit else _TENS[tens]
    if value < 1000:
        hundreds, rest = divmod(value, 100)
        return f"{_SMALL[hundreds]} hundred" + (f" and {_integer_words(rest)}" if rest else "")
    for word, scale in reversed(_SCALES.items()):
        if scale <= value < scale * 1000:
            count, rest = divmod(value, scale)
            tail = f" {'and ' if rest < 100 else ''}{_integer_words(rest)}" if rest else ""
            return f"{_integer_words(count)} {word}{tail}"
    return str(value)


def _glued(tokens: list[Token], index: int, text: str | None = None) -> bool:
    return 0 <= index < len(tokens) and tokens[index].glued and text in (None, tokens[index].text)


def _is_digits(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _is_slash(tokens: list[Token], index: int) -> bool:
    return word_at(tokens, index + 1) == "/"
