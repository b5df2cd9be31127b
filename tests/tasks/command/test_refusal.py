"""Refusals: the energy score by its formula, the rate of false refusals, scores by hand, and damaged files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unspool.data import SlotSpan, Utterance
from unspool.errors import ModelFolderError
from unspool.tasks.command.refusal import NEVER, Refusal, scope_scores
from unspool.tasks.command.scores import Predicted, area_under_roc, best_threshold, command_scores, refused_at


def test_the_score_is_the_energy_against_none():
    logits = np.array([[1.0, -2.0, 0.5], [30.0, 31.0, -4.0]])
    plain = [math.log(sum(math.exp(value) for value in row)) for row in logits.tolist()]
    assert scope_scores(logits, 3, several=False) == pytest.approx(plain)
    two = [math.log(math.exp(a) + math.exp(b)) - c for a, b, c in logits.tolist()]
    assert scope_scores(logits, 2, several=False) == pytest.approx(two)
    assert scope_scores(logits, 3, several=True) == pytest.approx([1.0, 31.0])
    assert np.isfinite(scope_scores(np.full((1, 3), 1e4, np.float32), 3, several=False)).all()


@pytest.mark.parametrize("held_out", [19, 200, 5000])
def test_familiarity_keeps_the_stated_rate_of_false_refusals(held_out):
    generator = np.random.default_rng(held_out)
    rates = []
    for _ in range(50):
        refusal = Refusal.of(generator.gumbel(size=held_out))
        rates.append(float((refusal.familiarity(generator.gumbel(size=2000)) <= 0.05).mean()))
    assert np.mean(rates) <= 0.055
    if held_out > 100:
        assert np.mean(rates) >= 0.04


def test_familiarity_ranks_and_never_refuses_without_held_out_commands():
    refusal = Refusal.of(np.array([3.0, 1.0, 2.0]))
    assert refusal.scores == [1.0, 2.0, 3.0]
    assert refusal.familiarity(np.array([0.0, 1.0, 2.5, 9.0])).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert NEVER.familiarity(np.array([-9.0])).tolist() == [1.0]


def test_scores_are_saved_and_checked(tmp_path):
    refusal = Refusal.of(np.array([0.1, -3.25, 1e-9]))
    refusal.save(tmp_path)
    assert Refusal.load(tmp_path) == refusal
    for content in ("{", '{"scores": ["a"]}', '{"scores": [2.0, 1.0]}', '{"scores": [1e999]}', '{"other": 1}'):
        (tmp_path / "refusal.json").write_text(content)
        with pytest.raises(ModelFolderError):
            Refusal.load(tmp_path)
    (tmp_path / "refusal.json").unlink()
    assert Refusal.load(tmp_path) == NEVER


def test_area_and_refused_share_by_counting():
    generator = np.random.default_rng(0)
    inside, outside = generator.integers(0, 9, 40) + 2.0, generator.integers(0, 9, 31) + 0.0
    pairs = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
    assert area_under_roc(inside, outside) == pytest.approx(np.mean(pairs))
    assert refused_at(np.arange(100.0), np.array([4.0, 4.9, 5.0, 60.0]), 0.95) == 0.5


def test_the_best_threshold_by_trying_all():
    generator = np.random.default_rng(2)
    shares, targets = generator.random((60, 4)), generator.integers(0, 2, (60, 4))
    shares = 0.6 * shares + 0.3 * targets

    def f1(threshold):
        hits = (shares >= threshold) & (targets > 0)
        return 2 * hits.sum() / ((shares >= threshold).sum() + targets.sum())

    chosen = best_threshold(shares, targets)
    assert f1(chosen) == max(f1(step / 20) for step in range(2, 19))
    assert 0.1 < chosen < 0.9


def test_scores_of_commands_by_hand():
    gold = [
        Utterance("", "ten past two", ("time",), (SlotSpan("hour", 0, 3), SlotSpan("minute", 9, 12))),
        Utterance("", "stop", ("stop",)),
        Utterance("", "go", ("go",)),
        Utterance("", "why", ()),
    ]
    predicted = [
        Predicted(("time",), [SlotSpan("hour", 0, 3), SlotSpan("minute", 4, 12)], 5.0, True),
        Predicted(("stop",), [], 4.0, True),
        Predicted(("stop",), [], 3.0, True),
        Predicted(("go",), [], 3.5, False),
    ]
    scores = command_scores(gold, predicted, several=False)
    assert scores == {
        "accuracy": pytest.approx(2 / 3), "slot_f1": 0.5, "exact": pytest.approx(1 / 3),
        "auroc": pytest.approx(2 / 3), "refused": 0.0,
    }  # fmt: skip
    several = command_scores(
        [Utterance("", "a", ("x", "y")), Utterance("", "b", ())],
        [Predicted(("y", "z"), [], 0.0, True), Predicted((), [], 0.0, True)],
        several=True,
    )
    assert several == {"accuracy": 0.5, "micro_f1": 0.5}
