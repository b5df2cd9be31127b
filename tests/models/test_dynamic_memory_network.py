"""The dynamic memory network against its formulas, one sentence at a time."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch
from small_stories import SIZE, VOCABULARY, assert_slot_by_slot, batch, stories
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.cells import Cell
from unspool.errors import SettingError
from unspool.models import DynamicMemoryNetwork, likeness, position_encoding

EXACT = TOLERANCE[torch.float64]


def network(**options: object) -> DynamicMemoryNetwork:
    model = DynamicMemoryNetwork(VOCABULARY, SIZE, 3, **options)
    torch.manual_seed(3)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.6)
    return model.double().eval()


def test_likeness_is_its_formula_on_literal_numbers():
    facts = torch.tensor([[[1.0, -2.0]], [[0.5, 3.0]]])
    actual = likeness(facts, torch.tensor([[2.0, 1.0]]), torch.tensor([[-1.0, 4.0]]))
    assert actual[:, 0].tolist() == [
        [2.0, -2.0, -1.0, -8.0, 1.0, 3.0, 2.0, 6.0],
        [1.0, 3.0, -0.5, 12.0, 1.5, 2.0, 1.5, 1.0],
    ]


def encode(model: DynamicMemoryNetwork, ids: list[int]) -> Tensor:
    weights = position_encoding(torch.tensor([len(ids)]), len(ids), SIZE)[:, 0].double()
    return 2 * (weights * model.table.weight[ids]).sum(0)


def read(cell: Cell, vectors: list[Tensor]) -> list[Tensor]:
    state, outputs = cell.initial_state(1), []
    for vector in vectors:
        output, state = cell.step(vector[None], state)
        outputs.append(output[0])
    return outputs


def by_hand(model: DynamicMemoryNetwork, story: int) -> tuple[Tensor, list[Tensor]]:
    """One story, one sentence at a time."""
    data = stories()
    story_ids = [encode(model, data.sentences[int(place)].tolist()) for place in data.stories[story]]
    question = encode(model, data.questions[story].tolist())
    forward, backward = model.fusion.layers[0]
    both = zip(read(forward, story_ids), reversed(read(backward, story_ids[::-1])), strict=True)
    facts = [there + back for there, back in both]
    memory, hops = question, []
    for k in range(model.hops):
        scores = []
        for fact in facts:
            z = torch.cat([fact * question, fact * memory, (fact - question).abs(), (fact - memory).abs()])
            hidden = torch.tanh(model.compare[k].weight @ z + model.compare[k].bias)
            scores.append(model.score[k].weight[0] @ hidden)
        gates = torch.stack(scores).softmax(0)
        context = sum(gate * fact for gate, fact in zip(gates, facts, strict=True))
        joined = torch.cat([memory, context, question])
        memory = (model.update[k].weight @ joined + model.update[k].bias).clamp_min(0)
        hops.append(gates)
    return model.output.weight @ torch.cat([question, memory]) + model.output.bias, hops


@pytest.mark.parametrize("fusion", ["gru", "lstm", "elman"])
@pytest.mark.parametrize("hops", [1, 3])
def test_it_is_its_formulas_slot_by_slot(hops, fusion):
    model = network(hops=hops, fusion=fusion)
    assert_slot_by_slot(model, hops, partial(by_hand, model))


@pytest.mark.parametrize("encoder", ["bag", "position", "lstm", "mingru"])
def test_a_batch_answers_as_each_story_alone(encoder):
    model = network(encoder=encoder)
    together = model(batch())
    for story, length in enumerate((3, 1, 4)):
        alone = model(stories().batch(np.array([story])))
        assert_close(together.logits[story], alone.logits[0], **EXACT)
        assert_close(together.weights[:, :length, story], alone.weights[:, :, 0], **EXACT)


def test_gradients_are_those_of_finite_differences():
    model = network(hops=2)
    weights = list(model.parameters())
    assert torch.autograd.gradcheck(lambda *_: model(batch())[:2], weights)
    gradients = torch.autograd.grad(model(batch()).logits.square().sum(), weights)
    assert all(torch.count_nonzero(gradient) > 0 for gradient in gradients)


def test_the_order_of_sentences_counts():
    data = stories()
    turned = batch()
    turned.index[:3, 0] = turned.index[:3, 0].flip(0)
    model = network()
    assert not torch.allclose(model(turned).logits[0], model(batch()).logits[0])
    assert_close(model(turned).logits[1:], model(data.batch(np.arange(3))).logits[1:], **EXACT)


def test_dropout_is_for_training_only():
    model = network(dropout=0.5)
    assert torch.equal(model(batch()).logits, model(batch()).logits)
    model.train()
    assert not torch.equal(model(batch()).logits, model(batch()).logits)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingError, match=re.escape("0 hops of 6 for 3 answers: expected at least 1 of each")):
        network(hops=0)
