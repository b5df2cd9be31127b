"""Results in a notebook: a frame over a picture, the limit of 2 MB, `show`, `save`, and columns for data frames."""

from __future__ import annotations

import csv
import html
import io
import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow
import pytest
from rich.console import Console

from notebook_html import Elements, embedded_picture
from unspool import graph
from unspool.cells import GRUCell
from unspool.errors import UsageError
from unspool.inspection import Edit, Fork, Gradients, Map, Trace, compare_gradients, compare_traces, read_trace
from unspool.inspection.fork import Outcomes
from unspool.inspection.gradient_picture import gradient_picture
from unspool.inspection.notebook import LARGEST, framed
from unspool.inspection.page import page
from unspool.inspection.picture import picture
from unspool.tasks.comparison import Comparison, Run
from unspool.tasks.disagreements import Disagreement, Disagreements


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def trace(tokens: str = "ant </iframe> cat", units: int = 4, seed: int = 0) -> Trace:
    words = tuple(tokens.split(" "))
    arrays = {"layer 1 / forget": numbers(len(words), units, seed=seed), "layer 1 / h": numbers(len(words), units)}
    attention = Map(numbers(2, len(words)), ("x", ""), words)
    written = Trace(("x", ""), {"decoder layer 1 / h": numbers(2, 3)}, {"surprise": [0.5, None]})
    return Trace(
        words, arrays, {"label": "a'b", "probabilities": {"a'b": 1.0}}, "gru", (), {"look": attention}, written
    )


def test_a_trace_is_its_page_in_a_frame_over_its_picture():
    result = trace()
    elements = Elements(result._repr_html_())
    frame = elements.one("iframe")
    assert frame["srcdoc"] == page(result)
    assert "allow-same-origin" not in frame["sandbox"].split()
    assert embedded_picture(result) == picture(result)
    assert {tag for tag, _ in elements.all} == {"div", "img", "iframe"}
    assert "grid-area:1/1" in frame["style"]


def test_a_map_alone_has_a_page_and_a_picture_of_its_own():
    matrix = trace().map("look")
    frame = Elements(matrix._repr_html_()).one("iframe")
    data = json.loads(frame["srcdoc"].split('id="trace">')[1].split("</script>")[0])
    assert [each["name"] for each in data["maps"]] == ["map"]
    assert data["model"] == "Map of 2 rows by 3 columns"
    assert int(frame["style"].split("height:")[1].split("px")[0]) < 400


def test_above_two_megabytes_the_picture_stands_alone_with_a_sentence():
    wide = trace(units=80_000)  # 5 MB of base64
    elements = Elements(wide._repr_html_())
    assert {tag for tag, _ in elements.all} == {"div", "img", "p"}
    assert "trace.save('trace.html')" in wide._repr_html_()
    assert len(wide._repr_html_()) < LARGEST
    huge = framed("<svg/>" * LARGEST, None, "trace", "1 < 2")
    assert Elements(huge).all[1][0] == "pre"
    assert "1 &lt; 2" in huge
    assert "<iframe" not in framed("<svg/>", "x" * LARGEST, "trace", "")


def test_the_page_begins_with_a_state():
    result = trace()
    data = page(result, array="layer 1 / h", place="layer 1").split('id="trace">')[1].split("</script>")[0]
    assert json.loads(data)["state"] == {"array": "layer 1 / h", "place": "layer 1"}


@pytest.fixture
def notebook(monkeypatch):
    """A running notebook; what it displayed."""
    displayed: list[object] = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display.display = displayed.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return displayed


def test_show_displays_in_a_notebook_and_prints_to_a_console(notebook, capsys):
    result = trace()
    result.show()
    result.map("look").show()
    result.show(array="decoder layer 1 / h", maps="loo*")
    assert capsys.readouterr().out == ""
    assert [type(each).__name__ for each in notebook] == ["_Html", "Map", "_Html"]
    first, last = (Elements(notebook[place]._repr_html_()).one("iframe")["srcdoc"] for place in (0, 2))
    assert first == page(result)
    assert last == page(result, map="look", array="decoder layer 1 / h", place="decoder layer 1")
    with pytest.raises(UsageError, match="no array 'layer 1 / forgot'"):
        result.show(array="layer 1 / forgot")
    console = Console(file=io.StringIO(), width=80)
    result.show(console)
    assert "layer 1" in console.file.getvalue()
    assert len(notebook) == 3


def test_show_prints_without_a_notebook(monkeypatch, capsys):
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=None)  # IPython in a terminal
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    trace().show()
    trace().map("look").show()
    assert capsys.readouterr().out.count("a row looks across its columns") == 2


def test_saving_writes_the_trace_and_keeps_files(tmp_path):
    result = trace()
    assert read_trace(result.save(tmp_path / "t.npz")) == result
    with pytest.raises(UsageError, match="exists already"):
        result.save(tmp_path / "t.npz")
    other = trace(seed=5)
    other.save(tmp_path / "t.npz", overwrite=True)
    assert read_trace(tmp_path / "t.npz") == other
    matrix = result.map("look")
    assert read_trace(matrix.save(tmp_path / "m.json")).map("map") == matrix


def rows_of(columns: dict[str, object]) -> list[dict[str, object]]:
    """The rows of a data frame; pyarrow refuses columns of unequal length or of mixed types."""
    return pyarrow.table(columns).to_pylist()


def test_columns_of_a_trace_make_data_frames():
    result = trace()
    rows = rows_of(result.to_columns())
    assert [row["token"] for row in rows] == list(result.tokens)
    assert [row["layer 1 / forget"] for row in rows] == result.summary("layer 1 / forget").tolist()
    units = rows_of(result.to_columns("layer 1 / h"))
    assert [units[1][f"unit {unit}"] for unit in range(4)] == result.array("layer 1 / h")[1].tolist()
    assert rows_of(result.written.to_columns())[0]["surprise"] == 0.5
    long = rows_of(result.to_long_columns())
    assert len(long) == 2 * 3 * 4
    for row in long:
        assert row["value"] == result.array(row["array"])[row["position"], row["unit"]]
        assert row["token"] == result.tokens[row["position"]]
    assert rows_of(Trace(("a",), {}).to_long_columns()) == []


def test_columns_of_a_map_have_one_row_per_cell():
    matrix = Map(numbers(2, 3), ("x", "x"), ("a", "a", "b"))
    rows = rows_of(matrix.to_columns())
    assert len(rows) == 6
    for row in rows:
        assert row["value"] == matrix.values[row["row"], row["column"]]
        assert (row["row token"], row["column token"]) == (matrix.rows[row["row"]], matrix.columns[row["column"]])


def test_pandas_takes_the_columns():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(trace().to_columns())
    assert list(frame["token"]) == ["ant", "</iframe>", "cat"]
    assert len(pandas.DataFrame(trace().map("look").to_columns())) == 6


def results() -> list[object]:
    one, other = trace(seed=1), trace(seed=2)
    laws = [numbers(3, 2, seed=seed).astype(np.float64) for seed in (3, 4)]
    laws = [law / law.sum(1, keepdims=True) for law in laws]
    outcomes = tuple(Outcomes(law, np.log(law), ("x", "y").__getitem__) for law in laws)
    fork = Fork.of("ant", (Edit.of("layer 1 / h = 0 @ 2"),), (), (one, other), outcomes)
    return [fork, compare_traces(one, other)]


@pytest.mark.parametrize("result", results(), ids=lambda result: result.noun)
def test_other_results_display_print_and_save(result, tmp_path, notebook, capsys):
    elements = Elements(result._repr_html_())
    frames = [attributes["srcdoc"] for tag, attributes in elements.all if tag == "iframe"]
    assert frames == [page(each) for each in result._traces().values()]
    assert "script" not in {tag for tag, _ in elements.all}
    result.show()
    assert len(notebook) == 1
    assert capsys.readouterr().out == ""
    console = Console(file=io.StringIO(), width=80)
    result.show(console)
    first = next(line for line in console.file.getvalue().splitlines() if line.strip())
    assert html.escape(first.strip()) in result._repr_html_()
    assert json.loads(result.save(tmp_path / "r.json").read_text()) == json.loads(json.dumps(result.record()))
    table = list(csv.DictReader(result.save(tmp_path / "r.csv").read_text().splitlines()))
    rows = rows_of(result.to_columns())
    assert [row["token"] for row in table] == [row["token"] for row in rows]
    differences = [name for name in rows[0] if "forget" in name]
    assert differences
    for name in differences:
        assert [np.float64(row[name]) for row in table] == pytest.approx([row[name] for row in rows])
    assert "<iframe" in result.save(tmp_path / "r.html").read_text()
    with pytest.raises(UsageError, match="exists already"):
        result.save(tmp_path / "r.html")
    with pytest.raises(UsageError, match=r"is written as one of \.json"):
        result.save(tmp_path / "r.npz")


def test_a_fork_opens_both_runs_at_the_same_array(notebook):
    fork = results()[0]
    fork.show(array="layer 1 / h")
    frames = [attributes["srcdoc"] for tag, attributes in Elements(notebook[0]._repr_html_()).all if tag == "iframe"]
    state = {"array": "layer 1 / h", "place": "layer 1"}
    assert frames == [page(each, **state) for each in (fork.original, fork.edited)]


def gradients(seed: int) -> Gradients:
    norms = {"layer 1 / h": numbers(2, 3, seed=seed).astype(np.float64), "input / x": numbers(2, 3).astype(np.float64)}
    return Gradients(("a", "<b>", "a"), ("x", "y"), norms, np.array([0.5, 0.25]), (1, 2), model=f"network {seed}")


def test_gradients_display_print_and_make_data_frames(notebook, capsys):
    result = gradients(1)
    result.show()
    result.show(array="input / x")
    comparison = compare_gradients({"before": result, "after": gradients(2)})
    comparison.show()
    assert capsys.readouterr().out == ""
    pictures = [embedded_picture(each) for each in notebook]
    assert pictures == [
        gradient_picture({"": result}),
        gradient_picture({"": result}, {"": "input / x"}),
        comparison.picture(),
    ]
    assert all(Elements(each._repr_html_()).all[0][0] == "img" for each in notebook)
    rows = rows_of(result.to_columns())
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        assert row["norm"] == result.array(row["array"])[row["loss"], row["step"]]
        assert row["distance"] == result.distances(row["array"])[row["loss"], row["step"]]
        assert (row["token"], row["loss name"]) == (result.tokens[row["step"]], result.losses[row["loss"]])
    both = rows_of(comparison.to_columns())
    assert [row["norm"] for row in both if row["network"] == "after"] == gradients(2).array(
        "layer 1 / h"
    ).ravel().tolist()
    console = Console(file=io.StringIO(), width=80)
    comparison.show(console)
    assert "before" in console.file.getvalue()


def test_a_graph_displays_its_picture_and_prints_its_parts(notebook, capsys):
    result = graph(GRUCell(3, 4))
    result.show()
    assert embedded_picture(notebook[0]) == result.picture()
    console = Console(file=io.StringIO(), width=80)
    result.show(console)
    assert console.file.getvalue().startswith("Graph of ")


def test_comparisons_of_networks_display_print_and_save(tmp_path, capsys):
    runs = [Run(name, seed, {"accuracy": seed / 10}, 7, 5, 1.5, 99.0) for name in ("lstm", "<gru>") for seed in (1, 2)]
    facts = {"task": "classify", "scored_on": "test", "metric": "accuracy", "higher_is_better": True}
    result = Comparison(**facts, networks=("lstm", "<gru>"), seeds=(1, 2), runs=tuple(runs))
    result.show()
    assert capsys.readouterr().out.split() == str(result).split()
    assert html.escape(str(result)) in result._repr_html_()
    rows = rows_of(result.to_columns())
    assert [(row["network"], row["seed"], row["accuracy"]) for row in rows] == [
        (run.network, run.seed, run.scores["accuracy"]) for run in runs
    ]
    assert json.loads(result.save(tmp_path / "c.json").read_text()) == result.record()


def test_disagreements_display_and_make_data_frames():
    example = Disagreement("f.tsv:2", "a text", "x", ("x", "y"), ({"x": 1.0}, {"y": 1.0}), 1.0)
    result = Disagreements(("m", "m"), (example,))
    (row,) = rows_of(result.to_columns())
    assert (row["m (1)"], row["m (2)"], row["right"]) == ("x", "y", "x")
    assert html.escape(result.text()) in result._repr_html_()
