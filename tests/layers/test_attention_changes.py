"""Attention weights changed on the way, against networks whose weights say the same."""

import pytest
import torch

from unspool.cells import LSTMCell, edit_steps
from unspool.layers import AttentiveCell, DotAttention, MultiHeadAttention, change_attention, make_attention


def test_a_forbidden_head_is_a_head_whose_output_columns_are_zero():
    attention = MultiHeadAttention(8, 2)
    torch.nn.init.normal_(attention.in_proj_bias)
    inputs = torch.randn(5, 3, 8)

    def forbid(weights):
        weights = weights.clone()
        weights[:, 1] = 0
        return weights

    with torch.no_grad(), change_attention(attention, forbid):
        outputs, weights = attention(inputs, need_weights=True)
    with torch.no_grad():
        attention.out_proj.weight[:, 4:] = 0
        expected, _ = attention(inputs, need_weights=True)
    assert (weights[:, 1] == 0).all()
    assert (weights[:, 0] > 0).all()
    torch.testing.assert_close(outputs, expected)


def test_a_step_with_a_cache_takes_the_change_too():
    attention = MultiHeadAttention(8, 2)
    inputs, cache = torch.randn(2, 8), attention.empty_cache(2)
    with torch.no_grad():
        _, cache = attention.advance(inputs, cache)
        plain, _ = attention.advance(2 * inputs, cache)
        with change_attention(attention, lambda weights: weights):
            same, _ = attention.advance(2 * inputs, cache)
        with change_attention(attention, torch.zeros_like):
            nothing, _ = attention.advance(2 * inputs, cache)
    torch.testing.assert_close(same, plain)
    torch.testing.assert_close(nothing, attention.out_proj.bias.expand(2, -1))


@pytest.mark.parametrize("kind", ["dot", "bilinear", "additive"])
def test_a_row_set_to_one_position_reads_that_position(kind):
    attention = make_attention(kind, 4, 6)
    queries, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 6)

    def second(weights):
        weights = weights.clone()
        weights[:, 1] = torch.eye(5)[3]
        return weights

    with torch.no_grad():
        plain = attention(queries, memory)
        with change_attention(attention, second):
            changed = attention(queries, memory)
        after = attention(queries, memory)
    torch.testing.assert_close(changed.context[:, 1], memory[:, 3])
    assert torch.equal(changed.context[:, [0, 2]], plain.context[:, [0, 2]])
    assert torch.equal(after.context, plain.context)


def test_the_inner_cell_of_an_attentive_cell_has_an_editor_of_its_own():
    class Zeros:
        def step(self, cell, x, state, context):
            _, state = cell.step(x, state)
            state = type(state)(*map(torch.zeros_like, state))
            return state[0], state

    inner = LSTMCell(3 + 6, 4)
    cell = AttentiveCell(inner, DotAttention(4, 6))
    states = torch.randn(2, 5, 6)
    with torch.no_grad(), edit_steps(inner, Zeros()):
        assert cell.watched
        output, state = cell.step(torch.randn(2, 3), cell.initial_state(2), *cell.context_of(states))
    assert (output[:, :4] == 0).all()
    assert all((part == 0).all() for part in state)
    assert not cell.watched
