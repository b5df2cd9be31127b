"""Where a head of a Neural Turing Machine looks, and what it reads and writes there: one function per equation.

Everywhere `memory` is (batch, slots, width), a weighting (batch, heads, slots), each row at least 0 and summing to 1.

Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 3.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["add", "address_by_content", "erase", "interpolate", "read", "sharpen", "shift"]

_SHORT = 1e-8  # square of the length, 1e-4, below which a vector counts as shorter than it is: zero looks like nothing
_NOTHING = 1e-16  # weight below which a slot is not in focus; its logarithm must not be infinite


def address_by_content(memory: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    r"""Focus on the slots that resemble a key.

    .. math::
        K[u, v] = \frac{u \cdot v}{\lVert u \rVert \, \lVert v \rVert}, \qquad
        w^c_t(i) = \frac{\exp(\beta_t K[k_t, M_t(i)])}{\sum_j \exp(\beta_t K[k_t, M_t(j)])}

    Source: equations 5 and 6. Differs: both lengths are :math:`\sqrt{\lVert u \rVert^2 + 10^{-8}}`, so that a key or a
    slot of zeros resembles nothing, rather than everything by 0/0.

    Args:
        memory: (batch, slots, width).
        key: (batch, heads, width).
        strength: :math:`\beta_t`, at least 0, (batch, heads, 1).

    Returns:
        A weighting, (batch, heads, slots).
    """
    key_length = (key.square().sum(-1, keepdim=True) + _SHORT).rsqrt()  # (batch, heads, 1)
    slot_length = (memory.square().sum(-1) + _SHORT).rsqrt().unsqueeze(1)  # (batch, 1, slots)
    similarity = (key * (strength * key_length)) @ memory.mT * slot_length
    return similarity.softmax(-1)


def interpolate(content: Tensor, previous: Tensor, gate: Tensor) -> Tensor:
    r"""Mix the slots found by content with those of the step before.

    .. math:: w^g_t = g_t w^c_t + (1 - g_t) w_{t-1}

    Source: equation 7.

    Args:
        content: Weighting by content, (batch, heads, slots).
        previous: Weighting of the step before, (batch, heads, slots).
        gate: :math:`g_t`, between 0 and 1, (batch, heads, 1); at 0 the content is ignored.
    """
    return previous + gate * (content - previous)


def shift(weights: Tensor, shifts: Tensor) -> Tensor:
    r"""Move the focus to slots nearby, the last and the first being neighbours.

    .. math:: \tilde w_t(i) = \sum_j w^g_t(j) \, s_t(i - j)

    Source: equation 8, indices modulo the number of slots.

    Args:
        weights: A weighting, (batch, heads, slots).
        shifts: How much goes how far, (batch, heads, 2·reach + 1): the middle stays, the last goes `reach` slots on,
            the first as many back. Each row at least 0 and summing to 1; `reach` at most the number of slots.
    """
    reach = shifts.shape[-1] // 2
    moved = shifts[..., :1] * weights.roll(-reach, dims=-1)
    for by in range(1 - reach, 1 + reach):
        moved = moved + shifts[..., reach + by, None] * weights.roll(by, dims=-1)
    return moved


def sharpen(weights: Tensor, exponent: Tensor) -> Tensor:
    r"""Gather a focus that shifting has blurred.

    .. math:: w_t(i) = \frac{\tilde w_t(i)^{\gamma_t}}{\sum_j \tilde w_t(j)^{\gamma_t}}

    Source: equation 9. Computed as the softmax of :math:`\gamma_t \log \tilde w_t`, which no exponent can take to 0/0;
    weights below :math:`10^{-16}` count as that much.

    Args:
        weights: A weighting, (batch, heads, slots).
        exponent: :math:`\gamma_t`, at least 1, (batch, heads, 1).
    """
    return (exponent * weights.clamp_min(_NOTHING).log()).softmax(-1)


def erase(memory: Tensor, weights: Tensor, erased: Tensor) -> Tensor:
    r"""Erase what stands in focus, each head in turn; their order changes nothing.

    .. math:: \tilde M_t(i) = M_{t-1}(i) \odot (1 - w_t(i) e_t)

    Source: equation 3.

    Args:
        memory: (batch, slots, width).
        weights: Of the writing heads, (batch, heads, slots).
        erased: :math:`e_t`, between 0 and 1, (batch, heads, width).
    """
    for w, e in zip(weights.unbind(1), erased.unbind(1), strict=True):
        memory = memory * (1 - w.unsqueeze(-1) * e.unsqueeze(-2))
    return memory


def add(memory: Tensor, weights: Tensor, added: Tensor) -> Tensor:
    r"""Add to what stands in focus, all heads together.

    .. math:: M_t(i) = \tilde M_t(i) + w_t(i) a_t

    Source: equation 4.

    Args:
        memory: (batch, slots, width).
        weights: Of the writing heads, (batch, heads, slots).
        added: :math:`a_t`, (batch, heads, width).
    """
    return memory + weights.mT @ added


def read(memory: Tensor, weights: Tensor) -> Tensor:
    r"""Read what stands in focus, (batch, heads, width).

    .. math:: r_t = \sum_i w_t(i) M_t(i)

    Source: equation 2.

    Args:
        memory: (batch, slots, width).
        weights: Of the reading heads, (batch, heads, slots).
    """
    return weights @ memory
