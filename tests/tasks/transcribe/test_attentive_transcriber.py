"""Transcription by a decoder with attention: learning, places, folders, traces, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_transcriber import SMALL, TONES, spoken, write_wav

import unspool
from unspool import Transcriber
from unspool.data import Captioned
from unspool.decoding import Hypothesis
from unspool.errors import SettingError, UsageError
from unspool.tasks.transcribe.attention import heard_units, sounds_alone
from unspool.tasks.transcribe.fitted import GAP
from unspool.training import Reporter

SILENT = Reporter()
OPTIONS = {**SMALL, "hidden": 24, "decoder": "attention", "epochs": 16, "learning_rate": 1e-2, "plan": False, "seed": 2}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A table of 24 recordings of one word each."""
    folder = tmp_path_factory.mktemp("words")
    generator = np.random.default_rng(3)
    lines = ["file\ttranscript"]
    for place in range(24):
        word = list(TONES)[place % 3]
        write_wav(folder / f"{place}.wav", spoken([word], generator))
        lines.append(f"{place}.wav\t{word}")
    (folder / "table.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.tsv"


@pytest.fixture(scope="module")
def trained(words):
    folder = words.parent / "model"
    model = Transcriber(**OPTIONS).fit(words, out=folder, reporter=SILENT, baselines=False)
    return model, folder


def test_words_are_learned_and_characters_come_in_the_order_of_the_sound(trained, words):
    model, folder = trained
    assert model.evaluate(words)["exact"] > 0.9
    stored = unspool.load(folder)
    sound = str(words.parent / "1.wav")
    one, other = model.predict(sound), stored.predict(sound)
    assert one == other
    assert one.transcript == "stop"
    assert [each.text for each in one.characters] == list("stop")
    ends = [each.end for each in one.characters]
    assert max(ends) <= 0.8  # of about half a second of sound
    assert one.words[0].word == "stop"


def test_padding_and_the_batch_change_nothing(trained, tmp_path):
    model, generator = trained[0], np.random.default_rng(5)
    paths = []
    for place, said in enumerate((["go"], ["stop", "left"], ["left"], ["go", "go", "stop"])):
        paths.append(str(tmp_path / f"{place}.wav"))
        write_wav(paths[-1], spoken(said, generator))
    sounds = [model.fitted.input.value(path, path) for path in paths]
    encoded = model.fitted.input.encode(sounds, paths)
    lengths = encoded.lengths
    assert len(set(lengths.tolist())) > 1
    together = model.model.encode(sounds_alone(encoded.batch(np.arange(4))))
    for place in range(4):
        alone = model.model.encode(sounds_alone(encoded.batch(np.array([place]))))
        steps = int(lengths[place])
        torch.testing.assert_close(together.states[place, :steps], alone.states[0], atol=1e-5, rtol=1e-5)
        assert together.mask[place].sum() == steps


def test_the_loss_is_that_of_the_characters_and_the_end(trained, words):
    model = trained[0]
    encoded = model.fitted.encode(model._read([str(words)]))
    batch = encoded.batch(np.array([0, 1, 5]))
    assert isinstance(batch, Captioned)
    loss = model.model.loss(batch)
    assert loss.count == sum(len(text) + 1 for text in ("go", "stop", "left"))
    with torch.no_grad():
        forced = model.model(batch).log_probabilities
    assert float(loss.total.detach()) == pytest.approx(-float(forced.sum()), rel=1e-4)


def test_a_trace_has_the_map_of_attention_over_the_seconds(trained, words):
    trace = trained[0].trace(str(words.parent / "2.wav"))
    attention = trace.maps["attention"]
    assert attention.columns == trace.tokens
    assert trace.tokens[0] == "0.00s"
    assert trace.written.tokens == (*"left", "")
    np.testing.assert_allclose(attention.values.sum(1), 1, atol=1e-5)
    assert any(name.startswith("encoder layer 1 backward") for name in trace.arrays)


def test_the_span_of_a_character_holds_its_attention():
    attention = np.array([[0.0, 0.5, 0.48, 0.02], [0.97, 0.01, 0.01, 0.01], [0.25] * 4], np.float32)
    ids = [GAP + 1, GAP + 2]
    (unit,) = heard_units([Hypothesis(ids, -1.0, -2.0, [-1.0] * 3, attention, True)], GAP)
    assert unit.ids == [1, 2]
    assert unit.spans == [(1, 3), (0, 1)]
    assert (unit.score, unit.log_probability) == (-1.0, -2.0)


def test_what_needs_ctc_is_refused(trained, words, tmp_path):
    with pytest.raises(UsageError, match="a grammar needs decoder = ctc"):
        trained[0].predict(str(words.parent / "0.wav"), grammar=["go"])
    with pytest.raises(SettingError, match="lm and grammar need decoder = ctc"):
        Transcriber(decoder="attention", lm="text.txt")
    with pytest.raises(SettingError, match="search = sample does not suit"):
        Transcriber(decoder="attention", search="sample")


@pytest.mark.parametrize("attention", ["bilinear", "dot"])
def test_other_kinds_of_attention_take_a_step(words, attention):
    model = Transcriber(**{**OPTIONS, "epochs": 1}, attention=attention).fit(words, reporter=SILENT, baselines=False)
    assert attention in model.describe()["summary"]
    assert np.isfinite(model.evaluate(words)["nats"])
