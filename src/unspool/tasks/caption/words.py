"""Words of captions for scoring: Penn Treebank tokens in lower case, without punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["caption_words"]

_WORD = re.compile(
    r"""
    [a-z]\.(?:[a-z]\.)+                 # abbreviations: u.s.
    | (?:mr|mrs|ms|dr|st|jr|sr|vs)\.(?=\s)  # titles keep their full stop
    | \d+(?:[.,:/]\d+)+(?![^\W_])      # numbers, times and dates: 1,000  9:30  1/2
    | '[^\W_]'                         # a letter for a word: slip 'n' slide
    | [^\W_]+(?:[-'’/.@_][^\W_]+)*      # words, with hyphens and apostrophes inside
    | '(?:s|m|d|ll|re|ve)\b             # the rest of a contraction
    | [#&%$€£+*=@~^<>|\\/]              # symbols, which are no punctuation
    """,
    re.VERBOSE,
)
_TWO_WORDS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}
_CONTRACTION = re.compile(r"(.+?)(n[’']t|[’'](?:s|m|d|ll|re|ve))$")


def caption_words(text: str) -> list[str]:
    """Split a caption into the words that caption scores count.

    The rules are those of the Penn Treebank, in lower case, without punctuation marks: `don't` becomes `do n't`, the
    boy's `boy 's`, and hyphenated words stay whole. COCO's evaluation cuts with Stanford's `PTBTokenizer` in the same
    way; English captions without rare symbols give equal words.
    """
    return [word for piece in _WORD.findall(text.lower()) for word in _parts(piece)]


def _parts(piece: str) -> Iterator[str]:
    """Split the contractions and compounds that the Treebank splits."""
    if piece in _TWO_WORDS:
        yield from _TWO_WORDS[piece]
        return
    contraction = _CONTRACTION.fullmatch(piece)
    if contraction is None:
        yield piece
        return
    yield from _parts(contraction[1])
    yield contraction[2].replace("’", "'")
