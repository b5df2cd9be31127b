"""Choosing the next unit: exact on distributions written out, seeded, batched."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from unspool.decoding import sample_next
from unspool.decoding.sampling import seeded
from unspool.errors import SettingError

CHANCES = torch.tensor([0.05, 0.4, 0.15, 0.3, 0.1])
DRAWS = 40_000


def shares(chances: Tensor = CHANCES, **settings: object) -> Tensor:
    """How often each unit is drawn."""
    rows = chances.log().expand(DRAWS, -1)
    drawn = sample_next(rows, generator=torch.Generator().manual_seed(4), **settings)
    return drawn.bincount(minlength=len(chances)) / DRAWS


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.05, 0.4, 0.15, 0.3, 0.1]),
        ({"temperature": 0.5}, [0.0025, 0.16, 0.0225, 0.09, 0.01]),
        ({"temperature": 2.0}, [0.2236, 0.6325, 0.3873, 0.5477, 0.3162]),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 3}, [0, 0.4, 0.15, 0.3, 0]),
        ({"top_k": 9}, [0.05, 0.4, 0.15, 0.3, 0.1]),
        ({"top_p": 0.01}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.39}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.41}, [0, 0.4, 0, 0.3, 0]),
        ({"top_p": 0.71}, [0, 0.4, 0.15, 0.3, 0]),
        ({"top_p": 0.94}, [0, 0.4, 0.15, 0.3, 0.1]),
        ({"top_p": 1.0}, [0.05, 0.4, 0.15, 0.3, 0.1]),
        ({"top_k": 3, "top_p": 0.8}, [0, 0.4, 0, 0.3, 0]),  # of what top_k left, 0.7 / 0.85 is enough
        ({"temperature": 0.5, "top_p": 0.6}, [0, 0.16, 0, 0.09, 0]),  # 0.16 / 0.285 alone is not
    ],
    ids=str,
)
def test_units_are_drawn_with_their_chances(settings, expected):
    expected = torch.tensor(expected, dtype=torch.float32)
    actual = shares(**settings)
    assert torch.equal(actual == 0, expected == 0)
    assert_close(actual, expected / expected.sum(), rtol=0, atol=0.012)


@pytest.mark.parametrize("top_k", [1, 2])
def test_top_k_takes_no_more_than_k_where_units_are_equal(top_k):
    drawn = shares(torch.full((4,), 0.25), top_k=top_k)
    assert torch.count_nonzero(drawn) == top_k


def test_temperature_zero_takes_the_likeliest_of_each_row():
    scores = torch.randn(50, 7).log_softmax(-1)
    assert torch.equal(sample_next(scores, temperature=0), scores.argmax(-1))
    assert torch.equal(sample_next(scores, temperature=0, top_k=2, top_p=0.3), scores.argmax(-1))
    assert torch.equal(sample_next(scores, temperature=1e-6), scores.argmax(-1))


def test_rows_are_drawn_each_from_its_own_chances():
    rows = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 0.5, 0.5]]).log()
    seen = {tuple(sample_next(rows, top_p=0.9).tolist()) for _ in range(60)}
    assert seen == {(0, 2, 1), (0, 2, 2)}


def test_a_seed_repeats_the_draw():
    rows = torch.zeros(64, 11).log_softmax(-1)
    first, again, other = (sample_next(rows, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature = -1: expected a finite number, 0 or more"),
        ({"temperature": float("nan")}, "temperature = nan: expected a finite number, 0 or more"),
        ({"temperature": float("inf")}, "temperature = inf: expected a finite number, 0 or more"),
        ({"top_k": 0}, "top_k = 0: expected 1 or more"),
        ({"top_p": 0.0}, "top_p = 0.0: expected more than 0 and at most 1"),
        ({"top_p": 1.5}, "top_p = 1.5: expected more than 0 and at most 1"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        sample_next(CHANCES.log()[None], **settings)


def test_a_tiny_top_p_takes_the_likeliest():
    assert shares(top_p=1e-300).tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(SettingError, match=f"seed = {seed}: expected a whole number from 0 to"):
        seeded(seed, torch.device("cpu"))
    assert seeded(2**63 - 1, torch.device("cpu")).initial_seed() == 2**63 - 1
