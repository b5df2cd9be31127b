import math

import numpy as np
import pytest

from unspool.decoding.arpa import read_arpa, write_arpa
from unspool.decoding.ngrams import NgramModel, units_of
from unspool.errors import DataError
from unspool.models.kneser_ney import KneserNey

TEXT = [
    "the cat sat", "the cat ran", "a dog ran", "the dog sat down", "a cat", "the dog ran to the cat", "down",
    "a dog sat on the dog", "the cat ran down", "to the cat", "on a dog the cat sat", "the the",
]  # fmt: skip

# Hand-made, in the form of other toolkits: a backoff model with two words, and numbers easy to check.
HAND_MADE = r"""
\data\
ngram 1=5
ngram 2=3

\1-grams:
-99	<s>	-0.5
-0.7	</s>
-1.0	<unk>
-0.3	yes	-0.25
-0.6	no	-0.125

\2-grams:
-0.1	<s> yes
-0.4	yes no
-0.2	no </s>

\end\
"""


def contexts(model):
    yield model.start()
    for text in ("the", "the cat", "strange", "dog sat", "a"):
        context = model.start()
        for word in text.split():
            _, context = model.advance(context, word)
        yield context


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("by", ["word", "character"])
def test_probabilities_of_all_units_sum_to_one(order, by):
    model = NgramModel.learn([units_of(text, by) for text in TEXT], order=order)
    for context in contexts(model):
        total = math.fsum(math.exp(model.advance(context, unit)[0]) for unit in model.units if unit != "<s>")
        assert total == pytest.approx(1, abs=1e-5)


def test_the_backoff_form_agrees_with_the_interpolated_counts():
    model = NgramModel.learn([text.split() for text in TEXT], order=3)
    ids = {unit: id for id, unit in enumerate(model.units)}
    tokens = [ids[unit] for text in TEXT for unit in ("<s>", *text.split(), "</s>")]
    counted = KneserNey.learn(np.array(tokens), len(ids), order=3, begin=0)
    for history in (["<s>"], ["<s>", "the"], ["the", "cat"], ["dog", "dog"], ["on", "the"]):
        context = model.start() if history[0] == "<s>" else ()
        for unit in history[history[0] == "<s>" :]:
            _, context = model.advance(context, unit)
        expected = counted.distribution([ids[unit] for unit in history])
        found = [math.exp(model.advance(context, unit)[0]) for unit in model.units]
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-12)


def test_a_hand_made_file(tmp_path):
    path = tmp_path / "hand.arpa"
    path.write_text(HAND_MADE, encoding="utf-8")
    model = read_arpa(path)
    log10 = {
        "yes no": -0.1 - 0.4 - 0.2,
        "no": (-0.5 - 0.6) - 0.2,
        "yes yes": -0.1 + (-0.25 - 0.3) + (-0.25 - 0.7),
        "no maybe": (-0.5 - 0.6) + (-0.125 - 1.0) + -0.7,
        "": -0.5 - 0.7,
    }
    for text, expected in log10.items():
        assert model.log_probability(text.split()) / math.log(10) == pytest.approx(expected), text
    assert "maybe" not in model
    assert model.order == 2


def test_perplexity_counts_the_end_of_each_sentence(tmp_path):
    path = tmp_path / "hand.arpa"
    path.write_text(HAND_MADE, encoding="utf-8")
    assert read_arpa(path).perplexity([["yes", "no"], ["no"]]) == pytest.approx(10 ** ((0.7 + 1.3) / 5))


@pytest.mark.parametrize("by", ["word", "character"])
def test_a_round_trip_changes_nothing(tmp_path, by):
    model = NgramModel.learn([units_of(text, by) for text in TEXT], order=4)
    write_arpa(model, tmp_path / "model.arpa")
    again = read_arpa(tmp_path / "model.arpa")
    assert again.units == model.units
    # The longest n-grams have no backoff weight in a file; theirs is 0.
    assert again.levels == model.levels
    write_arpa(again, tmp_path / "again.arpa")
    assert (tmp_path / "again.arpa").read_bytes() == (tmp_path / "model.arpa").read_bytes()


def test_longer_contexts_lower_the_perplexity():
    texts = [text.split() for text in TEXT]
    figures = [NgramModel.learn(texts, order=order).perplexity(texts) for order in (1, 2, 3)]
    assert figures[0] > 1.5 * figures[1] > 1.5 * figures[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\\data\\", "data"), r"there is no line \\data"),
        (("\\end\\", ""), r"ends without \\end"),
        (("ngram 2=3", "ngram 2=4"), "counts 4 2-grams, and 3 came"),
        (("ngram 2=3", "ngram 3=3"), "hand.arpa:4: 'ngram 3=3' came; expected a count such as ngram 2="),
        (("-0.4	yes no", "-0.4	yes perhaps"), "hand.arpa:15: the unit 'perhaps' is not among the 1-grams"),
        (("-0.4	yes no", "0.4	yes no"), "that of a probability at most 0"),
        (("-0.4	yes no", "-0.4	yes"), "expected log10"),
        (("-0.4	yes no", "nan	yes no"), "expected finite"),
        (("\\2-grams:", "\\3-grams:"), "a section of 3-grams came"),
        (("</s>", "END"), "lists no </s>"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    path = tmp_path / "hand.arpa"
    path.write_text(HAND_MADE.replace(*change), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_arpa(path)


def test_no_text():
    with pytest.raises(DataError, match="there is no sentence"):
        NgramModel.learn([[], []])


def test_units():
    assert units_of(" a  bc ", "word") == ["a", "bc"]
    assert units_of(" a  bc ", "character") == ["a", "<space>", "b", "c"]
