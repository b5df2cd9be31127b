"""Model folders with a custom cell: opened without its class, damaged, saved again, pruned, refused by the compiler."""

from __future__ import annotations

import json
import shutil
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import unspool
from unspool import Cell, Classifier
from unspool.errors import ModelFolderError, UsageError
from unspool.training import Reporter

TEXTS = ["fine film", "dull film", "very fine indeed", "very dull"] * 3
LABELS = ["good", "bad"] * 6
TINY = {"hidden": 4, "embedding": 3, "epochs": 1, "layers": 2, "bidirectional": True, "device": "cpu", "seed": 1}


class State(NamedTuple):
    h: Tensor  # (batch, hidden)


class Fading(Cell[State]):
    """A state that fades at a learned rate, and starts at a learned value."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight, self.start = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
        self.rate = self.parameter(hidden_size)

    def initial_state(self, batch_size: int) -> State:
        return State(self.start.expand(batch_size, -1))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keep = torch.exp(-self.rate.exp())  # of weights alone
        new = torch.tanh(F.linear(x, self.weight))
        self.record(new=new)
        h = keep * state.h + (1 - keep) * new
        return h, State(h)


class Ordered(Fading):
    """A step that the compiler refuses."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(F.linear(x, self.weight) + state.h).sort(-1).values
        return h, State(h)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    return Classifier(cell=Fading, **TINY).fit(TEXTS, LABELS, out=folder, reporter=Reporter(), baselines=False), folder


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "m")
    return tmp_path / "m"


def test_predictions_and_traces_are_those_of_the_class_also_when_saved_again(trained, folder, tmp_path):
    model = trained[0]
    stored = unspool.load(folder)
    stored.save(tmp_path / "again")
    for other in (stored, unspool.load(tmp_path / "again")):
        assert other.predict(["very fine film"])[0].probabilities == pytest.approx(
            model.predict(["very fine film"])[0].probabilities, abs=1e-6
        )
        ours, theirs = other.trace("dull indeed").arrays, model.trace("dull indeed").arrays
        assert ours.keys() == theirs.keys()
        assert "layer 2 backward / new" in ours
        for name, array in theirs.items():
            np.testing.assert_allclose(ours[name], array, atol=1e-6)
    assert "Fading on the cpu path" in stored.describe()["engine"]


def test_units_of_a_stored_cell_with_derived_weights_are_not_pruned(folder):
    with pytest.raises(UsageError, match="holds values computed from weights, and pruning can't change these"):
        unspool.load(folder).pruned("layer 1 forward / h[1]")


def edited(folder, change):
    path = folder / "cell.json"
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("steps"), "the stored cell is damaged: .*steps"),
        (lambda record: record["steps"].pop(), r"was stored without its class, for .*came"),
        (lambda record: record["steps"][0]["nodes"][-1].__setitem__(0, "explode"), "'explode', does not fit"),
        (lambda record: record["steps"][0]["nodes"][-1].__setitem__(2, 77), "does not fit its arguments"),
        (lambda record: record["steps"][0]["results"].reverse(), None),
        (lambda record: record.__setitem__("fields", ["class"]), "'Fading' is damaged"),
        (lambda record: record["steps"][0]["weights"][0].__setitem__(0, "forward"), "'Fading' is damaged"),
    ],
)
def test_a_damaged_cell_is_refused_in_one_sentence(folder, change, message):
    edited(folder, change)
    if message is None:  # still a step: output and state have the same width
        unspool.load(folder)
        return
    with pytest.raises(ModelFolderError, match=message) as raised:
        unspool.load(folder)
    assert "\n" not in raised.value.message


def test_missing_tensors_are_refused(folder):
    (folder / "cell.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"cell\.safetensors"):
        unspool.load(folder)


def test_a_step_that_the_compiler_refuses_needs_its_class(tmp_path):
    Classifier(cell=Ordered, **TINY).fit(TEXTS, LABELS, out=tmp_path / "m", reporter=Reporter(), baselines=False)
    assert not (tmp_path / "m" / "cell.json").exists()
    with pytest.raises(ModelFolderError, match="holds no traced step of it; loading executes its code"):
        unspool.load(tmp_path / "m")
    assert unspool.load(tmp_path / "m", cell=Ordered).predict(["fine"])[0].label in LABELS
