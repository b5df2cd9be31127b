"""The judge against the models themselves: steps of every cell, and whole classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ship_cases import (
    ASKED,
    CLASSIFIERS,
    FIT,
    TAGGERS,
    TRANSLATORS,
    WRITERS,
    assistant,
    classifier,
    reviews,
    sentences,
    tagger,
    translator,
    writer,
)

from cases import PairCell, make_case
from odd_cells import ODD
from unspool import Classifier
from unspool.cells.names import cell_names
from unspool.decoding.settings import DecodingSettings
from unspool.engine import unroll
from unspool.errors import UsageError
from unspool.layers import Recurrent
from unspool.ship.building import ProgramBuilder
from unspool.ship.judge import run_program
from unspool.ship.judge_text import encode_texts, labels_of, reply_of
from unspool.ship.judge_writing import write_greedily
from unspool.ship.sheet import Port, Sheet, Unroll, arrays
from unspool.ship.step_graph import step_graph

KINDS = {**{name: name for name in cell_names()}, **ODD, "Pair": PairCell}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_unrolled_cell_agrees_with_the_plain_loop(kind, reverse):
    case = make_case(KINDS[kind], (6, 7, 5, 6), reverse=reverse)
    cell = case.cell.float().eval()
    inputs, lengths = case.inputs.detach().float(), case.lengths
    state = type(case.state)(*(part.detach().float() for part in case.state))
    with torch.no_grad():
        expected, final = unroll(
            cell, inputs.nan_to_num(), state, lengths=lengths, reverse=reverse, backend="reference"
        )
    step = step_graph(cell)
    names = tuple(f"s{n}" for n in range(len(state)))
    build = ProgramBuilder(Port("x", "sequence", 5), Port("lengths", "lengths"), *(Port(name, "row") for name in names))
    after = tuple(f"{name}_after" for name in names)
    build.add(Unroll, "y", input="x", step=step, reverse=reverse, initial=names, final=after)
    program = build.finish(Port("y", "sequence", 6), *(Port(name, "row") for name in after))
    rows = {name: part.reshape(7, -1).numpy() for name, part in zip(names, state, strict=True)}
    actual = run_program(program, {"x": inputs.numpy(), "lengths": lengths.numpy(), **rows})
    np.testing.assert_allclose(actual["y"], expected.numpy(), atol=1e-5)
    for name, part in zip(after, final, strict=True):
        np.testing.assert_allclose(actual[name], part.reshape(7, -1).numpy(), atol=1e-5)
    for part, start in zip(cell.initial_state(2), step.start, strict=True):
        np.testing.assert_array_equal(part[1].detach().reshape(-1).numpy(), start)


def probabilities(sheet: Sheet, texts: list[Any]) -> np.ndarray:
    (port,) = sheet.run.outputs
    return run_program(sheet.run, encode_texts(sheet.front, texts))[port.name]


@pytest.fixture(scope="module", params=CLASSIFIERS)
def model(request) -> Classifier:
    return classifier(request.param)


def test_a_classifier_and_its_sheet_agree_on_texts_they_have_not_seen(model):
    texts = [*sentences(60, 2), "x", "İ ẞ ǅ \ud800 e\u0301", ["a", "joy", "İ!"], "word " * 2100]
    sheet = model.sheet()
    actual = probabilities(sheet, texts)
    for text, row, right in zip(texts, actual, model.predict(texts), strict=True):
        expected = [right.probabilities[name] for name in sheet.back.names]
        np.testing.assert_allclose(row, expected, atol=2e-6, err_msg=repr(text))
        assert labels_of(sheet.back, row) == right.labels
    assert all(part.dtype in (np.float32, np.float64) for part in arrays(sheet))
    assert str(sheet.run).splitlines()[-1] == "return probabilities"


def test_a_model_that_cannot_be_exported_says_what_stands_in_the_way():
    texts, labels = reviews(12, 1)
    values = {"network": "transformer", "hidden": 8, "embedding": 6, "heads": 2, "epochs": 1, "plan": False}
    with pytest.raises(UsageError, match="a model with Projected can't be exported"):
        Classifier(**values).fit(texts, labels, **FIT).sheet()
    with pytest.raises(UsageError, match="has not been trained"):
        Classifier().sheet()


def test_a_stack_whose_layers_differ_in_width_adds_no_residual_to_the_first():
    stack = Recurrent("gru", 3, 4, num_layers=2, residual=True).eval()
    inputs, lengths = torch.randn(5, 3, 3), torch.tensor([5, 2, 4])
    build = ProgramBuilder(Port("x", "sequence", 3), Port("lengths", "lengths"))
    output, _ = build.recurrent(stack, "x")
    program = build.finish(Port(output, "sequence", 4))
    actual = run_program(program, {"x": inputs.numpy(), "lengths": lengths.numpy()})[output]
    with torch.no_grad():
        expected = stack(inputs, lengths).outputs.numpy()
    for column, length in enumerate(lengths):
        np.testing.assert_allclose(actual[:length, column], expected[:length, column], atol=1e-5)


@pytest.mark.parametrize("name", TAGGERS)
def test_a_tagger_and_its_sheet_agree(name):
    model = tagger(name)
    texts = [text.split() for text in sentences(40, 6) if text.split()]
    sheet = model.sheet()
    inputs = encode_texts(sheet.front, texts)
    (port,) = sheet.run.outputs
    places = run_program(sheet.run, inputs)[port.name]
    for column, (text, right) in enumerate(zip(texts, model.predict(texts), strict=True)):
        assert [sheet.back.names[tag] for tag in places[: len(text), column]] == right.tags
    assert model._export_answers(texts) == [right.tags for right in model.predict(texts)]


@pytest.mark.parametrize("name", WRITERS)
def test_a_language_model_and_its_sheet_write_the_same(name):
    model = writer(name)
    model.fitted.mixture = None
    sheet = model.sheet()
    for prompt in ("a joy", "", "dull dull"):
        right = model.generate(prompt, length=12, temperature=0).removeprefix(prompt)
        assert write_greedily(sheet, prompt, 12) in (right, right.lstrip())  # a stream has the blank before a word


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_and_its_sheet_write_the_same(name):
    model = translator(name)
    texts = [text for text in sentences(8, 7) if text.strip()]
    greedy = model.predict(texts, decoding=DecodingSettings(search="greedy"))
    assert [write_greedily(model.sheet(), text) for text in texts] == [right.translation for right in greedy]
    assert model._export_answers(texts) == [right.translation for right in greedy]


def test_an_assistant_and_its_sheet_answer_the_same():
    model = assistant()
    sheet, asked = model.sheet(), [*ASKED, "e\u0301te\u0301 cafe\u0301", "garden"]
    scores = run_program(sheet.run, encode_texts(sheet.front, asked))["scores"]
    for text, row in zip(asked, scores, strict=True):
        reply = model.ask(text)
        answer, sure, pair = reply_of(sheet.back, sheet.front.question, text, row)
        assert (answer, sheet.back.questions[pair]) == (reply.answer, reply.sources[0].question), text
        assert sure == pytest.approx(reply.confidence, abs=1e-4)
    assert model._export_answers(asked) == [model.ask(text).answer for text in asked]
