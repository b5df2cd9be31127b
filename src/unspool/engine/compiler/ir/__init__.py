"""The IR: graphs of rows, their builder, operations, verifier and interpreter."""

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import OVER_BLOCKS, REDUCTIONS, REPEATS, Graph, Node, block, ordered
from unspool.engine.compiler.ir.interpreter import interpret
from unspool.engine.compiler.ir.operations import POINTWISE
from unspool.engine.compiler.ir.verify import verify

__all__ = [
    "OVER_BLOCKS",
    "POINTWISE",
    "REDUCTIONS",
    "REPEATS",
    "Builder",
    "Graph",
    "Node",
    "block",
    "interpret",
    "ordered",
    "verify",
]
