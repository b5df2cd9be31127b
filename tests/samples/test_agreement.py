import itertools
from collections import Counter

import numpy as np
import pytest

from unspool.errors import UsageError
from unspool.samples.agreement import EXAMPLE, LABELS, generate, minimal_pair, train_and_test, write_tsv
from unspool.samples.grammar import KINDS, VERBS
from unspool.tasks.parts.ngram_classifier import NgramClassifier

NUMBER = {
    form: label for kind in KINDS.values() for noun in kind.nouns for form, label in zip(noun, LABELS, strict=True)
}
SINGULAR_VERBS = {"is", "was", "has", *(third for kind in KINDS.values() for third, _ in kind.act)}
PLURAL_VERBS = {"are", "were", "have", *(base for kind in KINDS.values() for _, base in kind.act)}


@pytest.fixture(scope="module")
def examples():
    return generate(3000, seed=5)


def numbers(example):
    return [NUMBER[word] for word in example.words if word in NUMBER]


def test_the_noun_before_the_attractors_is_the_subject_and_the_verb_agrees_with_it(examples):
    for example in [*examples, EXAMPLE]:
        found = numbers(example)
        subject = len(found) - 1 - example.attractors
        assert found[subject] == example.label, example.sentence
        assert example.disagreeing == sum(number != example.label for number in found[subject + 1 :])
        assert example.agreeing + example.disagreeing == example.attractors
        assert example.verb in (SINGULAR_VERBS if example.label == "singular" else PLURAL_VERBS), example.sentence


def test_verbs_inside_clauses_agree_with_their_own_subject(examples):
    checked = Counter()
    for example in examples:
        for before, word in itertools.pairwise(example.words):
            # With one attractor, what stands before an auxiliary in a clause is that attractor.
            if example.attractors == 1 and word in ("is", "are", "was", "were"):
                assert (NUMBER[before] == "plural") == (word in ("are", "were")), example.sentence
                checked[word] += 1
    assert len(checked) == 4


def test_labels_and_attractors_are_balanced_and_shuffled(examples):
    assert set(Counter((example.label, example.attractors) for example in examples).values()) == {300}
    assert 100 < sum(example.label == "plural" for example in examples[:300]) < 200
    several = [example for example in examples if example.attractors]
    assert 0.45 < sum(e.disagreeing for e in several) / sum(e.attractors for e in several) < 0.55


def test_no_sentence_comes_twice_and_training_shares_none_with_the_test():
    train, test = train_and_test(3000, 1000, seed=2, max_attractors=2, test_max_attractors=5)
    words = [example.words for example in train + test]
    assert len(set(words)) == 4000
    assert EXAMPLE.words not in words
    assert {example.attractors for example in train} == {0, 1, 2}
    assert {example.attractors for example in test} == {0, 1, 2, 3, 4, 5}


def test_words_of_the_example_are_taught():
    known = {word for example in generate(6000, seed=0) for word in example.words}
    assert set(EXAMPLE.words) <= known
    assert EXAMPLE.sentence == "the flights the airline was cancelling were full"


def test_the_same_seed_gives_the_same_sentences_everywhere():
    assert [example.sentence for example in generate(4, seed=7)] == GOLDEN
    assert generate(50, seed=8) == generate(50, seed=8)
    assert generate(50, seed=8) != generate(50, seed=9)


def test_shortcuts_do_not_solve_it(examples):
    with_attractors = [example for example in examples if example.attractors]
    last = np.mean([numbers(example)[-1] == example.label for example in with_attractors])
    first = np.mean([numbers(example)[0] == example.label for example in examples])
    assert last < 0.6
    assert first < 0.8


def test_counting_words_fails_where_the_attractors_disagree(examples):
    labels = [LABELS.index(example.label) for example in examples]
    bag = NgramClassifier.learn([example.words for example in examples], labels, 2, orders=1, longest=0)
    held_out = [e for e in generate(2000, seed=6) if e.attractors and e.disagreeing == e.attractors]
    found = bag.evaluate([e.words for e in held_out], [LABELS.index(e.label) for e in held_out])
    assert found["accuracy"] < 0.6


def test_the_grammar_is_well_formed():
    forms = Counter(form for kind in KINDS.values() for noun in kind.nouns for form in noun)
    assert set(forms.values()) == {1}
    kinds = {kind for subjects, objects, _ in VERBS for kind in f"{subjects} {objects}".split()}
    assert kinds <= set(KINDS)
    # Only nouns and verbs tell a number: nothing that stands beside a noun does.
    beside = {word for kind in KINDS.values() for word in (*kind.determiners, *kind.adjectives)}
    assert not beside & {"a", "an", "this", "these", "that", "those", "one", "two", "many", "all", "each"}


def test_written_table(tmp_path, examples):
    path = tmp_path / "agreement.tsv"
    write_tsv(path, [EXAMPLE, *examples[:3]])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "text\tlabel\tattractors\tdisagreeing\tverb\tending"
    assert lines[1] == "the flights the airline was cancelling\tplural\t1\t1\twere\tfull"
    assert len(lines) == 5


@pytest.mark.parametrize(("least", "most"), [(-1, 2), (3, 2), (0, 7)])
def test_refuses_numbers_of_attractors_that_make_no_sense(least, most):
    with pytest.raises(UsageError, match=f"from {least} to {most}"):
        generate(10, min_attractors=least, max_attractors=most)


def test_says_when_the_grammar_is_exhausted(monkeypatch):
    monkeypatch.setattr("unspool.samples.agreement.OPENINGS", ())
    monkeypatch.setattr("unspool.samples.agreement._Sentence.chance", lambda self, probability: False)
    with pytest.raises(UsageError, match="too few sentences with 0 attractors for 400"):
        generate(400, max_attractors=0)


GOLDEN = [
    "the picture that surprised the guard was lost",
    "the meetings announced by the schools were long",
    "the dog was hungry",
    "after the short races the lawyers often travel",
]


def test_a_minimal_pair_differs_in_the_number_of_the_subject(examples):
    for example in [*examples, EXAMPLE]:
        assert NUMBER[example.words[example.subject]] == example.label
        text, other = (side.split() for side in minimal_pair(example))
        assert tuple(text) == example.words
        assert [place for place, words in enumerate(zip(text, other, strict=True)) if len(set(words)) > 1] == [
            example.subject
        ]
        assert {NUMBER[text[example.subject]], NUMBER[other[example.subject]]} == set(LABELS)
    assert minimal_pair(EXAMPLE)[1] == "the flight the airline was cancelling"
