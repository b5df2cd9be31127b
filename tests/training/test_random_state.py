import json
import random

import numpy as np
import torch

from unspool.training import random_state

CPU = torch.device("cpu")


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), *np.random.randn(3), *torch.rand(3).tolist(), *torch.randn(1).tolist()]


def test_what_is_restored_draws_the_same_numbers():
    random_state.seed(3)
    draw()  # gauss and randn keep every second number back
    tensors, record = random_state.capture(CPU)
    expected = draw()
    draw()
    random_state.restore(tensors, json.loads(json.dumps(record)), CPU)
    assert draw() == expected


def test_seeds_and_ranks_draw_different_numbers():
    draws = []
    for number, rank in [(0, 0), (1, 0), (0, 1), (1, 1), (2**60, 0)]:
        random_state.seed(number, rank=rank)
        draws.append(draw())
    for column in zip(*draws, strict=True):
        assert len(set(column)) == len(draws)
    random_state.seed(0)
    assert draw() == draws[0]


def test_unchanged_leaves_no_trace():
    random_state.seed(3)
    expected = draw()
    random_state.seed(3)
    with random_state.unchanged(CPU):
        draw()
    assert draw() == expected
