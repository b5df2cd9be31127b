"""Validation of data sets before training: duplicates, leaks, conflicting labels, imbalance, garbled texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from unspool.data.languages import language_of, scripts_of
from unspool.data.summary import Sample, Summary, clip
from unspool.errors import counted

__all__ = ["Checks", "Finding", "Level"]

Level = Literal["error", "warning"]

_MOST_TEXTS = 1_000_000  # distinct texts in the table of duplicates
_PLACES = 3  # places that a finding lists
_LONG, _TIMES_MEDIAN = 200, 10  # a long text has more words than the first, and this many times the median
_IMBALANCE = 20
_NEAR_CONSTANT = 0.95
_OTHER_LANGUAGE = 0.02
_WORD = re.compile(r"\w+")
_GARBLED = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|&(?:amp|quot|lt|gt|#\\d+);|<br ?/?>")


@dataclass
class Finding:
    """One problem in the data: level, name, message, number of cases and places."""

    level: Level
    """`error`: training would stop with an error; `warning`: training would run on the data as they are."""
    name: str
    message: str
    count: int = 0
    where: list[str] = field(default_factory=list)
    """The first places, as `file:line`."""

    def record(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return {
            "level": self.level,
            "name": self.name,
            "message": self.message,
            "count": self.count,
            "where": self.where,
        }

    def line(self) -> str:
        """Return the finding as one line of text."""
        places = f": {', '.join(self.where)}" if self.where else ""
        more = ", ..." if self.count > len(self.where) > 0 else ""
        return f"{self.level:8}{self.message}{places}{more}"


class _Tally:
    """Number of occurrences, and the first places."""

    def __init__(self) -> None:
        self.count = 0
        self.where: list[str] = []

    def add(self, where: str) -> None:
        self.count += 1
        if len(self.where) < _PLACES:
            self.where.append(where)


@dataclass(frozen=True)
class _Text:
    """First occurrence of a text."""

    part: str
    where: str
    answers: int
    """Hash of its labels, or of its other side."""


class Checks:
    """Checks samples one by one, in bounded memory, and reports problems as findings.

    Args:
        sides: Names of the texts of a sample, such as source and target.
        label: Name of its labels, such as tag; empty for data without labels.
        several: Whether a text may have several labels, or none.
    """

    def __init__(self, sides: Sequence[str], label: str = "", *, several: bool = False) -> None:
        self.sides, self.label, self.several = tuple(sides), label, several
        self.summaries: dict[str, Summary] = {}
        self._first: dict[int, _Text] = {}
        self._tallies: dict[tuple[str, ...], _Tally] = {}
        self._labels_at: dict[str, str] = {}
        self._mentions: Counter[str] = Counter()
        self._other_mentions: Counter[str] = Counter()
        self._languages: dict[str, dict[str, _Tally]] = {}
        self._long: dict[int, _Tally] = {}

    def add(self, part: str, sample: Sample) -> None:
        """Check one sample of a part: `train`, `valid` or `test`."""
        summary = self.summaries.get(part)
        if summary is None:
            summary = self.summaries[part] = Summary(self.sides, self.label)
        summary.add(sample)
        self._compare(part, sample)
        if sample.is_text:
            for side, text in zip(self.sides, sample.sides, strict=True):
                self._look_at(part, side, text, sample.where)
            if part == "train":
                self._look_for_labels(sample)
        self._check_labels(part, sample)

    def findings(self) -> Iterator[Finding]:
        """Yield all findings: errors first, then warnings."""
        findings = [*self._about_labels(), *self._about_texts()]
        yield from sorted(findings, key=lambda finding: finding.level)

    # ---- sample by sample --------------------------------------------------------------------------------------

    def _tally(self, *key: str) -> _Tally:
        return self._tallies.setdefault(key, _Tally())

    def _compare(self, part: str, sample: Sample) -> None:
        """Compare a sample with earlier samples of the same text."""
        text = sample.content or " ".join(
            " ".join(sample.sides[: 1 + (self.label != "" and len(self.sides) > 1)]).casefold().split()
        )
        answers = hash(sample.labels if self.label else sample.sides[1:])
        key = hash(text)
        first = self._first.get(key)
        if first is None:
            if len(self._first) < _MOST_TEXTS:
                self._first[key] = _Text(part, sample.where, answers)
            return
        place = f"{sample.where} (as {first.where})"
        if first.part != part:
            self._tally("split", first.part, part).add(place)
        elif first.answers == answers:
            self._tally("duplicate", part).add(place)
        elif self.label:
            self._tally("conflict", part).add(place)

    def _look_at(self, part: str, side: str, text: str, where: str) -> None:
        length = len(text.split())
        if length > _LONG:
            self._long.setdefault(length, _Tally()).add(f"{where} ({length:,} words)")
        if _GARBLED.search(text):
            self._tally("garbled", side).add(where)
        language = language_of(text)
        if language:
            self._languages.setdefault(side, {}).setdefault(language, _Tally()).add(where)
        if len(scripts_of(text)) > 1:
            self._tally("scripts", side).add(where)

    def _look_for_labels(self, sample: Sample) -> None:
        """Count texts that contain the name of a label, separately for texts of that label and others."""
        if not self.label or len(self._labels_at) > 1000 or len(sample.labels) > 5:
            return
        words = set(_WORD.findall(" ".join(sample.sides).casefold()))
        own = {label.casefold() for label in sample.labels}
        self._mentions.update(own & words)
        self._other_mentions.update({label for label in self._labels_at if label in words} - own)

    def _check_labels(self, part: str, sample: Sample) -> None:
        train = self.summaries.get("train")
        for label in sample.labels:
            if part == "train":
                self._labels_at.setdefault(label.casefold(), sample.where)
            elif train is not None and label not in train.labels:
                self._tally("unseen", part, label).add(sample.where)

    # ---- at the end --------------------------------------------------------------------------------------------

    def _about_labels(self) -> Iterator[Finding]:
        train = self.summaries.get("train")
        if train is None or not self.label:
            return
        counts, what = train.labels, self.label
        if len(counts) < 2 - self.several:
            yield Finding("error", "one-label", f"{len(counts)} {what} only; expected two or more", len(counts))
        for (kind, *key), tally in self._tallies.items():
            if kind == "unseen":
                part, label = key
                message = f"the {what} {clip(label, 40)!r} of the {part} data is not in the training data"
                level: Level = "error" if part == "valid" and what != "answer" else "warning"
                yield Finding(level, "unseen-label", message, tally.count, tally.where)
        once = sorted(label for label, count in counts.items() if count == 1)
        if once:
            shown = ", ".join(repr(clip(label, 30)) for label in once[:3])
            places = [self._labels_at[label.casefold()] for label in once[:_PLACES]]
            text = f"{counted(len(once), what + 's')} occur only once ({shown}), too rarely for training and for scores"
            yield Finding("warning", "rare-labels", text, len(once), places)
        ordered = counts.most_common()
        if len(ordered) > 1:
            yield from self._about_balance(ordered)
        yield from self._about_leaks(train)

    def _about_balance(self, ordered: list[tuple[str, int]]) -> Iterator[Finding]:
        (most, often), (least, rarely) = ordered[0], ordered[-1]
        total = sum(count for _, count in ordered)
        if often >= _NEAR_CONSTANT * total:
            text = f"the {self.label} is nearly constant: {clip(most, 40)!r} in {often / total:.1%} of all cases"
            yield Finding("warning", "near-constant", text, often)
        elif often >= _IMBALANCE * rarely and self.label == "label":
            text = f"{clip(most, 30)!r} is {often / rarely:,.0f} times as frequent as {clip(least, 30)!r}"
            yield Finding("warning", "imbalance", text, often)

    def _about_leaks(self, train: Summary) -> Iterator[Finding]:
        folded: Counter[str] = Counter()
        for label, count in train.labels.items():
            folded[label.casefold()] += count
        for label, mentions in self._mentions.most_common():
            share, others = mentions / folded[label], train.count - folded[label]
            elsewhere = self._other_mentions[label] / others if others else 0.0
            if mentions >= 5 and share >= 0.5 and elsewhere <= share / 5 and self.label != "answer":
                text = f"{share:.0%} of the texts with the {self.label} {label!r} contain its name and may leak it"
                yield Finding("warning", "label-in-text", text, mentions, [self._labels_at[label]])

    def _about_texts(self) -> Iterator[Finding]:
        messages = {
            "duplicate": ("duplicates", "{count} of the {key[0]} data {repeat} an earlier one, with the same answer"),
            "conflict": (
                "conflicting-labels",
                "{count} of the {key[0]} data {repeat} an earlier one, with another label",
            ),
            "split": ("leak-between-splits", "{count} of the {key[1]} data {occur} in the {key[0]} data too"),
            "garbled": ("garbled", "{count} in {key[0]} {contain} remains of HTML or of a wrong encoding"),
            "scripts": ("mixed-scripts", "{count} in {key[0]} {mix} scripts within a word"),
        }
        for (kind, *key), tally in self._tallies.items():
            if kind in messages:
                name, form = messages[kind]
                verbs = {verb: verb for verb in ("repeat", "occur", "contain", "mix")}
                if tally.count == 1:
                    verbs = {"repeat": "repeats", "occur": "occurs", "contain": "contains", "mix": "mixes"}
                text = form.format(count=counted(tally.count, "texts"), key=key, **verbs)
                yield Finding("warning", name, text, tally.count, tally.where)
        yield from self._about_languages()
        yield from self._about_lengths()

    def _about_languages(self) -> Iterator[Finding]:
        for side, tallies in self._languages.items():
            total = sum(tally.count for tally in tallies.values())
            main = max(tallies, key=lambda name: tallies[name].count)
            for name, tally in tallies.items():
                if name != main and tally.count >= max(3, _OTHER_LANGUAGE * total):
                    text = f"{counted(tally.count, 'texts')} in {side} look {name}, most look {main}"
                    yield Finding("warning", "mixed-languages", text, tally.count, tally.where)

    def _about_lengths(self) -> Iterator[Finding]:
        medians = [lengths.median for summary in self.summaries.values() for lengths in summary.lengths]
        limit = max(_LONG, _TIMES_MEDIAN * max(medians, default=0))
        long = [tally for length, tally in sorted(self._long.items(), reverse=True) if length > limit]
        if long:
            count = sum(tally.count for tally in long)
            places = [place for tally in long for place in tally.where][:_PLACES]
            text = f"{counted(count, 'texts')} of more than {limit:,} words; long texts slow training down"
            yield Finding("warning", "long-texts", text, count, places)
