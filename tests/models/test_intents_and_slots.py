"""The joint network of intents and slots: its loss against the formula, padding, and the path from intents to tags."""

from __future__ import annotations

import pytest
import torch

from unspool.data import IGNORED, Labelled, Tokens
from unspool.layers import LinearChainCRF, Readout, Recurrent, TokenEmbedding
from unspool.models import IntentSlotModel

VOCAB, INTENTS, TAGS = 13, 3, 5
LENGTHS = torch.tensor([4, 1, 7])


def model(**options):
    torch.manual_seed(3)
    stack = Recurrent("gru", 6, 4, bidirectional=True)
    network = IntentSlotModel(
        TokenEmbedding(VOCAB, 6), stack, Readout("attention", 8), INTENTS, options.pop("num_tags", TAGS), **options
    )
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return network.eval()


def batch(intents, padding=0):
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(3, VOCAB, (7 + padding, 3), generator=generator)
    tags = torch.randint(0, TAGS, (7 + padding, 3), generator=generator)
    mask = torch.arange(7 + padding)[:, None] < LENGTHS
    tokens = Tokens(torch.where(mask, ids, 0), LENGTHS)
    return Labelled(Labelled(tokens, torch.where(mask, tags, IGNORED)), intents)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_loss_adds_intents_and_weighted_tags(weight):
    network, data = model(slot_weight=weight), batch(torch.tensor([2, 0, 1]))
    output = network(data.tokens.tokens)
    intents = -sum(output.logits[row].log_softmax(-1)[int(data.targets[row])] for row in range(3))
    tags = -sum(
        output.tags[step, row].log_softmax(-1)[int(data.tokens.targets[step, row])]
        for row in range(3)
        for step in range(int(LENGTHS[row]))
    )
    loss = network.loss(data)
    torch.testing.assert_close(loss.total, intents + weight * tags)
    assert loss.count == 3


def test_sentences_without_a_known_intent_do_not_count_in_its_loss():
    network = model(num_tags=0)
    both, one = batch(torch.tensor([2, IGNORED, 1])), batch(torch.tensor([2, 0, 1]))
    row = network(one.tokens.tokens).logits[1].log_softmax(-1)[0]
    torch.testing.assert_close(network.loss(one).total - network.loss(both).total, -row)


@pytest.mark.parametrize("crf", [False, True])
def test_sentences_without_known_tags_do_not_count_in_the_loss_of_the_tags(crf):
    network = model(crf=LinearChainCRF(TAGS) if crf else None)
    all_tagged = batch(torch.tensor([2, 0, 1]))
    tags = all_tagged.tokens.targets.clone()
    tags[:, 2] = IGNORED
    two_tagged = Labelled(Labelled(all_tagged.tokens.tokens, tags), all_tagged.targets)
    scores = network(all_tagged.tokens.tokens).tags[:, 2:]
    if crf:
        missing = network.crf.loss(scores, all_tagged.tokens.targets[:, 2:], LENGTHS[2:])
    else:
        missing = torch.nn.functional.cross_entropy(scores[:, 0], all_tagged.tokens.targets[:, 2], reduction="sum")
    torch.testing.assert_close(network.loss(all_tagged).total - network.loss(two_tagged).total, missing)


def test_several_intents_are_independent():
    network, targets = model(several=True, num_tags=0), torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    data = batch(targets)
    shares = network(data.tokens.tokens).logits.sigmoid()
    expected = -(targets * shares.log() + (1 - targets) * (1 - shares).log()).sum()
    torch.testing.assert_close(network.loss(data).total, expected)


def test_padding_changes_nothing_and_gets_no_gradient():
    network, targets = model(), torch.tensor([2, 0, 1])
    gradients = []
    for padding in (0, 3):
        network.zero_grad()
        loss = network.loss(batch(targets)) if not padding else network.loss(_padded(batch(targets), padding))
        loss.total.backward()
        gradients.append({name: weight.grad.clone() for name, weight in network.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)
        assert gradient.abs().sum() > 0 or name == "embedding.table.weight", name


def _padded(data, padding):
    def longer(tensor, value):
        return torch.cat([tensor, tensor.new_full((padding, tensor.shape[1]), value)])

    tokens = Tokens(longer(data.tokens.tokens.ids, 0), LENGTHS)
    return Labelled(Labelled(tokens, longer(data.tokens.targets, IGNORED)), data.targets)


def test_tags_depend_on_the_distribution_of_intents_but_send_no_gradient_back():
    network, data = model(), batch(torch.tensor([2, 0, 1]))
    tokens = data.tokens.tokens
    before = network(tokens)
    with torch.no_grad():
        network.output.bias[1] += 3
    after = network(tokens)
    change = (after.logits.softmax(-1) - before.logits.softmax(-1)) @ network.intent_to_tags.weight.T
    torch.testing.assert_close(after.tags - before.tags, change.expand_as(after.tags), atol=1e-5, rtol=1e-4)
    network(tokens).tags.sum().backward()
    assert network.output.weight.grad is None


def test_a_random_field_scores_tags_jointly():
    network, data = model(crf=LinearChainCRF(TAGS)), batch(torch.tensor([2, 0, 1]))
    free = model(num_tags=TAGS)
    assert network.loss(data).total > 0
    scores = network(data.tokens.tokens).tags
    joint = network.crf.loss(scores, data.tokens.targets, LENGTHS)
    intents = torch.nn.functional.cross_entropy(network(data.tokens.tokens).logits, data.targets, reduction="sum")
    torch.testing.assert_close(network.loss(data).total, intents + joint)
    assert free.crf is None
