"""The builder: one node for one question, and simplifications on the way."""

from __future__ import annotations

import pytest

from unspool.engine.compiler.ir.builder import Builder
from unspool.engine.compiler.ir.graph import Node


def builder() -> tuple[Builder, Node, Node]:
    made = Builder(push_slices=True)
    return made, made.source("state", 0, 6), made.source("input", 0, 6)


def test_the_same_question_gives_the_same_node():
    b, h, x = builder()
    assert b.pointwise("add", h, x) is b.pointwise("add", h, x)
    assert b.pointwise("add", h, x) is not b.pointwise("add", x, h)


def test_slices_find_their_way_to_what_lies_in_memory():
    b, h, x = builder()
    whole = b.pointwise("tanh", b.pointwise("add", h, x))
    part = b.slice(whole, 2, 4)
    assert part is b.pointwise("tanh", b.pointwise("add", b.slice(h, 2, 4), b.slice(x, 2, 4)))
    assert b.slice(b.slice(h, 1, 5), 1, 2) is b.slice(h, 2, 3)
    assert b.concat([b.slice(h, 0, 3), b.slice(h, 3, 6)]) is h
    assert b.slice(b.concat([h, x]), 6, 12) is x
    assert b.slice(b.concat([h, x]), 4, 8) is b.concat([b.slice(h, 4, 6), b.slice(x, 0, 2)])


def test_sums_over_a_row_are_added_before_they_are_summed():
    b, h, x = builder()
    assert b.pointwise("add", b.reduce("sum", h), b.reduce("sum", x)) is b.reduce("sum", b.pointwise("add", h, x))
    narrow = b.reduce("sum", b.slice(x, 0, 2))
    assert b.pointwise("add", b.reduce("sum", h), narrow).operation == "add"


def test_numbers_are_worked_out():
    b, h, _ = builder()
    assert b.pointwise("add", h, 0.0) is h
    assert b.pointwise("mul", 1.0, h) is h
    assert b.pointwise("sub", h, 0.0) is h
    assert b.pointwise("div", h, 1.0) is h
    assert b.pointwise("sub", 0.0, h) is not h
    assert b.pointwise("tanh", 0.5).value == (pytest.approx(0.46211715726),)
