"""Cells stored as data: the same outputs, gradients, recorded values and graphs, and nothing from damaged records."""

from __future__ import annotations

import copy
import random
from contextlib import ExitStack
from dataclasses import replace

import msgspec
import pytest
import torch

from cases import PairCell, assert_agrees, make_case
from odd_cells import ODD
from unspool.cells import watch
from unspool.cells.names import cell_names
from unspool.engine import explain, unroll
from unspool.engine.cell_record import CellRecord
from unspool.engine.stored_cell import StoredCell, record_cell, stored_cell_class
from unspool.errors import CellError

KINDS = {**{name: name for name in cell_names()}, **ODD, "Pair": PairCell}


def record_of(cell) -> tuple[CellRecord, dict[str, torch.Tensor]]:
    """Record a cell, and send the record through JSON, as a model folder does."""
    step, stored = record_cell(cell)
    state = cell.initial_state(1)
    record = CellRecord(name=type(cell).__name__, state=type(state).__name__, fields=list(state._fields), steps=[step])
    return msgspec.json.decode(msgspec.json.encode(record), type=CellRecord), stored


def stored_twin(cell) -> StoredCell:
    record, stored = record_of(cell)
    twin = stored_cell_class(record)(cell.input_size, cell.hidden_size).to(next(cell.parameters()).dtype)
    twin.load_state_dict(cell.state_dict())
    twin.fill(stored)
    return twin


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_cell_does_what_the_cell_did(kind, reverse):
    case = make_case(KINDS[kind], (6, 7, 5, 6), dtype=torch.float64, reverse=reverse)
    twin = stored_twin(case.cell)
    mine = replace(case, cell=twin, state=twin.state_type(*case.state))
    derived = any(each.weight is None for each in (*twin._record.matrices, *twin._record.vectors))
    found, truth = mine.outputs_and_gradients("cpu"), case.outputs_and_gradients("reference")
    if derived:  # what was computed from weights is stored, so that those weights have no gradient
        weights = {f"grad/{name}" for name, _ in case.cell.named_parameters()}
        found, truth = ({name: part for name, part in each.items() if name not in weights} for each in (found, truth))
    assert_agrees(found, truth, torch.float64)
    for mine_part, part in zip(twin.initial_state(3), case.cell.initial_state(3), strict=True):
        torch.testing.assert_close(mine_part, part)


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiler_takes_it_and_recording_it_again_changes_nothing(kind):
    twin = stored_twin(make_case(KINDS[kind], (2, 2, 5, 6)).cell)
    assert explain(twin).backend == "cpu"
    again, stored = record_cell(twin)
    assert again == twin._record
    twin.fill(stored)


class Seen:
    def __init__(self):
        self.values = []

    def add(self, name, value):
        self.values.append((name, value.clone()))


@pytest.mark.parametrize("kind", ["lstm-peephole", "hyperlstm", "ntm"])
def test_recorded_values_keep_their_names_and_inner_cells(kind):
    case = make_case(kind, (4, 3, 5, 6), ragged=False)
    twin = stored_twin(case.cell)
    seen = []
    for cell in (case.cell, twin):
        parts = {name: part for name, part in cell.named_modules() if hasattr(part, "record")}
        watchers = {name: Seen() for name in parts}
        with ExitStack() as stack, torch.no_grad():
            for name, part in parts.items():
                stack.enter_context(watch(part, watchers[name]))
            state = type(cell.initial_state(1))(*case.state)
            unroll(cell, case.inputs, state)
        seen.append({(name, key): value for name, watcher in watchers.items() for key, value in watcher.values})
    original, stored = seen
    assert original.keys() == stored.keys()
    assert any(name for name, _ in original) == (kind != "lstm-peephole")
    for key, value in original.items():
        torch.testing.assert_close(stored[key], value.flatten(1), msg=lambda text, key=key: f"{key}: {text}")


def test_sizes_without_a_record_are_refused():
    record, _ = record_of(make_case("gru", (2, 2, 5, 6)).cell)
    with pytest.raises(CellError, match=r"GRUCell was stored without its class, for .* \(5, 6\); \(5, 7\) came"):
        stored_cell_class(record)(5, 7)


def test_stored_tensors_that_do_not_fit_are_refused():
    cell = make_case("hyperlstm", (2, 2, 5, 6)).cell
    record, stored = record_of(cell)
    twin = stored_cell_class(record)(5, 6)
    assert stored
    name = next(iter(stored))
    with pytest.raises(CellError, match=f"the stored tensor '{name}' is missing"):
        twin.fill({key: tensor for key, tensor in stored.items() if key != name})
    with pytest.raises(CellError, match="another shape"):
        twin.fill({**stored, name: torch.zeros(1, 1, 1)})


def mutated(tree, chance: random.Random):
    """Change one to three places of a tree of JSON: a number, a text, a missing, a doubled or a swapped part."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        place, parent, key = tree, None, None
        while isinstance(place, dict | list) and place and (parent is None or chance.random() < 0.9):
            parent, key = place, chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = parent[key]
        if parent is None:
            continue
        values = [0, 1, -1, 2, 7, 1 << 40, "", "add", "product", "step", None, [], {}, True, "0x1p+3", "nan"]
        action = chance.randrange(4)
        if action == 0 or not isinstance(parent, list):
            parent[key] = chance.choice(values)
        elif action == 1:
            del parent[key]
        elif action == 2:
            parent.insert(key, copy.deepcopy(place))
        else:
            other = chance.randrange(len(parent))
            parent[key], parent[other] = parent[other], parent[key]
    return tree


def attack(count: int, seed: int) -> tuple[int, int]:
    chance = random.Random(seed)
    trees = []
    for kind in ("gru", "lstm-layernorm", "hyperlstm", "ntm", *sorted(ODD)[:6]):
        cell = make_case(KINDS[kind], (2, 2, 3, 4)).cell
        trees.append((cell, msgspec.json.decode(msgspec.json.encode(record_of(cell)[0]))))
    refused = ran = 0
    for _ in range(count):
        cell, tree = chance.choice(trees)
        try:
            record = msgspec.convert(mutated(tree, chance), CellRecord)
            kind = stored_cell_class(record)
            twin = kind(cell.input_size, cell.hidden_size)
        except (msgspec.ValidationError, CellError):
            refused += 1
            continue
        with torch.no_grad():
            outputs, state = unroll(twin, torch.ones(3, 2, twin.input_size), backend="reference")
        assert outputs.shape == (3, 2, twin.hidden_size)
        assert [part.shape[1:] for part in state] == [torch.Size(shape) for shape in twin._record.state]
        ran += 1
    return refused, ran


def test_mutated_records_are_refused_or_run():
    refused, ran = attack(400, 1)
    assert min(refused, ran) > 20


@pytest.mark.slow
def test_ten_thousand_mutated_records_are_refused_or_run():
    refused, ran = attack(10_000, 2)
    assert min(refused, ran) > 500
