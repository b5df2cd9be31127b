"""Running text for a language model: that of files, never whole in memory, or one in memory; cut by characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from unspool.data import read_text
from unspool.errors import DataError

__all__ = ["Corpus"]

_PIECE = 1 << 20  # characters


@dataclass(frozen=True)
class Corpus:
    """A stretch of the text that files hold, one after the other, or of a text in memory."""

    paths: tuple[str, ...]
    """Empty for a text in memory."""
    begin: int
    """Its first character, counted over all files."""
    end: int
    """The character after its last."""
    text: str = field(default="", repr=False)
    """All of a text in memory."""

    @classmethod
    def of(cls, paths: tuple[str, ...]) -> Corpus:
        """All the text of files.

        Raises:
            DataError: If a file is missing, empty, or not UTF-8.
        """
        return cls(paths, 0, sum(map(len, read_text(paths))))

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Corpus:
        """Texts in memory, one after the other as if each were a file.

        Raises:
            DataError: If there is none.
        """
        plain = [text.replace("\r\n", "\n") for text in texts]
        ends = ["\n" if not text.endswith("\n") else "" for text in plain[:-1]] + [""]
        whole = "".join(part for pair in zip(plain, ends, strict=True) for part in pair)
        return cls((), 0, len(whole), whole)

    def __len__(self) -> int:
        return self.end - self.begin

    def pieces(self) -> Iterator[str]:
        """The text in pieces of about a megabyte."""
        place = 0
        for piece in read_text(self.paths) if self.paths else _pieces(self.text):
            if place >= self.end:
                return
            part = piece[max(0, self.begin - place) : self.end - place]
            if part:
                yield part
            place += len(piece)

    def divide(self, fraction: float, *, at_line: bool) -> tuple[Corpus, Corpus]:
        """Cut the last share off.

        Args:
            fraction: The share, between 0 and 1.
            at_line: Whether the cut moves on to the next line's beginning.

        Raises:
            DataError: If there is too little text to cut.
        """
        cut = self.begin + int(len(self) * (1 - fraction))
        if at_line:
            cut = self._next_line(cut)
        if not self.begin < cut < self.end:
            raise DataError(
                f"{len(self)} characters are too few to hold {fraction:g} of them out", ", ".join(self.paths) or None
            )
        return replace(self, end=cut), replace(self, begin=cut)

    def _next_line(self, place: int) -> int:
        for piece in replace(self, begin=place).pieces():
            end = piece.find("\n")
            if end >= 0:
                return place + end + 1
            place += len(piece)
        return self.end


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of about a megabyte that end at a line end, like those of a file."""
    begin = 0
    while begin < len(text):
        end = text.rfind("\n", begin, begin + _PIECE) + 1 or begin + _PIECE
        yield text[begin:end]
        begin = end
