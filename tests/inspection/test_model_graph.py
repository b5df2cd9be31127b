"""Graphs of models: parts, unrolled rows with thick edges, pictures in which no texts overlap, and files."""

import json
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.cells import cell_len
from torch import nn

from cases import ALL_CELLS, ChoosyCell
from notebook_html import embedded_picture
from unspool import Recurrent, Trace, graph
from unspool.cells import CELLS
from unspool.errors import UsageError
from unspool.inspection import Gradients
from unspool.inspection.layered_layout import layered_layout

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


class Model(nn.Module):
    def __init__(self, tied=True):
        super().__init__()
        self.table = nn.Linear(4, 6)
        self.drop = nn.Dropout(0.5)
        self.encoder = Recurrent("lstm", 6, 5, num_layers=2, bidirectional=True)
        self.output = nn.Linear(4, 6)
        if tied:
            self.output.weight = self.table.weight


def boxes(picture):
    """Left, top, right and bottom of every text that is not turned."""
    tree = ElementTree.fromstring(picture)
    turned = {text for group in tree.iter(f"{SVG}g") if group.get("transform") for text in group.iter(f"{SVG}text")}
    for text in tree.iter(f"{SVG}text"):
        if text in turned:
            continue
        content = "".join(text.itertext())
        width = cell_len(content) * (
            6.65 if "small" in text.get("class") else 8.6 if "title" in text.get("class") else 7.25
        )
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - {"end": width, "middle": width / 2}.get(text.get("text-anchor"), 0)
        yield content, left, y - 9, left + width, y + 2


def check_picture(picture):
    """No text overlaps another, none leaves the picture, nothing comes from another host."""
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in picture
    width, height = (float(ElementTree.fromstring(picture).get(side)) for side in ("width", "height"))
    every = list(boxes(picture))
    for text, left, top, right, bottom in every:
        assert left >= 0, text
        assert right <= width, text
        assert top >= 0, text
        assert bottom <= height, text
    for one, other in combinations(every, 2):
        apart = one[3] <= other[1] or other[3] <= one[1] or one[4] <= other[2] or other[4] <= one[2]
        assert apart, (one, other)


@pytest.mark.parametrize("name", ALL_CELLS)
def test_no_text_overlaps_in_the_picture_of_any_cell(name):
    picture = graph(ALL_CELLS[name](32, 64)).picture()
    check_picture(picture)
    assert "prefers-color-scheme:dark" in picture
    assert "× T" in picture


def test_a_cell_that_can_t_be_traced_is_drawn_with_the_reason():
    picture = graph(ChoosyCell(3, 4), "a b c").picture()
    check_picture(picture)
    assert "can't trace this step" in picture.replace("&#x27;", "'")
    assert ChoosyCell.__name__ in picture


def test_parts_have_shapes_weights_and_what_they_share():
    result = graph(Model())
    assert [block.name for block in result.blocks] == ["table", "encoder", "output"]
    assert result.blocks[0].lines == ("Linear", "4 → 6", "30 weights")
    assert result.blocks[1].lines[1] == "layer 1 forward: LSTMCell 6 → 5"
    assert result.blocks[1].weights == sum(weight.numel() for weight in Model().encoder.parameters())
    assert result.blocks[2].lines[-1] == "shares weights with table"
    assert result.cell.name == "LSTMCell"
    check_picture(result.picture())


def test_a_network_without_cells_says_so():
    result = graph(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    assert result.cell is None
    assert "no recurrent cell" in result.notes[0]
    check_picture(result.picture())


def test_the_unrolled_picture_repeats_a_box_per_step_and_no_nodes():
    model, words = Model(), [f"w{number}" for number in range(1000)]
    short, long, longest = (graph(model, words[:count]) for count in (3, 12, 1000))
    assert short.cell == long.cell == longest.cell
    assert long.picture().count(">LSTM<") == longest.picture().count(">LSTM<") == 4 * 12
    assert short.picture().count(">LSTM<") == 4 * 3
    assert "first 12 of 1000 steps" in longest.picture()
    assert len(longest.tokens) == 1000
    assert [row.place for row in long.rows] == [place for place, _, _ in model.encoder.named_cells()]
    assert [row.backward for row in long.rows] == [False, True] * 2
    for each in (short, long, longest):
        check_picture(each.picture())


def test_edges_are_as_thick_as_the_trace():
    stack, tokens = Recurrent("gru", 2, 3, bidirectional=True), ("a", "b", "c")
    values = np.array([[1.0, 1], [2, 4], [-8, 0]], np.float32)
    trace = Trace(tokens, {"layer 1 forward / h": values, "layer 1 backward / h": values / 2})
    forward, backward = graph(stack, tokens, thickness=trace).rows
    assert forward.values == (1.0, 3.0)
    assert backward.values == (1.5, 2.0)  # the edge leaves the later word
    assert forward.sizes == (pytest.approx(1 / 3), 1.0)
    widths = [
        float(width)
        for width in re.findall(r'stroke-width="([\d.]+)"', graph(stack, tokens, thickness=trace).picture())
    ]
    assert max(widths) == 9.0
    assert sorted(widths)[0] == pytest.approx(0.6 + 8.4 / 3, abs=0.01)


def test_edges_are_as_thick_as_the_gradient_of_the_last_loss():
    tokens = ("a", "b", "c")
    norms = {"layer 1 / h": np.array([[9.0, 0, 0], [9, 9, 0], [1, 2, 4]])}
    gradients = Gradients(tokens, tokens, norms, np.ones(3), (0, 1, 2))
    result = graph(Recurrent("gru", 2, 3), tokens, thickness=gradients)
    assert result.rows[0].values == (1.0, 2.0)
    assert "gradient of the last loss" in result.picture()


def test_a_gate_is_chosen_by_name_and_wrong_ones_are_refused():
    stack, tokens = Recurrent("gru", 2, 3), ("a", "b")
    trace = Trace(tokens, {"layer 1 / h": np.ones((2, 3)), "layer 1 / update": np.full((2, 3), 0.25)})
    assert graph(stack, tokens, thickness=trace, array="update").rows[0].values == (0.25,)
    assert graph(stack, tokens, thickness=trace, array="layer 1 / update").rows[0].values == (0.25,)
    with pytest.raises(UsageError, match="there is no array 'updat'"):
        graph(stack, tokens, thickness=trace, array="updat")
    with pytest.raises(UsageError, match="the trace has 2 tokens and the text 3"):
        graph(stack, ("a", "b", "c"), thickness=trace)
    with pytest.raises(UsageError, match="graph takes a model, a recurrent stack or a cell, and int came"):
        graph(3)


def test_files(tmp_path):
    result = graph(Model(), "a <b> &amp; c")
    result.save(tmp_path / "g.svg")
    result.save(tmp_path / "g.json")
    check_picture((tmp_path / "g.svg").read_text())
    record = json.loads((tmp_path / "g.json").read_text())
    assert {node["id"] for node in record["cell"]["nodes"]} >= {"x", "h(t-1)", "c", "h"}
    assert {"source": "h", "target": "h(t-1)", "loop": True} in record["cell"]["edges"]
    assert record["tokens"] == ["a", "<b>", "&amp;", "c"]
    assert embedded_picture(result) == (tmp_path / "g.svg").read_text()
    with pytest.raises(UsageError, match="exists already"):
        result.save(tmp_path / "g.svg")
    with pytest.raises(UsageError, match=r"a graph is written as one of \.svg, \.json"):
        result.save(tmp_path / "g.png")
    with pytest.raises(UsageError, match="there is no folder"):
        result.save(tmp_path / "nowhere" / "g.svg")


def test_drawing_changes_nothing():
    model = Model().train()
    state = torch.get_rng_state()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    graph(model, "a b")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_a_layout_has_rows_without_overlap_and_edges_downwards():
    sizes = {f"n{number}": (60.0 + number % 7 * 10, 30.0) for number in range(60)}
    edges = [(f"n{number}", f"n{later}") for number in range(60) for later in (number + 3, number + 11) if later < 60]
    layout = layered_layout(sizes, edges, width=400)
    rows = {}
    for name, (x, y) in layout.centres.items():
        rows.setdefault(y, []).append((x, name))
    for row in rows.values():
        assert sum(sizes[name][0] for _, name in row) <= 400
        for (left, one), (right, other) in pairwise(sorted(row)):
            assert right - left >= (sizes[one][0] + sizes[other][0]) / 2
    for points in layout.routes.values():
        assert all(after[1] >= before[1] for before, after in pairwise(points))
    assert max(x + sizes[name][0] / 2 for name, (x, _) in layout.centres.items()) <= layout.width + 1e-6


def test_the_pictures_of_the_docs_are_those_that_the_script_draws(tmp_path, monkeypatch):
    """Apart from the engine's path, which depends on the machine."""
    monkeypatch.setattr(sys, "argv", ["draw_cells.py", "--out", str(tmp_path)])
    runpy.run_path(str(ROOT / "scripts" / "draw_cells.py"), run_name="__main__")
    stored = ROOT / "docs" / "assets" / "cells"
    assert sorted(path.name for path in stored.iterdir()) == sorted(f"{name}.svg" for name in CELLS)
    for path in sorted(tmp_path.iterdir()):
        drawn, committed = (each.read_text() for each in (path, stored / path.name))
        hint = f"run scripts/draw_cells.py {path.stem}"
        assert drawn.partition("Engine:")[0] == committed.partition("Engine:")[0], hint


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_shows_its_picture_on_its_page(name):
    page = (ROOT / "docs" / "cells" / f"{name}.md").read_text()
    assert f"](../assets/cells/{name}.svg)" in page
