"""Mixture of a network with n-grams: the share, exact probabilities, reading, writing, and the file."""

import math

import numpy as np
import pytest
import torch

import unspool
from unspool import LanguageModel
from unspool.errors import ModelFolderError
from unspool.models.kneser_ney import KneserNey
from unspool.tasks.write.mixture import Mixture
from unspool.training import Reporter, checkpoint

TINY = {"hidden": 6, "embedding": 5, "epochs": 1, "steps": 9, "batch_size": 3, "device": "cpu", "baselines": False}
VERSE = "the cat sat on the mat; the dog lay by the log; a frog sat on a log. "


def zipf(count, words, seed):
    rng = np.random.default_rng(seed)
    return np.minimum(rng.zipf(1.4, count) - 1, words - 1)


@pytest.mark.parametrize("history", [[], [3], [3, 0, 1], [0, 0, 0, 0, 0], [16, 3, 0, 1, 2, 0]])
def test_the_distribution_of_the_ngrams_is_that_of_each_continuation(history):
    model = KneserNey.learn(zipf(900, 17, seed=1), 17, order=4)
    found = model.distribution(history)
    expected = [np.exp(-model.nats(np.array([*history, word]))[-1]) for word in range(17)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.sum() == pytest.approx(1)


def test_the_share_minimises_the_loss():
    text, held_out = zipf(900, 17, seed=1), zipf(300, 17, seed=2)
    ngrams = KneserNey.learn(text, 17, order=3)
    network = -np.log(np.random.default_rng(3).uniform(0.01, 0.4, 300))
    mixture = Mixture.fit(ngrams, network, held_out)
    best = mixture.nats(network, held_out).mean()
    assert 0 < mixture.share < 1
    for share in np.linspace(0, 1, 21):
        assert best <= Mixture(ngrams, share).nats(network, held_out).mean() + 1e-9
    assert Mixture.fit(ngrams, np.full(300, 0.01), held_out).share == pytest.approx(1, abs=1e-3)
    assert Mixture.fit(ngrams, np.full(300, 50.0), held_out).share == pytest.approx(0, abs=1e-3)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed") / "m"
    options = {name: value for name, value in TINY.items() if name != "baselines"}
    task = LanguageModel(mix=True, **options)
    task.fit([VERSE * 30], out=folder, reporter=Reporter(), baselines=False)
    return task, folder


def test_the_mixture_is_better_than_both_parts(mixed):
    task, _ = mixed
    text = [VERSE * 3]
    both, mixture = task.evaluate(text)["nats"], task.fitted.mixture
    task.fitted.mixture = None
    try:
        network = task.evaluate(text)["nats"]
    finally:
        task.fitted.mixture = mixture
    assert both < 0.7 * network
    assert mixture.share < 0.5


def test_reading_agrees_with_the_score_of_the_text_and_with_the_definition(mixed):
    task, _ = mixed
    text, mixture = "the frog sat by the cat; zz", task.fitted.mixture
    reading = task.predict(text)
    ids = [2, *task.vocabulary.encode(text)]
    network, _ = task.model(torch.tensor(ids).unsqueeze(1))
    for place, nats in enumerate(reading.nats):
        one = mixture.share * network[place, 0].exp().double().detach().numpy()
        whole = one + (1 - mixture.share) * mixture.ngrams.distribution(ids[: place + 1])
        assert whole.sum() == pytest.approx(1, abs=1e-6)
        assert nats == pytest.approx(-np.log(whole[ids[place + 1]]), rel=1e-4)
    scored = mixture.nats(task._nats_of_tokens(task.model, np.array(ids[1:]), 1), np.array(ids[1:]))
    np.testing.assert_allclose(scored[1:], reading.nats[1:], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_tokens_are_scored_in_the_order_of_the_text(mixed, columns):
    task, _ = mixed
    tokens = np.array(task.vocabulary.encode(VERSE))[:61]
    nats = task._nats_of_tokens(task.model, tokens, columns)
    assert len(nats) == 61
    assert nats.mean() == pytest.approx(task._read_through(task.model, tokens, None, columns)["nats"], rel=1e-5)
    one = task._nats_of_tokens(task.model, tokens, 1)
    first = 61 // columns + (61 % columns > 0)
    np.testing.assert_allclose(nats[:first], one[:first], rtol=1e-5)


def test_writing_draws_from_the_mixture(mixed):
    task, _ = mixed
    written = task.generate("the cat", length=60, temperature=0, seed=1)
    assert "sat on" in written  # the network alone learned nothing in one epoch
    assert task.likelier([2, *task.vocabulary.encode("the do")], *task.vocabulary.encode("gz"))


def test_the_folder_holds_the_mixture(mixed):
    task, folder = mixed
    loaded = unspool.load(folder)
    assert loaded.fitted.mixture.share == task.fitted.mixture.share
    assert loaded.predict("a frog") == task.predict("a frog")
    assert loaded.evaluate([VERSE]) == task.evaluate([VERSE])


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        ({"share": 1.5}, {}, "does not fit the vocabulary"),
        ({"units": 3}, {}, "does not fit the vocabulary"),
        ({"format": 2}, {}, "newer Unspool"),
        ({}, {"2/keys": None}, "2-grams is missing"),
        ({}, {"2/backoff": torch.ones(3)}, "2-grams do not fit"),
        ({}, {"1/keys": torch.arange(5).flip(0)}, "1-grams do not fit"),
        ({}, {"1/discounted": math.nan}, "not finite"),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(mixed, tmp_path, record, change, message):
    task, _ = mixed
    task.fitted.mixture.save(tmp_path)
    file = tmp_path / "mixture.safetensors"
    tensors, before = checkpoint.read(file)
    for name, value in change.items():
        tensors[name] = torch.full_like(tensors[name], math.nan) if isinstance(value, float) else value
    checkpoint.write(file, {name: value for name, value in tensors.items() if value is not None}, before | record)
    with pytest.raises(ModelFolderError, match=message):
        Mixture.load(tmp_path, len(task.vocabulary))


def test_without_validation_data_nothing_is_mixed():
    options = {name: value for name, value in TINY.items() if name != "baselines"}
    task = LanguageModel(mix=True, valid_fraction=0.0, **options)
    task.fit([VERSE * 9], reporter=Reporter(), baselines=False)
    assert task.fitted.mixture is None
