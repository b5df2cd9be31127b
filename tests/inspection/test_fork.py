"""Forks: the divergence against its formula, what JSON holds, and the terminal view."""

import json

import numpy as np
import pytest
from rich.console import Console

from unspool.errors import UsageError
from unspool.inspection import Edit, Fork, Map, Trace, show_fork
from unspool.inspection.fork import BothTexts, Outcomes

EDITS = (Edit.parse("layer 1 / h[2] = 0 @ 2"), Edit.parse("token = 'flight' @ 2"))


def law(seed, rows=3, choices=12):
    values = np.random.default_rng(seed).normal(size=(rows, choices)) * 2
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def trace(seed, tokens=("the", "flights", "landed"), **values):
    chance = np.random.default_rng(seed)
    arrays = {f"layer {depth} / {name}": chance.random((3, 4)) for depth in (1, 2) for name in ("forget", "h", "c")}
    return Trace(tokens, arrays, model="lstm, 2 layers of 4", **values)


def fork(before, after, traces=None, **outcomes):
    traces = traces or (trace(1), trace(2, ("the", "flight", "landed")))
    laws = tuple(Outcomes(np.exp(each), each, "abcdefghijkl".__getitem__, **outcomes) for each in (before, after))
    return Fork.of("the flights landed", EDITS, (), traces, laws, BothTexts(" soon", " now\nand then"))


def test_the_divergence_is_that_of_kullback_and_leibler_in_nats():
    p, q = law(1), law(2)
    q[0] = p[0]
    result = fork(p, q)
    expected = [sum(np.exp(a) * (a - b) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)]
    np.testing.assert_allclose(result.divergence, expected, atol=1e-15)
    assert result.divergence[0] == 0
    assert result.first_divergence == 1
    assert fork(p, p).first_divergence is None


def test_what_can_not_happen_adds_nothing_and_what_became_impossible_is_infinite():
    certain, even = np.array([[0.0, -np.inf]]), np.log([[0.5, 0.5]])
    assert fork(certain, even).divergence.tolist() == [pytest.approx(np.log(2))]
    assert fork(even, certain).divergence.tolist() == [np.inf]
    assert fork(even, certain).record()["divergence"] == [None]


def test_labels_of_their_own_are_yes_or_no_each():
    p, q = np.log([[0.9, 0.2]]), np.log([[0.4, 0.7]])
    expected = 0.9 * np.log(0.9 / 0.4) + 0.1 * np.log(0.1 / 0.6) + 0.2 * np.log(0.2 / 0.7) + 0.8 * np.log(0.8 / 0.3)
    assert fork(p, q, independent=True).divergence[0] == pytest.approx(expected)


def test_steps_hold_the_most_probable_choices_of_both_runs():
    p, q = law(3), law(4)
    for row, step in enumerate(fork(p, q).steps):
        assert list(step.original) == list(step.edited)
        assert list(step.original.values()) == sorted(step.original.values(), reverse=True)
        for side, values in zip(step, (p[row], q[row]), strict=True):
            assert {"abcdefghijkl"[choice] for choice in np.argsort(-values)[:8]} <= set(side)
            for name, share in side.items():
                assert share == pytest.approx(np.exp(values["abcdefghijkl".index(name)]))


def test_differences_are_means_over_units():
    result = fork(law(1), law(2))
    before, after = result.original.array("layer 2 / c"), result.edited.array("layer 2 / c")
    np.testing.assert_allclose(result.differences["layer 2 / c"], np.abs(before - after).mean(1))


def test_the_record_is_plain_json():
    record = json.loads(json.dumps(fork(law(1), law(2)).record(), allow_nan=False))
    assert record["edits"][0] == EDITS[0].record()
    assert record["first_divergence"] == 1
    assert record["tokens"][1] == "flights"
    assert record["edited_tokens"][1] == "flight"
    assert record["continuations"] == {"original": " soon", "edited": " now\nand then"}


def test_distributions_of_two_shapes_are_refused():
    with pytest.raises(UsageError, match="distributions of one shape"):
        fork(law(1), law(2, rows=4))


def shown(result, width=80, **options):
    console = Console(width=width, **options)
    with console.capture() as capture:
        show_fork(result, console)
    return capture.get()


@pytest.mark.parametrize("width", [40, 80])
def test_both_runs_stand_side_by_side(width):
    text = shown(fork(law(1), law(2)), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "flights > flight" in text
    assert "fork: layer 1 / h[2] = 0 @ 2" in text.replace("\n", " ") or width == 40
    assert "original goes on:" in text
    assert "2 h" in text or width == 40
    assert " now" in lines
    assert "and then" in lines


def test_without_block_characters():
    class Latin:
        encoding = "latin-1"

        def write(self, text):
            text.encode("ascii")
            self.text = getattr(self, "text", "") + text

        def flush(self):
            pass

    file = Latin()
    show_fork(fork(law(1), law(2)), Console(width=80, file=file))
    assert "###" in file.text


def test_labels_with_both_probabilities():
    sides = tuple(
        trace(seed, prediction={"label": "x", "probabilities": {"singular": share, "plural": 1 - share}})
        for seed, share in ((1, 0.03), (2, 0.98))
    )
    result = Fork.of("x", EDITS, (), sides, (None, None))
    assert result.steps == ()
    assert result.first_divergence is None
    text = shown(result)
    assert any(
        line.split()[0] == "plural" and "0.97" in line and line.endswith("0.02") for line in text.splitlines() if line
    )


def test_arrays_and_maps_of_both_runs_are_drawn_when_asked():
    maps = {"attention": Map(np.eye(3), ("a", "b", "c"), ("x", "y", "z"))}
    result = fork(law(1), law(2), (trace(1, maps=maps), trace(2, maps=maps)))
    console = Console(width=80)
    with console.capture() as capture:
        show_fork(result, console, array="layer 1 / h", maps="att*")
    text = capture.get()
    assert text.count("layer 1 / h\n") == 2
    assert text.count("attention\n") == 2
    with pytest.raises(UsageError, match="no array"):
        show_fork(result, console, array="layer 1 / q")


def test_in_one_line():
    assert repr(fork(law(1), law(2))).startswith("Fork of 3 tokens: layer 1 / h[2] = 0 @ 2; token = 'flight' @ 2\n")
