"""The retriever: its scores and loss by hand, in floats, and the two ways of scoring against each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import Bags
from unspool.errors import SettingError
from unspool.models import Lookups, Retriever

CLOSE = TOLERANCE[torch.float32]
ENTRIES, SIZE = 9, 4

Plain = tuple[dict[int, float], float]
"""Values by entry, and how much is unknown."""
QUERIES: list[Plain] = [({0: 1.5, 3: 0.7, 8: 2.0}, 0.0), ({2: 1.0}, 3.0), ({}, 2.0), ({1: 0.4, 3: 1.1}, 0.5)]
KEYS: list[Plain] = [({0: 1.5, 3: 0.7, 8: 2.0}, 0.0), ({1: 2.0, 2: 0.3, 4: 1.0}, 0.0), ({5: 1.0, 3: 0.9}, 0.0)]


def bags(plain: list[Plain]) -> Bags:
    ids = [id for values, _ in plain for id in sorted(values)]
    values = [values[id] for values, _ in plain for id in sorted(values)]
    offsets = [0]
    for each, _ in plain:
        offsets.append(offsets[-1] + len(each))
    unknown = [unknown for _, unknown in plain]
    return Bags(
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(values),
        torch.tensor(offsets),
        torch.tensor(unknown),
    )


def make(balance: float = 0.5, scale: float = 20.0) -> Retriever:
    model = Retriever(ENTRIES, SIZE, balance=balance, scale=scale)
    with torch.no_grad():
        model.importance.normal_(std=0.7)
        model.projection.normal_()
    return model


@torch.no_grad()
def encoded_by_hand(model: Retriever, plain: Plain) -> tuple[dict[int, float], list[float]]:
    values, unknown = plain
    weighed = {id: math.exp(float(model.importance[id])) * value for id, value in values.items()}
    length = math.sqrt(sum(value**2 for value in weighed.values()) + unknown)
    x = {id: value / length for id, value in weighed.items()} if length else {}
    product = [sum(x[id] * float(model.projection[id, d]) for id in x) for d in range(SIZE)]
    known, long = math.sqrt(sum(value**2 for value in x.values())), math.sqrt(sum(p**2 for p in product))
    return x, [known * p / long if long else 0.0 for p in product]


def score_by_hand(model: Retriever, query: Plain, key: Plain, balance: float) -> float:
    (x, e), (k, f) = encoded_by_hand(model, query), encoded_by_hand(model, key)
    shared = sum(value * k.get(id, 0.0) for id, value in x.items())
    return (shared + balance * sum(a * b for a, b in zip(e, f, strict=True))) / (1 + balance)


@pytest.mark.parametrize("balance", [0.0, 0.5, 2.0])
def test_scores(balance):
    model = make(balance)
    scores = model.scores(bags(QUERIES), bags(KEYS))
    expected = [[score_by_hand(model, query, key, balance) for key in KEYS] for query in QUERIES]
    assert_close(scores, torch.tensor(expected), **CLOSE)
    assert_close(scores[0, 0], torch.tensor(1.0), **CLOSE)
    assert_close(scores[2], torch.zeros(3))


@pytest.mark.parametrize("with_vectors", [ENTRIES, 3])
def test_encoded_bags_give_the_same_scores(with_vectors):
    model = make()
    model.num_vectors.fill_(with_vectors)
    query, key = model.encode(bags(QUERIES)), model.encode(bags(KEYS))

    def table(side) -> Tensor:
        rows = torch.repeat_interleave(side.offsets.diff())
        return torch.zeros(len(side.vectors), ENTRIES).index_put((rows, side.ids), side.values)

    shares = query.shares[:, None] * key.shares
    scores = (table(query) @ table(key).T + 0.5 * query.vectors @ key.vectors.T) / (1 + 0.5 * shares)
    assert_close(scores, model.scores(bags(QUERIES), bags(KEYS)), **CLOSE)
    if with_vectors == ENTRIES:
        assert_close(key.shares, torch.ones(3))
        for row, plain in enumerate(QUERIES):
            assert_close(query.vectors[row], torch.tensor(encoded_by_hand(model, plain)[1]), **CLOSE)


def test_loss_is_the_cross_entropy_of_the_right_keys():
    model, targets = make(scale=7.0), torch.tensor([0, 1, 2, 2])
    loss = model.loss(Lookups(bags(QUERIES), bags(KEYS), targets))
    expected = 0.0
    for query, target in zip(QUERIES, targets.tolist(), strict=True):
        logits = [7.0 * score_by_hand(model, query, key, 0.5) for key in KEYS]
        expected += math.log(sum(map(math.exp, logits))) - logits[target]
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert loss.count == 4
    assert loss.carry is None


def test_the_memory_weighs_the_same_scores():
    model, targets = make(scale=7.0), torch.tensor([0, 1, 2, 2])
    weights = model.memory.weigh(model.scores(bags(QUERIES), bags(KEYS)))
    expected = -weights.gather(1, targets[:, None]).log().sum()
    assert_close(model.loss(Lookups(bags(QUERIES), bags(KEYS), targets)).total, expected, **CLOSE)


def test_gradients():
    model, targets = make().double(), torch.tensor([0, 1, 2, 2])
    batch = Lookups(bags(QUERIES), bags(KEYS), targets)
    parameters = dict(model.named_parameters())
    assert parameters.keys() == {"importance", "projection", "memory.log_scale"}

    def total(*values: Tensor) -> Tensor:
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(_Loss(model), {f"model.{k}": v for k, v in named.items()}, (batch,))

    assert torch.autograd.gradcheck(total, tuple(parameters.values()))


class _Loss(torch.nn.Module):
    def __init__(self, model: Retriever) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Lookups) -> Tensor:
        return self.model.loss(batch).total


def test_a_batch_without_anything_known_has_finite_gradients():
    model = make()
    model.loss(
        Lookups(bags([({}, 0.0), ({}, 1.0)]), bags([({}, 0.0), ({1: 1.0}, 0.0)]), torch.tensor([0, 1]))
    ).total.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_where_training_begins_the_order_of_scores_is_that_of_tf_idf():
    model = Retriever(ENTRIES, SIZE, balance=0.0)
    scores = model.scores(bags(QUERIES), bags(KEYS))
    values, _ = QUERIES[3]
    length = math.sqrt(sum(value**2 for value in values.values()) + 0.5)
    key, _ = KEYS[2]
    expected = values[3] * key[3] / length / math.sqrt(sum(value**2 for value in key.values()))
    assert float(scores[3, 2].detach()) == pytest.approx(expected, rel=1e-5)


def test_beginning_with_directions_sets_their_spread():
    model, directions = Retriever(ENTRIES, SIZE), torch.randn(ENTRIES, SIZE)
    model.begin_with(directions * 1e-4)
    other = Retriever(ENTRIES, SIZE)
    other.begin_with(directions * 50)
    assert_close(model.projection, other.projection)
    assert_close(model.projection / model.projection[0, 0], directions / directions[0, 0], **CLOSE)
    assert_close(model.projection.square().mean().sqrt(), torch.tensor(0.3))


@torch.no_grad()
def test_a_grown_copy_scores_what_it_knew_as_before():
    model = make(balance=0.8).eval()
    grown = model.grown(ENTRIES + 3)
    assert not grown.training
    assert_close(grown.scores(bags(QUERIES), bags(KEYS)), model.scores(bags(QUERIES), bags(KEYS)), **CLOSE)
    assert grown.importance[ENTRIES:].eq(0).all()
    new: Plain = ({0: 1.0, 10: 2.0}, 0.0)
    assert_close(grown.scores(bags([new]), bags([new])), torch.ones(1, 1), **CLOSE)
    alone: Plain = ({10: 1.0}, 0.0)
    half: Plain = ({0: math.exp(-float(model.importance[0])), 10: 1.0}, 0.0)
    scores = grown.scores(bags([alone, half, KEYS[0]]), bags([alone, half, KEYS[0]]))
    assert_close(scores.diagonal(), torch.ones(3), **CLOSE)
    assert_close(scores[0, 1], torch.tensor(0.5).sqrt(), **CLOSE)  # no vectors to compare, and no share lost to them
    assert float(scores[0, 2]) == 0
    shared, alike = grown.encode(bags([half, KEYS[0]])), model.encode(bags([({0: 1.0}, 0.0), KEYS[0]]))
    e = alike.vectors[0] @ alike.vectors[1] * 0.5**0.5
    x = shared.values[0] * shared.values[2]
    assert_close(scores[1, 2], (x + 0.8 * e) / (1 + 0.8 * 0.5**0.5), **CLOSE)
    assert grown.grown(ENTRIES + 4).num_vectors == ENTRIES
    assert len(model.importance) == ENTRIES


def test_parts_of_a_batch_add_up_to_the_whole():
    model, batch = make(), Lookups(bags(QUERIES), bags(KEYS), torch.tensor([0, 1, 2, 2]))
    parts = [batch.shard(rank, 3) for rank in range(3)]
    assert [part.size for part in parts] == [2, 1, 1]
    assert_close(sum(model.loss(part).total for part in parts), model.loss(batch).total, **CLOSE)
    assert batch.shard(4, 5) is None
    moved = batch.to("cpu")
    assert torch.equal(moved.queries.ids, batch.queries.ids)


@pytest.mark.parametrize("arguments", [{"num_entries": 0}, {"size": 0}, {"balance": -0.1}], ids=str)
def test_settings_that_can_t_be(arguments):
    with pytest.raises(SettingError, match="at least"):
        Retriever(**{"num_entries": 3, **arguments})
