"""What the trace takes, and how it names what it can't take."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
import torch.nn.functional as F

from cases import make_case
from odd_cells import H, OneState
from unspool.engine import explain, unroll
from unspool.engine.compiler.frontend.trace import trace
from unspool.engine.compiler.pipeline import lower_cell
from unspool.engine.compiler.refusal import Refusal
from unspool.errors import BackendError


class Dropping(OneState):
    def step(self, x, state, *context):
        h = F.dropout(torch.tanh(F.linear(x, self.w)), 0.5, training=True)
        return h, H(h)


class Sorting(OneState):
    def step(self, x, state, *context):
        h = torch.sort(state.h, dim=-1).values
        return h, H(h)


class InPlace(OneState):
    def step(self, x, state, *context):
        h = F.linear(x, self.w)
        h.add_(1)
        return h, H(h)


class Looking(OneState):
    def step(self, x, state, *context):
        h = F.linear(x, self.w)
        if h.sum() > 0:
            h = -h
        return h, H(h)


class Mixing(OneState):
    def step(self, x, state, *context):
        h = F.linear(x, self.w)
        h = h - h.mean(0, keepdim=True)
        return h, H(h)


class Counting(OneState):
    def step(self, x, state, *context):
        h = F.linear(x, self.w) / x.shape[0]
        return h, H(h)


class BlocksOfWeights(OneState):
    def step(self, x, state, *context):
        blocks = state.h[:, :, None] * x[:, None, :]
        h = F.linear(blocks, self.w).sum(-1)
        return h, H(h)


class Turning(OneState):
    def step(self, x, state, *context):
        blocks = state.h[:, :, None] * x[:, None, :]
        h = (blocks.mT + 1).sum(1)
        return h, H(h)


class Wandering(OneState):
    def step(self, x, state, *context):
        h = state.h[:, :, None] * x[:, None, :]
        h = h.transpose(0, 1).sum(-1).T
        return h, H(h)


class Misaligned(OneState):
    def step(self, x, state, *context):
        h = state.h[:, :, None] + x.mean(-1)
        return h[..., 0], H(h[..., 0])


OUTSIDE = torch.ones(1)


class Reaching(OneState):
    def step(self, x, state, *context):
        h = F.linear(x, self.w) * OUTSIDE
        return h, H(h)


class Failing(OneState):
    def step(self, x, state, *context):
        raise ValueError("not today")


@pytest.mark.parametrize(
    ("kind", "line", "why"),
    [
        (Dropping, 1, "as dropout does"),
        (Sorting, 1, "does not know aten.sort"),
        (InPlace, 2, "changes a tensor in place"),
        (Looking, 2, "aten.sum"),
        (Mixing, 2, "over the batch"),
        (BlocksOfWeights, 2, "takes .batch, units. and .batch, slots, units."),
        (Turning, 2, "transposed block outside of a product"),
        (Wandering, 2, "the batch at another place"),
        (Misaligned, 1, "tensors of 1 and 3 dimensions together"),
        (Reaching, 1, "neither an argument of the step nor owned by the cell"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_can_t_be_compiled_is_named_with_its_line(kind, line, why):
    cell = kind(3, 4)
    number = inspect.getsourcelines(kind.step)[1] + line
    report = explain(cell)
    assert report.backend == "reference"
    assert re.search(rf"test_frontend_trace\.py:{number}: .*{why}", report.refusals["cpu"]), report.refusals["cpu"]
    with pytest.raises(BackendError, match=f"test_frontend_trace.py:{number}"):
        unroll(cell, torch.zeros(5, 2, 3), backend="cpu")


def test_a_step_that_looks_at_the_size_of_the_batch_is_refused():
    with pytest.raises(Refusal, match="depends on the size of the batch"):
        trace(Counting(3, 4))


def test_a_step_that_raises_is_left_to_the_plain_loop_to_raise():
    with pytest.raises(ValueError, match="not today"):
        unroll(Failing(3, 4), torch.zeros(5, 2, 3))


def test_plain_tensors_of_the_cell_are_weights_like_others():
    cell = OneState(3, 4)
    object.__setattr__(cell, "u", torch.randn(4, 4, requires_grad=True))
    cell._parameters.pop("u", None)
    kind = type(
        "Plain", (OneState,), {"step": lambda self, x, state: (state.h @ self.u + x @ self.w.T, H(x @ self.w.T))}
    )
    cell.__class__ = kind
    inputs = torch.randn(5, 2, 3)
    for backend in ("reference", "cpu"):
        outputs, _ = unroll(cell, inputs, backend=backend)
        (gradient,) = torch.autograd.grad(outputs.sum(), cell.u)
        if backend == "reference":
            expected = outputs, gradient
    torch.testing.assert_close((outputs, gradient), expected)


def test_other_dtypes_watchers_and_contexts_are_refused_in_words():
    cell = make_case("gru-reset-before", (4, 2, 3, 5)).cell.float()
    inputs = torch.zeros(6, 2, 3)
    assert "float16" in explain(cell.half(), inputs.half()).refusals["cpu"]
    cell.float()
    assert "(2, 7, 3)" in explain(cell, inputs, context=[torch.zeros(2, 7, 3)]).refusals["cpu"]

    seen = []
    torch.func.vmap(lambda x: (seen.append(explain(cell, x).refusals["cpu"]), x)[1])(inputs[None])
    assert seen == ["it needs plain tensors, and something else looks on"]


def test_inputs_alone_are_hoisted_and_products_of_joined_rows_are_split():
    from odd_cells import Projected

    found = lower_cell(Projected(3, 4))
    assert [node.operation for node in found.before.inputs] == ["product"]
    assert sum(node.operation == "product" for node in found.inference.nodes()) == 2
    assert not any(node.operation == "concat" for node in found.inference.nodes())


def test_biases_of_inputs_and_state_are_one_vector_of_the_loop():
    found = lower_cell(make_case("lstm", (2, 2, 3, 4)).cell)
    assert [node.operation for node in found.before.vectors] == ["add"]
    assert [node.operation for node in found.before.inputs] == ["product"]


@pytest.mark.parametrize("made_there", [False, True], ids=["weights from outside", "weights made there"])
def test_a_cell_is_traced_in_inference_mode_as_anywhere(made_there):
    outside = make_case("lstm", (2, 2, 3, 4)).cell
    with torch.inference_mode():
        found = lower_cell(make_case("lstm", (2, 2, 3, 4)).cell if made_there else outside)
    assert str(found) == str(lower_cell(outside))
