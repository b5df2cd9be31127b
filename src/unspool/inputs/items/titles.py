"""Titles of items: finding an item by what a person types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from unspool.errors import DataError

__all__ = ["Titles", "titles_of"]

_ENDING = re.compile(r"\s*\([^()]*\)\s*$")
_ARTICLE = re.compile(r"^(.*), (the|a|an|der|die|das|le|la|les|el|il|l')$")
_PIECES = 8  # most parts between commas of one title
_COMPARED = 20_000  # most titles that a hint compares


class Titles:
    """Items by what a person types: a title, a title without its year, or the item's own name in the data.

    Args:
        items: Names of the items in the data.
        titles: Title of each item; an empty text for none.
        counts: Events of each item in the training data; of items with equal titles, the most frequent counts.
    """

    def __init__(self, items: Sequence[str], titles: Sequence[str], counts: Sequence[int]) -> None:
        self.names = [title or item for item, title in zip(items, titles, strict=True)]
        self._items = {item: place for place, item in enumerate(items)}
        self._exact: dict[str, int] = {}
        self._short: dict[str, list[int]] = {}
        for place in sorted(range(len(items)), key=lambda place: -counts[place]):
            name = self.names[place].casefold()
            if self._exact.setdefault(name, place) == place and titles[place]:
                for short in _shorter(name):
                    self._short.setdefault(short, []).append(place)

    def find(self, text: str) -> int | None:
        """Return the index of an item; None if there is no such item.

        Raises:
            DataError: If several items have this title without their years.
        """
        if text in self._items and text not in self._exact:
            return self._items[text]
        name = " ".join(text.split()).casefold()
        if name in self._exact:
            return self._exact[name]
        places = self._short.get(name, [])
        if len(places) > 1:
            titles = " or ".join(self.names[place] for place in places[:3])
            raise DataError(f"{text!r} may be {titles}; write the whole title")
        return places[0] if places else self._items.get(text.strip())

    def hint(self, text: str) -> str:
        """Return a hint with the most similar title, or an empty text."""
        name = text.strip().casefold()
        candidates: Iterable[str] = (*self._exact, *self._short)
        if len(self._exact) > _COMPARED:
            candidates = [each for each in candidates if each[:2] == name[:2]][:_COMPARED]
        close = get_close_matches(name, list(candidates), n=1, cutoff=0.55)
        if not close:
            return ""
        place = self._exact[close[0]] if close[0] in self._exact else self._short[close[0]][0]
        return f" (did you mean {self.names[place]!r}?)"

    def split(self, text: str) -> list[str]:
        """Split a typed history into items: at semicolons, tabs or line ends, else at commas outside of titles."""
        for mark in ("\n", "\t", ";"):
            if mark in text:
                return [part.strip() for part in text.split(mark) if part.strip()]
        if "," not in text and not self._is_known(text):
            words = text.split()
            if len(words) > 1 and all(word in self._items for word in words):
                return words
        return list(self._joined([part.strip() for part in text.split(",")]))

    def _joined(self, parts: Sequence[str]) -> Iterator[str]:
        """Join parts between commas to the longest titles that exist."""
        start = 0
        while start < len(parts):
            for end in range(min(len(parts), start + _PIECES), start, -1):
                title = ", ".join(parts[start:end])
                if end == start + 1 or self._is_known(title):
                    if title:
                        yield title
                    start = end
                    break

    def _is_known(self, text: str) -> bool:
        try:
            return self.find(text) is not None
        except DataError:
            return True


def _shorter(name: str) -> Iterator[str]:
    """Yield a title without endings in brackets, and with its article in front: `godfather, the (1972)`."""
    forms = [name]
    while (cut := _ENDING.sub("", forms[-1])) != forms[-1] and cut:
        forms.append(cut)
    for form in forms:
        if form != name:
            yield form
        if match := _ARTICLE.match(form):
            yield f"{match[2]} {match[1]}"
            yield match[1]


def titles_of(items: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    """Return the title of each item; an empty text for none."""
    return [titles.get(item, "") for item in items]
