"""The cell that looks before it steps: its formulas by hand, around every cell, through the engine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cases import TOLERANCE, make_cell
from unspool.cells import CELLS, GRUCell, watch
from unspool.engine import explain, unroll
from unspool.errors import ShapeError
from unspool.inspection import Recording
from unspool.layers import AttentiveCell, make_attention

EXACT = TOLERANCE[torch.float64]
MASK = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(cell: str = "gru", kind: str = "additive") -> AttentiveCell:
    """Reads 2 and a memory of 3, puts out 5 and 3; all weights random."""
    attention = make_attention(kind, 5, 3).double()
    with torch.no_grad():
        for seed, weight in enumerate(attention.parameters()):
            weight.copy_(numbers(*weight.shape, seed=50 + seed))
    return AttentiveCell(make_cell(cell, 5, 5), attention)


def context_of(cell: AttentiveCell) -> tuple[Tensor, Tensor, Tensor]:
    memory = numbers(3, 4, 3, seed=9).masked_fill(~MASK.unsqueeze(-1), 0)
    return cell.attention.keys(memory), memory, MASK


def random_state(cell: AttentiveCell, seed: int = 20) -> tuple[Tensor, ...]:
    state = cell.initial_state(3)
    return type(state)(*(numbers(*part.shape, seed=seed + place) for place, part in enumerate(state)))


def test_a_step_by_hand():
    cell = make("elman", "dot")
    inner, project = cell.cell, cell.attention.project
    keys, memory, _ = context_of(cell)
    x, state = numbers(3, 2, seed=7), random_state(cell)
    output, after = cell.step(x, state, keys, memory, MASK)
    for row in range(3):
        length = int(MASK[row].sum())
        scores = torch.stack([state.output[row] @ (project.weight @ memory[row, i]) for i in range(length)])
        shares = scores.exp() / scores.exp().sum()
        context = sum(share * memory[row, i] for i, share in enumerate(shares))
        inward = inner.weight_ih @ torch.cat([x[row], context]) + inner.bias_ih
        h = torch.tanh(inward + inner.weight_hh @ state.h[row] + inner.bias_hh)
        assert_close(output[row], torch.cat([h, context]), **EXACT)
        assert_close(after.h[row], h, **EXACT)
        assert_close(after.output[row], h, **EXACT)


@pytest.mark.parametrize("kind", ["dot", "bilinear", "additive"])
@pytest.mark.parametrize("name", [*(name for name in CELLS if name != "ntm-feedforward"), "own-linear"])
def test_every_cell_looks_and_moves_through_the_engine(name, kind):
    cell = make(name, kind)
    inputs, begun, context = numbers(6, 3, 2, seed=3), random_state(cell), context_of(cell)
    recording = Recording()
    with watch(cell, recording):
        outputs, final = unroll(cell, inputs, begun, context=context, backend="reference")
    assert outputs.shape == (6, 3, 8)
    state, rows = begun, []
    for t in range(6):
        chosen, weights = cell.look(state, *context)
        output, state = cell.move(inputs[t], state, chosen)
        rows.append(weights)
        assert_close(outputs[t], output, **EXACT)
        assert_close(output[:, 5:], torch.bmm(weights.unsqueeze(1), context[1]).squeeze(1), **EXACT)
    for one, other in zip(final, state, strict=True):
        assert_close(one, other, **EXACT)
    shown = recording.arrays("cell")["cell / attention"]
    assert_close(torch.as_tensor(shown), rows_shown(rows), rtol=1e-6, atol=1e-6)


def rows_shown(rows: list[Tensor]) -> Tensor:
    """What a recording keeps of a batch: its first sequence, in float32."""
    return torch.stack(rows)[:, 0].float()


def test_the_last_output_asks_and_not_what_is_kept():
    cell = make("own-pair")  # shows 2h - 0.25
    context, state = context_of(cell), random_state(cell)
    output, after = cell.step(numbers(3, 2, seed=7), state, *context)
    assert_close(after.output, output[:, :5], **EXACT)
    assert not torch.allclose(after.output, after.h)
    asked = cell.attention(after.output.unsqueeze(1), context[1], MASK).weights.squeeze(1)
    assert_close(cell.look(after, *context).weights, asked, **EXACT)


def test_ragged_inputs_hold_the_state_at_each_end():
    cell = make("lstm")
    inputs, context, lengths = numbers(5, 3, 2, seed=3), context_of(cell), torch.tensor([5, 2, 3])
    spoiled = inputs.masked_fill((torch.arange(5)[:, None] >= lengths).unsqueeze(-1), float("nan"))
    outputs, final = unroll(cell, spoiled, random_state(cell), lengths=lengths, context=context)
    for row, length in enumerate(lengths.tolist()):
        begun = type(final)(*(part[row : row + 1] for part in random_state(cell)))
        own = tuple(part[row : row + 1] for part in context)
        alone, last = unroll(cell, inputs[:length, row : row + 1], begun, context=own)
        assert_close(outputs[:length, row], alone[:, 0], **EXACT)
        assert torch.count_nonzero(outputs[length:, row]) == 0
        for one, other in zip(final, last, strict=True):
            assert_close(one[row], other[0], **EXACT)


@pytest.mark.parametrize("kind", ["dot", "bilinear", "additive"])
def test_gradients_through_time(kind):
    cell = make("gru", kind)
    inputs, memory = numbers(3, 3, 2, seed=3).requires_grad_(), context_of(cell)[1].requires_grad_()
    begun = [part.requires_grad_() for part in random_state(cell)]
    kept = type(cell.initial_state(1))

    def run(inputs: Tensor, memory: Tensor, *state: Tensor) -> Tensor:
        return unroll(cell, inputs, kept(*state), context=(cell.attention.keys(memory), memory, MASK))[0]

    assert torch.autograd.gradcheck(run, (inputs, memory, *begun))


def test_it_begins_from_a_state_of_the_inner_cell():
    cell = make("lstm")
    inner = cell.cell.initial_state(3)._replace(h=numbers(3, 5), c=numbers(3, 5, seed=1))
    begun = cell.start_from(inner)
    assert begun._fields == ("output", "h", "c")
    assert begun.output is begun.h is inner.h
    assert cell.initial_state(2)._fields == begun._fields


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_under_autocast_what_is_carried_keeps_its_precision(name):
    cell = make(name).float()
    memory = context_of(make(name))[1].float()
    context = (cell.attention.keys(memory), memory, MASK)
    state = cell.initial_state(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = cell.move(torch.ones(3, 2), state, cell.look(state, *context).context)
    assert {part.dtype for part in state} == {torch.float32}


def test_only_the_plain_loop_runs_it_and_says_so():
    cell = make("lstm")
    report = explain(cell, numbers(2, 3, 2), context=context_of(cell))
    assert report.backend == "reference"
    assert "AttentiveCell" in str(report)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="the inner cell reads 3 and puts out 5"):
        AttentiveCell(GRUCell(3, 5), make_attention("dot", 5, 3))
    with pytest.raises(ShapeError, match="query size 4"):
        AttentiveCell(GRUCell(5, 5), make_attention("dot", 4, 3))
    cell = make("gru")
    with pytest.raises(ShapeError, match="begins with a tensor 2 wide, expected its output's width 5"):
        cell.start_from(cell.cell.initial_state(3)._replace(h=torch.zeros(3, 2)))


def test_a_cell_whose_state_does_not_begin_with_its_output_is_refused():
    cell = CELLS["ntm-feedforward"](7, 5)
    attentive = AttentiveCell(cell, make_attention("dot", 5, 4))
    with pytest.raises(ShapeError, match="expected its output's width 5"):
        attentive.initial_state(2)
