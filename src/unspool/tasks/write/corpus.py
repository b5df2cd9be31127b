"""Running text for a language model: that of files, never whole in memory, or one in memory; cut by characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from unspool.data import Sample, read_text
from unspool.errors import DataError
from unspool.tasks.contracts import Examples

__all__ = ["Corpus"]

_PIECE = 1 << 20  # characters


@dataclass(frozen=True)
class Corpus(Examples):
    """A stretch of the text that files hold, one after the other, or of a text in memory."""

    paths: tuple[str, ...]
    """Empty for a text in memory."""
    begin: int
    """Its first character, counted over all files."""
    end: int
    """The character after its last."""
    text: str = field(default="", repr=False)
    """All of a text in memory."""
    whole_lines: bool = False
    """Whether the text is only cut where a line begins."""

    @classmethod
    def of(cls, paths: tuple[str, ...], *, whole_lines: bool = False) -> Self:
        """All the text of files.

        Raises:
            DataError: If a file is missing, empty, or not UTF-8.
        """
        return cls(paths, 0, sum(map(len, read_text(paths))), whole_lines=whole_lines)

    @classmethod
    def of_texts(cls, texts: Iterable[str], *, whole_lines: bool = False) -> Self:
        """Texts in memory, one after the other as if each were a file.

        Raises:
            DataError: If there is none.
        """
        plain = [text.replace("\r\n", "\n") for text in texts]
        ends = ["\n" if not text.endswith("\n") else "" for text in plain[:-1]] + [""]
        whole = "".join(part for pair in zip(plain, ends, strict=True) for part in pair)
        return cls((), 0, len(whole), whole, whole_lines)

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

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Cut the last share off, whatever the seed; see `Examples.divide`.

        Raises:
            DataError: If there is too little text to cut.
        """
        cut = self.begin + int(len(self) * (1 - fraction))
        if self.whole_lines:
            cut = self._next_line(cut)
        if not self.begin < cut < self.end:
            raise DataError(
                f"{len(self)} characters are too few to hold {fraction:g} of them out", ", ".join(self.paths) or None
            )
        return replace(self, end=cut), replace(self, begin=cut)

    def sizes(self) -> dict[str, int]:
        """How many characters there are."""
        return {"characters": len(self)}

    def samples(self) -> Iterator[Sample]:
        """The lines of the first megabyte."""
        for number, line in enumerate(next(self.pieces(), "").splitlines(), 1):
            if line.strip():
                yield Sample(f"line {number}", (line,))

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
