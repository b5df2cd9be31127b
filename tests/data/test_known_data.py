"""The well-known data sets, read to the published counts."""

import os
from pathlib import Path

import pytest

from unspool.data import Vocabulary, guess_text_and_label, read_rows, read_sentences, read_text, token_array

DATA = Path(os.environ.get("UNSPOOL_DATA") or Path(__file__).parents[3] / "shared" / "data")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no data sets here; name their folder in UNSPOOL_DATA")


def test_penn_treebank():
    vocabulary = Vocabulary.learn(read_text(DATA / "ptb" / "ptb.train.txt"), units="blank")
    assert len(vocabulary) == 10_000 + 1  # the published types, <eos> and <unk> among them, and <pad>
    counts = [
        len(token_array(read_text(DATA / "ptb" / f"ptb.{part}.txt"), vocabulary)) for part in ("train", "valid", "test")
    ]
    assert counts == [929_589, 73_760, 82_430]


def test_tiny_shakespeare():
    path = DATA / "tinyshakespeare" / "input.txt"
    vocabulary = Vocabulary.learn(read_text(path), units="character")
    assert len(vocabulary) == 65 + 3
    array = token_array(read_text(path), vocabulary)
    assert len(array) == 1_115_394
    assert vocabulary.decode(array) == path.read_text(encoding="utf-8")


def test_universal_dependencies():
    sentences = list(read_sentences(DATA / "ud_english_ewt" / "en_ewt-ud-test.conllu"))
    assert (len(sentences), sum(len(sentence.columns["form"]) for sentence in sentences)) == (2_077, 25_094)


@pytest.mark.parametrize(("part", "counts"), [("testa", (3_250, 51_362)), ("testb", (3_453, 46_435))])
def test_conll_2003(part, counts):
    sentences = list(read_sentences(DATA / "conll2003_en" / f"eng.{part}"))
    assert (len(sentences), sum(len(sentence.columns["1"]) for sentence in sentences)) == counts
    assert {tag.partition("-")[2] for sentence in sentences for tag in sentence.columns["4"]} == {
        "",
        "LOC",
        "MISC",
        "ORG",
        "PER",
    }


def test_stanford_sentiment():
    rows = list(read_rows(DATA / "sst2" / "train.tsv", names={"text", "label", "sentence"}))
    assert len(rows) == 6_920
    assert guess_text_and_label(rows[:200]) == ("2", "1")
    assert sum(row.values["1"] == "1" for row in rows) == 3_610
