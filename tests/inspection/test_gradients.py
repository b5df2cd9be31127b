"""Decay, reach and shares of gradients through time, from arrays whose answers are known."""

import math

import numpy as np
import pytest

from unspool.errors import ShapeError, UsageError
from unspool.inspection import Gradients, StepJacobians


def falling(factor, steps=6, place="layer 1", **values):
    """Gradients whose norm changes by a factor per step back."""
    distance = np.subtract.outer(np.arange(steps), np.arange(steps))
    norms = np.where(distance >= 0, 3.0 * factor ** np.abs(distance), 0.0)
    tokens = tuple("abcdefghij"[:steps])
    return Gradients(tokens, tokens, {f"{place} / h": norms}, np.ones(steps), tuple(range(steps)), **values)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.3])
def test_slope_and_half_life_of_an_exponential(factor):
    decay = falling(factor).decay()
    assert decay.slope == pytest.approx(math.log(factor))
    assert decay.factor == pytest.approx(factor)
    assert decay.half_life == (pytest.approx(math.log(0.5) / math.log(factor)) if factor < 1 else math.inf)
    assert decay.pairs.tolist() == [6, 5, 4, 3, 2, 1]
    assert decay.distances.tolist() == list(range(6))


def test_distances_count_by_their_pairs():
    """With two distances of unequal weight the line goes through both; with three it leans to the heavier ones."""
    norms = np.array([[1.0, 0, 0], [1.0, 1.0, 0], [math.e**3, 1.0, 1.0]])
    decay = Gradients(("a", "b", "c"), ("a", "b", "c"), {"layer 1 / h": norms}, np.ones(3), (0, 1, 2)).decay()
    assert decay.means.tolist() == pytest.approx([0, 0, 3])
    x, y, w = np.array([0, 1, 2]), np.array([0, 0, 3]), np.array([3, 2, 1])
    assert decay.slope == pytest.approx(np.polyfit(x, y, 1, w=np.sqrt(w))[0])


def test_share_beyond_and_reach():
    gradients = falling(0.5, steps=3)
    total = 3 * (3 + 2 * 0.5 + 0.25)
    assert gradients.share_beyond(1) == pytest.approx(3 * (1 + 0.25) / total)
    assert gradients.share_beyond(0) == 1
    assert gradients.share_beyond(3) == 0
    assert [gradients.reach(share) for share in (0.5, 0.7, 0.9, 0.95, 1.0)] == [1, 1, 2, 3, 3]


def test_a_backward_layer_counts_the_other_way():
    norms = falling(0.5).array("layer 1 / h").T
    steps = tuple("abcdef")
    backward = Gradients(steps, steps, {"layer 1 backward / h": norms}, np.ones(6), tuple(range(6)))
    assert backward.decay().slope == pytest.approx(math.log(0.5))
    assert backward.distances("layer 1 backward / h")[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_one_loss_stands_at_the_end_of_each_direction():
    norms = {"layer 1 forward / h": np.array([[1.0, 2, 4]]), "layer 1 backward / h": np.array([[4.0, 2, 1]])}
    gradients = Gradients(("a", "b", "c"), ("positive",), norms, np.ones(1))
    for name in norms:
        assert gradients.decay(name).slope == pytest.approx(math.log(0.5))


def test_zeros_are_counted_and_left_out():
    norms = np.array([[0.0, 2, 4, 8]])
    decay = Gradients(tuple("abcd"), ("x",), {"layer 1 / h": norms}, np.ones(1)).decay()
    assert decay.zeros == 1
    assert decay.slope == pytest.approx(math.log(0.5))
    nothing = Gradients(tuple("ab"), ("x",), {"layer 1 / h": np.zeros((1, 2))}, np.ones(1))
    assert math.isnan(nothing.decay().slope)
    assert math.isnan(nothing.share_beyond(1))
    assert nothing.reach() == 0
    assert "no decay to measure" in nothing.sentences()[0]


def test_arrays_are_read_only_copies_and_the_main_one_is_the_whole_state():
    ones = np.ones((1, 2))
    norms = {"layer 1 / h": ones, "layer 1 / c": ones, "layer 1 / state": ones, "input / x": ones}
    gradients = Gradients(("a", "b"), ("x",), norms, np.ones(1))
    assert gradients.main == "layer 1 / state"
    assert gradients.places == ("layer 1",)
    ones[:] = 7
    assert gradients.array("layer 1 / h").tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        gradients.array("layer 1 / h")[0, 0] = 2


def test_wrong_arrays_and_names_are_refused():
    with pytest.raises(ShapeError, match=r"'layer 1 / h' has shape \(2, 2\); 1 losses and 2 steps"):
        Gradients(("a", "b"), ("x",), {"layer 1 / h": np.ones((2, 2))}, np.ones(1))
    with pytest.raises(ShapeError, match="`at` has 2 steps for 1 losses"):
        Gradients(("a", "b"), ("x",), {"layer 1 / h": np.ones((1, 2))}, np.ones(1), (0, 1))
    with pytest.raises(UsageError, match="did you mean 'layer 1 / h'"):
        falling(0.5).array("layer 1 / hh")
    with pytest.raises(UsageError, match="expected at least 1 step"):
        falling(0.5, truncation=0)


def test_sentences_say_what_the_numbers_say():
    jacobians = {"layer 1": StepJacobians(np.array([0.2, 0.4, 0.9]), "exact")}
    lines = falling(0.5, truncation=2, jacobians=jacobians).sentences()
    assert lines[0] == "The gradient shrinks by 50 % per step back: it halves every 1 steps (slope -0.693)."
    share = 100 * falling(0.5).share_beyond(2)
    assert f"{share:.2g} % of it lies 2 steps or more back" in lines[2]
    assert lines[3] == "Largest singular value of a step's Jacobian: median 0.4, from 0.2 to 0.9 (exact)."
    assert "grows by 30 % per step back" in falling(1.3).sentences()[0]
    assert "keeps its size" in falling(1.0).sentences()[0]


def test_the_record_is_plain_json():
    import json

    record = json.loads(json.dumps(falling(1.3, truncation=2).record(), allow_nan=False))
    assert record["decay"]["layer 1 / h"]["half_life"] is None
    assert record["norms"]["layer 1 / h"][2][1] == pytest.approx(3 * 1.3)
    assert record["share_beyond_truncation"]["layer 1 / h"] == pytest.approx(falling(1.3).share_beyond(2))
