"""Two models on the same data: order, probabilities, categories of units, and a model against itself."""

import json

import numpy as np
import pytest

from unspool.cli import demo_agreement
from unspool.errors import UsageError
from unspool.samples import agreement
from unspool.samples.grammar import KINDS
from unspool.tasks import Algorithm, Classifier, LanguageModel, Tagger, Translator
from unspool.tasks.disagreements import Questions, disagreements_of
from unspool.tasks.write.category_losses import compare_losses, kind_of

SMALL = {"hidden": 6, "embedding": 5, "epochs": 1, "valid_fraction": 0}
TEXTS = ["a good film", "a bad film", "good", "bad and dull"] * 3
LABELS = ["yes", "no", "yes", "no"] * 3


def classifier(**values):
    return Classifier(**SMALL, **values).fit(TEXTS, LABELS, baselines=False)


def tagger(seed):
    words = [text.split() for text in TEXTS]
    return Tagger(**SMALL, seed=seed).fit(words, [["X"] * (len(each) - 1) + ["Y"] for each in words], baselines=False)


def translator(seed):
    pairs = [(text, text.upper()) for text in TEXTS]
    return Translator(**SMALL, seed=seed, units="blank").fit(pairs, baselines=False)


def writer(seed, **values):
    text = "in 1999, a good film!\nor 2 bad films?\n" * 12
    return LanguageModel(**SMALL, seed=seed, **({"units": "character"} | values)).fit([text], baselines=False)


def test_classifiers_stand_side_by_side_the_largest_difference_first():
    one, other = classifier(seed=1), classifier(seed=2, network="bag")
    result = one.compare_with(other, TEXTS[:4], LABELS[:4], names=("a", "b"))
    assert len(result.examples) == 4
    sizes = []
    for example in result.examples:
        predictions = [task.predict(example.text) for task in (one, other)]
        for shares, prediction in zip(example.probabilities, predictions, strict=True):
            assert shares == pytest.approx(prediction.probabilities, abs=1e-6)
        assert example.right == LABELS[TEXTS.index(example.text)]
        assert example.answers == tuple(prediction.label for prediction in predictions)
        first, second = (prediction.probabilities["yes"] for prediction in predictions)
        assert example.difference == pytest.approx(abs(first - second), abs=1e-6)
        sizes.append(example.difference)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
    counts = result.counts()
    assert list(counts) == ["both right", "only a right", "only b right", "neither right"]
    assert sum(counts.values()) == 4
    assert json.loads(json.dumps(result.record(most=2)))["disagreements"][0]["difference"] == sizes[0]
    assert len(result.record(most=2)["disagreements"]) == 2


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (lambda: classifier(seed=1), (TEXTS, LABELS)),
        (lambda: tagger(1), ([["a", "film"], ["good"]], [["X", "Y"], ["Y"]])),
        (lambda: translator(1), ([("a film", "A FILM"), ("good", "GOOD")],)),
        (lambda: writer(1), (["a film 12!\n"],)),
    ],
    ids=["classify", "tag", "translate", "write"],
)
def test_a_model_against_itself_is_all_zeros(make, data):
    task = make()
    result = task.compare_with(task, *data)
    assert result.is_zero
    assert all(example.difference == 0 for example in result.examples)
    assert repr(result).startswith("no difference in ")
    assert not result.differing
    for category in result.categories:
        assert category.nats[0] == category.nats[1]


def test_taggers_differ_by_their_most_different_word():
    one, other = tagger(1), tagger(2)
    result = one.compare_with(other, [["a", "good", "film"], ["dull"]], [["X", "X", "Y"], ["Y"]])
    for example in result.examples:
        first, second = (task.predict([example.text.split()])[0] for task in (one, other))
        gaps = [
            abs(p - q) if a == b else max(p, q)
            for a, b, p, q in zip(first.tags, second.tags, first.probabilities, second.probabilities, strict=True)
        ]
        assert example.difference == pytest.approx(max(gaps), abs=1e-6)
        assert example.answers == (" ".join(first.tags), " ".join(second.tags))


def test_translators_differ_by_the_share_of_words():
    class Written:
        def __init__(self, translation):
            self.translation = translation

    questions = Questions(["x", "y"], ["A B", "C"], ["f:1", "f:2"])
    result = disagreements_of(
        questions, [Written("A B"), Written("C D E F")], [Written("A B"), Written("C D E G")], ("m", "n")
    )
    assert [example.where for example in result.examples] == ["f:2", "f:1"]
    assert [example.difference for example in result.examples] == [0.25, 0]
    assert result.counts() == {"both right": 1, "only m right": 0, "only n right": 0, "neither right": 1}


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        *[("a", "letter"), ("Straße", "letter"), ("漢", "letter"), ("7", "digit"), ("1999", "digit"), (" ", "space")],
        *[
            ("\n", "space"),
            ("!", "punctuation"),
            ("€", "punctuation"),
            ("a1", "mixed"),
            (" the", "letter"),
            ("\0", "other"),
        ],
    ],
)
def test_units_have_a_kind(unit, kind):
    assert kind_of(unit) == kind


def test_losses_are_means_over_categories_and_frequency_classes():
    units = ["a"] * 6 + ["b"] * 2 + ["1", ""]
    first = np.arange(10.0)
    second = first + np.array([0] * 6 + [1, 3] + [-4, 0.5])
    result = compare_losses(units, (first, second), ("m", "n"), "".join)
    by_name = {(each.grouping, each.category): each for each in result.categories}
    assert by_name["kind", "letter"].units == 8
    assert by_name["kind", "letter"].nats == (first[:8].mean(), second[:8].mean())
    assert by_name["kind", "digit"].nats == (8, 4)
    assert by_name["kind", "end of line"].nats == (9, 9.5)
    assert by_name["frequency", "most frequent half"].units == 6  # the first unit covers it
    assert by_name["frequency", "next 40 %"].units == 3
    assert sum(each.units for each in result.categories if each.grouping == "kind") == 10
    assert [(each.where, each.right, each.difference) for each in result.examples[:2]] == [
        ("unit 9", "1", -4),
        ("unit 8", "b", 3),
    ]
    assert result.examples[0].text == "aaaaaabb"
    assert "nats by kind" in repr(result)


@pytest.mark.parametrize("values", [{}, {"units": "word"}], ids=str)
def test_language_models_are_compared_by_the_loss_of_each_unit(values):
    one, other = writer(1, **values), writer(2, network="transformer", heads=2, steps=8, **values)
    text = ["a good film! 9 odd\n"]
    result = one.compare_with(other, text)
    for task, losses in ((one, 0), (other, 1)):
        units, nats = task.unit_losses(text)
        assert len(units) == len(nats)
        kinds = [each for each in result.categories if each.grouping == "kind"]
        mean = sum(each.units * each.nats[losses] for each in kinds) / sum(each.units for each in kinds)
        assert mean == pytest.approx(nats.mean())
        score = task.evaluate(text)
        assert nats.mean() == pytest.approx(score["nats"] if "nats" in score else np.log(score["perplexity"]), rel=1e-3)
    categories = {each.category for each in result.categories}
    assert categories >= (
        {"letter", "digit", "space", "punctuation", "end of line"} if not values else {"letter", "unknown"}
    )


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="models of one task are compared, and 'classify' and 'tag' came"):
        classifier().compare_with(tagger(1), TEXTS, LABELS)
    with pytest.raises(UsageError, match="the models cut this text into different units"):
        writer(1).compare_with(writer(1, units="word"), ["a film 12\n"])
    machine = Algorithm(hidden=4, epochs=1, examples=4, valid_examples=2, max_length=3, min_length=1, width=2)
    machine.fit("copy", baselines=False)
    with pytest.raises(UsageError, match="two models of the task 'algorithm' can't be compared example by example"):
        machine.compare_with(machine, "copy")
    with pytest.raises(UsageError):
        classifier().compare_with(Classifier(), TEXTS, LABELS)


@pytest.mark.slow
def test_a_bag_and_an_lstm_disagree_first_where_another_noun_misleads():
    settings = demo_agreement._SETTINGS
    sentences, test = agreement.train_and_test(3600, 600, seed=1, max_attractors=4, test_max_attractors=6)
    numbers = {
        noun: number for kind in KINDS.values() for pair in kind.nouns for number, noun in pair._asdict().items()
    }
    texts, labels = ([getattr(each, name) for each in sentences] for name in ("text", "label"))
    bag, lstm = (
        Classifier(**settings, **network).fit(
            texts[:3200], labels[:3200], valid=(texts[3200:], labels[3200:]), baselines=False
        )
        for network in ({"network": "bag"}, {"cell": "lstm"})
    )
    result = bag.compare_with(lstm, [each.text for each in test], [each.label for each in test])
    misleading = [
        any(numbers.get(word, example.right) != example.right for word in example.text.split())
        for example in result.examples
    ]
    assert all(misleading[:60])
    assert np.mean(misleading) < 0.9
