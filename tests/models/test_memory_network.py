"""Memory networks against their formulas, on literal numbers and slot by slot."""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from small_stories import SIZE, VOCABULARY, assert_slot_by_slot, batch, stories
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import IGNORED, Sequences, StoryExamples
from unspool.errors import SettingError
from unspool.models import KeyValueMemoryNetwork, MemoryNetwork, SentenceEncoder, hop, position_encoding

EXACT = TOLERANCE[torch.float64]


def network(kind: str = "adjacent", **options: object) -> MemoryNetwork | KeyValueMemoryNetwork:
    answers = torch.tensor([3, 8, 10])
    if kind == "key-value":
        model = KeyValueMemoryNetwork(VOCABULARY, SIZE, answers, slots=3, **options)
    else:
        tying, _, gated = kind.partition(", ")
        model = MemoryNetwork(VOCABULARY, SIZE, answers, slots=3, tying=tying, gated=bool(gated), **options)
    torch.manual_seed(3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.6)
    return model.double().eval()


KINDS = ["adjacent", "layer-wise", "adjacent, gated", "layer-wise, gated", "key-value"]


def test_a_hop_is_its_formula_on_literal_numbers():
    query = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    keys = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, 1.0]]], dtype=torch.float64)  # scores 1, 2, 1
    values = torch.tensor([[[10.0, 0.0]], [[0.0, 10.0]], [[5.0, 5.0]]], dtype=torch.float64)
    mask = torch.ones(3, 1, dtype=torch.bool)
    whole = 2 * math.e + math.e**2
    actual, weights = hop(query, keys, values, mask)
    assert_close(weights[:, 0], torch.tensor([math.e, math.e**2, math.e]).double() / whole, rtol=1e-6, atol=0)
    expected = torch.tensor([[15 * math.e, 10 * math.e**2 + 5 * math.e]]).double() / whole
    assert_close(actual, expected, rtol=1e-6, atol=0)
    actual, weights = hop(query, keys, values, mask, linear=True)
    assert weights[:, 0].tolist() == [1, 2, 1]
    assert actual.tolist() == [[15.0, 25.0]]
    mask[1] = False
    actual, weights = hop(query, keys, values, mask)
    assert weights[:, 0].tolist() == [0.5, 0, 0.5]
    assert hop(query, keys, values, mask, linear=True)[0].tolist() == [[15.0, 5.0]]


def test_an_exact_key_returns_its_value():
    keys = 50 * torch.nn.functional.normalize(torch.randn(20, 4, 16), dim=-1)
    values = torch.randn(20, 4, 8)
    wanted = torch.tensor([3, 19, 0, 7])
    actual, _ = hop(keys[wanted, torch.arange(4)], keys, values, torch.ones(20, 4, dtype=torch.bool))
    assert_close(actual, values[wanted, torch.arange(4)], rtol=0, atol=1e-5)


def test_position_encoding_is_its_formula():
    weights = position_encoding(torch.tensor([4, 2, 1]), 4, 5)
    assert weights.shape == (4, 3, 5)
    for sentence, length in enumerate((4, 2, 1)):
        for j in range(1, 5):
            for k in range(1, 6):
                expected = (1 - j / length) - (k / 5) * (1 - 2 * j / length) if j <= length else 0.0
                assert weights[j - 1, sentence, k - 1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("how", ["bag", "position", "gru"])
def test_sentences_are_encoded_alike_in_a_batch_and_alone(how):
    encoder = SentenceEncoder(how, SIZE).double()
    lengths = torch.tensor([4, 1, 3])
    vectors = torch.randn(4, 3, SIZE).double()
    vectors[torch.arange(4)[:, None] >= lengths] = 0 if how == "position" else float("nan")
    together = encoder(vectors, lengths)
    for place, length in enumerate(lengths.tolist()):
        alone = encoder(vectors[:length, place : place + 1], lengths[place : place + 1])
        assert_close(together[place : place + 1], alone, **EXACT)
    if how == "bag":
        assert_close(together[2], vectors[:3, 2].sum(0), **EXACT)


@pytest.mark.parametrize("how", ["bag", "position", "gru"])
def test_sentences_from_several_tables_are_encoded_as_from_each(how):
    encoder = SentenceEncoder(how, SIZE).double()
    lengths = torch.tensor([4, 1, 3])
    vectors = torch.randn(4, 3, 2, SIZE).double()
    together = encoder(vectors, lengths)
    assert together.shape == (3, 2, SIZE)
    for table in range(2):
        assert_close(together[:, table], encoder(vectors[:, :, table], lengths), **EXACT)


def test_a_word_counts_once_on_average_whatever_its_position():
    ones = torch.ones(6, 1, SIZE)
    assert float(SentenceEncoder("position", SIZE)(ones, torch.tensor([6])).mean()) == pytest.approx(6, rel=0.2)
    assert float(SentenceEncoder("bag", SIZE)(ones, torch.tensor([6])).mean()) == 6


def encode(table: Tensor, ids: list[int]) -> Tensor:
    weights = position_encoding(torch.tensor([len(ids)]), len(ids), SIZE)[:, 0].double()
    return 2 * (weights * table[ids]).sum(0)


def by_hand(model: MemoryNetwork | KeyValueMemoryNetwork, story: int) -> tuple[Tensor, list[Tensor]]:
    """One story, one sentence at a time."""
    data = stories()
    story_ids = [data.sentences[int(place)].tolist() for place in data.stories[story]]
    question = data.questions[story].tolist()
    ages = [min(len(story_ids) - 1 - slot, 2) for slot in range(len(story_ids))]

    def look(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> tuple[Tensor, Tensor]:
        p = torch.stack([query @ key for key in keys]).softmax(0)
        return sum(weight * value for weight, value in zip(p, values, strict=True)), p

    seen = []
    if isinstance(model, KeyValueMemoryNetwork):
        table = model.table.weight
        keys = [encode(table, ids) + model.key_ages.weight[age] for ids, age in zip(story_ids, ages, strict=True)]
        values = [encode(table, ids) + model.value_ages.weight[age] for ids, age in zip(story_ids, ages, strict=True)]
        query = encode(table, question)
        for move in model.moves:
            actual, p = look(query, keys, values)
            query = move.weight @ (query + actual)
            seen.append(p)
        return torch.stack([query @ table[answer] for answer in (3, 8, 10)]), seen
    adjacent = model.tying == "adjacent"
    tables, times = [table.weight for table in model.tables], [table.weight for table in model.ages]
    query = encode(tables[0 if adjacent else 2], question)
    for k in range(model.hops):
        a, c = (k, k + 1) if adjacent else (0, 1)
        keys = [encode(tables[a], ids) + times[a][age] for ids, age in zip(story_ids, ages, strict=True)]
        values = [encode(tables[c], ids) + times[c][age] for ids, age in zip(story_ids, ages, strict=True)]
        actual, p = look(query, keys, values)
        kept = query if adjacent else model.between.weight @ query
        if model.gated:
            gate = 1 / (1 + torch.exp(-(model.gates[k].weight @ query + model.gates[k].bias)))
            query = gate * actual + (1 - gate) * kept
        else:
            query = kept + actual
        seen.append(p)
    if adjacent:
        return torch.stack([query @ tables[-1][answer] for answer in (3, 8, 10)]), seen
    return model.output.weight @ query, seen


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_its_formulas_slot_by_slot(kind, hops):
    model = network(kind, hops=hops)
    assert_slot_by_slot(model, hops, partial(by_hand, model))


@pytest.mark.parametrize(("kind", "logits"), [("adjacent", [14.5, 3.5]), ("layer-wise", [2.75, 2.5])])
def test_a_gate_is_its_formula_on_literal_numbers(kind, logits):
    """A story of the word 1 alone, so that all of it is found, and the question 2: u = (2, -1), o = (4, 3)."""
    model = MemoryNetwork(4, 2, torch.tensor([1, 3]), hops=1, slots=1, encoder="bag", tying=kind, gated=True).eval()
    story, question = Sequences.of([[1]]), Sequences.of([[2]])
    examples = StoryExamples(story, Sequences.of([[0]]), question, np.array([0]), 0)
    with torch.no_grad():
        model.tables[0 if kind == "adjacent" else 2].weight[2] = torch.tensor([2.0, -1.0])
        model.tables[1].weight[1], model.ages[1].weight[0] = torch.tensor([3.0, 4.0]), torch.tensor([1.0, -1.0])
        model.gates[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.5, 1.0]]))
        model.gates[0].bias.copy_(torch.tensor([math.log(3) - 2, 0.0]))  # W u + b = (log 3, 0)
        if kind == "adjacent":
            model.tables[1].weight[3] = torch.tensor([1.0, 0.0])
        else:
            model.between.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # H u = (-1, 2)
            model.output.weight.copy_(torch.eye(2))
    result = model(examples.batch(np.arange(1)))
    assert_close(result.gates, torch.tensor([[[0.75, 0.5]]]))
    # 4 · 0.75 + 2 · 0.25 and 3 · 0.5 - 1 · 0.5, times (3, 4) and (1, 0); 4 · 0.75 - 1 · 0.25 and 3 · 0.5 + 2 · 0.5
    assert_close(result.logits, torch.tensor([logits]))


@pytest.mark.parametrize("kind", ["adjacent", "layer-wise"])
def test_all_but_the_gates_starts_as_without_them(kind):
    def started(gated: bool) -> tuple[MemoryNetwork, dict[str, Tensor]]:
        torch.manual_seed(4)
        model = MemoryNetwork(VOCABULARY, SIZE, torch.tensor([3, 8, 10]), slots=3, hops=2, tying=kind, gated=gated)
        return model.eval(), model.state_dict()

    (plain, without), (model, weights) = started(False), started(True)
    gates = {name: weights.pop(name) for name in list(weights) if name.startswith("gates.")}
    assert list(gates) == ["gates.0.weight", "gates.0.bias", "gates.1.weight", "gates.1.bias"]
    assert list(weights) == list(without)
    assert all(torch.equal(weights[name], without[name]) for name in without)
    for k in range(2):
        assert 0.05 < float(gates[f"gates.{k}.weight"].std()) < 0.15
        assert torch.count_nonzero(gates[f"gates.{k}.bias"]) == 0
    assert plain(batch()).gates is None
    assert model(batch()).gates.shape == (2, 3, SIZE)
    assert not torch.allclose(model(batch()).logits, plain(batch()).logits)


@pytest.mark.parametrize("encoder", ["bag", "position", "lstm", "mingru"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_answers_as_each_story_alone(kind, encoder):
    model = network(kind, encoder=encoder)
    together = model(batch())
    losses = []
    for story, length in enumerate((3, 1, 4)):
        alone = stories().batch(np.array([story]))
        result = model(alone)
        assert_close(together.logits[story], result.logits[0], **EXACT)
        assert_close(together.weights[:, :length, story], result.weights[:, :, 0], **EXACT)
        if together.gates is not None:
            assert_close(together.gates[:, story], result.gates[:, 0], **EXACT)
        losses.append(model.loss(alone).total)
    loss = model.loss(batch())
    assert loss.count == 3
    assert_close(loss.total, sum(losses), rtol=1e-6, atol=1e-6)  # the loss is taken in float32


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind):
    model = network(kind, hops=2)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    assert torch.autograd.gradcheck(lambda *_: model(batch())[:2], weights)
    gradients = torch.autograd.grad(model(batch()).logits.square().sum(), weights)
    assert all(torch.count_nonzero(gradient) > 0 for gradient in gradients)


def test_unknown_answers_do_not_count():
    model = network()
    examples = stories()
    examples.answers[1] = IGNORED
    result = model.loss(examples.batch(np.arange(3)))
    assert result.count == 2
    assert result.total.isfinite()


def test_tied_tables_stand_once():
    names = [name for name, _ in network("adjacent", hops=3).named_parameters()]
    assert names == [*(f"tables.{k}.weight" for k in range(4)), *(f"ages.{k}.weight" for k in range(4))]
    layer_wise = dict(network("layer-wise", hops=3).named_parameters())
    assert sorted(layer_wise) == sorted(
        [*(f"tables.{k}.weight" for k in range(3)), "ages.0.weight", "ages.1.weight", "between.weight", "output.weight"]
    )


def test_time_noise_makes_sentences_older_in_training_only():
    model = network(time_noise=0.5)
    quiet = model._ages(batch())
    assert quiet.T.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0], [2, 2, 1, 0]]
    wide = MemoryNetwork(VOCABULARY, SIZE, torch.tensor([3]), slots=50, time_noise=0.5).train()
    torch.manual_seed(1)
    drawn = torch.stack([wide._ages(batch()) for _ in range(400)])[:, :, 2].float()  # the story of four sentences
    assert bool((drawn[:, :-1] > drawn[:, 1:]).all())  # still in the order told
    assert_close(drawn.mean(0), torch.tensor([5.0, 3.5, 2.0, 0.5]), rtol=0, atol=0.2)
    assert torch.equal(network(time_noise=0.0).train()._ages(batch()), quiet)


def test_the_linear_start_ends_after_its_examples_and_is_remembered():
    model = network(linear_examples=5).train()
    assert model.linear
    raw = hop(torch.zeros(1, 2), torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), torch.ones(1, 1).bool(), linear=True)[1]
    assert raw.item() == 0
    model.loss(batch())
    assert model.linear
    assert not torch.allclose(model(batch()).weights.sum(1), torch.ones(3, 3).double())
    model.eval().loss(batch())  # looking is not learning
    assert model.linear
    other = network(linear_examples=5)
    other.load_state_dict(model.state_dict())
    assert other.linear
    model.train().loss(batch())
    assert not model.linear
    assert_close(model(batch()).weights.sum(1), torch.ones(3, 3).double())


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingError, match=re.escape("3 hops over 50 slots of 6, tying 'loose'")):
        MemoryNetwork(VOCABULARY, SIZE, torch.tensor([3]), tying="loose")
    with pytest.raises(SettingError, match="0 hops"):
        KeyValueMemoryNetwork(VOCABULARY, SIZE, torch.tensor([3]), hops=0)
