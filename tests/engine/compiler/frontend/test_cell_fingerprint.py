"""A compiled step follows what it reads from elsewhere: globals, closures, class attributes, objects, modules."""

from __future__ import annotations

import functools
import gc
import types
import weakref
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from unspool import Cell, LinearCell, unroll
from unspool.engine import Stepper, explain, record_dispatch
from unspool.engine.compiler.frontend.cell_fingerprint import CellFingerprint

SCALE = 0.5
TABLE = {"gain": 0.5, "extra": [0.25]}
ARRAY = np.array([0.5, 2.0])
SETTINGS = types.SimpleNamespace(scale=0.5, inner=types.SimpleNamespace(shift=0.25))
MODULE = types.ModuleType("my_constants")
MODULE.SCALE = 0.5
HISTORY: list[int] = []


class Slotted:
    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale


SLOTTED = Slotted(0.5)


class State(NamedTuple):
    h: Tensor


class Base(Cell[State]):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> State:
        return State(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(x @ self.weight.T + self.factor() * state.h)
        return h, State(h)

    def factor(self) -> float:
        return SCALE


class ReadsGlobal(Base):
    pass


class ReadsTable(Base):
    def factor(self) -> float:
        return TABLE["gain"] + TABLE["extra"][0]


class ReadsArray(Base):
    def factor(self) -> float:
        return float(ARRAY[0])


class ReadsObject(Base):
    def factor(self) -> float:
        return SETTINGS.scale + SETTINGS.inner.shift


class ReadsOneObjectTwice(Base):
    """Two functions read different attributes of one object; the first that is followed must not hide the second."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(SETTINGS.scale * (x @ self.weight.T) + self.factor() * state.h)
        return h, State(h)

    def factor(self) -> float:
        return SETTINGS.inner.shift


class ReadsSlots(Base):
    def factor(self) -> float:
        return SLOTTED.scale


class ReadsModule(Base):
    def factor(self) -> float:
        return MODULE.SCALE


def helper() -> float:
    return inner_helper()


def inner_helper() -> float:
    return SCALE * 1.5


class ReadsThroughHelpers(Base):
    def factor(self) -> float:
        return helper()


class ReadsInComprehension(Base):
    def factor(self) -> float:
        return sum([SCALE * part for part in (0.5, 1.0)])


class ReadsProperty(Base):
    @property
    def gain(self) -> float:
        return SCALE

    def factor(self) -> float:
        return self.gain


class ReadsClassAttribute(Base):
    gains = (0.5, 0.25)

    def factor(self) -> float:
        return self.gains[0]


class ReadsOwnObject(Base):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.options = types.SimpleNamespace(scale=0.5)

    def factor(self) -> float:
        return self.options.scale


class Inner(torch.nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return SCALE * h


class ReadsInSubmodule(Base):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inner = Inner()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(x @ self.weight.T + self.inner(state.h))
        return h, State(h)


class ReadsPartial(Base):
    factor = staticmethod(functools.partial(helper))


class ReadsInCoefficients(LinearCell[State]):
    """Its step is the library's; what that calls is not."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> State:
        return State(self.weight.new_zeros(batch_size, self.hidden_size))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        written = x @ self.weight.T
        return torch.sigmoid(written) * SCALE, written


def change(monkeypatch, kind) -> None:
    here = globals()
    changes = {
        ReadsTable: lambda: TABLE["extra"].__setitem__(0, -1.0),
        ReadsArray: lambda: ARRAY.__setitem__(0, -1.0),
        ReadsObject: lambda: monkeypatch.setattr(SETTINGS.inner, "shift", -1.0),
        ReadsOneObjectTwice: lambda: monkeypatch.setattr(SETTINGS, "scale", -1.0),
        ReadsSlots: lambda: monkeypatch.setattr(SLOTTED, "scale", -1.0),
        ReadsModule: lambda: monkeypatch.setattr(MODULE, "SCALE", -1.0),
        ReadsClassAttribute: lambda: monkeypatch.setattr(ReadsClassAttribute, "gains", (-1.0, 0.25)),
        ReadsOwnObject: lambda: None,
    }
    changes.get(kind, lambda: monkeypatch.setitem(here, "SCALE", -1.0))()


KINDS = [
    ReadsGlobal,
    ReadsTable,
    ReadsArray,
    ReadsObject,
    ReadsOneObjectTwice,
    ReadsSlots,
    ReadsModule,
    ReadsThroughHelpers,
    ReadsInComprehension,
    ReadsProperty,
    ReadsClassAttribute,
    ReadsOwnObject,
    ReadsInSubmodule,
    ReadsPartial,
    ReadsInCoefficients,
]


@pytest.fixture(autouse=True)
def _restored():
    extra, array = TABLE["extra"][:], ARRAY.copy()
    yield
    TABLE["extra"][:], ARRAY[:] = extra, array


def assert_follows(cell: Cell, inputs: Tensor) -> None:
    with record_dispatch() as dispatch:
        actual, _ = unroll(cell, inputs, backend="cpu")
    assert dispatch.backend == "cpu"
    torch.testing.assert_close(actual, unroll(cell, inputs, backend="reference")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_changed_elsewhere_is_seen_by_the_next_call(kind, monkeypatch):
    cell, inputs = kind(3, 4), torch.randn(6, 2, 3)
    assert_follows(cell, inputs)
    before, _ = unroll(cell, inputs, backend="cpu")
    change(monkeypatch, kind)
    if kind is ReadsOwnObject:
        cell.options.scale = -1.0
    assert_follows(cell, inputs)
    assert not torch.allclose(unroll(cell, inputs, backend="cpu")[0], before)
    assert_follows(kind(3, 4), inputs)  # another cell of the class: the plan of the first is not its own


@pytest.mark.parametrize("kind", [ReadsGlobal, ReadsThroughHelpers, ReadsObject])
def test_a_stepper_sees_it_at_its_next_refresh(kind, monkeypatch):
    cell, x = kind(3, 4), torch.randn(2, 3)
    stepper = Stepper(cell, backend="cpu")
    state = State(torch.randn(2, 4))
    with torch.no_grad():
        stepper(x, state)
        change(monkeypatch, kind)
        stepper.refresh()
        output, _ = stepper(x, state)
        torch.testing.assert_close(output, cell.step(x, state)[0])


def test_a_closure_is_followed():
    scale = 0.5

    class Closed(Base):
        def factor(self) -> float:
            return scale

    cell, inputs = Closed(3, 4), torch.randn(6, 2, 3)
    assert_follows(cell, inputs)
    scale = -1.0
    assert_follows(cell, inputs)


def test_a_helper_defined_anew_is_followed(monkeypatch):
    cell, inputs = ReadsThroughHelpers(3, 4), torch.randn(6, 2, 3)
    assert_follows(cell, inputs)
    monkeypatch.setitem(globals(), "inner_helper", lambda: -1.0)
    assert_follows(cell, inputs)


def test_a_default_argument_changed_is_followed(monkeypatch):
    class Defaulted(Base):
        def factor(self, scale: float = 0.5) -> float:
            return scale

    cell, inputs = Defaulted(3, 4), torch.randn(6, 2, 3)
    assert_follows(cell, inputs)
    monkeypatch.setattr(Defaulted.factor, "__defaults__", (-1.0,))
    assert_follows(cell, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fingerprint_detects_what_its_key_tells_apart(kind, monkeypatch):
    cell = kind(3, 4)
    before = CellFingerprint(cell)
    assert before.matches(cell)
    assert before.difference(CellFingerprint(cell)) is None
    assert before.key == CellFingerprint(kind(3, 4)).key or kind is ReadsOwnObject, "another cell of the class"
    change(monkeypatch, kind)
    if kind is ReadsOwnObject:
        cell.options.scale = -1.0
    after = CellFingerprint(cell)
    assert not before.matches(cell)
    assert before.key != after.key
    assert before.difference(after)


def test_a_fingerprint_lets_its_cell_go():
    cell = ReadsOwnObject(3, 4)
    fingerprint, gone = CellFingerprint(cell), weakref.ref(cell)
    del cell
    gc.collect()
    assert gone() is None
    assert list(fingerprint.weights()) == [".weight"]


def test_numbers_in_weights_are_no_part_of_it():
    cell = ReadsGlobal(3, 4)
    before = CellFingerprint(cell)
    with torch.no_grad():
        cell.weight.mul_(2)
    assert before.matches(cell)
    cell.weight = torch.nn.Parameter(cell.weight.detach().clone())
    assert not before.matches(cell), "another tensor stands in its place"
    assert before.key == CellFingerprint(cell).key, "and its step does the same"
    assert before.difference(CellFingerprint(cell.double())) == "self.weight"


def test_values_that_stay_compile_once(monkeypatch):
    from unspool.engine.cpu import backend

    traced: list[Cell] = []
    lower = backend.lower_cell
    monkeypatch.setattr(backend, "lower_cell", lambda cell, widths: (traced.append(cell), lower(cell, widths))[1])
    cells = [kind(3, 5) for kind in (ReadsTable, ReadsObject, ReadsThroughHelpers) for _ in range(2)]
    for _ in range(3):
        for cell in cells:
            unroll(cell, torch.randn(6, 2, 3), backend="cpu")
    assert len(traced) == 3, "once for each class"


class Counts(Base):
    def factor(self) -> float:
        HISTORY.append(1)
        return 0.5


class CountsOnItself(Base):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.calls = 0

    def factor(self) -> float:
        self.calls += 1
        return 0.5


@pytest.mark.parametrize("kind", [Counts, CountsOnItself])
def test_a_step_that_changes_what_it_reads_is_left_to_the_plain_loop(kind):
    cell, inputs = kind(3, 4), torch.randn(6, 2, 3)
    report = explain(cell, inputs)
    assert report.backend == "reference"
    assert "changes" in report.refusals["cpu"]
    HISTORY.clear()
    unroll(cell, inputs)
    unroll(cell, inputs)
    if kind is CountsOnItself:
        assert cell.calls >= 12
    else:
        assert len(HISTORY) >= 12
