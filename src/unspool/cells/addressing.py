"""Addressing of a Neural Turing Machine, reading and writing: one function per equation.

In all functions `memory` is (batch, slots, width). A weighting is (batch, heads, slots), non-negative, and sums to 1
per row.

Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 3.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["add", "address_by_content", "erase", "interpolate", "read", "sharpen", "shift"]

_SHORT = 1e-8  # added to squared norms, so that a vector of zeros is similar to nothing
_NOTHING = 1e-16  # minimum weight before the logarithm


def address_by_content(memory: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    r"""Content-based addressing: weight slots by their similarity to a key.

    .. math::
        K[u, v] = \frac{u \cdot v}{\lVert u \rVert \, \lVert v \rVert}, \qquad
        w^c_t(i) = \frac{\exp(\beta_t K[k_t, M_t(i)])}{\sum_j \exp(\beta_t K[k_t, M_t(j)])}

    Source: equations 5 and 6. Differs: norms are :math:`\sqrt{\lVert u \rVert^2 + 10^{-8}}`, so that a key or a slot
    of zeros has similarity 0 rather than 0/0.

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
    r"""Interpolate between the content weighting and the previous weighting.

    .. math:: w^g_t = g_t w^c_t + (1 - g_t) w_{t-1}

    Source: equation 7.

    Args:
        content: Content weighting, (batch, heads, slots).
        previous: Weighting of the previous step, (batch, heads, slots).
        gate: :math:`g_t`, between 0 and 1, (batch, heads, 1); 0 ignores the content.
    """
    return previous + gate * (content - previous)


def shift(weights: Tensor, shifts: Tensor) -> Tensor:
    r"""Shift a weighting to neighbouring slots, by circular convolution.

    .. math:: \tilde w_t(i) = \sum_j w^g_t(j) \, s_t(i - j)

    Source: equation 8, indices modulo the number of slots.

    Args:
        weights: A weighting, (batch, heads, slots).
        shifts: Shift weights, (batch, heads, 2·reach + 1): the middle is no shift, the last `reach` slots forward, the
            first `reach` slots back. Each row is non-negative and sums to 1; `reach` is at most the number of slots.
    """
    reach = shifts.shape[-1] // 2
    result = shifts[..., :1] * weights.roll(-reach, dims=-1)
    for by in range(1 - reach, 1 + reach):
        result = result + shifts[..., reach + by, None] * weights.roll(by, dims=-1)
    return result


def sharpen(weights: Tensor, exponent: Tensor) -> Tensor:
    r"""Sharpen a weighting after the shift.

    .. math:: w_t(i) = \frac{\tilde w_t(i)^{\gamma_t}}{\sum_j \tilde w_t(j)^{\gamma_t}}

    Source: equation 9. Computed as the softmax of :math:`\gamma_t \log \tilde w_t`, which avoids 0/0; weights are at
    least :math:`10^{-16}`.

    Args:
        weights: A weighting, (batch, heads, slots).
        exponent: :math:`\gamma_t`, at least 1, (batch, heads, 1).
    """
    return (exponent * weights.clamp_min(_NOTHING).log()).softmax(-1)


def erase(memory: Tensor, weights: Tensor, erase_vectors: Tensor) -> Tensor:
    r"""Erase from the memory, head by head; the order of heads does not matter.

    .. math:: \tilde M_t(i) = M_{t-1}(i) \odot (1 - w_t(i) e_t)

    Source: equation 3.

    Args:
        memory: (batch, slots, width).
        weights: Weighting of the write heads, (batch, heads, slots).
        erase_vectors: :math:`e_t`, between 0 and 1, (batch, heads, width).
    """
    for w, e in zip(weights.unbind(1), erase_vectors.unbind(1), strict=True):
        memory = memory * (1 - w.unsqueeze(-1) * e.unsqueeze(-2))
    return memory


def add(memory: Tensor, weights: Tensor, add_vectors: Tensor) -> Tensor:
    r"""Add to the memory, all heads at once.

    .. math:: M_t(i) = \tilde M_t(i) + w_t(i) a_t

    Source: equation 4.

    Args:
        memory: (batch, slots, width).
        weights: Weighting of the write heads, (batch, heads, slots).
        add_vectors: :math:`a_t`, (batch, heads, width).
    """
    return memory + weights.mT @ add_vectors


def read(memory: Tensor, weights: Tensor) -> Tensor:
    r"""Read from the memory, (batch, heads, width).

    .. math:: r_t = \sum_i w_t(i) M_t(i)

    Source: equation 2.

    Args:
        memory: (batch, slots, width).
        weights: Weighting of the read heads, (batch, heads, slots).
    """
    return weights @ memory
