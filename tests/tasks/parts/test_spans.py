import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import DataError
from unspool.tasks.parts.spans import (
    SCHEMES,
    Span,
    SpanCounts,
    bioes_constraints,
    bioes_labels,
    convert,
    detect_scheme,
    looks_like_spans,
    read_spans,
    span_scores,
    write_tags,
)

DATA = Path(os.environ.get("UNSPOOL_DATA", Path(__file__).parents[4] / "shared" / "data"))

# One sentence in every scheme: PER of two tokens, touching PER of one, LOC of three, O, touching ORG and MISC.
EXAMPLE = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(3, 6, "LOC"), Span(7, 8, "ORG"), Span(8, 9, "MISC")]
WRITTEN = {
    "IOB1": "I-PER I-PER B-PER I-LOC I-LOC I-LOC O I-ORG I-MISC O",
    "IOB2": "B-PER I-PER B-PER B-LOC I-LOC I-LOC O B-ORG B-MISC O",
    "IOE1": "I-PER E-PER I-PER I-LOC I-LOC I-LOC O I-ORG I-MISC O",
    "IOE2": "I-PER E-PER E-PER I-LOC I-LOC E-LOC O E-ORG E-MISC O",
    "BIOES": "B-PER E-PER S-PER B-LOC I-LOC E-LOC O S-ORG S-MISC O",
    "BILOU": "B-PER L-PER U-PER B-LOC I-LOC L-LOC O U-ORG U-MISC O",
    "BMES": "B-PER E-PER S-PER B-LOC M-LOC E-LOC O S-ORG S-MISC O",
}


@st.composite
def tagged_spans(draw, types=("PER", "LOC", "B-x", "")):
    """Spans of random lengths, touching or apart, and the length of their sentence."""
    spans, place = [], 0
    for gap, size, type_ in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(types)), max_size=8)
    ):
        spans.append(Span(place + gap, place + gap + size, type_))
        place += gap + size
    return spans, place + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", WRITTEN)
def test_one_sentence_in_every_scheme(scheme):
    tags = WRITTEN[scheme].split()
    assert write_tags(EXAMPLE, 10, scheme) == tags
    assert read_spans(tags) == EXAMPLE
    assert detect_scheme([tags]) == scheme


@given(tagged_spans())
@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"IO"}))
def test_what_is_written_is_read_back(scheme, case):
    spans, length = case
    tags = write_tags(spans, length, scheme)
    assert len(tags) == length
    assert read_spans(tags) == spans
    assert convert(convert(tags, "BIOES"), scheme) == tags


@given(st.lists(tagged_spans(types=("PER", "LOC")), min_size=1, max_size=6))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_detected_scheme_writes_the_same_tags_again(scheme, cases):
    sentences = [write_tags(spans, length, scheme) for spans, length in cases]
    found = detect_scheme(sentences)
    assert [convert(convert(tags, "BIOES"), found) for tags in sentences] == sentences
    assert not any(tag != "O" for tags in sentences for tag in tags) or looks_like_spans(
        {t for s in sentences for t in s}
    )


def conlleval_spans(tags):
    """The rules of the shared task's script, as its two tables state them for B, I, E and O."""
    pairs = [("O", ""), *((tag[0], tag[2:]) for tag in tags), ("O", "")]
    spans, start = [], None
    for place, ((before, type_before), (now, type_now)) in enumerate(itertools.pairwise(pairs)):
        ends = before + now in ("BB", "BO", "IB", "IO", "EE", "EI", "EO") or (before != "O" and type_before != type_now)
        begins = before + now in ("BB", "IB", "OB", "OI", "EE", "EI", "OE") or (now != "O" and type_before != type_now)
        if ends and start is not None:
            spans.append(Span(start, place, type_before))
            start = None
        if begins:
            start = place
    return spans


@pytest.mark.parametrize("letters", ["BI", "IE"])
@given(data=st.data())
def test_ill_formed_tags_are_read_as_conlleval_reads_them(letters, data):
    known = ["O", *(f"{letter}-{type_}" for letter in letters for type_ in ("PER", "LOC"))]
    tags = data.draw(st.lists(st.sampled_from(known), max_size=9))
    assert read_spans(tags) == conlleval_spans(tags)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-PER I-PER B-PER I-PER", [(0, 2, "PER"), (2, 4, "PER")]),  # IOB1: B- parts spans that touch
        ("I-PER I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),
        ("O I-PER B-PER O", [(1, 2, "PER"), (2, 3, "PER")]),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")]),  # BIO with a wrong I-
        ("I-PER E-PER I-PER", [(0, 2, "PER"), (2, 3, "PER")]),
        ("E-PER E-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("B-PER O E-PER", [(0, 1, "PER"), (2, 3, "PER")]),  # BIOES never closed, never opened
        ("S-PER I-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("I-PER S-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("U-A L-A B-A", [(0, 1, "A"), (1, 2, "A"), (2, 3, "A")]),
        ("B-a-b I-a-b I-a", [(0, 2, "a-b"), (2, 3, "a")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),
        ("", []),
    ],
)
def test_sequences_read_by_hand(tags, spans):
    assert read_spans(tags.split()) == spans


def test_a_few_slips_do_not_change_the_scheme():
    good, slip = ["B-A", "I-A", "O", "B-B"], ["O", "I-A"]
    assert detect_scheme([good] * 3 + [slip]) == "IOB2"
    assert detect_scheme([["I-A", "O", "I-B"]] * 3 + [["B-A", "B-A"]]) == "IOB1"
    assert detect_scheme([["O", "O"]]) == "IOB2"
    with pytest.raises(DataError, match="mix schemes: they begin with E, U"):
        detect_scheme([["U-A", "E-B"]])


def test_io_joins_what_touches():
    assert read_spans(write_tags(EXAMPLE, 10, "IO"))[0] == Span(0, 3, "PER")


@pytest.mark.parametrize(
    ("tags", "answer"),
    [
        ({"O", "B-PER", "I-PER"}, True),
        ({"O", "I-PER"}, True),
        ({"S-PER", "E-PER", "B-PER"}, True),
        ({"B-fromloc.city_name", "O"}, True),
        ({"B", "I", "O"}, True),
        ({"B", "M", "E", "S"}, True),
        ({"O"}, False),
        (set(), False),
        ({"NOUN", "VERB"}, False),
        ({"NN", "O", "-LRB-", "HYPH"}, False),
        ({"B-PER", "NOUN"}, False),
        ({"U-PER", "S-PER"}, False),
        ({"I", "O"}, False),
        ({"I-PER", "B"}, False),
    ],
)
def test_looks_like_spans(tags, answer):
    assert looks_like_spans(tags) is answer


def test_constraints_allow_exactly_the_sequences_that_can_be_written():
    labels = bioes_labels(["PER", "LOC"])
    assert labels == ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"]
    starts, transitions, ends = bioes_constraints(labels)
    rng = np.random.default_rng(5)
    agreed = {True: 0, False: 0}
    for _ in range(4000):
        ids = rng.integers(len(labels), size=rng.integers(1, 5))
        allowed = bool(starts[ids[0]] and ends[ids[-1]] and transitions[ids[:-1], ids[1:]].all())
        tags = [labels[each] for each in ids]
        assert allowed == (convert(tags, "BIOES") == tags), tags
        agreed[allowed] += 1
    assert min(agreed.values()) > 100


def test_span_counts_by_type():
    counts = SpanCounts()
    counts.add([Span(0, 2, "A"), Span(3, 4, "B")], [Span(0, 2, "A"), Span(3, 4, "A"), Span(5, 6, "C")])
    counts.add([Span(0, 1, "A"), Span(1, 2, "A")], [Span(0, 2, "A")])
    assert counts.by_type() == {
        "A": pytest.approx((1 / 3, 1 / 3, 1 / 3, 3)),
        "B": (0, 0, 0, 1),
        "C": (0, 0, 0, 0),
    }
    assert counts.scores() == pytest.approx({"precision": 1 / 4, "recall": 1 / 4, "f1": 1 / 4})


def test_span_scores_compare_across_schemes():
    gold, predicted = [["I-A", "B-A", "O"], ["O", "I-B"]], [["S-A", "S-A", "S-B"], ["B-B", "E-B"]]
    assert span_scores(gold, predicted) == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7})
    with pytest.raises(DataError, match="sentence 2 has 1 gold tags and 2"):
        span_scores([["O"], ["O"]], [["O"], ["O", "O"]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: read_spans(["O", "NOUN"]), "'NOUN' does not mark spans"),
        (lambda: write_tags([Span(0, 2, "A"), Span(1, 3, "A")], 4), "overlaps"),
        (lambda: write_tags([Span(2, 5, "A")], 4), "outside a sentence of 4"),
        (lambda: write_tags([Span(2, 2, "A")], 4), "empty"),
        (lambda: write_tags([], 4, "IOB"), "no tagging scheme 'IOB'"),
        (lambda: bioes_constraints(["O", "U-A"]), "'U-A' is not a BIOES label"),
    ],
)
def test_bad_spans_are_a_sentence(call, says):
    with pytest.raises(DataError, match=says):
        call()


@pytest.mark.parametrize(
    ("name", "by_type"),
    [
        ("eng.testa", {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}),
        ("eng.testb", {"LOC": 1668, "MISC": 702, "ORG": 1661, "PER": 1617}),
    ],
)
def test_conll2003_holds_as_many_entities_as_published(name, by_type):
    path = DATA / "conll2003_en" / name
    if not path.exists():
        pytest.skip(f"needs {path}; set UNSPOOL_DATA")
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    lines = [
        [line.split() for line in block.splitlines() if line.strip() and not line.startswith("-DOCSTART-")]
        for block in blocks
    ]
    sentences = [[line[-1] for line in block] for block in lines if block]
    assert detect_scheme(sentences) == "IOB1"
    counts = SpanCounts()
    for tags in sentences:
        bioes = convert(tags, "BIOES")
        assert convert(bioes, "IOB1") == tags
        counts.add(read_spans(tags), read_spans(bioes))
    assert dict(counts.gold) == by_type
    assert counts.scores() == {"precision": 1, "recall": 1, "f1": 1}
