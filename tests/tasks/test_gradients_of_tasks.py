"""`model.gradients` of every task with a recurrent stack, against the model's own losses and plain autograd."""

import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from unspool import Cell
from unspool.data import Utterance
from unspool.errors import UsageError
from unspool.inspection import backpropagation
from unspool.tasks import Algorithm, Classifier, CommandParser, LanguageModel, Tagger, Translator
from unspool.tasks.algorithm.data import Exercises
from unspool.tasks.translate.translator import PairExamples

SENTENCES = ["a joy to see", "a bore", "to see a joy", "not a joy at all", "a bore to see"] * 4
LABELS = ["good", "bad", "good", "bad", "bad"] * 4


def scrambled(task, seed=3):
    """Large random weights, so that no number is alike."""
    torch.manual_seed(seed)
    task.model = task._build().eval()
    with torch.no_grad():
        for weight in task.model.parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() == 1 else 1.5 * weight.shape[-1] ** -0.5))
    return task


def fitted(kind, data, labels=None, **values):
    task = kind(hidden=6, epochs=1, seed=1, **values)
    task.fit(data, labels, baselines=False)
    return scrambled(task)


@pytest.fixture(scope="module")
def classifier():
    return fitted(Classifier, SENTENCES, LABELS, cell="lstm", layers=2, embedding=5, valid_fraction=0.2)


@pytest.fixture(scope="module")
def writer():
    return fitted(LanguageModel, "\n".join(SENTENCES * 5), units="character", cell="gru", embedding=5)


def tagger(output, tags=("DET", "NOUN", "VERB")):
    chance = random.Random(1)
    words = [sentence.split() for sentence in SENTENCES]
    labels = [[chance.choice(tags) for _ in sentence] for sentence in words]
    return fitted(Tagger, list(zip(words, labels, strict=True)), cell="elman", embedding=5, output=output)


def translator(network, cell="lstm"):
    task = Translator(network=network, units="blank", hidden=6, embedding=5, layers=2, cell=cell, beam=1)
    task._learn(PairExamples(["a b c d", "b d"], ["D C B A", "D B"], ["", ""]))
    return scrambled(task)


def input_norms(task, text, target=None):
    """Norms of the gradients of each loss with respect to the embedded input, by autograd on the engine's own path."""
    problem = task._text_losses(text, target)
    norms = []
    for row in range(len(problem.rows)):
        leaf = problem.inputs.detach().clone().requires_grad_()
        value = problem.losses(leaf, torch.tensor([row]))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        norms.append(gradient[:, 0].norm(dim=1).numpy())
    return np.array(norms)


def check(task, text, target=None):
    gradients = task.gradients(text, target=target)
    np.testing.assert_allclose(gradients.array("input / x"), input_norms(task, text, target), rtol=1e-3, atol=1e-5)
    assert not gradients.notes
    assert all(weight.grad is None for weight in task.model.parameters())
    assert all(weight.dtype == torch.float32 for weight in task.model.parameters())
    return gradients


def test_a_classifier_s_loss_is_that_of_its_label(classifier):
    gradients = check(classifier, "not a bore to see", "good")
    assert gradients.tokens == ("not", "a", "bore", "to", "see")
    assert gradients.losses == ("good",)
    assert gradients.at is None
    assert gradients.places == tuple(f"layer {depth} {side}" for depth in (1, 2) for side in ("forward", "backward"))
    tokens = classifier.fitted.input.encode(["not a bore to see"], ["text"]).batch(np.array([0]))
    logits = classifier.model(tokens).logits[0].log_softmax(-1)
    index = classifier.fitted.labels.ids(["good"])[0]
    assert gradients.values[0] == pytest.approx(-float(logits[index].detach()), rel=1e-4)
    predicted = classifier.predict("not a bore to see").labels[0]
    assert classifier.gradients("not a bore to see", jacobians=False).losses == (predicted,)


def test_a_command_parser_s_loss_is_that_of_its_intent():
    data = [{"text": text, "intent": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    parser = fitted(CommandParser, data, cell="gru", layers=2, embedding=5, ngrams=False)
    gradients = check(parser, "not a bore to see", "good")
    examples = parser.fitted.encode([Utterance("text", "not a bore to see", ())]).batch(np.array([0]))
    logits = parser.model(examples.tokens.tokens).logits[0].log_softmax(-1)
    value = parser._text_losses("not a bore to see", "good")
    assert gradients.losses == ("good",)
    loss = value.losses(value.inputs, torch.zeros(1, dtype=torch.int64))
    torch.testing.assert_close(loss[0], -logits[parser.fitted.intents.id("good")])
    assert parser.gradients("a bore").losses == (next(iter(parser.parse("a bore").probabilities)),)
    with pytest.raises(UsageError, match="there is no intent 'bat' \\(did you mean 'bad'"):
        parser.gradients("a bore", target="bat")


def test_a_language_model_s_losses_are_the_surprise_of_each_unit(writer):
    gradients = check(writer, "a joy to")
    assert gradients.losses == tuple("a joy to")
    assert gradients.tokens == ("", *"a joy t")
    np.testing.assert_allclose(gradients.values, writer.predict("a joy to").nats, rtol=1e-4)
    assert (np.triu(gradients.array("layer 1 / h"), 1) == 0).all()
    assert gradients.array("layer 1 / h").diagonal().min() > 0
    one = writer.gradients("a joy to", loss_at=5)
    assert one.losses == (" ",)
    np.testing.assert_allclose(one.array("layer 1 / h"), gradients.array("layer 1 / h")[5:6])


def test_truncation_is_that_of_the_training_unless_passed(writer):
    assert writer.gradients("a joy", jacobians=False).truncation is None
    long = "a joy to see " * 12
    assert writer.gradients(long, loss_at=100, jacobians=False).truncation == writer.settings.training.steps < len(long)
    assert writer.gradients("a joy", truncation=2, jacobians=False).truncation == 2


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_a_tagger_s_losses_are_those_of_its_tags(output):
    task = tagger(output)
    gradients = check(task, "not a joy to see")
    result = task.predict("not a joy to see")
    assert gradients.losses == tuple(f"{word}/{tag}" for word, tag in zip(result.words, result.tags, strict=True))
    np.testing.assert_allclose(np.exp(-gradients.values), result.probabilities, rtol=1e-3)
    other = check(task, "not a joy", ["NOUN", "NOUN", "VERB"])
    assert other.losses == ("not/NOUN", "a/NOUN", "joy/VERB")


@pytest.mark.parametrize("network", ["dot", "additive", "initial"])
def test_a_translator_s_losses_are_those_of_its_output(network):
    task = translator(network)
    gradients = check(task, "a d b")
    trace = task.trace("a d b")
    assert gradients.losses == trace.written.tokens
    np.testing.assert_allclose(gradients.values, trace.written.prediction["surprise"], rtol=1e-3)
    assert check(task, "a d", "D A").losses == ("D", "A", "")


def test_an_algorithm_s_losses_are_those_of_the_steps_that_count():
    task = Algorithm(cell="lstm", hidden=6)
    task._learn(Exercises.of("copy", [], task.settings.data))
    scrambled(task)
    gradients = check(task, "10010110 01011101")
    exercise = task.kind.read("10010110 01011101")
    assert gradients.at == tuple(exercise.counted[:, 0].nonzero()[:, 0].tolist())
    assert gradients.values.sum() == pytest.approx(float(task.model.loss(exercise).total.detach()), rel=1e-4)
    with pytest.raises(UsageError, match="there is no loss at position 0; losses stand at 3 to"):
        task.gradients("10010110 01011101", loss_at=0)


def test_what_has_no_such_losses_says_so(classifier, writer):
    with pytest.raises(UsageError, match="need a recurrent network"):
        translator("window").gradients("a b")
    with pytest.raises(UsageError, match="a language model scores the text itself, so leave it out"):
        writer.gradients("a joy", target="a")
    with pytest.raises(UsageError, match=r"there is no label 'goood' .did you mean 'good'"):
        classifier.gradients("a joy", target="goood")
    with pytest.raises(UsageError, match="takes one text"):
        classifier.gradients(["a joy to see", "a bore"])
    with pytest.raises(UsageError, match="has not been trained"):
        Classifier().gradients("a joy")


class Float32State(NamedTuple):
    h: Tensor


class Float32Cell(Cell[Float32State]):
    """A cell with a constant matrix in float32, which torch won't multiply by float64."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inward = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size):
        return Float32State(self.inward.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state, *context):
        h = torch.tanh(x @ self.inward.T + state.h @ torch.eye(self.hidden_size, dtype=torch.float32))
        return h, Float32State(h)


def test_a_cell_that_computes_in_float32_alone_is_measured_in_float32():
    task = fitted(LanguageModel, "\n".join(SENTENCES * 5), units="character", cell=Float32Cell, embedding=5)
    gradients = task.gradients("a joy to")
    assert "computed in float32, norms below 1e-45 are zero" in gradients.notes[0]
    np.testing.assert_allclose(gradients.values, task.predict("a joy to").nats, rtol=1e-4)


def test_progress_counts_the_losses_of_several_passes(writer, monkeypatch):
    seen = []
    writer.gradients("a joy to", jacobians=False, progress=lambda *step: seen.append(step))
    assert seen == []  # one pass
    numbers = 8 * sum(
        part.numel() for _, cell, _ in writer._stack().named_cells() for part in cell.initial_state(1)
    )  # of one loss
    monkeypatch.setattr(backpropagation, "_BYTES", 3 * numbers * backpropagation._PER_NUMBER * 8)
    writer.gradients("a joy to", jacobians=False, progress=lambda *step: seen.append(step))
    assert seen == [("gradients", 3, 8), ("gradients", 6, 8), ("gradients", 8, 8)]
