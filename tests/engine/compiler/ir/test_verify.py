"""The verifier: what breaks the spec of graphs is caught."""

from __future__ import annotations

import pytest

from unspool.engine.compiler.ir.graph import Graph, Node
from unspool.engine.compiler.ir.verify import verify


@pytest.mark.parametrize(
    "node",
    [
        Node("add", (Node("constant", (), 3, (1.0,)),), 3),
        Node("add", (Node("constant", (), 3, (1.0,)), Node("constant", (), 2, (1.0,))), 3),
        Node("conjure", (), 3),
        Node("slice", (Node("constant", (), 3, (1.0,)),), 2, (2, 4)),
        Node("source", (), 3, ("nowhere", 0)),
        Node("sum", (Node("constant", (), 1, (1.0,)),), 1),
        Node("concat", (Node("constant", (), 3, (1.0,)),), 3),
    ],
    ids=lambda node: node.operation,
)
def test_what_breaks_the_spec_is_caught(node):
    with pytest.raises(AssertionError):
        verify(Graph(((("output", 0), node),)))
