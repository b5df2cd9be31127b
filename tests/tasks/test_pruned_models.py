"""Pruned models of every task: equal to the clamp edit, saved with what was pruned, refused where it can't be done."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from tasks_to_inspect import LINES, TEXT, classifier, random_weights, tagger, translator, writer

import unspool
from unspool import Algorithm, Assistant, Cell, Classifier
from unspool.cells import ElmanState, edit_steps
from unspool.errors import ModelFolderError, UsageError
from unspool.inspection.concepts.ablation import Clamp

PRUNED = {
    "stacked lstm": lambda: classifier(cell="lstm", layers=2, bidirectional=False, pooling="last"),
    "bidirectional gru": lambda: classifier(cell="gru", layers=2),
    "gru-reset-before, residual": lambda: classifier(cell="gru-reset-before", layers=2, residual=True),
    "elman, maximum": lambda: classifier(cell="elman", layers=2, bidirectional=False, pooling="max"),
    "lstm, attention": lambda: classifier(cell="lstm", pooling="attention"),
    "lstm-layernorm": lambda: classifier(cell="lstm-layernorm", layers=2),
    "mingru": lambda: classifier(cell="mingru", layers=2),
    "tagger": tagger,
    "translator, gru": lambda: translator("every-step"),
    "translator, additive": lambda: translator("additive"),
}


@pytest.mark.parametrize("name", PRUNED)
def test_a_pruned_model_is_the_model_with_its_units_clamped(name):
    task = PRUNED[name]()
    before = deepcopy(task.model.state_dict())
    places = [each.place for each in task._parts().cells if not each.place.startswith("decoder")]
    first, last = places[0], places[-1]
    units = [f"{first} / h[2]", f"{last} / state[1,4]"]
    pruned = task.pruned(units)
    assert all(torch.equal(weight, before[key]) for key, weight in task.model.state_dict().items())
    # of a translator, the encoder's cell state goes on into the decoder; a pruned unit has none
    part = "state" if name.startswith("translator") else "h"
    edits = [f"{first} / {part}[2] = zero", f"{last} / {part}[1,4] = zero"]
    expected, actual = task.trace(TEXT, edits), pruned.trace(TEXT)
    assert (actual.written is None) == (expected.written is None)
    for side, other in ((actual, expected), (actual.written, expected.written)):
        if side is None:
            continue
        assert side.tokens == other.tokens
        for key, array in other.arrays.items():
            if key.endswith(" / h"):
                np.testing.assert_allclose(side.array(key), array, rtol=1e-6, atol=1e-6, err_msg=key)
        for key, found in other.maps.items():
            np.testing.assert_allclose(side.maps[key].values, found.values, rtol=1e-6, atol=1e-6, err_msg=key)
    numbers = [numbers_in(dict(trace.prediction)) for trace in (actual, expected, task.trace(TEXT))]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5, abs=1e-6)
    assert numbers[0] != pytest.approx(numbers[2], rel=1e-3) or actual.written != task.trace(TEXT).written
    assert not actual.array(f"{first} / h")[:, 1].any()
    several = [TEXT, "six five", *LINES[:7]]
    assert [each.record() for each in pruned.predict(several)] != [each.record() for each in task.predict(several)]


def numbers_in(value):
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers_in(one)]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers_in(one)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("values", [{"tied": True}, {"tied": False}, {"tied": True, "residual": True, "cell": "gru"}])
def test_a_pruned_language_model_reads_and_writes_as_if_clamped(values):
    task = writer(layers=2, **values)
    task.generate("one", length=3, seed=1)  # compiles the steps of the full model
    pruned = task.pruned("layer 1 / h[3]").pruned([("layer 2 / h", 0)])
    cells = [cell for _, cell, _ in task._stack().named_cells()]
    ids = torch.randint(4, len(task.vocabulary), (23, 3))
    with torch.no_grad(), edit_steps(cells[0], Clamp({"h": {2: 0.0}})), edit_steps(cells[1], Clamp({"h": {0: 0.0}})):
        expected, _ = task.model(ids)
        text = task.generate("one two", length=30, seed=4)
    with torch.no_grad():
        actual, own = pruned.model(ids)
        plain, _ = task.model(ids)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    assert (plain - expected).abs().max() > 1e-2
    assert own[0][0].h[:, 2].count_nonzero() == own[1][0].h[:, 0].count_nonzero() == 0
    assert pruned.generate("one two", length=30, seed=4) == text
    assert pruned.model.softmax.weight is not task.model.softmax.weight
    if values["tied"]:
        assert pruned.model.softmax.weight is pruned.model.embedding.table.weight


TEXTS, LABELS = ["a dog ran", "two dogs ran", "a cat sat", "two cats sat"] * 6, ["one", "many", "one", "many"] * 6


def trained(folder=None, **values):
    task = Classifier(hidden=7, embedding=5, epochs=2, threads=1, seed=5, plan=False, ngrams=False, **values)
    return task.fit(TEXTS, LABELS, out=folder, baselines=False)


def test_the_folder_says_what_went_and_predicts_the_same(tmp_path):
    task = trained(tmp_path / "whole", cell="lstm")
    task.name_unit("layer 1 backward / c", 4, "number")
    pruned = task.pruned(["number", "* / h[2]"], test=(TEXTS[:8], LABELS[:8]))
    pruned.save(tmp_path / "pruned")
    record = json.loads((tmp_path / "pruned" / "unspool.json").read_text())
    assert record["pruned"]["units"] == ["layer 1 forward / h[2]", "layer 1 backward / h[2,5]"]
    assert record["pruned"]["weights"] == 3 * 4 * (5 + 7 + 2)
    assert record["pruned"]["scores"]["before"] == task.evaluate(TEXTS[:8], LABELS[:8])
    assert record["pruned"]["scores"]["after"] == pruned.evaluate(TEXTS[:8], LABELS[:8])
    assert record["metrics"] == record["baselines"] == {}
    card = (tmp_path / "pruned" / "README.md").read_text()
    assert "`layer 1 backward / h[2,5]`" in card
    assert "| after pruning |" in card
    assert "Baselines" not in card
    again = unspool.load(tmp_path / "pruned")
    assert again.predict(TEXTS) == pruned.predict(TEXTS)
    assert again.trace(TEXTS[0]) == pruned.trace(TEXTS[0])
    assert not again.trace("two dogs").array("named units / number").any() or "c" in again.unit_names[0].array
    twice = again.pruned("layer 1 forward / c[1]")
    assert twice.record.pruned["units"][-1] == "layer 1 forward / h[1]"
    assert "scores" not in twice.record.pruned
    twice.save(tmp_path / "twice")
    assert unspool.load(tmp_path / "twice").predict(TEXTS) == twice.predict(TEXTS)
    assert unspool.load(tmp_path / "whole").predict(TEXTS) == task.predict(TEXTS)
    with pytest.raises(UsageError, match=r"holds a pruned model .* whose training can't be resumed"):
        trained_again(tmp_path / "pruned")
    assert unspool.load(tmp_path / "pruned").predict(TEXTS) == pruned.predict(TEXTS)


def trained_again(folder):
    task = Classifier(cell="lstm", hidden=7, embedding=5, epochs=2, threads=1, seed=5, plan=False, ngrams=False)
    task.fit(TEXTS, LABELS, out=folder, baselines=False, resume=True)


def test_a_strange_record_of_pruning_is_refused(tmp_path):
    trained(tmp_path / "whole").pruned("layer 1 forward / h[2]").save(tmp_path / "pruned")
    path = tmp_path / "pruned" / "unspool.json"
    path.write_text(path.read_text().replace('"weights": ', '"weights": "many", "was": '))
    with pytest.raises(ModelFolderError, match="is damaged"):
        unspool.load(tmp_path / "pruned")


class NoisyFloorCell(Cell[ElmanState]):
    """A cell of a person's own, whose units rest at 0.5 and not at 0."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inward, self.back = self.parameter(hidden_size, input_size), self.parameter(hidden_size, hidden_size)

    def initial_state(self, batch_size):
        return ElmanState(h=self.back.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state):
        h = torch.sigmoid(x @ self.inward.T + state.h @ self.back.T)
        return h, ElmanState(h)


class QuietCell(NoisyFloorCell):
    """The same, around 0: its weights have names of their own, and pruning finds them."""

    def step(self, x, state):
        h = 0.5 * state.h + torch.sin(x @ self.inward.T + state.h @ self.back.T)
        return h, ElmanState(h)


def test_cells_of_a_persons_own_are_pruned_or_refused_in_a_sentence():
    task = random_weights(trained(cell=QuietCell, bidirectional=False, pooling="last"))
    pruned = task.pruned("layer 1 / h[2,7]")
    expected = task.trace("two dogs ran", ["layer 1 / h[2,7] = zero"])
    np.testing.assert_allclose(pruned.trace("two dogs ran").array("layer 1 / h"), expected.array("layer 1 / h"), 1e-6)
    assert pruned.predict("two dogs ran").probabilities == pytest.approx(dict(expected.prediction["probabilities"]))
    loud = trained(cell=NoisyFloorCell, bidirectional=False)
    with pytest.raises(UsageError, match=r"units 3 of layer 1 can't be pruned: .*NoisyFloorCell.*h\[3\] = zero"):
        loud.pruned("layer 1 / h[3]")


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([], "no unit came to prune"),
        ("layer 1 / h", "the unit 'layer 1 / h': expected PLACE / PART"),
        ("layer 1 / h[3] = 2", "the unit 'layer 1 / h.3. = 2': expected PLACE"),
        ("layer 1 / h[3] @ 2", "expected PLACE"),
        ("h[3]", "expected PLACE"),
        ("nuber", r"the unit 'nuber' \(did you mean 'number'\?\)"),
        ("layer 3 / h[1]", "no place 'layer 3' whose units can be pruned"),
        ("layer 1 forward / forget[1]", "layer 1 forward has no part of the state 'forget'"),
        ("layer 1 forward / h[8]", "layer 1 forward has units 1 to 7, so there is no unit 8"),
        ([("layer 1 forward / h", 7)], "so there is no unit 8"),
        ([("layer 1 forward / h", -1)], "expected PLACE"),
    ],
)
def test_wrong_units_are_refused(units, message, whole):
    with pytest.raises(UsageError, match=message):
        whole.pruned(units)


@pytest.fixture(scope="module")
def whole():
    task = trained(cell="lstm")
    task.name_unit("layer 1 forward / h", 1, "number")
    return task


def test_networks_without_units_to_prune_are_refused():
    with pytest.raises(UsageError, match="has not been trained"):
        Classifier().pruned("layer 1 / h[1]")
    for network in ("transformer", "bag"):
        task = classifier(network=network, heads=2)
        with pytest.raises(UsageError, match="pruning needs recurrent layers that read the input"):
            task.pruned("layer 1 / h[1]")
    task = translator("transformer")
    with pytest.raises(UsageError, match="pruning needs recurrent layers"):
        task.pruned("encoder layer 1 / h[1]")
    task = translator("additive")
    with pytest.raises(UsageError, match="no place 'decoder layer 1'"):
        task.pruned("decoder layer 1 / h[1]")
    pairs = [("when do you open", "At nine."), ("where are you", "In Paris."), ("who are you", "A network.")]
    helper = Assistant(epochs=1, threads=1, seed=3, hidden=8, embedding=6).fit(*map(list, zip(*pairs, strict=True)))
    with pytest.raises(UsageError, match="pruning needs recurrent layers"):
        helper.pruned("layer 1 / h[1]")


def test_an_algorithm_runs_as_if_clamped():
    task = Algorithm(cell="gru", hidden=6, epochs=1, examples=8, valid_examples=2, max_length=4, plan=False, threads=1)
    random_weights(task.fit("adding", baselines=False))
    pruned, cell = task.pruned("layer 1 / h[2]"), task._stack().layers[0][0]
    with edit_steps(cell, Clamp({"h": {1: 0.0}})):
        expected = task.evaluate("adding")
    assert pruned.evaluate("adding") == pytest.approx(expected, rel=1e-6)
    assert pruned.evaluate("adding") != pytest.approx(task.evaluate("adding"), rel=1e-6)
