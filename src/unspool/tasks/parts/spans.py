"""Span tagging schemes (IOB, BIO, BIOES, BILOU, BMES): reading, writing and scoring of spans.

The sentence "U.N. official Rolf Ekeus heads for Baghdad" has three spans, in each scheme as follows::

    IO      I-ORG  O  I-PER  I-PER  O  O  I-LOC
    IOB1    I-ORG  O  I-PER  I-PER  O  O  I-LOC     B- only where a span touches one of its type before it
    IOB2    B-ORG  O  B-PER  I-PER  O  O  B-LOC     also called BIO
    IOE1    I-ORG  O  I-PER  I-PER  O  O  I-LOC     E- only where a span touches one of its type after it
    IOE2    E-ORG  O  I-PER  E-PER  O  O  E-LOC
    BIOES   S-ORG  O  B-PER  E-PER  O  O  S-LOC     also called IOBES
    BILOU   U-ORG  O  B-PER  L-PER  O  O  U-LOC
    BMES    S-ORG  O  B-PER  E-PER  O  O  S-LOC     M- in the middle

Reading needs no scheme: the rule of `conlleval`, from the CoNLL shared tasks, reads all of them and ill-formed
sequences too. Source: Tjong Kim Sang and Veenstra 1999, "Representing text chunks"; Ratinov and Roth 2009 for BILOU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError
from unspool.tasks.parts.metrics import Scores, scores

__all__ = [
    "SCHEMES",
    "Constraints",
    "Scheme",
    "Span",
    "SpanCounts",
    "bioes_constraints",
    "bioes_labels",
    "convert",
    "detect_scheme",
    "looks_like_spans",
    "read_spans",
    "span_scores",
    "write_tags",
]

Scheme = Literal["IO", "IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU", "BMES"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

# Letters that may occur together in one column of tags.
_FAMILIES = (frozenset("BIES"), frozenset("BILU"), frozenset("BMES"))
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ESLU")


class Span(NamedTuple):
    """A typed span of tokens."""

    start: int
    """Index of the first token, from 0."""
    end: int
    """Index after the last token."""
    type: str
    """Type, as `PER`; empty for tags without types."""


class Constraints(NamedTuple):
    """Masks of the legal BIOES labels at the start and end of a sentence, and of the legal transitions."""

    starts: NDArray[np.bool_]
    """Labels that may begin a sentence, (labels,)."""
    transitions: NDArray[np.bool_]
    """Legal transitions, (previous label, next label)."""
    ends: NDArray[np.bool_]
    """Labels that may end a sentence, (labels,)."""


def looks_like_spans(tags: Iterable[str]) -> bool:
    """Whether a set of tags marks spans: `B-PER`, `I-PER`, `O`; or `B`, `I`, `O` without types."""
    pairs = {_split(tag) for tag in set(tags)} - {("O", "")}
    letters = {letter for letter, _ in pairs}
    if not pairs or not any(letters <= family for family in _FAMILIES):
        return False
    if all(type_ for _, type_ in pairs):
        return True
    # Single letters without types could be any tag set: require more of the pattern.
    return all(not type_ for _, type_ in pairs) and "B" in letters and bool(letters & {"I", "M"})


def detect_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Detect the scheme of tagged sentences.

    The set of letters decides, except between IOB1 and IOB2, and between IOE1 and IOE2, which share their letters.
    For these, the majority of span starts or ends decides, which tolerates a few errors. Without spans: IOB2.

    Args:
        sentences: The tags of each sentence.

    Raises:
        DataError: If the tags do not mark spans, or mix schemes.
    """
    letters: set[str] = set()
    begins, ends = Counter[str](), Counter[str]()
    for tags in sentences:
        spans = read_spans(tags)
        for place, span in enumerate(spans):
            letters.update(_split(tag)[0] for tag in tags[span.start : span.end])
            if place == 0 or not _touch(spans[place - 1], span):
                begins[tags[span.start][0]] += 1
            if place + 1 == len(spans) or not _touch(span, spans[place + 1]):
                ends[tags[span.end - 1][0]] += 1
    if not any(letters <= family for family in _FAMILIES):
        raise DataError(f"the tags mix schemes: they begin with {', '.join(sorted(letters))}; use one of {_listed()}")
    if letters & {"L", "U"}:
        return "BILOU"
    if "M" in letters:
        return "BMES"
    if "S" in letters or {"B", "E"} <= letters:
        return "BIOES"
    if "E" in letters:
        return "IOE2" if ends["E"] > ends["I"] else "IOE1"
    if "B" in letters or not letters:
        return "IOB2" if begins["B"] >= begins["I"] else "IOB1"
    return "IO"


def read_spans(tags: Sequence[str]) -> list[Span]:
    """Read the spans of one sentence from tags in any scheme, by the rule of `conlleval`.

    A tag other than `O` begins a span in three cases: the tag is a `B`, `S` or `U`; the previous tag is an `O`, `E`,
    `S`, `L` or `U`; or the types differ. A span ends before the next span or `O`. Ill-formed tags also have spans:
    `O I-PER I-LOC` has two.

    Args:
        tags: Tags such as `B-PER`, `I-PER`, `O`; the type follows the first hyphen.

    Raises:
        DataError: If a tag does not mark spans.
    """
    spans: list[Span] = []
    start, previous_letter, previous_type = 0, "O", ""
    for place, tag in enumerate(tags):
        letter, type_ = _checked_split(tag)
        if letter == "O":
            begins = False
        else:
            begins = letter in _BEGINS or previous_letter == "O" or previous_letter in _ENDS or type_ != previous_type
        if previous_letter != "O" and (begins or letter == "O"):
            spans.append(Span(start, place, previous_type))
        if begins:
            start = place
        previous_letter, previous_type = letter, type_
    if previous_letter != "O":
        spans.append(Span(start, len(tags), previous_type))
    return spans


def write_tags(spans: Iterable[Span], length: int, scheme: Scheme = "BIOES") -> list[str]:
    """Write spans as one tag per token.

    `IO` merges adjacent spans of one type; all other schemes preserve the spans.

    Args:
        spans: Spans that do not overlap, in any order.
        length: Number of tokens in the sentence.
        scheme: Scheme of the tags.

    Raises:
        DataError: If spans are empty, overlap or exceed the sentence, or the scheme does not exist.
    """
    if scheme not in SCHEMES:
        raise DataError(f"there is no tagging scheme {scheme!r}; use one of {_listed()}")
    ordered = sorted(spans)
    tags = ["O"] * length
    reached = 0
    for place, span in enumerate(ordered):
        if not reached <= span.start < span.end <= length:
            raise DataError(f"{span} overlaps another span, is empty, or lies outside a sentence of {length} tokens")
        reached = span.end
        after_same = place > 0 and _touch(ordered[place - 1], span)
        before_same = place + 1 < len(ordered) and _touch(span, ordered[place + 1])
        letters = _letters(span.end - span.start, scheme, after_same, before_same)
        tags[span.start : span.end] = [f"{letter}-{span.type}" if span.type else letter for letter in letters]
    return tags


def convert(tags: Sequence[str], scheme: Scheme = "BIOES") -> list[str]:
    """Convert one sentence's tags from any scheme to another.

    Raises:
        DataError: If a tag does not mark spans.
    """
    return write_tags(read_spans(tags), len(tags), scheme)


def bioes_labels(types: Iterable[str]) -> list[str]:
    """Return all BIOES labels: `O`, then four labels for each type, in alphabetical order of types."""
    return ["O", *(f"{letter}-{each}" if each else letter for each in sorted(set(types)) for letter in "BIES")]


def bioes_constraints(labels: Sequence[str]) -> Constraints:
    """Return the constraints of well-formed BIOES sequences.

    In a well-formed sequence, any number of `I-X` and one `E-X` follow every `B-X`.

    Args:
        labels: BIOES labels; their order defines the indices of the masks.

    Raises:
        DataError: If a label is not a BIOES label.
    """
    pairs = [_checked_split(label) for label in labels]
    if wrong := [label for label, (letter, _) in zip(labels, pairs, strict=True) if letter not in "OBIES"]:
        raise DataError(f"{wrong[0]!r} is not a BIOES label; convert the tags first")
    types = np.array([type_ for _, type_ in pairs], dtype=np.str_)
    leaves_open = np.array([letter in "BI" for letter, _ in pairs], dtype=np.bool_)
    goes_on = np.array([letter in "IE" for letter, _ in pairs], dtype=np.bool_)
    same_type = types[:, None] == types[None, :]
    fits = leaves_open[:, None] == goes_on[None, :]
    return Constraints(starts=~goes_on, transitions=fits & (same_type | ~leaves_open[:, None]), ends=~leaves_open)


@dataclass
class SpanCounts:
    """Counter of correct, predicted and gold spans. A correct span matches a gold span in start, end and type."""

    correct: Counter[str] = field(default_factory=Counter)
    predicted: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)

    def add(self, gold: Iterable[Span], predicted: Iterable[Span]) -> None:
        """Count one sentence."""
        gold_set, predicted_set = set(gold), set(predicted)
        self.gold.update(span.type for span in gold_set)
        self.predicted.update(span.type for span in predicted_set)
        self.correct.update(span.type for span in gold_set & predicted_set)

    def scores(self) -> dict[str, float]:
        """Return micro-averaged `precision`, `recall` and `f1`, between 0 and 1."""
        overall = scores(self.correct.total(), self.predicted.total(), self.gold.total())
        return {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1}

    def by_type(self) -> dict[str, Scores]:
        """Return the scores of each type, in alphabetical order."""
        types = sorted(self.gold.keys() | self.predicted.keys())
        return {each: scores(self.correct[each], self.predicted[each], self.gold[each]) for each in types}


def span_scores(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> dict[str, float]:
    """Score tagged sentences like `conlleval`; both sides may use different schemes.

    Args:
        gold: The gold tags of each sentence.
        predicted: The predicted tags of each sentence, as many as gold tags.

    Returns:
        `precision`, `recall` and `f1` over spans, between 0 and 1.

    Raises:
        DataError: If the numbers of gold and predicted tags differ, or a tag does not mark spans.
    """
    counts = SpanCounts()
    for number, (right, answer) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(right) != len(answer):
            raise DataError(f"sentence {number} has {len(right)} gold tags and {len(answer)} predicted tags")
        counts.add(read_spans(right), read_spans(answer))
    return counts.scores()


def _letters(length: int, scheme: Scheme, after_same: bool, before_same: bool) -> str:
    """Return the letters of one span. `after_same`, `before_same`: a span of the same type is adjacent on this side."""
    if scheme in ("BIOES", "BILOU", "BMES"):
        middle, last, single = {"BIOES": ("I", "E", "S"), "BILOU": ("I", "L", "U"), "BMES": ("M", "E", "S")}[scheme]
        return single if length == 1 else "B" + middle * (length - 2) + last
    if scheme == "IOB2" or (scheme == "IOB1" and after_same):
        return "B" + "I" * (length - 1)
    if scheme == "IOE2" or (scheme == "IOE1" and before_same):
        return "I" * (length - 1) + "E"
    return "I" * length


def _touch(before: Span, after: Span) -> bool:
    return before.end == after.start and before.type == after.type


def _split(tag: str) -> tuple[str, str]:
    letter, _, type_ = tag.partition("-")
    return letter, type_


def _checked_split(tag: str) -> tuple[str, str]:
    letter, type_ = _split(tag)
    if len(letter) != 1 or letter not in "OBIESLUM" or (letter == "O" and type_):
        raise DataError(
            f"the tag {tag!r} does not mark spans: expected O, or a type after B-, I-, E-, S-, L-, U- or M-"
        )
    return letter, type_


def _listed() -> str:
    return ", ".join(SCHEMES)
