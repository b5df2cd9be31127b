"""Reader of SubRip subtitles: the text of each cue, without numbers, times and markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from unspool.data.files import decode_line, name_of, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.text import Line
from unspool.errors import DataError

__all__ = ["FORM"]

_TIME = re.compile(r"\s*\d+:\d\d:\d\d[,.]\d+\s*-->\s*\d+:\d\d:\d\d[,.]\d+")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}")


def _cues(path: str, options: FormOptions) -> Iterator[Line | DataError]:
    """Yield a line of text for each cue, with the place of its first line of text."""
    start, timed = "", False
    words: list[str] = []
    for number, raw in numbered_lines(path):
        where = f"{name_of(path)}:{number}"
        try:
            text = decode_line(raw, where).strip()
        except DataError as error:
            yield error
            continue
        if not text:
            if words:
                yield Line(start, " ".join(words))
            words, timed = [], False
        elif _TIME.match(text):
            timed = True
        elif timed:
            start = start if words else where
            words += _MARKUP.sub("", text).split()
        elif not text.isdecimal():
            yield DataError(
                f"{text[:40]!r} stands before the times of a cue, such as 00:00:01,000 --> 00:00:02,500", where
            )
    if words:
        yield Line(start, " ".join(words))


FORM = Form(name="srt", suffixes=(".srt",), yields="lines", help="SubRip subtitles", read=_cues)
