"""Cells written for the compiler's tests: every operation that it takes, in odd company."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells import Cell


class H(NamedTuple):
    h: Tensor  # (batch, hidden)


class HM(NamedTuple):
    h: Tensor  # (batch, hidden)
    m: Tensor  # (batch, 2 * hidden + 1), or another width


class HB(NamedTuple):
    h: Tensor  # (batch, hidden)
    block: Tensor  # (batch, 7, hidden)


class OneState(Cell[H]):
    """A hidden state, and weights to play with."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.w = self.parameter(hidden_size, input_size)
        self.u = self.parameter(hidden_size, hidden_size)
        self.v = self.parameter(2 * hidden_size + 1, hidden_size)
        self.b = self.parameter(hidden_size)
        self.one = self.parameter(1)

    def initial_state(self, batch_size: int) -> H:
        return H(self.u.new_zeros(batch_size, self.hidden_size))


class Projected(Cell[HM]):
    """Two products of odd widths one after the other, as in an LSTM with a projection."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        wide = 2 * hidden_size + 1
        self.w = self.parameter(3 * wide, input_size + hidden_size)
        self.project = self.parameter(hidden_size, wide)

    def initial_state(self, batch_size: int) -> HM:
        zeros = self.w.new_zeros
        return HM(zeros(batch_size, self.hidden_size), zeros(batch_size, 2 * self.hidden_size + 1))

    def step(self, x: Tensor, state: HM, *context: Tensor) -> tuple[Tensor, HM]:
        f, i, g = F.linear(torch.cat([x, state.h], dim=1), self.w).chunk(3, dim=1)
        m = f.sigmoid() * state.m + i.sigmoid() * g.tanh()
        h = F.linear(m.tanh(), self.project)
        return h, HM(h, m)


class Beside(Cell[HM]):
    """A narrow product that stands before what was computed earlier, in one part of the state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.w = self.parameter(hidden_size, input_size)
        self.narrow = self.parameter(5, hidden_size)
        self.wide = self.parameter(hidden_size, hidden_size + 5)

    def initial_state(self, batch_size: int) -> HM:
        zeros = self.w.new_zeros
        return HM(zeros(batch_size, self.hidden_size), zeros(batch_size, self.hidden_size + 5))

    def step(self, x: Tensor, state: HM, *context: Tensor) -> tuple[Tensor, HM]:
        m = torch.cat([F.linear(2 * state.h.tanh(), self.narrow), state.h.tanh()], dim=1)
        h = torch.tanh(F.linear(state.m, self.wide) + F.linear(x, self.w))
        return h, HM(h, m)


class Normalised(OneState):
    """Layer normalisation, softmax and a norm inside a step."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        mixed = F.layer_norm(F.linear(x, self.w) + F.linear(state.h, self.u), (self.hidden_size,), self.b)
        shares = F.softmax(mixed, dim=-1)
        h = torch.tanh(mixed) * (1 + shares) / (1 + state.h.norm(dim=-1, keepdim=True))
        return h + shares.log_softmax(-1) * 0.01, H(h)


class Reduced(OneState):
    """Sums, means, variances and largest values, with and without their dimension."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        a = torch.tanh(F.linear(x, self.w) + F.linear(state.h, self.u, self.b))
        level = a.mean(-1, keepdim=True) + 0.1 * a.sum(-1)[:, None]
        spread = a.var(-1, keepdim=True, unbiased=False) + a.amax(-1, keepdim=True)
        h = 0.5 * a + level * self.b - 0.2 * spread.tanh() + 0.01 * a.logsumexp(-1, keepdim=True)
        return h, H(h)


class Bent(OneState):
    """The bent functions."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        a = F.linear(x, self.w) + F.linear(state.h, self.u, self.b)
        bent = [F.relu(a), F.leaky_relu(a), F.elu(a), F.gelu(a), F.gelu(a, approximate="tanh"), F.silu(a)]
        bent += [F.softplus(a), F.logsigmoid(a), F.hardtanh(a), a.abs(), a.sign(), F.relu6(3 * a)]
        bent += [a.clamp(-0.3, 0.4), a.clamp(min=0.1), a.clamp_max(0.2), torch.maximum(a, x.mean(-1, True)), a.square()]
        h = torch.tanh(sum(bent) * 0.2)  # type: ignore[arg-type]
        return h, H(h)


class HardSigmoid(OneState):
    """Alone, because torch takes a sixth in float32 even in float64."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        h = F.hardsigmoid(4 * F.linear(x, self.w) + F.linear(state.h, self.u, self.b))
        return h, H(h)


class Powers(OneState):
    """Powers, roots, logarithms, waves."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        a = F.linear(x, self.w) + F.linear(state.h, self.u)
        p = 1 + a * a
        parts = [p.sqrt(), p.rsqrt(), p.log(), p.log1p(), 1 / p, p**-1.5, p**0.5, a**3, a**2, p.reciprocal()]
        parts += [a.sin(), a.cos(), a.erf(), (-p).exp(), a.expm1().tanh(), torch.minimum(a, self.b), -a]
        h = torch.tanh(0.1 * sum(parts) + self.one)  # type: ignore[arg-type]
        return h, H(h)


class Choosing(OneState):
    """Comparisons, truth, interpolation."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        a = F.linear(x, self.w) + F.linear(state.h, self.u)
        keep = torch.where((a > 0.1) & ~(state.h < -0.2), a, torch.where(a <= state.h, 0.5 * a, state.h))
        h = torch.lerp(keep.tanh(), state.h, torch.sigmoid(self.b)) + torch.addcmul(a, a, self.b, value=0.1) * (a >= 0)
        h = torch.lerp(h, a, 0.25).tanh() * (a != state.h).to(a.dtype)
        return h, H(torch.addcdiv(h, a, 2 + h, value=0.1))


class Cut(OneState):
    """Slices, splits, joins and constants, none of them aligned."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        n = self.hidden_size
        wide = F.linear(state.h, self.v)  # 2 n + 1
        first, last = wide[:, : n + 1], wide[:, n:]
        a, b, _ = wide.split([n, n, 1], dim=1)
        joined = torch.cat([first, wide.new_ones(len(x), 2), last[:, 1:]], dim=1).tanh()
        h = torch.tanh(joined[:, 1 : n + 1] + b * a.sigmoid() + F.linear(x, self.w)) + wide[..., -1:] * wide[:, 0, None]
        return torch.zeros_like(h) + 0.5 * h, H(h.tanh())


class Loose(OneState):
    """An output that is not kept, a state that stands still, a weight that is made of others."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inner = nn.Linear(hidden_size, hidden_size)
        self.register_buffer("mask", (torch.arange(hidden_size) % 2).float())
        self.leak = 0.25

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        sharp = self.u @ self.u.t() / self.hidden_size
        a = torch.tanh(self.inner(state.h) + x @ self.w.T + state.h @ sharp) * self.mask
        a = a + 0.1 * torch.sigmoid(self.b).expand_as(a)
        return a * self.one, H(state.h + self.leak * (a - state.h.detach()))


class Still(OneState):
    """The state never moves; the output looks at the input alone."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        return F.linear(x, self.w, self.b), H(state.h)


class Twice(OneState):
    """Three products in a row, one weight used twice."""

    def step(self, x: Tensor, state: H, *context: Tensor) -> tuple[Tensor, H]:
        a = torch.tanh(F.linear(state.h, self.u) + F.linear(x, self.w))
        b = torch.tanh(F.linear(a, self.u, self.b))
        wide = F.linear(b * state.h, self.v).sigmoid()
        h = wide[:, : self.hidden_size] * b + wide[:, -1:] * a
        return h, H(h)


class WithBlock(Cell[HB]):
    """A hidden state, and beside it a block of seven lines."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.w = self.parameter(hidden_size, input_size + hidden_size)
        self.gain = self.parameter(7, hidden_size)
        self.shade = self.parameter(hidden_size)
        self.tall = self.parameter(7, 1)

    def initial_state(self, batch_size: int) -> HB:
        zeros = self.w.new_zeros
        return HB(zeros(batch_size, self.hidden_size), zeros(batch_size, 7, self.hidden_size))


class Attending(WithBlock):
    """Looks into a block by a key, reads and writes: all products of blocks, with one line and with several."""

    def step(self, x: Tensor, state: HB, *context: Tensor) -> tuple[Tensor, HB]:
        key = torch.tanh(F.linear(torch.cat([x, state.h], 1), self.w))
        keys = torch.stack([key, key.sin(), key.roll(1, dims=1)], 1)  # (batch, 3, hidden)
        focus = (keys @ state.block.mT).softmax(-1)  # (batch, 3, 7)
        back = (state.block @ key[:, :, None]).squeeze(2).softmax(1)  # (batch, 7)
        read = focus @ state.block  # (batch, 3, hidden)
        block = state.block * (1 - focus[:, 0, :, None] * key.sigmoid()[:, None]) + 0.3 * focus.mT @ keys.tanh()
        block = torch.baddbmm(block, back[:, :, None], key.cos()[:, None], alpha=0.5)
        between = torch.bmm(read.mT, keys).tanh() if self.hidden_size < 9 else read.mean(1, keepdim=True)
        h = 0.5 * key + torch.einsum("bnk,bn->bk", block, back) * between.sum(1)
        return h.tanh(), HB(h.sin(), 0.5 * block)


class Folded(WithBlock):
    """Blocks of several foldings at once, four dimensions, normalised, rolled, cut and joined along every one."""

    def step(self, x: Tensor, state: HB, *context: Tensor) -> tuple[Tensor, HB]:
        rows, n = x.shape[0], self.hidden_size
        a = torch.tanh(F.linear(torch.cat([x, state.h], 1), self.w))
        block = state.block * self.gain + self.tall * a[:, None] + self.shade
        lines = block.mean(2)
        other = block.reshape(rows, n, 7)  # the same numbers, folded otherwise
        mixed = (other * a[:, :, None] - 0.1 * other.amax(2, keepdim=True)).view(rows, 7, n).tanh() * lines[..., None]
        mixed = F.layer_norm(mixed + block, (n,), self.shade) + mixed.softmax(1) - 0.2 * mixed.log_softmax(2)
        four = mixed.view(rows, 1, 7, n) * torch.cat([a[:, :1], x[:, :1]], 1).view(rows, 2, 1, 1)
        level = four.amax((1, 3)).mean(-1)[:, None, None] + four.var((1, 3), unbiased=False)[..., None]
        first, second = torch.stack([a, a.sin()], 1).roll(-1, dims=2).unbind(1)
        pair = torch.stack([second, torch.cat([first, first[:, :1]], 1)[:, 1:]], 1)
        pair = torch.cat([pair, pair[..., :1]], 2)[..., 1:]
        joined = ((four.sum(1) + level).roll(1, dims=1) * pair.sum(1, keepdim=True)).tanh()
        size = (1 + joined.norm(dim=1)).log() + joined.sum((1, 2))[:, None] / n + joined.logsumexp(1)
        h = 0.1 * a + 0.01 * size
        return h.tanh(), HB(h, torch.where(joined > block, 0.1 * joined, block.clamp(-0.1, 0.1)))


class Remembering(WithBlock):
    """The last steps as lines of a block, the oldest of which falls out."""

    def step(self, x: Tensor, state: HB, *context: Tensor) -> tuple[Tensor, HB]:
        a = torch.tanh(F.linear(torch.cat([x, state.h], 1), self.w))
        block = torch.cat([a[:, None], state.block[:, :-1]], 1)
        return block.mean(1), HB(block[:, 1] + 0.1 * a, block)


ODD: dict[str, type[Cell[Any]]] = {
    kind.__name__: kind
    for kind in (Projected, Beside, Normalised, Reduced, Bent, Powers, Choosing, Cut, Loose, Still, Twice)
}
BLOCKS: dict[str, type[Cell[Any]]] = {kind.__name__: kind for kind in (Attending, Folded, Remembering)}
ODD |= BLOCKS


class Pieces(OneState):
    """Rows of one weight that overlap and leave some out, a weight used by input and state, one shift twice."""

    def step(self, x, state, *context):
        n = self.hidden_size
        a = F.linear(state.h, self.v[1 : n + 1], self.b) + F.linear(x, self.w, self.b)
        b = F.linear(state.h, self.v[2 : n + 2]) + F.linear(x, self.w)
        h = torch.tanh(a) * torch.sigmoid(b)
        return h, H(h)


class Unturned(OneState):
    """A weight that is kept as (in, out), read by the input and by the state."""

    def step(self, x, state, *context):
        h = torch.tanh(x @ self.u[: x.shape[1]] + state.h @ self.u + self.one)
        return h, H(h)


PIECES = {"Pieces": Pieces, "Unturned": Unturned}
"""Cells of which some weights are used in pieces, or twice; the second one wants as many inputs as units at most."""
