"""Cells by name, by class, by module and by file."""

from __future__ import annotations

import re

import pytest

from cases import PairCell
from unspool.cells import CELLS, HyperLSTMCell, LSTMCell, cell_class, cell_name, is_built_in
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
        ("LSTM()", "lstm()"),
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
        ("lsmt", SettingError, "there is no cell 'lsmt' (did you mean 'lstm'?); choose one of elman, elman-relu, lstm"),
        (f"{file}:Mein", SettingError, f"{file} has no class 'Mein'; its cells are: Mine"),
        (f"{file}:Other", CellError, f"{file}:Other is not a cell: it must be a class that derives from unspool.Cell"),
        (f"{tmp_path}/none.py:Mine", SettingError, f"{tmp_path}/none.py: no such file"),
        ("no_such_module:Mine", SettingError, "there is no module 'no_such_module'"),
        (f"{broken}:Mine", CellError, f"{broken} can't be imported: ZeroDivisionError: division by zero"),
        (
            "hyperlstm(hyper=3)",
            SettingError,
            "has no size 'hyper' (did you mean 'hyper_size'?); its sizes are hyper_size",
        ),
        ("lstm(slots=3)", SettingError, "the cell 'lstm' has no size 'slots'; it has no sizes beside"),
        ("hyperlstm(32)", SettingError, "cell 'hyperlstm(32)': '32' is no size; write them as in"),
        ("hyperlstm(hyper_size=0)", SettingError, "hyper_size = 0: expected between 1 and 65536"),
        ("hyperlstm(hyper_size=2.5)", SettingError, "'hyper_size=2.5' is no size"),
        (dict, CellError, "is not a cell"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            cell_class(name)
