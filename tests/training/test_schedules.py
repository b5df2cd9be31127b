import math

import pytest

from unspool.training import TrainingSettings
from unspool.training.schedules import cut, learning_rate


def rates(updates: int, **settings) -> list[float]:
    training = TrainingSettings(learning_rate=2.0, **settings)
    return [learning_rate(training, update, update / updates) for update in range(updates)]


def test_constant_with_warmup_climbs_then_stays():
    assert rates(60, warmup=4)[:6] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_warmup_takes_a_tenth_of_a_short_training_at_most():
    assert rates(40, warmup=100)[:6] == pytest.approx([0.02, 0.5, 1.0, 1.5, 2.0, 2.0])


def test_linear_comes_down_to_its_final_fraction():
    assert rates(4, schedule="linear") == [2.0, 1.5, 1.0, 0.5]
    assert rates(4, schedule="linear", final_learning_rate_fraction=0.5) == [2.0, 1.75, 1.5, 1.25]


def test_cosine_is_half_way_down_half_way_through():
    assert rates(4, schedule="cosine") == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)])
    training = TrainingSettings(learning_rate=2.0, schedule="cosine", final_learning_rate_fraction=0.1)
    assert learning_rate(training, 9, 1.0) == pytest.approx(0.2)
    assert learning_rate(training, 99, 1.7) == pytest.approx(0.2)


def test_plateau_and_anneal_take_what_validation_left():
    for schedule in ("plateau", "anneal"):
        assert learning_rate(TrainingSettings(learning_rate=2.0, schedule=schedule), 5, 0.9, 0.25) == 0.5


def test_anneal_cuts_each_time_and_plateau_after_a_while():
    anneal = TrainingSettings(schedule="anneal", anneal_factor=2.0)
    assert cut(anneal, 1.0, 0) == (1.0, 0)
    assert cut(anneal, 1.0, 1) == (0.5, 0)
    plateau = TrainingSettings(schedule="plateau", anneal_factor=2.0, plateau_length=3)
    assert cut(plateau, 0.5, 2) == (0.5, 2)
    assert cut(plateau, 0.5, 3) == (0.25, 0)
    assert cut(TrainingSettings(), 1.0, 9) == (1.0, 9)


def test_cuts_end_at_the_final_fraction():
    training = TrainingSettings(schedule="anneal", anneal_factor=4.0, final_learning_rate_fraction=0.1)
    assert cut(training, 0.25, 1) == (0.1, 0)
