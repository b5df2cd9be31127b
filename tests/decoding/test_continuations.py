"""Continuous batching: a text is the same alone and among others that join, leave and fork."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from unspool.decoding import Continuation, Continuations, Sampling, continued
from unspool.decoding.continuations import random_numbers
from unspool.errors import SettingError
from unspool.layers import CausalTransformer, FullSoftmax, Recurrent, TokenEmbedding, TransformerEncoder
from unspool.models import LanguageModel

COLD = Sampling(temperature=0)


class Counter:
    """Follows each unit by the next one, by chance 0.9, or by the one after that; its state counts the steps."""

    vocabulary = 10

    def start(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, dtype=torch.long)

    def advance(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        chances = torch.full((len(ids), self.vocabulary), 1e-9)
        rows = torch.arange(len(ids))
        chances[rows, (ids + 1) % self.vocabulary] = 0.9
        chances[rows, (ids + 2) % self.vocabulary] = 0.1
        self.state = state + 1
        return chances.log(), self.state


def finish(batch: Continuations, texts: list[Continuation]) -> dict[int, list[int]]:
    """Step until the batch is empty; return the units of each text, by place."""
    units: dict[int, list[int]] = {place: [] for place in range(len(texts))}
    while batch.rows:
        for text, unit in batch.step().written:
            units[texts.index(text)].append(unit)
    return units


def alone(model, text: Continuation) -> list[int]:
    return list(continued(model, text))


def network(cell: str = "gru", layers: int = 2) -> LanguageModel:
    torch.manual_seed(3)
    decoder = Recurrent(cell, 12, 37, num_layers=layers)
    return LanguageModel(TokenEmbedding(23, 12), decoder, FullSoftmax(37, 23)).eval()


def transformer() -> LanguageModel:
    torch.manual_seed(4)
    decoder = CausalTransformer(12, TransformerEncoder(16, layers=2, heads=2, feedforward=32, causal=True), 9)
    return LanguageModel(TokenEmbedding(23, 12), decoder, FullSoftmax(16, 23)).eval()


def text_of(number: int, length: int = 30) -> Continuation:
    sampling = Sampling(
        temperature=0.5 + 0.1 * (number % 3), top_k=[None, 9][number % 2], top_p=[None, 0.9][number % 2]
    )
    return Continuation(
        [1 + (number + k) % 20 for k in range(1 + number % 5)], length=length, sampling=sampling, seed=number
    )


def test_a_text_reads_its_prompt_and_goes_on_from_it():
    model = Counter()
    texts = [Continuation(prompt, length=6, sampling=COLD) for prompt in ([7, 4, 5], [1])]
    batch = Continuations(model)
    batch.add(texts)
    assert finish(batch, texts) == {0: [6, 7, 8, 9, 0, 1], 1: [2, 3, 4, 5, 6, 7]}
    assert [text.state.item() for text in texts] == [8, 6]  # the unit that was written last is not read yet
    assert list(texts[0].unread) == [1]


def test_a_forbidden_unit_is_never_written():
    forbidden = torch.zeros(10, dtype=torch.bool)
    forbidden[6] = forbidden[9] = True
    text = Continuation([5], length=4, sampling=COLD)
    batch = Continuations(Counter(), forbidden=forbidden)
    batch.add([text])
    assert finish(batch, [text])[0] == [7, 8, 0, 1]


@pytest.mark.parametrize("build", [network, lambda: network("lstm", 1), lambda: network("mingru"), transformer])
def test_texts_that_join_and_leave_equal_the_same_texts_alone(build):
    model = build()
    expected = [alone(model, text_of(number, 5 + number)) for number in range(12)]
    texts = [text_of(number, 5 + number) for number in range(12)]
    batch, units = Continuations(model), {place: [] for place in range(12)}
    waiting = list(texts)
    for step in range(200):
        if waiting and step % 2 == 0:
            batch.add([waiting.pop(0) for _ in range(min(len(waiting), 1 + step % 3))])
        if step % 5 == 4 and batch.rows:  # pause one in the middle
            paused = batch.rows[step % len(batch.rows)]
            batch.remove([paused])
            waiting.append(paused)
        if batch.rows:
            for text, unit in batch.step().written:
                units[texts.index(text)].append(unit)
    assert units == dict(enumerate(expected))
    assert len({tuple(one) for one in expected}) == 12


def test_a_text_goes_on_after_its_end_as_if_it_had_been_longer():
    model = network()
    expected = alone(model, text_of(3, 20))
    text = text_of(3, 8)
    batch = Continuations(model)
    batch.add([text])
    first = finish(batch, [text])[0]
    fork = text.fork()
    text.left = fork.left = 12
    batch.add([text, fork])
    rest = finish(batch, [text, fork])
    assert first + rest[0] == expected
    assert rest[1] == rest[0]


def test_a_fork_leaves_the_original_alone():
    model = network()
    text = text_of(1, 6)
    alone(model, text)
    fork = text.fork()
    fork.unread.append(7)
    fork.left = 9
    alone(model, fork)
    assert text.left == 0
    assert len(text.unread) == 1
    assert not torch.equal(text.state[0][0].h, fork.state[0][0].h)


def test_reading_alone_gives_the_state_after_all_units():
    model, units = network("lstm", 1), [3, 9, 4, 17]
    text = Continuation(units)
    assert alone(model, text) == []
    _, state = model.states(torch.tensor(units).unsqueeze(1), model.start(1))
    torch.testing.assert_close(text.state[0][0].c, state[0][0].c)
    assert text.scores is not None
    torch.testing.assert_close(text.scores, model(torch.tensor(units).unsqueeze(1))[0][-1, 0].detach())


def test_no_step_makes_a_gradient():
    text = text_of(2, 3)
    model = network()
    alone(model, text)
    assert not any(part.requires_grad for layer in text.state for state in layer for part in state)


def test_random_numbers_are_uniform_and_independent_of_their_batch():
    many = random_numbers([7] * 40_000, range(40_000))
    assert abs(many.mean() - 0.5) < 0.01
    assert np.abs(np.histogram(many, 10, (0, 1))[0] / 4000 - 1).max() < 0.06
    assert abs(np.corrcoef(many[:-1], many[1:])[0, 1]) < 0.02
    seeds = random_numbers(range(40_000), [0] * 40_000)
    assert abs(np.corrcoef(seeds[:-1], seeds[1:])[0, 1]) < 0.02
    assert random_numbers([3, 7], [0, 11])[1] == many[11]
    assert 0 <= many.min() < 0.001
    assert 0.999 < many.max() < 1


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(SettingError, match=f"seed = {seed}: expected a whole number from 0 to"):
        Continuation([1], seed=seed)


def test_sampling_out_of_range_is_refused():
    with pytest.raises(SettingError, match=re.escape("top_p = 1.5: expected more than 0 and at most 1")):
        Continuation([1], sampling=Sampling(top_p=1.5))
