"""Taggers, language models and translators in ONNX Runtime: the same answers as the model."""

from __future__ import annotations

import numpy as np
import pytest
from ship_cases import ASKED, TAGGERS, TRANSLATORS, WRITERS, assistant, sentences, tagger, translator, writer

from unspool.ship.onnx.running import export, feeds_of, session_of
from unspool.ship.targets import Options

pytest.importorskip("onnxruntime", reason="the extra `onnx` is missing")


@pytest.mark.parametrize("name", TAGGERS)
def test_a_tagger_tags_the_same(name, tmp_path):
    model = tagger(name)
    texts = [text.split() for text in sentences(40, 6) if text.split()] + [["a" * 50, "İ", "ΣΑΣ"]]
    artefact = export(model.sheet(), tmp_path / "tagger.onnx", Options())
    right = [each.tags for each in model.predict(texts)]
    assert artefact.run(texts) == right
    (tags,) = artefact.call(feeds_of(model.sheet(), texts))  # all at once, ragged
    for row, expected in zip(tags.tolist(), right, strict=True):
        assert row == expected + [""] * (len(row) - len(expected))


@pytest.mark.parametrize("name", WRITERS)
def test_a_language_model_writes_the_same(name, tmp_path):
    model = writer(name)
    model.fitted.mixture = None
    artefact = export(model.sheet(), tmp_path / "writer", Options())
    prompts = ["a joy", "", "dull dull from"]
    assert artefact.run(prompts) == model._export_answers(prompts)
    _, *written = artefact.call(feeds(artefact, prompts[0], np.zeros(40), 0.0))
    assert [text.item() for text in written] == artefact.run(prompts[:1]) * len(written)


def feeds(artefact, text, uniform, temperature):
    inputs = feeds_of(artefact.sheet, [text])
    if "ids" in inputs:
        inputs["ids"] = inputs["ids"][0]
    return inputs | {"uniform": uniform.astype(np.float32), "temperature": np.array(temperature, np.float32)}


def test_a_language_model_samples_by_the_numbers_that_it_is_given(tmp_path):
    model = writer("characters, two layers")
    model.fitted.mixture = None
    artefact = export(model.sheet(), tmp_path / "writer", Options())
    artefact.run(["a"])
    rng = np.random.default_rng(1)
    numbers = rng.random(30)
    one, same, other = (
        artefact.call(feeds(artefact, "a", each, 1.0))[1].item() for each in (numbers, numbers, rng.random(30))
    )
    assert one == same != other
    assert len(one) == 30


def test_steps_from_outside_write_what_the_loop_writes(tmp_path):
    model = writer("words, a cell that no vendor has")
    sheet = model.sheet()
    artefact = export(sheet, tmp_path / "writer", Options())
    start, step = (session_of(file) for file in artefact.files[:2])
    names = [port.name for port in start.get_outputs()]
    state = dict(zip(names, start.run(None, {"batch": np.array([2])}), strict=True))
    unit, written = np.array([sheet.writer.first] * 2), []
    for _ in range(40):
        scores, *after = step.run(None, state | {"id": unit})
        np.testing.assert_allclose(np.exp(scores).sum(1), 1, atol=1e-5)
        state = dict(zip(sheet.writer.state, after, strict=True))
        scores[:, list(sheet.writer.never)] = -np.inf
        unit = scores.argmax(1)
        written.append(unit)
    text = model.vocabulary.decode(np.array(written)[:, 1])
    assert [text] == artefact.run([""])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_writes_the_same(name, tmp_path):
    model = translator(name)
    texts = [text for text in sentences(12, 7) if text.strip()]
    artefact = export(model.sheet(), tmp_path / "translator", Options())
    assert artefact.run(texts) == model._export_answers(texts)


def test_an_assistant_answers_the_same(tmp_path):
    model = assistant()
    artefact = export(model.sheet(), tmp_path / "assistant.onnx", Options())
    asked = [*ASKED, "garden", "word " * 900]
    replies = [model.ask(text) for text in asked]
    assert artefact.run(asked) == [reply.answer for reply in replies]
    for text, reply in zip(asked, replies, strict=True):
        _, sure, question, _ = artefact.call({"text": np.array([text], object)})
        assert question.item() == reply.sources[0].question
        assert sure.item() == pytest.approx(reply.confidence, abs=1e-4)
