"""Gradients through time against finite differences, hand-made networks and torch's own Jacobians."""

import copy
import math
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases import ALL_CELLS, OWN, DecayCell
from unspool import Recurrent, unroll
from unspool.cells import LinearCell, edit_steps, watch
from unspool.engine import any_backend
from unspool.errors import ShapeError, UsageError
from unspool.inspection import Recording, backpropagation, compare_gradients
from unspool.inspection.backpropagation import gradients_through_time
from unspool.inspection.step_jacobian import largest_singular_values, step_jacobians

OUTPUT = {"own-pair": lambda state: 2 * state.h - 0.25}  # cells whose output is computed from the state


class Shift:
    """Editor that adds a small number to one number of the state after one step."""

    def __init__(self, step, part, unit, amount, output=None):
        self.left, self.part, self.unit, self.amount, self.output = step, part, unit, amount, output

    def step(self, cell, x, state, context):
        output, new = cell.step(x, state, *context)
        if self.left == 0:
            same = [index for index, part in enumerate(new) if part is output]
            parts = [part.clone() for part in new]
            parts[self.part].flatten(1)[:, self.unit] += self.amount
            new = type(new)(*parts)
            output = self.output(new) if self.output else new[same[0]] if same else output
        self.left -= 1
        return output, new


def small(name, time=4, seed=0, **options):
    torch.manual_seed(seed)
    stack = Recurrent(ALL_CELLS[name], 2, 3, backend="reference", **options).double()
    with torch.no_grad():
        for weight in stack.parameters():
            weight.copy_(torch.randn_like(weight) * 0.7)
    return stack, torch.randn(time, 1, 2, dtype=torch.float64)


def loss(outputs):
    weights = torch.arange(1.0, outputs.shape[-1] + 1, dtype=outputs.dtype)
    return (outputs * weights).sum(-1).square() + outputs.sum(-1)


@torch.no_grad()
def numeric(stack, inputs, output=None, step=1e-6):
    """Norms by central differences: every number of every state is moved, and the plain loop runs again."""
    time, norms = len(inputs), {}
    for place, cell, backward in stack.named_cells():
        whole = np.zeros((time, time))
        for index, (part, value) in enumerate(cell.initial_state(1)._asdict().items()):
            squares = np.zeros((time, time))
            for s in range(time):
                for unit in range(value[0].numel()):
                    ends = []
                    for sign in (1, -1):
                        order = time - 1 - s if backward else s
                        shift = Shift(order, index, unit, sign * step, output)
                        with edit_steps(cell, shift), any_backend():
                            ends.append(loss(stack(inputs).outputs)[:, 0])
                    squares[:, s] += ((ends[0] - ends[1]) / (2 * step)).square().numpy()
            norms[f"{place} / {part}"] = np.sqrt(squares)
            whole += squares
        norms[f"{place} / state"] = np.sqrt(whole)
    return norms


CASES = [
    ("elman", {}),
    ("lstm", {"num_layers": 2}),
    ("gru-reset-before", {"bidirectional": True}),
    ("lstm-layernorm", {}),
    ("mingru", {"num_layers": 2, "bidirectional": True}),
    ("own-pair", {"num_layers": 2, "residual": True}),
    ("own-linear", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{len(options)}" for name, options in CASES])
def test_norms_equal_finite_differences(name, options):
    stack, inputs = small(name, **options)
    gradients = gradients_through_time(stack, inputs, loss, jacobians=False)
    expected = numeric(stack, inputs, OUTPUT.get(name))
    for array in gradients.names:
        if array != "input / x":
            np.testing.assert_allclose(gradients.array(array), expected[array], rtol=1e-4, atol=1e-6, err_msg=array)
    if options.get("bidirectional"):
        assert (gradients.array("layer 1 backward / h")[0] > 0).all()
    else:
        assert (np.triu(gradients.array(gradients.main), 1) == 0).all()
    assert gradients.at == (0, 1, 2, 3)


@pytest.mark.parametrize("name", sorted(ALL_CELLS))
def test_input_norms_are_those_of_autograd_for_every_cell(name):
    stack, inputs = small(name, num_layers=2)
    gradients = gradients_through_time(stack, inputs, loss, jacobians=False)
    leaf = inputs.clone().requires_grad_()
    values = loss(stack(leaf).outputs)[:, 0]
    np.testing.assert_allclose(gradients.values, values.detach().numpy(), rtol=1e-9)
    for row, value in enumerate(values):
        (expected,) = torch.autograd.grad(value, leaf, retain_graph=True)
        np.testing.assert_allclose(gradients.array("input / x")[row], expected[:, 0].norm(dim=1), rtol=1e-7, atol=1e-12)


class FullLinear(DecayCell):
    """A linear cell with a full recurrent matrix: a rotation by some angle, times 0.9."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        turn, _ = torch.linalg.qr(torch.randn(hidden_size, hidden_size))
        self.matrix = nn.Parameter(0.9 * turn)

    def step(self, x, state, *context):
        h = state.level @ self.matrix.T + x @ self.inward.T
        return h, type(state)(h)


def test_a_linear_cell_with_eigenvalue_nine_tenths_has_slope_log_nine_tenths():
    torch.manual_seed(0)
    cell = FullLinear(3, 5).double()
    cell.matrix.data = 0.9 * torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    inputs = torch.randn(40, 3, dtype=torch.float64)
    gradients = gradients_through_time(cell, inputs, lambda outputs: outputs.sum(-1))
    assert gradients.decay("cell / level").slope == pytest.approx(math.log(0.9), abs=1e-9)
    assert gradients.decay("cell / level").half_life == pytest.approx(math.log(0.5) / math.log(0.9))
    np.testing.assert_allclose(gradients.array("cell / level")[39], math.sqrt(5) * 0.9 ** np.arange(39, -1, -1))
    np.testing.assert_allclose(gradients.jacobians["cell"].values, 0.9)
    assert gradients.jacobians["cell"].method == "exact"


def test_norms_far_below_float32_survive_in_float64():
    torch.manual_seed(0)
    cell = FullLinear(3, 5).double()
    cell.matrix.data *= 0.1
    gradients = gradients_through_time(
        cell, torch.randn(80, 3, dtype=torch.float64), lambda outputs: outputs[-1].sum(-1)
    )
    assert 0 < gradients.array("cell / level")[0, 0] < 1e-80
    assert gradients.losses == ("loss",)
    assert gradients.at is None


@pytest.mark.parametrize("name", ["lstm", "gru", "own-pair", "ntm"])
def test_singular_values_equal_those_of_torch_s_jacobian(name):
    stack, inputs = small(name)
    ((_, cell, _),) = stack.named_cells()
    gradients = gradients_through_time(stack, inputs, loss)
    state, expected = cell.initial_state(1), []
    with torch.no_grad():
        for x in inputs:
            sizes = [part[0].numel() for part in state]

            def step(flat, x=x, state=state, sizes=sizes):
                parts = [piece.view(part.shape) for piece, part in zip(flat.split(sizes), state, strict=True)]
                return torch.cat([part.flatten() for part in cell.step(x, type(state)(*parts))[1]])

            flat = torch.cat([part.flatten() for part in state])
            expected.append(torch.linalg.matrix_norm(torch.autograd.functional.jacobian(step, flat), 2).item())
            state = cell.step(x, state)[1]
    np.testing.assert_allclose(gradients.jacobians["layer 1"].values, expected, rtol=1e-9)


def test_power_iteration_agrees_with_the_whole_jacobian():
    torch.manual_seed(0)
    stack, _ = small("lstm")
    ((_, cell, _),) = stack.named_cells()
    inputs = torch.randn(9, 2, dtype=torch.float64)
    before = tuple(torch.randn(9, 3, dtype=torch.float64) for _ in range(2))
    kind = type(cell.initial_state(1))
    exact = largest_singular_values(cell, inputs, before, kind, method="exact")
    power = largest_singular_values(cell, inputs, before, kind, method="power iteration")
    assert (exact.method, power.method) == ("exact", "power iteration")
    np.testing.assert_allclose(power.values, exact.values, rtol=1e-4)
    assert step_jacobians(cell, inputs, before, kind).shape == (9, 6, 6)
    with pytest.raises(UsageError, match="there is no method"):
        largest_singular_values(cell, inputs, before, kind, method="guess")


class Rotation(LinearCell):
    """A complex state, which turns and shrinks."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inward = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size):
        return (
            OWN["own-linear"](1, 1)
            .initial_state(1)
            ._replace(level=torch.zeros(batch_size, self.hidden_size, dtype=torch.complex128))
        )

    def coefficients(self, x):
        return torch.full((self.hidden_size,), 0.8j, dtype=torch.complex128), (x @ self.inward.T).to(torch.complex128)

    def readout(self, x, h):
        return h.real + h.imag


def test_a_complex_state_counts_both_of_its_parts():
    cell = Rotation(2, 3).double()
    inputs = torch.randn(6, 2, dtype=torch.float64)
    gradients = gradients_through_time(cell, inputs, lambda outputs: outputs[-1].sum(-1))
    np.testing.assert_allclose(gradients.array("cell / level")[0], math.sqrt(6) * 0.8 ** np.arange(5, -1, -1))
    np.testing.assert_allclose(gradients.jacobians["cell"].values, 0.8)


def test_chunks_of_losses_give_the_same_numbers(monkeypatch):
    stack, inputs = small("lstm", num_layers=2, bidirectional=True)
    whole = gradients_through_time(stack, inputs, loss)
    monkeypatch.setattr(backpropagation, "_BYTES", 1)
    pieces = gradients_through_time(stack, inputs, loss)
    for name in whole.names:
        np.testing.assert_allclose(pieces.array(name), whole.array(name), rtol=1e-12)


def test_some_losses_only():
    stack, inputs = small("gru")
    whole, some = gradients_through_time(stack, inputs, loss), gradients_through_time(stack, inputs, loss, at=[3, 1])
    assert some.losses == ("4", "2")
    np.testing.assert_allclose(some.array("layer 1 / h"), whole.array("layer 1 / h")[[3, 1]])


def test_nothing_of_the_network_changes():
    stack, inputs = small("lstm", num_layers=2, dropout=0.5, weight_dropout=0.5)
    stack.train()
    before = copy.deepcopy(stack.state_dict())
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = gradients_through_time(stack, inputs, loss)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert stack.training
    assert all(weight.grad is None for weight in stack.parameters())
    assert all(torch.equal(stack.state_dict()[key], value) for key, value in before.items())
    assert not any(cell.watched for _, cell, _ in stack.named_cells())
    second = gradients_through_time(stack, inputs, loss)
    assert np.array_equal(first.array("layer 1 / state"), second.array("layer 1 / state"))


def test_frozen_weights_no_grad_and_inference_mode_give_the_same():
    stack, inputs = small("gru", bidirectional=True)
    expected = gradients_through_time(stack, inputs, loss).array("layer 1 forward / h")
    for weight in stack.parameters():
        weight.requires_grad_(False)
    with torch.no_grad():
        assert np.array_equal(gradients_through_time(stack, inputs, loss).array("layer 1 forward / h"), expected)
    with torch.inference_mode():
        assert np.array_equal(gradients_through_time(stack, inputs, loss).array("layer 1 forward / h"), expected)


def test_threads_do_not_disturb_each_other():
    stack, inputs = small("lstm")
    expected = gradients_through_time(stack, inputs, loss)
    cell, recording = next(stack.named_cells())[1], Recording()
    with watch(cell, recording), ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: gradients_through_time(stack, inputs, loss), range(6)))
    assert recording.names == ()
    for result in results:
        assert np.array_equal(result.array("layer 1 / state"), expected.array("layer 1 / state"))


def test_a_bare_cell_and_a_stack_of_it_agree():
    stack, inputs = small("gru")
    cell = next(stack.named_cells())[1]
    np.testing.assert_allclose(unroll(cell, inputs)[0].detach(), stack(inputs).outputs.detach())
    alone = gradients_through_time(cell, inputs[:, 0], loss, tokens=["a", "b", "c", "d"])
    assert alone.tokens == ("a", "b", "c", "d")
    np.testing.assert_allclose(
        alone.array("cell / h"), gradients_through_time(stack, inputs, loss).array("layer 1 / h")
    )


class OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient * 0.5


class StubbornCell(DecayCell):
    """A cell whose step can't be differentiated twice, with a state too large for the whole Jacobian."""

    def step(self, x, state, *context):
        h = OnceDifferentiable.apply(state.level) + x @ self.inward.T
        return h, type(state)(h)


def test_a_step_that_is_differentiable_once_has_gradients_and_a_note():
    inputs = torch.randn(3, 2)
    gradients = gradients_through_time(StubbornCell(2, 200), inputs, lambda outputs: outputs[-1].sum(-1))
    assert gradients.decay("cell / level").slope == pytest.approx(math.log(0.5))
    assert dict(gradients.jacobians) == {}
    assert "no singular values of the step Jacobians" in gradients.notes[0]


def test_wrong_arguments_are_refused_in_words():
    stack, inputs = small("gru")
    with pytest.raises(ShapeError, match="expected one sequence"):
        gradients_through_time(stack, torch.zeros(4, 2, 2), loss)
    with pytest.raises(ShapeError, match=r"the loss returned shape \(\)"):
        gradients_through_time(stack, inputs, lambda outputs: outputs.sum())
    with pytest.raises(ShapeError, match="the loss returned float"):
        gradients_through_time(stack, inputs, lambda outputs: 1.0)
    with pytest.raises(UsageError, match="expected steps from 0 to 3"):
        gradients_through_time(stack, inputs, loss, at=[4])
    with pytest.raises(UsageError, match="chooses among losses per step"):
        gradients_through_time(stack, inputs, lambda outputs: outputs[-1].sum(-1), at=[0])


def test_on_the_adding_problem_elman_forgets_before_the_lstm():
    """At initialisation, 200 steps; the recipe's networks of 100 units."""
    from unspool import Algorithm
    from unspool.tasks.algorithm.data import Exercises

    chance, results = random.Random(1), {}
    marks = {17, 153}
    text = " ".join(f"{chance.random():.2f}{'*' * (step in marks)}" for step in range(200))
    for cell in ("elman", "lstm"):
        model = Algorithm(cell=cell, hidden=100, dropout=0.0)
        model._learn(Exercises.of("adding", [], model.settings.data))
        torch.manual_seed(0)
        model.model = model._build().eval()
        results[cell] = model.gradients(text, jacobians=False)
        assert results[cell].at == (199,)
    half_lives = compare_gradients(results).half_lives
    assert half_lives["elman"] < 0.9 * half_lives["lstm"]
