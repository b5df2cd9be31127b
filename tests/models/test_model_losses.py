"""The classifier and the tagger: scores by hand, losses by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import IGNORED, Labelled, Tokens
from unspool.engine import unroll
from unspool.layers import LinearChainCRF, Readout, Recurrent, TokenEmbedding
from unspool.models import ClassifierModel, TaggerModel

CLOSE = TOLERANCE[torch.float32]
LENGTHS = torch.tensor([5, 2, 3])
IDS = torch.tensor([[4, 7, 9], [3, 2, 5], [8, 0, 6], [2, 0, 0], [7, 0, 0]])
TOKENS = Tokens(IDS, LENGTHS)


def make_classifier(*, labels: int = 4, bag: bool = False, **options: object) -> ClassifierModel:
    encoder = None if bag else Recurrent("gru", 6, 5, bidirectional=True)
    readout = Readout("mean", 6) if bag else Readout("last", 10, 2)
    return ClassifierModel(TokenEmbedding(10, 6), encoder, readout, labels, **options)


def logits_by_hand(model: ClassifierModel, column: int) -> torch.Tensor:
    vectors = model.embedding.table.weight.detach()[IDS[: LENGTHS[column], column]]
    if model.encoder is None:
        return model.output(vectors.mean(0)).detach()
    ahead, back = model.encoder.layers[0]
    last = unroll(ahead, vectors[:, None], backend="reference")[1].h[0]
    first = unroll(back, vectors[:, None], reverse=True, backend="reference")[1].h[0]
    return model.output(torch.cat([last, first])).detach()


@pytest.mark.parametrize("bag", [False, True], ids=["recurrent", "bag"])
def test_classifier_scores_each_text_by_itself(bag):
    model = make_classifier(bag=bag)
    logits, weights = model(TOKENS)
    for column in range(3):
        assert_close(logits[column], logits_by_hand(model, column), **CLOSE)
    if bag:
        assert_close(weights.sum(0), torch.ones(3))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0, 3.0])], ids=["alike", "weighted"])
def test_classifier_loss_for_one_label(weights, smoothing):
    model = make_classifier(class_weights=weights, label_smoothing=smoothing)
    targets = torch.tensor([1, 3, 0])
    loss = model.loss(Labelled(TOKENS, targets))
    weights = torch.ones(4) if weights is None else weights
    expected = 0.0
    for column, target in enumerate(targets.tolist()):
        scores = [float(score) for score in logits_by_hand(model, column)]
        logs = [score - math.log(sum(map(math.exp, scores))) for score in scores]
        expected -= (1 - smoothing) * float(weights[target]) * logs[target]
        expected -= sum(smoothing / 4 * float(weight) * log for weight, log in zip(weights, logs, strict=True))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 3
    assert loss.carry is None


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0, 3.0])], ids=["alike", "weighted"])
def test_classifier_loss_for_several_labels(weights, smoothing):
    model = make_classifier(several=True, class_weights=weights, label_smoothing=smoothing)
    targets = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]])
    loss = model.loss(Labelled(TOKENS, targets))
    weights = torch.ones(4) if weights is None else weights
    expected = 0.0
    for column in range(3):
        for score, target, weight in zip(logits_by_hand(model, column), targets[column], weights, strict=True):
            chance = 1 / (1 + math.exp(-float(score)))
            smooth = float(target) * (1 - smoothing) + smoothing / 2
            expected -= float(weight) * smooth * math.log(chance) + (1 - smooth) * math.log(1 - chance)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 3


def tags_of_batch() -> torch.Tensor:
    tags = torch.full((5, 3), IGNORED)
    tags[:, 0] = torch.tensor([1, 0, 3, 2, 2])
    tags[:2, 1] = torch.tensor([0, 3])
    tags[:3, 2] = torch.tensor([2, 1, 1])
    return tags


def make_tagger(**options: object) -> TaggerModel:
    return TaggerModel(TokenEmbedding(10, 6), Recurrent("lstm", 6, 5, bidirectional=True), 4, **options)


def tag_scores_by_hand(model: TaggerModel, column: int) -> torch.Tensor:
    vectors = model.embedding.table.weight[IDS[: LENGTHS[column], column]][:, None]
    ahead, back = model.encoder.layers[0]
    states = [
        unroll(ahead, vectors, backend="reference")[0],
        unroll(back, vectors, reverse=True, backend="reference")[0],
    ]
    return model.output(torch.cat(states, dim=-1))[:, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_tagger_loss_sums_over_tokens(smoothing):
    model, tags = make_tagger(label_smoothing=smoothing), tags_of_batch()
    loss = model.loss(Labelled(TOKENS, tags))
    expected = torch.zeros(())
    for column, length in enumerate(LENGTHS.tolist()):
        logs = tag_scores_by_hand(model, column).log_softmax(-1)
        for t in range(length):
            expected = expected - (1 - smoothing) * logs[t, tags[t, column]] - smoothing * logs[t].mean()
    assert_close(loss.total, expected, **CLOSE)
    assert loss.count == 10


def test_tagger_decides_and_gives_probabilities_for_each_token():
    model = make_tagger()
    best, chances = model.decode(TOKENS), model.probabilities(TOKENS)
    for column, length in enumerate(LENGTHS.tolist()):
        scores = tag_scores_by_hand(model, column)
        assert best[:length, column].tolist() == scores.argmax(-1).tolist()
        assert_close(chances[:length, column], scores.softmax(-1), **CLOSE)


def test_tagger_with_a_field_hands_it_the_scores():
    crf = LinearChainCRF(4, allowed=~torch.eye(4, dtype=torch.bool))
    model, tags = make_tagger(crf=crf), tags_of_batch()
    tags[4, 0], tags[2, 2] = 0, 3  # no tag twice in a row
    loss = model.loss(Labelled(TOKENS, tags))
    expected = torch.zeros(())
    best, chances = model.decode(TOKENS), model.probabilities(TOKENS)
    for column, length in enumerate(LENGTHS.tolist()):
        scores, alone = tag_scores_by_hand(model, column)[:, None], LENGTHS[column : column + 1]
        expected = expected + crf.loss(scores, tags[:length, column : column + 1], alone)
        assert torch.equal(best[:length, column], crf.decode(scores, alone)[:, 0])
        assert_close(chances[:length, column], crf.marginals(scores, alone)[:, 0], **CLOSE)
        path = best[:length, column].tolist()
        assert all(one != other for one, other in itertools.pairwise(path))
    assert_close(loss.total, expected, **CLOSE)
    assert loss.count == 10
    loss.total.backward()
    assert crf.transitions.grad.abs().sum() > 0


@pytest.mark.parametrize("make", [make_classifier, make_tagger])
def test_dropout_works_in_training_only(make):
    def score(model):
        scores = model(TOKENS)
        return scores if isinstance(scores, torch.Tensor) else scores.logits

    model = make(dropout=0.5)
    assert not torch.allclose(score(model), score(model))
    model.eval()
    assert torch.equal(score(model), score(model))
    plain = make()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(score(plain), score(model))


@pytest.mark.parametrize("place", ["input_dropout", "output_dropout"])
@pytest.mark.parametrize("make", [make_classifier, make_tagger])
def test_dropout_stands_before_and_after_the_encoder(make, place):
    model = make(dropout=0.5).eval()
    plain = model(TOKENS)
    setattr(model, place, torch.nn.Threshold(1e9, 0.0))  # lets nothing through
    scores, plain = ((out if isinstance(out, torch.Tensor) else out.logits) for out in (model(TOKENS), plain))
    assert not torch.allclose(scores, plain)
    only_bias = torch.allclose(scores, model.output.bias.expand_as(scores))
    assert only_bias == (place == "output_dropout")
