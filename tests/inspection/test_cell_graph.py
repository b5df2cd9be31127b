"""Graphs of cells: the compiler's trace folded into expressions that compute what the cell computes."""

import re

import pytest
import torch
import torch.nn.functional as F

from cases import ALL_CELLS, ChoosyCell
from unspool.engine.compiler.frontend.trace import Refusal, trace, trace_names
from unspool.inspection.cell_graph import cell_graph
from unspool.inspection.equation import Piece, equation_of, pieces

EVALUATED = ["elman", "gru", "lstm", "mingru", "minlstm", "mrnn", "indrnn", "lstm-peephole", "own-pair", "own-linear"]


@pytest.mark.parametrize("name", ALL_CELLS)
def test_the_graph_of_every_cell_is_whole(name):
    cell = ALL_CELLS[name](5, 8)
    graph = cell_graph(cell)
    ids = [node.id for node in graph.nodes]
    assert graph.refusal == ""
    assert len(set(ids)) == len(ids)
    assert {node.id for node in graph.nodes if node.kind == "state"} == {f"{part}(t-1)" for part in graph.parts}
    place = {id: number for number, id in enumerate(ids)}
    for edge in graph.edges:
        assert (place[edge.source] > place[edge.target]) == edge.loop, edge
    assert {edge.target for edge in graph.edges if edge.loop} == {f"{part}(t-1)" for part in graph.parts}
    used = {name for node in graph.nodes for name in node.weights}
    assert used <= set(graph.weights)
    assert {node.operations > 0 for node in graph.nodes if node.kind == "operation"} == {True}
    assert all(re.fullmatch(r"\w+\.py:\d+", node.where) for node in graph.nodes if node.kind == "operation")


@pytest.mark.parametrize("name", ["lstm", "ntm", "own-pair"])
def test_nodes_do_not_depend_on_sizes_and_come_from_the_compiler_s_trace(name):
    small, large = ALL_CELLS[name](5, 8), ALL_CELLS[name](31, 64)
    assert len(cell_graph(small).nodes) == len(cell_graph(large).nodes)
    assert str(trace_names(small)[0].graph) == str(trace(small).graph)


def test_recorded_names_are_the_names_of_the_nodes():
    labels = [node.label for node in cell_graph(ALL_CELLS["lstm"](5, 8)).nodes]
    assert {"input", "forget", "candidate", "output", "c", "h"} <= set(labels)
    inner = [node.label for node in cell_graph(ALL_CELLS["hyperlstm"](5, 8)).nodes]
    assert {"hyper.forget", "forget"} <= set(inner)


def test_an_lstm_reads_like_its_equation():
    graph = cell_graph(ALL_CELLS["lstm"](5, 8))
    expressions = {node.label: node.expression for node in graph.nodes}
    assert expressions["c"] == "forget ⊙ cₜ₋₁ + input ⊙ candidate"
    assert expressions["h"] == "output ⊙ tanh(c)"
    assert expressions["forget"] == "σ(a1[9–16])"
    assert expressions["a1"] == "weight_ih · x + bias_ih + weight_hh · hₜ₋₁ + bias_hh"
    assert graph.weights["weight_hh"] == (32, 8)
    assert graph.engine.startswith("cpu path") or "reference" in graph.engine


def evaluated(cell, x, state):
    """The results of a cell by its drawn expressions alone."""
    names = {"x": x, **{f"{part}ₜ₋₁": value for part, value in state._asdict().items()}}
    names |= {name.replace(".", "_"): weight for name, weight in cell.named_parameters()}
    calls = {"σ": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "softplus": F.softplus, "sin": torch.sin}
    calls |= {"linear": lambda weight, value: F.linear(value, weight), "where": torch.where}
    for node in cell_graph(cell).nodes:
        if node.kind == "operation":
            code = node.expression.replace("−", "-").replace("⊙", "*").replace("ₜ₋₁", "_before")
            code = re.sub(r"(\d+)–(\d+)", lambda match: f"{int(match[1]) - 1}:{match[2]}", code)
            code = re.sub(r"(a\d+)\[", r"\1[:, ", code)
            code = re.sub(r"([a-z_]\w*(?:\[[^\]]*\])?) · (\w+)", r"linear(\1, \2)", code)
            values = {key.replace("ₜ₋₁", "_before"): value for key, value in names.items()}
            names[node.label] = eval(code, {"__builtins__": {}, **calls}, values)
    return names


@pytest.mark.parametrize("name", EVALUATED)
def test_the_expressions_compute_what_the_cell_computes(name):
    torch.manual_seed(0)
    cell = ALL_CELLS[name](5, 8)
    x, zero = torch.randn(3, 5), cell.initial_state(3)
    state = type(zero)(*(torch.randn_like(part) for part in zero))
    with torch.no_grad():
        output, new = cell.step(x, state)
        values = evaluated(cell, x, state)
    graph = cell_graph(cell)
    source = {edge.target: edge.source for edge in graph.edges if edge.loop or edge.target == "output(t)"}
    labels = {node.id: node.label for node in graph.nodes}
    for part, expected in new._asdict().items():
        torch.testing.assert_close(values[labels[source[f"{part}(t-1)"]]], expected)
    torch.testing.assert_close(values[labels[source["output(t)"]]], output)


def test_a_cell_that_can_t_be_traced_is_drawn_from_what_it_records():
    cell = ChoosyCell(3, 4)
    with pytest.raises(Refusal):
        trace(cell)
    graph = cell_graph(cell)
    assert "cases.py" in graph.refusal
    assert [node.kind for node in graph.nodes] == ["input", "state", "step", "operation", "operation", "output"]
    assert "recorded new" in [node.id for node in graph.nodes]
    assert graph.nodes[2].weights == ("inward",)
    assert [(edge.source, edge.target) for edge in graph.edges if edge.loop] == [("h", "h(t-1)")]


def test_equations_become_text():
    line = [("h", 0), ("t", -1), (" = tanh(W", 0), ("xh", -1), (" x", 0), ("t", -1), (")", 0)]
    assert pieces(r"h_t = \tanh(W_{xh} x_t)") == [Piece(*part) for part in line]
    assert pieces(r"\hat h^y_{t-1} \odot \mathrm{add}(a)")[0].text == "h\u0302"
    assert "".join(piece.text for piece in pieces(r"y \in \{i, f\}")).replace(" ", "") == "y∈{i,f}"
    assert len(equation_of(ALL_CELLS["lstm"])) == 6
    assert len(equation_of(ALL_CELLS["elman"])) == 1
    assert equation_of(ChoosyCell) == ()
