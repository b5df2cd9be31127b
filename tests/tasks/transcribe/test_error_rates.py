import functools

import numpy as np
import pytest

from unspool.tasks.transcribe.error_rates import ErrorCounts, align_texts, characters_of, count_errors, words_of


def distance(one, two):
    """The definition of the edit distance, by recursion."""

    @functools.cache
    def rest(i, j):
        if i == len(one) or j == len(two):
            return len(one) - i + len(two) - j
        return min(rest(i + 1, j + 1) + (one[i] != two[j]), rest(i + 1, j) + 1, rest(i, j + 1) + 1)

    return rest(0, 0)


@pytest.mark.parametrize("seed", range(30))
def test_alignments_have_the_fewest_errors_and_spell_both_texts(seed):
    rng = np.random.default_rng(seed)
    one, two = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
    alignment = align_texts(one, two)
    counts = alignment.counts()
    assert counts.errors == distance(one, two)
    assert "".join(unit for unit, _ in alignment.pairs if unit) == one
    assert "".join(unit for _, unit in alignment.pairs if unit) == two
    assert (None, None) not in alignment.pairs
    assert counts.units == len(one)


def test_each_kind_of_error():
    alignment = align_texts(words_of("the cat sat down"), words_of("the bat sat down now"))
    assert alignment.counts() == ErrorCounts(1, 0, 1, 4)
    assert alignment.counts().rate == 0.5
    assert align_texts(["a", "b"], ["b"]).counts() == ErrorCounts(0, 1, 0, 2)
    assert alignment.confusions() == {("cat", "bat"): 1, (None, "now"): 1}


def test_the_rate_of_several_transcripts_counts_every_word_once():
    references, transcripts = [["a"], ["a", "b", "c"]], [["x"], ["a", "b", "c"]]
    assert count_errors(references, transcripts).rate == 0.25  # not the mean of 1 and 0


@pytest.mark.parametrize(("transcript", "rate"), [([], 0.0), (["a"], 1.0)])
def test_an_empty_reference(transcript, rate):
    assert count_errors([[]], [transcript]).rate == rate


def test_printing():
    shown = align_texts(words_of("go to the light on"), words_of("go the lights on please")).show()
    assert shown.split("\n") == [
        "reference  go to the light  on ******",
        "transcript go ** the lights on please",
        "              D      S         I",
    ]


def test_characters_count_one_blank_between_words():
    assert characters_of(" a  bc ") == ["a", " ", "b", "c"]
