"""Cells in JavaScript and in WebAssembly: each agrees with the plain loop, under node."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from node import run_node

from cases import ALL_CELLS, Case, make_case
from drawn_steps import Drawn
from odd_cells import ODD, PIECES
from unspool.ship.page.script import Kernels, layout, part
from unspool.ship.page.step import PageStep
from unspool.ship.step_graph import step_graph

pytestmark = pytest.mark.slow  # compiles some forty cells

PROGRAMS = [
    [("linear", 0, 2), ("gate", 3, 1), ("norm", 4, 0), ("cat", 5, 2), ("softmax", 6, 0)],
    [("block", 1, 2), ("roll", 3, 0), ("columns", 4, 2), ("largest", 5, 0), ("where", 4, 1)],
    [("focus", 0, 1), ("power", 3, 0), ("log", 4, 0), ("soft", 5, 0), ("quotient", 6, 2), ("mean", 7, 0)],
    [("folded", 1, 0), ("slice", 3, 0), ("halves", 4, 0), ("vector", 5, 0), ("clamp", 6, 0), ("smaller", 7, 1)],
]
DRAWN = {f"drawn{n}": type(f"Drawn{n}", (Drawn,), {"program": tuple(p)}) for n, p in enumerate(PROGRAMS)}
KINDS = {**{name: name for name in ALL_CELLS}, **ODD, **PIECES, **DRAWN}
SIZES = [(9, 5, 7), (5, 8, 12), (5, 6, 67)]  # time, input, hidden: ends of rows, whole vectors, whole panels and more

RUN = """
const bytes = (text) => Buffer.from(text, "base64");
const answers = { modes: [] };
for (const mode of ["WebAssembly", "JavaScript"]) {
  %s
  const cases = JSON.parse(fs.readFileSync(%s));
  answers.modes.push(await begin(mode === "WebAssembly" ? module : null, plain));
  F.fill(NaN, top);
  for (const c of cases) {
    const matrices = c.matrices.map((matrix) => pack(...matrix));
    const memories = c.memories.map(([entry, kind, what]) =>
      [entry, kind === "matrix" ? matrices[what] : kind === "vector" ? keep(what) : room(what)]);
    const x = room(c.count * c.down);
    c.inputs.forEach((row, t) => F.set(row, x + t * c.down));
    const feeds = c.feeds.map((feed) => {
      if (feed === null) return (t) => x + t * c.down;
      const [matrix, depth, width] = feed, row = multiplied(x, c.down, c.count, depth, matrices[matrix], width);
      return (t) => row(t);
    });
    const across = (c.width + 3) & ~3, y = room(c.count * across);
    const one = cell(c.step, c.layout, memories);
    const last = unroll(one, feeds, c.count, y, across, c.state.map(keep), c.reverse);
    const row = (at, n) => [...F.subarray(at, at + n)];
    answers[`${mode} ${c.name}`] = [...Array(c.count).keys()].map((t) => row(y + t * across, c.width))
      .concat(last.map((at, n) => row(at, c.state[n].length)));
  }
}
return answers;
"""


def problem(name: str, case: Case, kernels: Kernels, *, table: bool) -> dict[str, object] | None:
    """One call for the script; None if a table spares nothing."""
    graph = step_graph(case.cell)
    step = PageStep.of(graph, table=table)
    if step is None:
        return None
    entries = {memory: number for number, memory in enumerate(step.memories)}
    matrices, memories, numbers = [], [], {}

    def matrix(number: int, transposed: bool) -> int:
        if (number, transposed) not in numbers:
            numbers[number, transposed] = len(matrices)
            dense = graph.matrices[number]
            (depth, width), strides = dense.shape, (dense.shape[1], 1)
            rows = [dense.ravel().tolist()]
            matrices.append([*rows, *((width, depth, 1, width) if transposed else (depth, width, *strides))])
        return numbers[number, transposed]

    memories += [
        [entries[product.packed], "matrix", matrix(product.matrix, product.transposed)]
        for product in step.nest.products
    ]
    for number, vector in enumerate(step.vectors):
        if f"vector{number}" in entries:
            memories.append([entries[f"vector{number}"], "vector", graph.vectors[vector].tolist()])
    memories += [[entries[name], "scratch", size] for name, size in step.scratch.items()]
    names, feeds = [], []
    for memory, source in step.sources.items():
        if source.kind != "state":
            names.append(memory)
            depth_and_width = graph.matrices[source.number].shape if source.kind == "product" else ()
            shape = depth_and_width[::-1] if source.transposed else depth_and_width
            feeds.append([matrix(source.number, source.transposed), *shape] if shape else None)
    width = case.cell.input_size
    return {
        "name": f"{name} {'table' if table else ''}".strip(),
        "step": kernels.number(step),
        "layout": json.loads(layout(step, names)),
        "matrices": matrices,
        "memories": memories,
        "feeds": feeds,
        "count": len(case.inputs),
        "down": -(-width // 4) * 4,
        "inputs": case.inputs[:, 0].tolist(),
        "width": graph.output,
        "state": [part.detach()[0].ravel().tolist() for part in case.state],
        "reverse": case.reverse,
    }


def cases() -> dict[str, Case]:
    found = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        time, inputs, hidden = SIZES[number % len(SIZES)]
        case = make_case(kind, (time, 1, inputs, hidden), ragged=False, reverse=number % 2 == 1, seed=number)
        found[name] = case
    return found


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[float]]]:
    """What node answers for every cell, in both languages."""
    folder, kernels = tmp_path_factory.mktemp("page"), Kernels()
    problems = [problem(name, case, kernels, table=table) for name, case in cases().items() for table in (False, True)]
    (folder / "cases.json").write_text(json.dumps([each for each in problems if each]))
    parts = "\n".join([part("erf.js"), kernels.script(), part("memory.js"), part("unroll.js")])
    return run_node(RUN % (parts, json.dumps(str(folder / "cases.json"))), folder)


def expected(case: Case) -> list[np.ndarray]:
    with torch.no_grad():
        outputs, final = case.double().run("reference")
    return [*outputs[:, 0].detach().numpy(), *(part[0].detach().numpy().ravel() for part in final)]


@pytest.mark.parametrize("language", ["WebAssembly", "JavaScript"])
def test_cells_agree_with_the_plain_loop(answers, language):
    assert answers["modes"] == ["WebAssembly", "JavaScript"]
    compared = 0
    for name, case in cases().items():
        for key in (f"{language} {name}", f"{language} {name} table"):
            for actual, truth in zip(answers.get(key, []), expected(case) if key in answers else [], strict=True):
                np.testing.assert_allclose(np.array(actual, float), truth, rtol=1e-5, atol=1e-5, err_msg=key)
            compared += key in answers
    assert compared > 1.5 * len(KINDS)  # most cells take products of a table
