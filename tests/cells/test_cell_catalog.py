"""Cells by name, by class, by module and by file."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from functools import partial
from typing import Literal

import pytest

import unspool
from cases import PairCell
from unspool.cells import (
    CELLS,
    HyperLSTMCell,
    LSTMCell,
    cell_class,
    cell_name,
    is_built_in,
    with_recorded_options,
)
from unspool.cells.names import cell_files
from unspool.errors import CellError, SettingError

OWN = """
from unspool.cells import LSTMCell

class Mine(LSTMCell):
    pass

class Other:
    pass
"""


def test_names_and_classes_find_each_other():
    for name, kind in CELLS.items():
        assert cell_class(name) is kind
        assert cell_class(kind) is kind
        assert cell_name(kind) == name
    assert cell_class(PairCell) is PairCell
    assert cell_name("file.py:Mine") == "file.py:Mine"
    assert cell_class(cell_name(PairCell)) is PairCell


def test_the_names_of_all_cells_are_known_without_torch():
    code = "import sys; from unspool.cells.names import cell_names; print(*cell_names(), 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [*CELLS, "False"]


def test_a_file_of_cells_is_all_that_a_cell_needs():
    for module, file in cell_files().items():
        table = importlib.import_module(f"unspool.cells.{module}").CELLS
        assert table.keys() == set(file.names)
        assert all(CELLS[name] is kind for name, kind in table.items())
        for name in set(file.exports) - {"CELLS"}:
            assert getattr(unspool.cells, name) is getattr(sys.modules[f"unspool.cells.{module}"], name)
    assert "IndRNNCell" not in unspool.cells.__all__  # so the loop above covers a cell that nothing else lists


def test_a_cell_is_found_in_a_file(tmp_path):
    file = tmp_path / "own_in_a_file.py"
    file.write_text(OWN)
    found = cell_class(f"{file}:Mine")
    assert found.__name__ == "Mine"
    assert issubclass(found, LSTMCell)


def test_a_cell_is_found_where_the_user_stands(tmp_path, monkeypatch):
    (tmp_path / "own_in_a_module.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert cell_class("own_in_a_module:Mine").__name__ == "Mine"


def test_sizes_stand_in_brackets(tmp_path):
    kind = cell_class("hyperlstm(hyper_size=5, layer_norm=true)")
    cell = kind(3, 4)
    assert (cell.hyper.hidden_size, cell.layer_norm, cell.embedding_size) == (5, True, 4)
    assert issubclass(kind, HyperLSTMCell)
    assert kind.__name__ == "HyperLSTMCell"
    assert cell_class("hyperlstm(hyper_size=5, layer_norm=true)") is kind
    assert HyperLSTMCell(3, 4).layer_norm is False  # the class itself is left alone
    file = tmp_path / "own_with_sizes.py"
    file.write_text(
        OWN.replace("    pass", "    def __init__(self, a, b, *, deep=1):\n        super().__init__(a, b + deep)", 1)
    )
    assert cell_class(f"{file}:Mine(deep=3)")(2, 5).hidden_size == 8


def test_only_names_of_ours_are_built_in():
    for name in (*CELLS, "lstm()", "hyperlstm(hyper_size=3)"):
        assert is_built_in(name)
    for name in ("my_cell.py:Cell", "lstm(evil.py:Cell", "lstm():evil.py:Cell", "os:path", "Lstm:x", "L S T M"):
        assert not is_built_in(name)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("LSTM", "lstm"),
        ("minGRU", "mingru"),
        ("min_gru", "mingru"),
        ("GRU_Reset_Before", "gru-reset-before"),
        ("lstmpeephole", "lstm-peephole"),
        ("Elman-ReLU", "elman-relu"),
        ("HyperLSTM(hyper_size=3)", "hyperlstm(hyper_size=3)"),
        ("LSTM()", "lstm"),
    ],
)
def test_case_and_hyphens_do_not_count_in_a_name_of_the_catalog(name, own):
    assert cell_name(name) == own
    assert is_built_in(name)
    assert issubclass(cell_class(name), CELLS[own.partition("(")[0]])


def test_a_name_of_ones_own_keeps_its_spelling():
    assert cell_name("My_Cell.py:LSTM") == "My_Cell.py:LSTM"
    assert not is_built_in("My_Cell.py:LSTM")
    assert len({name.replace("-", "") for name in CELLS}) == len(CELLS)


@pytest.mark.parametrize("name", ["RNN", "SimpleRNN"])
def test_what_others_call_an_elman_network_is_answered_with_it(name):
    with pytest.raises(SettingError, match=re.escape(f"there is no cell {name!r} (did you mean 'elman'?)")):
        cell_class(name)


def test_what_can_t_be_found_is_said(tmp_path):
    file = tmp_path / "own_with_faults.py"
    file.write_text(OWN)
    broken = tmp_path / "own_broken.py"
    broken.write_text("1 / 0")
    for name, error, message in [
        ("lsmt", SettingError, "there is no cell 'lsmt' (did you mean 'lstm'?); choose one of "),
        (f"{file}:Mein", SettingError, f"{file} has no class 'Mein'; its cells are: Mine"),
        (f"{file}:Other", CellError, f"{file}:Other is not a cell: it must be a class that derives from unspool.Cell"),
        (f"{tmp_path}/none.py:Mine", SettingError, f"{tmp_path}/none.py: no such file"),
        ("no_such_module:Mine", SettingError, "there is no module 'no_such_module'"),
        (f"{broken}:Mine", CellError, f"{broken} can't be imported: ZeroDivisionError: division by zero"),
        (
            "hyperlstm(hyper=3)",
            SettingError,
            "has no option 'hyper' (did you mean 'hyper_size'?); its options are hyper_size",
        ),
        ("lstm(slots=3)", SettingError, "the cell 'lstm' has no option 'slots'; it has no options beside"),
        ("hyperlstm(32)", SettingError, "cell 'hyperlstm(32)': '32' is no option; write them as in"),
        ("hyperlstm(hyper_size=-1)", SettingError, "hyper_size = -1: expected between 0 and 65536"),
        ("hyperlstm(hyper_size=2.5)", SettingError, "'hyperlstm': hyper_size = 2.5: expected a whole number or none"),
        (dict, CellError, "is not a cell"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            cell_class(name)


class OptionsCell(LSTMCell):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        rate: float = 0.5,
        gate: bool = True,
        *,
        depth: int = 2,
        mode: str = "slow",
        kind: Literal["a", "b"] = "a",
        free=1,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.options = (rate, gate, depth, mode, kind, free)


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("rate=0.25, gate=false, depth=0", (0.25, False, 0, "slow", "a", 1)),
        ("rate=1e-3,depth=-7,free=-.5", (1e-3, True, -7, "slow", "a", -0.5)),
        ("rate=-2", (-2.0, True, 2, "slow", "a", 1)),
        ("mode=fast-er, kind=b", (0.5, True, 2, "fast-er", "b", 1)),
        ('mode="a, (b)=\\"c\\""', (0.5, True, 2, 'a, (b)="c"', "a", 1)),
        ("mode='true', gate=TRUE", (0.5, True, 2, "true", "a", 1)),
        ("", (0.5, True, 2, "slow", "a", 1)),
    ],
)
def test_options_in_brackets_reach_the_cell_and_are_spelled_in_one_way(written, options):
    name = f"{__name__}:OptionsCell({written})"
    cell = cell_class(name)(3, 4)
    assert cell.options == options
    assert list(map(type, cell.options)) == list(map(type, options))
    assert isinstance(cell, OptionsCell)
    spelled = cell_name(name)
    assert cell_name(spelled) == spelled
    assert cell_class(spelled)(3, 4).options == options
    assert cell_name(cell_class(name)) == spelled


def test_options_as_a_dictionary_are_those_in_brackets():
    options = {"gate": False, "rate": 0.9, "mode": "none", "depth": 0}
    name = cell_name(OptionsCell, options)
    assert name == f'{__name__}:OptionsCell(depth=0, gate=False, mode="none", rate=0.9)'
    assert cell_class(OptionsCell, options)(3, 4).options == (0.9, False, 0, "none", "a", 1)
    assert cell_class(OptionsCell, options) is cell_class(name)
    assert cell_class(partial(OptionsCell, rate=0.9))(3, 4).options[0] == 0.9
    assert cell_name("ntm(width=8, slots=4)") == cell_name("NTM", {"slots": 4, "width": 8}) == "ntm(slots=4, width=8)"
    assert cell_class(OptionsCell, {"gate": 1 == 1})(3, 4).options[1] is True
    assert cell_class("ntm(reach=0)")(3, 4)._parts[3] == 1
    assert OptionsCell(3, 4).options[0] == 0.5  # the class itself is left alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rat": 1}, "the cell 'OptionsCell' has no option 'rat' (did you mean 'rate'?); its options are rate, gate,"),
        ({"hidden_size": 4}, "has no option 'hidden_size'"),
        ({"rate": "fast"}, "'OptionsCell': rate = fast: expected a number"),
        ({"rate": True}, "rate = True: expected a number"),
        ({"gate": 0}, "gate = 0: expected true or false"),
        ({"depth": 1.0}, "depth = 1.0: expected a whole number"),
        ({"mode": 3}, "mode = 3: expected a text"),
        ({"kind": "c"}, "kind = c: expected one of a, b"),
        ({"free": "x"}, "free = x: expected a number"),
        ({"rate": float("nan")}, "cell_options: rate = nan: expected a finite number"),
        ({"rate": [1]}, "cell_options: rate = [1]: expected a finite number"),
        ({"a b": 1}, "cell_options: 'a b' is no name"),
    ],
)
def test_options_are_checked_by_the_signature(options, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        cell_class(OptionsCell, options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ntm(slots=1, slots=2)", "slots comes twice"),
        ("ntm(slots=1e999)", "slots=1e999: expected a finite number"),
        ("ntm(slots=nan)", "slots=nan: expected a finite number"),
        ("ntm(slots=99999999999999999999)", "expected"),
        ("ntm(slots=70000)", "the cell 'ntm': slots = 70000: expected between 0 and 65536"),
        ("ntm(slots=(1))", "'slots=(1)' is no option"),
        ("ntm(slots='a)", "is no option"),
        ('ntm(slots="\\x")', "is no text as JSON writes it"),
        ("hyperlstm(" + "a" * 20000 + ")", "20,000 characters of options"),
    ],
)
def test_brackets_that_cant_be_read_are_said(name, message):
    with pytest.raises(SettingError, match=re.escape(message)):
        cell_class(name)


def test_an_option_comes_once_and_a_missing_one_is_named():
    with pytest.raises(SettingError, match=re.escape("slots stands in the brackets of the cell 'ntm(slots=3)'")):
        cell_class("ntm(slots=3)", {"slots": 3})

    class Needs(LSTMCell):
        def __init__(self, input_size: int, hidden_size: int, rate: float) -> None:
            super().__init__(input_size, hidden_size)
            1 / rate

    with pytest.raises(SettingError, match=re.escape("the cell 'Needs' needs a value for rate; write Needs(rate=...)")):
        cell_class(Needs)
    with pytest.raises(CellError, match=re.escape("Needs can't be made with rate=0: ZeroDivisionError")):
        cell_class(Needs, {"rate": 0})(3, 4)
    with pytest.raises(SettingError, match="hyper_size = 0"):
        cell_class("hyperlstm(hyper_size=0)")(3, 4)


def test_a_cell_takes_the_options_that_a_model_was_trained_with():
    recorded = "my.py:Mine(depth=3, rate=0.5)"
    assert with_recorded_options("other.py:Mine", recorded) == "other.py:Mine(depth=3, rate=0.5)"
    assert with_recorded_options("my.py:Mine(rate=0.5, depth=3)", recorded) == recorded
    assert with_recorded_options(OptionsCell, recorded)(3, 4).options[:3] == (0.5, True, 3)
    with pytest.raises(SettingError, match=re.escape("trained with the cell my.py:Mine(depth=3, rate=0.5), and cell=")):
        with_recorded_options("my.py:Mine(depth=2, rate=0.5)", recorded)
