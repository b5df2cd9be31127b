"""Text summary of a data set: lengths, labels and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unspool.data.files import Layout

__all__ = ["Lengths", "Sample", "Summary", "clip", "layout_lines"]

_WIDTH = 80
_SHOWN = 2  # examples


class Sample(NamedTuple):
    """One example of any task, in the form that summaries and checks take."""

    where: str
    sides: tuple[str, ...]
    """Its texts, such as source and target."""
    labels: tuple[str, ...] = ()
    """One label, several, or a tag for each word; may be empty."""
    is_text: bool = True
    """Whether the sides are texts; rows of numbers and names of files are not."""
    content: str = ""
    """Hash of the content, if the sides only name it, as a file; equal examples have equal hashes."""


class Lengths:
    """Histogram of the lengths of texts, in words."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, text: str) -> int:
        """Count one text, and return its length."""
        length = len(text.split())
        self.counts[length] += 1
        return length

    @property
    def median(self) -> int:
        """Median length, in words; 0 without texts."""
        below, total = 0, self.counts.total()
        for length in sorted(self.counts):
            below += self.counts[length]
            if 2 * below >= total:
                return length
        return 0

    def line(self) -> str:
        """Return a line with the shortest, longest and median length, in words."""
        return f"{min(self.counts, default=0):,} to {max(self.counts, default=0):,} words, median {self.median:,}"


class Summary:
    """Lengths, labels and examples of a data set, collected sample by sample in bounded memory.

    Args:
        sides: Names of the texts of a sample, such as source and target.
        label: Name of its labels, such as tag; empty for data without labels.
    """

    def __init__(self, sides: Sequence[str], label: str = "") -> None:
        self.sides, self.label = tuple(sides), label
        self.count = 0
        self.lengths = [Lengths() for _ in sides]
        self.labels: Counter[str] = Counter()
        self._examples: dict[tuple[str, ...], Sample] = {}

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self.count += 1
        if sample.is_text:
            for lengths, text in zip(self.lengths, sample.sides, strict=True):
                lengths.add(text)
        self.labels.update(sample.labels)
        if len(self._examples) < _SHOWN and sample.labels not in self._examples:
            self._examples[sample.labels] = sample

    def add_all(self, samples: Iterable[Sample]) -> Summary:
        """Count samples, and return the summary."""
        for sample in samples:
            self.add(sample)
        return self

    def lines(self) -> list[str]:
        """Return lines on the lengths, the labels (most and least frequent) and examples, of at most 80 columns."""
        lines = [
            f"{side}: {lengths.line()}"
            for side, lengths in zip(self.sides, self.lengths, strict=True)
            if lengths.counts
        ]
        if self.label and self.labels:
            lines.append(_labels_line(self.label, self.labels))
        lines += [_example(sample) for sample in self._examples.values()]
        return [clip(line, _WIDTH) for line in lines]


def layout_lines(layout: Layout) -> list[str]:
    """Return lines on the layout of files: each form with its files, and the column of each role."""
    forms: dict[str, list[str]] = {}
    for file, form in layout.files.items():
        forms.setdefault(form, []).append(file)
    lines = []
    for form, files in forms.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        room = max(16, _WIDTH - len(form) - len(more) - 9)
        name = files[0] if len(files[0]) <= room else "…" + files[0][1 - room :]
        lines.append(f"read {name}{more}: {form}")
    if layout.columns:
        lines.append("columns: " + ", ".join(f"{role} = {name!r}" for role, name in layout.columns.items()))
    return [clip(line, 2 * _WIDTH) for line in lines]


def clip(text: str, width: int) -> str:
    """Return the text on one line, cut to at most `width` characters."""
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _labels_line(what: str, counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    (most, often), (least, rarely) = ordered[0], ordered[-1]
    if len(ordered) == 1:
        return f"1 {what}: {most!r} ({often:,})"
    return f"{len(ordered):,} {what}s, from {clip(most, 20)!r} ({often:,}) to {clip(least, 20)!r} ({rarely:,})"


def _example(sample: Sample) -> str:
    words = sample.sides[0].split()
    if len(sample.labels) > 1 and len(sample.labels) == len(words):
        return "e.g. " + " ".join(f"{word}/{tag}" for word, tag in zip(words[:20], sample.labels, strict=False))
    label = f" → {clip(', '.join(sample.labels), 20)}" if sample.labels else ""
    room = (_WIDTH - len("e.g. ") - len(label)) // len(sample.sides) - len(" → ")
    return "e.g. " + " → ".join(clip(side, room) for side in sample.sides) + label
