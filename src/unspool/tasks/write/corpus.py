"""`Corpus`, running text for a language model: streamed from files or in memory, split by characters."""

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
    """A range of characters in concatenated files, or in a text in memory."""

    paths: tuple[str, ...]
    """Files, in order; empty for a text in memory."""
    begin: int
    """Offset of the first character, over all files."""
    end: int
    """Offset after the last character."""
    text: str = field(default="", repr=False)
    """The whole text, if in memory."""
    whole_lines: bool = False
    """Whether splits fall on line starts only."""

    @classmethod
    def of(cls, paths: tuple[str, ...], *, whole_lines: bool = False) -> Self:
        """Return the whole text of files.

        Raises:
            DataError: If a file is missing, empty, or not UTF-8.
        """
        return cls(paths, 0, sum(map(len, read_text(paths))), whole_lines=whole_lines)

    @classmethod
    def of_texts(cls, texts: Iterable[str], *, whole_lines: bool = False) -> Self:
        """Concatenate texts in memory as if each were a file.

        Raises:
            DataError: If there are no texts.
        """
        plain = [text.replace("\r\n", "\n") for text in texts]
        ends = ["\n" if not text.endswith("\n") else "" for text in plain[:-1]] + [""]
        whole = "".join(part for pair in zip(plain, ends, strict=True) for part in pair)
        return cls((), 0, len(whole), whole, whole_lines)

    def __len__(self) -> int:
        return self.end - self.begin

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of about a million characters."""
        place = 0
        for piece in read_text(self.paths) if self.paths else _pieces(self.text):
            if place >= self.end:
                return
            part = piece[max(0, self.begin - place) : self.end - place]
            if part:
                yield part
            place += len(piece)

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out the last share of the text, independent of the seed; see `Examples.divide`.

        Raises:
            DataError: If the text is too short to split.
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
        """Return the number of characters."""
        return {"characters": len(self)}

    def samples(self) -> Iterator[Sample]:
        """Yield the lines of the first piece."""
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
    """Yield a text in pieces of about a million characters that end at line ends, like those of a file."""
    begin = 0
    while begin < len(text):
        end = text.rfind("\n", begin, begin + _PIECE) + 1 or begin + _PIECE
        yield text[begin:end]
        begin = end
