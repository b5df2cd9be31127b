"""A layer's product: in tiles where they are faster, else torch's; gradients of both, and gradients of those."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from scopes import policy
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from unspool.engine import linear, product
from unspool.engine.cpu.jit.compile import missing
from unspool.engine.cpu.runtime import gemm as whole
from unspool.layers.linear import Linear

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def made(monkeypatch):
    """The rows of products that we made, by vectors where nothing of ours is faster than torch."""
    module = sys.modules["unspool.engine.linear"]  # the package has the function under the name
    found: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        module, "multiplied", lambda rows, *given: (found.append(tuple(rows.shape)), whole.multiplied(rows, *given))[1]
    )
    with policy(gemm_work=1000, own_gemm=True):
        yield found


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True)


@pytest.mark.parametrize("biased", [False, True], ids=["bare", "bias"])
@pytest.mark.parametrize("shape", [(40, 37), (7, 9, 33), (3, 5, 4, 50)], ids=str)
def test_sums_and_gradients_are_those_of_float64(shape, biased, made):
    inputs, weight, bias = draw(*shape), draw(21, shape[-1]), draw(21) if biased else None
    given = [part for part in (inputs, weight, bias) if part is not None]
    cotangent = torch.randn(*shape[:-1], 21)
    found = linear(inputs, weight, bias)
    gradients = torch.autograd.grad(found, given, cotangent)
    assert len(made) == 3
    right = F.linear(*(None if part is None else part.double() for part in (inputs, weight, bias)))
    truth = torch.autograd.grad(right, given, cotangent.double())
    for actual, expected in zip((found, *gradients), (right, *truth), strict=True):
        torch.testing.assert_close(actual.double(), expected.double(), rtol=1e-5, atol=1e-5)
    assert gradients[1].is_contiguous(), "it lies as the weight does"


def test_gradients_of_gradients_are_there(made):
    inputs, weight, bias = draw(30, 40), draw(20, 40), draw(20)
    results = []
    for function, kind in ((linear, torch.float32), (F.linear, torch.float32), (F.linear, torch.float64)):
        given = [part.detach().to(kind).requires_grad_() for part in (inputs, weight, bias)]
        first = torch.autograd.grad(function(*given).tanh().sum(), given[:2], create_graph=True)
        results.append(torch.autograd.grad(sum(part.square().sum() for part in first), given))
    for ours, theirs, right in zip(*results, strict=True):
        assert (ours - right).abs().max() < 1.5 * (theirs - right).abs().max()
    assert len(made) > 3


def test_what_comes_out_may_be_changed_in_place_and_gradients_may_lie_anyhow(made):
    layer, inputs = Linear(300, 200), draw(12, 600, 300)
    truth = F.linear(inputs, layer.weight, layer.bias).relu()
    found = torch.relu_(layer(inputs))
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
    expected = torch.autograd.grad(truth.sum(), [inputs, layer.weight])  # a gradient without a line of its own
    actual = torch.autograd.grad(found.sum(), [inputs, layer.weight])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)
    assert made == [(7200, 300), (7200, 200), (200, 7200)]


def test_only_gradients_that_are_wanted_are_made(made):
    inputs, weight = torch.randn(50, 40), draw(20, 40)
    linear(inputs, weight).sum().backward()
    assert made == [(50, 40), (20, 50)]


def test_elsewhere_it_is_torchs(made):
    inputs, weight, bias = torch.randn(50, 40), torch.randn(20, 40), torch.randn(20)
    small = linear(inputs[:1], weight, bias)
    torch.testing.assert_close(small, F.linear(inputs[:1], weight, bias), rtol=0, atol=0)
    double = linear(inputs.double(), weight.double(), bias.double())
    torch.testing.assert_close(double, F.linear(inputs.double(), weight.double(), bias.double()), rtol=0, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(inputs, weight, bias).dtype == torch.bfloat16
    assert linear(torch.randn(5, 0), torch.randn(3, 0)).shape == (5, 3)
    assert linear(torch.randn(0, 40), weight).shape == (0, 20)
    torch.testing.assert_close(linear(inputs[0], weight), F.linear(inputs[0], weight), rtol=0, atol=0)
    for wrong in (lambda: product(inputs, weight), lambda: linear(inputs, weight, bias.double())):
        with pytest.raises(RuntimeError):
            wrong()
    assert made == []


@pytest.mark.filterwarnings("ignore:.*torch.jit.script", "ignore:Guards may run slower")  # torch's own
def test_whoever_looks_on_sees_torchs_own_calls(made):
    layer, inputs = Linear(40, 20), torch.randn(50, 40)
    truth = F.linear(inputs, layer.weight, layer.bias)
    by_rows = torch.func.vmap(layer)(inputs)
    torch.testing.assert_close(by_rows, truth, rtol=1e-5, atol=1e-5)
    with FlopCounterMode(display=False) as flops:
        layer(inputs)
    assert flops.get_total_flops() == 2 * 50 * 40 * 20
    assert "addmm" in make_fx(layer)(inputs).code
    several = {0: torch.export.Dim("rows", min=2, max=1000)}
    exported = torch.export.export(layer, (inputs,), dynamic_shapes=(several,))
    assert any(node.target == torch.ops.aten.linear.default for node in exported.graph.nodes)
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(inputs), truth)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert layer(mode.from_tensor(inputs)).shape == (50, 20)
    with forward_ad.dual_level():
        there = forward_ad.make_dual(inputs, torch.ones_like(inputs))
        tangent = forward_ad.unpack_dual(layer(there)).tangent
    torch.testing.assert_close(tangent, F.linear(torch.ones_like(inputs), layer.weight), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(linear(torch._neg_view(inputs), layer.weight), F.linear(-inputs, layer.weight))
    assert made == []


def test_many_gradients_may_be_asked_for_at_once(made):
    inputs, weight = draw(30, 40), draw(20, 40)
    found, right = linear(inputs, weight), F.linear(inputs, weight)
    several = torch.randn(3, 30, 20)
    actual, expected = (
        torch.autograd.grad(sums, [inputs, weight], several, is_grads_batched=True) for sums in (found, right)
    )
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-4)
    assert len(made) == 1
