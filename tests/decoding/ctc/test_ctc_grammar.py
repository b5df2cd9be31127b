import itertools
import math

import numpy as np
import pytest
from brute_force import all_outputs, best_paths, random_log_probabilities

from unspool.decoding.ctc import GrammarUnits, compile_grammar, forward_score, hear, viterbi
from unspool.errors import DataError

GRAMMAR = (
    "sequence",
    ("alternatives", "turn on", "switch on", "turn off"),
    ("optional", "the"),
    ("alternatives", "light", "lights", ("sequence", "kitchen", ("optional", "ceiling"), "lamp")),
)


def plain_sentences(grammar):
    """All sentences of a grammar, by its definition."""
    if isinstance(grammar, str):
        return {tuple(grammar.split())}
    kind, *parts = grammar
    sets = [plain_sentences(part) for part in parts]
    if kind == "alternatives":
        return set.union(*sets)
    joined = {tuple(itertools.chain(*each)) for each in itertools.product(*sets)}
    return joined | {()} if kind == "optional" else joined


def test_an_automaton_allows_the_sentences_of_its_grammar():
    automaton = compile_grammar(GRAMMAR)
    expected = plain_sentences(GRAMMAR)
    assert set(automaton.sentences()) == expected
    assert automaton.count() == len(expected) == 24
    assert automaton.accepts(["switch", "on", "the", "kitchen", "lamp"])
    assert not automaton.accepts(["switch", "on", "the", "kitchen"])
    assert not automaton.accepts([])
    assert len(automaton) == 8  # minimal: shared prefixes and endings


def test_spelling_is_deterministic_and_each_state_has_one_character():
    automaton = compile_grammar(GRAMMAR)
    spelled = automaton.spelled()
    assert sorted("".join(each) for each in spelled.sentences()) == sorted(
        " ".join(each) for each in automaton.sentences()
    )
    entered = {}
    for arcs in spelled.arcs:
        for character, after in arcs.items():
            assert entered.setdefault(after, character) == character


def test_random_grammars_agree_with_their_definition():
    rng = np.random.default_rng(5)

    def grow(depth):
        kind = rng.choice(["word", "sequence", "alternatives", "optional"]) if depth < 4 else "word"
        if kind == "word":
            return str(rng.choice(["a", "ab", "b", "abc", "a b"]))
        return (str(kind), *(grow(depth + 1) for _ in range(rng.integers(1, 4))))

    for _ in range(60):
        grammar = ("sequence", "x", grow(0))
        automaton = compile_grammar(grammar)
        expected = plain_sentences(grammar)
        assert set(automaton.sentences()) == expected
        assert automaton.count() == len(expected)
        spelled = automaton.spelled()
        assert sorted("".join(each) for each in spelled.sentences()) == sorted({" ".join(each) for each in expected})


def test_a_list_of_sentences_is_a_grammar():
    automaton = compile_grammar(["go left", "go right", "stop"])
    assert set(automaton.sentences()) == {("go", "left"), ("go", "right"), ("stop",)}


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ([], "allows no word"),
        (["", "  "], "allows no word"),
        (("repeat", "a"), "is no grammar; expected a text, or a tuple that begins with sequence"),
        (("sequence", 3), "3 is no grammar"),
    ],
)
def test_what_is_no_grammar(grammar, message):
    with pytest.raises(DataError, match=message):
        compile_grammar(grammar)


def test_a_grammar_nested_without_end_is_refused():
    grammar = "a"
    for _ in range(300):
        grammar = ("optional", grammar)
    with pytest.raises(DataError, match="more than 200 deep"):
        compile_grammar(grammar)


UNITS = {"a": 1, "b": 2, " ": 3}
SMALL = [
    ["a", "b", "ab", "a b"],
    ["aa", "a a", "ba b"],
    [("sequence", "a", ("optional", ("alternatives", "b", "a")), "a")],
    ["abab", "bb"],
]


@pytest.mark.parametrize("grammar", SMALL, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_grammar_mode_agrees_with_scoring_every_sentence(grammar, seed):
    matrix = random_log_probabilities(6, 4, seed)
    automaton = compile_grammar(grammar)
    sentences = [tuple(UNITS[character] for character in " ".join(each)) for each in automaton.sentences()]
    units = GrammarUnits(automaton.spelled(), UNITS)
    heard = hear(matrix, units, beam=10_000, best=10_000)
    totals, paths = all_outputs(matrix), best_paths(matrix)
    expected = {each: totals[each] for each in sentences if each in totals}
    assert {tuple(each.ids): each.score for each in heard.hypotheses} == pytest.approx(expected)
    assert heard.hypotheses[0].score == pytest.approx(max(expected.values()))
    best, nats = viterbi(matrix, units)
    assert (tuple(best), nats) == (max(expected, key=lambda each: paths[each][0]), pytest.approx(
        max(paths[each][0] for each in expected)))  # fmt: skip
    assert heard.margin == pytest.approx((max(nats for nats, _ in paths.values()) - nats) / 6)


def test_grammar_mode_hears_a_sentence_that_a_narrow_beam_loses():
    matrix = random_log_probabilities(40, 4, 9, sharpness=4)
    units = GrammarUnits(compile_grammar(["ab ba ab ba ab", "ba ba ba", "a"]).spelled(), UNITS)
    heard = hear(matrix, units, beam=1)
    assert len(heard.hypotheses) == 1
    assert heard.hypotheses[0].score == pytest.approx(forward_score(matrix, heard.hypotheses[0].ids))


def test_none_of_these():
    said = np.full((8, 4), 0.01)
    for frame, unit in enumerate([1, 1, 0, 2, 2, 0, 1, 0]):  # "aba"
        said[frame, unit] = 1
    matrix = np.log(said / said.sum(1, keepdims=True))
    right, wrong = (hear(matrix, GrammarUnits(compile_grammar([text]).spelled(), UNITS)) for text in ("aba", "bb b"))
    assert right.margin == 0
    assert right.accepted(0.5)
    assert wrong.margin > 1
    assert not wrong.accepted(0.5)


def test_a_recording_too_short_for_every_sentence():
    heard = hear(random_log_probabilities(2, 4, 1), GrammarUnits(compile_grammar(["abab"]).spelled(), UNITS))
    assert heard.hypotheses == []
    assert heard.margin == math.inf
    assert not heard.accepted(100)


def test_a_character_that_the_transcriber_does_not_know():
    with pytest.raises(DataError, match="the grammar spells 'c', 'ï', and the transcripts"):
        GrammarUnits(compile_grammar(["aïc"]).spelled(), UNITS)
