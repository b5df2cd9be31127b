"""Options of a cell: from `cell_options` into the settings, the model folder, and the cell that it is opened with."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import unspool
from unspool import Cell, Classifier, Recurrent
from unspool.cells import NTMCell
from unspool.errors import ModelFolderError, SettingError
from unspool.training import Reporter

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 2, "batch_tokens": 40, "threads": 1}
SILENT = Reporter()


class LeakState(NamedTuple):
    h: Tensor


class LeakCell(Cell[LeakState]):
    """A cell with options of every kind, and a weight whose shape depends on one."""

    def __init__(self, input_size: int, hidden_size: int, rate: float = 0.5, gate: bool = True, depth: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.rate, self.gate = rate, gate
        self.weight = self.parameter(hidden_size, input_size)
        self.shift = self.parameter(depth + 1, hidden_size)

    def initial_state(self, batch_size: int) -> LeakState:
        return LeakState(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: LeakState, *context: Tensor) -> tuple[Tensor, LeakState]:
        h = self.rate * state.h + torch.tanh(F.linear(x, self.weight) + self.shift.sum(0))
        return h, LeakState(h)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.tsv"
    rows = ["a joy\tpos", "a bore\tneg", "what a gem\tpos", "such a mess\tneg"] * 6
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return path


def cells_of(task: Classifier) -> list[LeakCell]:
    return [cell for _, cell, _ in task.model.encoder.named_cells()]


def test_options_survive_the_model_folder(reviews, tmp_path):
    options = {"rate": 0.25, "gate": False, "depth": 0}
    task = Classifier(cell=LeakCell, cell_options=options, **SMALL).fit(reviews, out=tmp_path / "m", reporter=SILENT)
    name = f"{__name__}:LeakCell(depth=0, gate=False, rate=0.25)"
    assert task.settings.network.cell == name
    assert task.describe()["summary"].startswith(f"bidirectional {name}, 1 layer of 5")
    assert json.loads((tmp_path / "m" / "unspool.json").read_text())["settings"]["network"]["cell"] == name
    opened = unspool.load(tmp_path / "m", cell=LeakCell)
    for each in (task, opened):
        assert [(cell.rate, cell.gate, len(cell.shift)) for cell in cells_of(each)] == [(0.25, False, 1)] * 2
    assert opened.predict(["a joy"])[0].probabilities == task.predict(["a joy"])[0].probabilities
    unspool.load(tmp_path / "m", cell=f"{__name__}:LeakCell(rate=0.25, depth=0, gate=false)")
    with pytest.raises(SettingError, match=re.escape(f"trained with the cell {name}, and cell=")):
        unspool.load(tmp_path / "m", cell=f"{__name__}:LeakCell(rate=0.5)")
    stored = unspool.load(tmp_path / "m")  # by its traced step, which holds the options
    assert stored.predict(["a joy"])[0].probabilities == pytest.approx(task.predict(["a joy"])[0].probabilities)
    (tmp_path / "m" / "cell.json").unlink()
    with pytest.raises(ModelFolderError, match=re.escape(f"unspool.load(folder, cell='{__name__}:LeakCell')")):
        unspool.load(tmp_path / "m")


def test_resuming_takes_the_same_options_however_written(reviews, tmp_path):
    spellings = [
        {"cell": LeakCell, "cell_options": {"rate": 0.25, "depth": 2}},
        {"cell": f"{__name__}:LeakCell(rate=.25,depth=2)"},
        {"cell": partial(LeakCell, depth=2, rate=0.25)},
    ]
    out = tmp_path / "m"
    for epochs, spelling in enumerate(spellings, 1):
        task = Classifier(**{**SMALL, **spelling, "epochs": epochs}).fit(reviews, out=out, resume=True, reporter=SILENT)
        assert task.record.training["epochs"] == epochs
        assert cells_of(task)[0].rate == 0.25
    other = Classifier(cell=LeakCell, cell_options={"rate": 0.5, "depth": 2}, **SMALL)
    with pytest.raises(SettingError, match=re.escape("begun with other settings: network.cell = ")):
        other.fit(reviews, out=out, resume=True, reporter=SILENT)


def test_a_folder_with_options_in_an_older_spelling_loads_and_resumes(reviews, tmp_path):
    out = tmp_path / "m"
    Classifier(cell="ntm(slots=3, width=2)", **SMALL).fit(reviews, out=out, reporter=SILENT)
    record = json.loads((out / "unspool.json").read_text())
    record["settings"]["network"]["cell"] = "ntm( width=2,slots=3 )"  # as earlier versions recorded what was typed
    (out / "unspool.json").write_text(json.dumps(record))
    opened = unspool.load(out)
    assert opened.settings.network.cell == "ntm(slots=3, width=2)"
    task = Classifier(cell=NTMCell, cell_options={"width": 2, "slots": 3}, **{**SMALL, "epochs": 3})
    assert task.fit(reviews, out=out, resume=True, reporter=SILENT).record.training["epochs"] == 3


def test_options_are_refused_before_data_are_read(tmp_path):
    task = Classifier(cell="ntm(slot=3)", **SMALL)
    with pytest.raises(SettingError, match=re.escape("has no option 'slot' (did you mean 'slots'?)")):
        task.fit(tmp_path / "no-such-file.tsv", out=tmp_path / "m")
    assert not (tmp_path / "m").exists()
    with pytest.raises(SettingError, match="has no option 'rat'"):
        Classifier(cell=LeakCell, cell_options={"rat": 3})
    with pytest.raises(SettingError, match="is no option"):
        Classifier(cell="ntm(3)")


def test_a_stack_takes_options():
    stack = Recurrent(LeakCell, 3, 4, num_layers=2, cell_options={"rate": 0.75})
    assert [cell.rate for _, cell, _ in stack.named_cells()] == [0.75, 0.75]
    assert Recurrent("ntm", 3, 4, cell_options={"slots": 3, "width": 2}).layers[0][0].slots == 3
    with pytest.raises(SettingError, match="rate = fast: expected a number"):
        Recurrent(LeakCell, 3, 4, cell_options={"rate": "fast"})
