"""What a watcher sees: every gate and state of every step, in the order the steps ran."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import ALL_CELLS, TOLERANCE
from unspool.cells import CELLS, edit_steps, editor_of, watch
from unspool.engine import Stepper, unroll

PAGES = Path(__file__).resolve().parents[2] / "docs" / "cells"
OWN_GATES = {"own-pair": ["keep"], "own-linear": [], "own-constant-decay": []}
EXACT = TOLERANCE[torch.float64]


class Notebook:
    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        self.values.setdefault(name, []).append(value.detach().clone())

    def stacked(self) -> dict[str, Tensor]:
        return {name: torch.stack(values) for name, values in self.values.items()}


def documented_gates(name: str) -> list[str]:
    """What a cell's page says that a trace records, without the parts of the state."""
    if name in OWN_GATES:
        return OWN_GATES[name]
    sentence = re.search(r"^A trace records (.*?);", (PAGES / f"{name}.md").read_text(encoding="utf-8"), re.M)
    assert sentence is not None, f"{name}.md does not say what a trace records"
    state = ALL_CELLS[name](2, 3).initial_state(1)._fields
    return [word for word in re.findall(r"`(\w+)`", sentence[1]) if word not in state]


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", [*CELLS, *OWN_GATES])
def test_gates_and_states_of_every_step_are_seen(name, reverse, problem):
    case = problem(name, (6, 3, 4, 5), dtype=torch.float64, ragged=False, reverse=reverse)
    expected, expected_final = case.run("auto")
    notebook = Notebook()
    with watch(case.cell, notebook):
        outputs, final = case.run("auto")
    assert_close(outputs, expected, **EXACT)  # watching changes nothing
    assert_close(tuple(final), tuple(expected_final), **EXACT)
    seen = notebook.stacked()
    assert sorted(seen) == sorted([*documented_gates(name), *final._fields])
    assert list(seen)[-len(final) :] == list(final._fields)
    assert {len(values) for values in seen.values()} == {6}
    for key, value in final._asdict().items():
        assert_close(seen[key][-1], value.detach().flatten(1), **EXACT)
    if not name.startswith(("own-pair", "ntm")):  # elsewhere the first state is what the cell shows
        shown = seen[final._fields[0]]
        assert_close(shown.flip(0) if reverse else shown, outputs.detach(), **EXACT)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_what_is_seen_fits_the_equations(reverse, problem):
    case = problem("lstm", (6, 3, 4, 5), dtype=torch.float64, ragged=False, reverse=reverse)
    notebook = Notebook()
    with watch(case.cell, notebook):
        case.run("auto")
    seen = notebook.stacked()
    before = torch.cat([case.state.c.detach()[None], seen["c"][:-1]])
    assert_close(seen["c"], seen["forget"] * before + seen["input"] * seen["candidate"], **EXACT)
    assert_close(seen["h"], seen["output"] * seen["c"].tanh(), **EXACT)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_what_is_seen_of_a_linear_cell_fits_its_equation(reverse, problem):
    case = problem("mingru", (6, 3, 4, 5), dtype=torch.float64, ragged=False, reverse=reverse)
    notebook = Notebook()
    with watch(case.cell, notebook):
        case.run("auto")
    seen = notebook.stacked()
    before = torch.cat([case.state.h.detach()[None], seen["h"][:-1]])
    assert_close(seen["h"], (1 - seen["update"]) * before + seen["update"] * seen["candidate"], **EXACT)


def test_states_stand_still_in_the_padding(problem):
    case = problem("gru", (6, 3, 4, 5), dtype=torch.float64)
    notebook = Notebook()
    with watch(case.cell, notebook):
        _, final = case.run("auto")
    states = notebook.stacked()["h"]
    for column, length in enumerate(case.lengths.tolist()):
        assert_close(states[length - 1 :, column], final.h[column].detach().expand(7 - length, -1), **EXACT)


def test_watching_ends_and_nests():
    cell = ALL_CELLS["lstm"](2, 3)
    inputs = torch.randn(4, 1, 2)
    outer, inner = Notebook(), Notebook()
    with watch(cell, outer):
        with watch(cell, inner):
            unroll(cell, inputs)
        assert not outer.values
        with pytest.raises(KeyError), watch(cell, inner):
            raise KeyError
        unroll(cell, inputs[:3])
    assert not cell.watched
    unroll(cell, inputs)
    assert len(outer.values["h"]) == 3
    assert len(inner.values["h"]) == 4


class Halving:
    """Editor that halves the state after every step."""

    def step(self, cell, x, state, context):
        _, new = cell.step(x, state, *context)
        new = type(new)(*(part / 2 for part in new))
        return new[0], new


@pytest.mark.parametrize("name", ["lstm", "gru", "mingru"])
def test_an_editor_runs_the_steps_in_every_path(name):
    cell, inputs = ALL_CELLS[name](2, 3), torch.randn(4, 2, 2)
    notebook, x = Notebook(), inputs[0]
    with torch.no_grad():
        stepper, state = Stepper(cell), cell.initial_state(2)
        stepper(x, state)
        with edit_steps(cell, Halving()), watch(cell, notebook):
            outputs, _ = unroll(cell, inputs)
            one, _ = stepper(x, state)
        _, plain = cell.step(x, state)
    assert_close(outputs[0], plain[0] / 2)
    assert_close(one, plain[0] / 2)
    assert_close(notebook.values["h"][3], outputs[3])
    assert not cell.watched
    assert editor_of(cell) is None
