"""Word and character error rates of transcripts, with alignments.

The error rate divides the fewest substitutions, deletions and insertions that turn the transcript into the reference by
the length of the reference (Levenshtein 1966). It may exceed 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Alignment", "ErrorCounts", "align_texts", "characters_of", "count_errors", "words_of"]


class ErrorCounts(NamedTuple):
    """Errors of one transcript, or of several."""

    substitutions: int
    deletions: int
    insertions: int
    units: int
    """Units of the references."""

    @property
    def errors(self) -> int:
        """Sum of all errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per unit of the references; if these are empty, 0 without errors, and 1 with."""
        return self.errors / self.units if self.units else float(self.errors > 0)

    def plus(self, other: ErrorCounts) -> ErrorCounts:
        """Return the sums of both."""
        return ErrorCounts(*(one + two for one, two in zip(self, other, strict=True)))


class Alignment(NamedTuple):
    """Units of a reference beside those of a transcript."""

    pairs: list[tuple[str | None, str | None]]
    """Unit of the reference and unit of the transcript; None: inserted, or deleted."""

    def counts(self) -> ErrorCounts:
        """Count the errors."""
        kinds = Counter(_kind(*pair) for pair in self.pairs)
        units = sum(reference is not None for reference, _ in self.pairs)
        return ErrorCounts(kinds["S"], kinds["D"], kinds["I"], units)

    def confusions(self) -> Counter[tuple[str | None, str | None]]:
        """Count the pairs that differ, most frequent first."""
        return Counter(pair for pair in self.pairs if pair[0] != pair[1])

    def show(self) -> str:
        """Format three lines: the reference, the transcript, and S, D or I below each error."""
        rows: tuple[list[str], list[str], list[str]] = ([], [], [])
        for reference, transcript in self.pairs:
            width = max(len(reference or ""), len(transcript or ""))
            cells = reference or "*" * width, transcript or "*" * width, _kind(reference, transcript)
            for row, cell in zip(rows, cells, strict=True):
                row.append(cell.ljust(width))
        names = ("reference ", "transcript", "          ")
        return "\n".join(f"{name} {' '.join(row)}".rstrip() for name, row in zip(names, rows, strict=True))


def align_texts(reference: Sequence[str], transcript: Sequence[str]) -> Alignment:
    """Align two sequences of units with the fewest errors; of equal costs, substitutions come first.

    Source: Wagner and Fischer 1974, "The string-to-string correction problem".
    """
    width = len(transcript) + 1
    costs = [list(range(width))]
    for number, unit in enumerate(reference, start=1):
        before, row = costs[-1], [number]
        for place, other in enumerate(transcript, start=1):
            row.append(min(before[place - 1] + (unit != other), before[place] + 1, row[-1] + 1))
        costs.append(row)
    pairs: list[tuple[str | None, str | None]] = []
    one, two = len(reference), len(transcript)
    while one or two:
        cost = costs[one][two]
        if one and two and cost == costs[one - 1][two - 1] + (reference[one - 1] != transcript[two - 1]):
            one, two = one - 1, two - 1
            pairs.append((reference[one], transcript[two]))
        elif one and cost == costs[one - 1][two] + 1:
            one -= 1
            pairs.append((reference[one], None))
        else:
            two -= 1
            pairs.append((None, transcript[two]))
    return Alignment(pairs[::-1])


def count_errors(references: Sequence[Sequence[str]], transcripts: Sequence[Sequence[str]]) -> ErrorCounts:
    """Sum the errors of transcripts."""
    total = ErrorCounts(0, 0, 0, 0)
    for reference, transcript in zip(references, transcripts, strict=True):
        total = total.plus(align_texts(reference, transcript).counts())
    return total


def words_of(text: str) -> list[str]:
    """Split a transcript into words, at white space."""
    return text.split()


def characters_of(text: str) -> list[str]:
    """Split a transcript into characters, with one blank between words."""
    return list(" ".join(text.split()))


def _kind(reference: str | None, transcript: str | None) -> str:
    if reference == transcript:
        return ""
    return "I" if reference is None else "D" if transcript is None else "S"
