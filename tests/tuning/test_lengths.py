"""Lengths of training: which there are, and which fits into the time left."""

from __future__ import annotations

import pytest

from unspool.tuning.lengths import Lengths, lengths_of


@pytest.mark.parametrize(
    ("epochs", "minutes", "unit", "values"),
    [
        (27, 5.0, "epochs", (3, 9, 27)),
        (15, 5.0, "epochs", (2, 5, 15)),
        (2, 5.0, "epochs", (1, 2)),
        (1, 5.0, "epochs", (1,)),
        (None, 9.0, "minutes", (1, 3, 9)),
        (None, 0.27, "minutes", (0.09, 0.27)),
        (None, 0.01, "minutes", (0.01,)),
    ],
)
def test_lengths_are_a_ninth_a_third_and_all(epochs, minutes, unit, values):
    lengths = lengths_of(epochs, minutes)
    assert lengths.unit == unit
    assert lengths.values == pytest.approx(values)


def test_settings_and_titles():
    epochs, minutes = lengths_of(9, 1.0), lengths_of(None, 10.0)
    assert epochs.settings(1) == {"training.epochs": 3, "training.minutes": None}
    assert minutes.settings(2) == {"training.minutes": 10.0}
    assert [epochs.title(0), epochs.title(2), minutes.title(0)] == ["1 epoch", "9 epochs", "1.11 minutes"]


def test_the_next_length_fits_into_the_time():
    lengths = Lengths("minutes", (1, 3, 9))
    assert lengths.next_rung(-1, 600.0, {}) == 0  # 60 s and 540 s
    assert lengths.next_rung(-1, 599.0, {}) == 2  # at once to the full length
    assert lengths.next_rung(0, 719.0, {}) == 2  # 180 s and 540 s do not fit
    assert lengths.next_rung(0, 720.0, {}) == 1
    assert lengths.next_rung(1, 539.0, {}) is None
    assert lengths.next_rung(2, 9999.0, {}) is None
    assert lengths.next_rung(1, 549.0, {0: 70.0}) is None  # 10 s more than the training itself
    assert lengths.next_rung(1, 550.0, {0: 70.0}) == 2
    assert lengths.next_rung(0, 90.0, {0: 20.0, 1: 40.0, 2: 50.0}) == 1  # trainings end before their limit
    by_epochs = Lengths("epochs", (1, 3))
    assert by_epochs.expected(1, {0: 10.0}) == 30.0
    assert by_epochs.next_rung(-1, 39.0, {0: 10.0}) == 1
    assert by_epochs.next_rung(-1, -1.0, {}) is None
