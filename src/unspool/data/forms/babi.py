"""Reader of bAbI files: numbered sentences, with questions and answers among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from unspool.data.files import decode_line, name_of, numbered_lines
from unspool.data.forms.form import Form, FormOptions
from unspool.data.stories import Story
from unspool.errors import DataError

__all__ = ["FORM"]

_LINE = re.compile(r"(\d{1,9}) +(\S.*)$")


def _read_babi(file: str, options: FormOptions) -> Iterator[Story | DataError]:
    sentences: dict[int, str] = {}  # by line ID
    before = 0
    for number, raw in numbered_lines(file):
        where = f"{name_of(file)}:{number}"
        if not raw.strip():
            continue
        try:
            id, text = _numbered(decode_line(raw, where), before, where)
            if id == 1:
                sentences = {}
            before = id
            if "\t" not in text:
                sentences[id] = text.strip()
                continue
            story = _story(text, sentences, where)
        except DataError as fault:
            yield fault
            continue
        yield story


def _numbered(line: str, before: int, where: str) -> tuple[int, str]:
    match = _LINE.match(line)
    if match is None:
        raise DataError(
            f"{line[:40]!r} does not begin with a number and a blank; expected a bAbI line such as "
            f"'1 Mary moved to the bathroom.'",
            where,
        )
    id = int(match[1])
    if id not in (1, before + 1):
        raise DataError(f"line ID {id} follows {before}; expected {before + 1}, or 1 for a new story", where)
    return id, match[2]


def _story(text: str, sentences: dict[int, str], where: str) -> Story:
    parts = [part.strip() for part in text.split("\t")]
    if len(parts) > 3 or not parts[0] or not parts[1]:
        raise DataError(
            f"a question has {len(parts)} fields; expected question, answer and, if known, the IDs of the supporting "
            f"sentences, separated by tabs, the first two not empty",
            where,
        )
    if not sentences:
        raise DataError("the question comes before any sentence of its story; expected at least one above it", where)
    places = {id: place for place, id in enumerate(sentences)}
    supports = []
    for written in parts[2].split() if len(parts) == 3 else []:
        if not re.fullmatch(r"\d{1,9}", written) or int(written) not in places:
            lines = f"{min(places)} to {max(places)}"
            raise DataError(
                f"supporting sentence {written!r} is none of the sentences above; expected line IDs among {lines}",
                where,
            )
        supports.append(places[int(written)])
    return Story(tuple(sentences.values()), parts[0], parts[1], tuple(supports), where)


FORM = Form(
    name="babi",
    suffixes=(),
    yields="stories",
    help="numbered sentences, with questions, answers and the numbers of supporting sentences among them",
    read=_read_babi,
)
