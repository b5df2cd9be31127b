"""Gaussian latent variable of an encoder-decoder (conditional variational autoencoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.layers import Recurrent
from unspool.models.decoders import Memory
from unspool.randomness import generator_on

__all__ = ["LatentVariable"]


class LatentVariable(nn.Module):
    r"""Gaussian latent variable between source and target, with a learned prior and posterior.

    .. math::
        p(z \mid x) &= \mathcal N(\mu_p(x), \sigma_p^2(x)) \\
        q(z \mid x, y) &= \mathcal N(\mu_q(x, y), \sigma_q^2(x, y)) \\
        -\log p(y \mid x) &\le E_q[-\log p(y \mid x, z)] + \mathrm{KL}(q \,\|\, p)

    In training, z is a sample of the posterior q, which sees the target; in use, z is the mean of the prior. The weight
    of the divergence rises during training (KL annealing, Bowman et al. 2016, arXiv:1511.06349). A dimension whose
    divergence averages less than `free_bits` over the batch costs a constant (free bits, Kingma et al. 2016,
    arXiv:1606.04934, section C.8). Source: Serban et al. 2017, arXiv:1605.06069.

    Args:
        summary_size: Width of the summary of the source.
        target: Recurrent encoder of the target, in one direction or both.
        size: Width of z.
        annealing: Fraction of the training over which the weight of the divergence rises from 0 to 1.
        free_bits: Minimum divergence per dimension, in nats.
    """

    def __init__(
        self, summary_size: int, target: Recurrent, size: int, *, annealing: float = 0.2, free_bits: float = 0.0
    ) -> None:
        super().__init__()
        self.size, self.annealing, self.free_bits = size, annealing, free_bits
        self.target = target
        self.prior = nn.Linear(summary_size, 2 * size)
        self.posterior = nn.Linear(summary_size + target.output_size, 2 * size)

    def expected(self, memory: Memory) -> Memory:
        """Return the memory with the mean of the prior appended to its summary, (batch, summary + size)."""
        mean, _ = self.prior(memory.summary).chunk(2, -1)
        return _beside(memory, mean)

    def forward(self, memory: Memory, target: Tensor, lengths: Tensor, progress: float) -> tuple[Memory, Tensor]:
        """Sample from the posterior.

        Args:
            memory: Memory of the encoder.
            target: Embedded target, (target time, batch, embedding).
            lengths: Lengths of the targets, int64 (batch,).
            progress: Fraction of the training so far, between 0 and 1; outside training the weight is 1.

        Returns:
            The memory with z appended to its summary, and the weighted divergence, summed over the batch, in nats.
        """
        final = self.target(target, lengths).state[-1]
        inputs = torch.cat([memory.summary, *(direction[0] for direction in final)], -1)
        divergence_per_dimension, z = self._draw(memory.summary, inputs)
        weight = 1.0
        if self.training:
            divergence_per_dimension = divergence_per_dimension.mean(0).clamp(min=self.free_bits) * len(z)
            weight = min(1.0, progress / self.annealing) if self.annealing else 1.0
        return _beside(memory, z), weight * divergence_per_dimension.sum()

    def _draw(self, summary: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        prior_mean, prior_log = self.prior(summary).float().chunk(2, -1)
        mean, log = self.posterior(inputs).float().chunk(2, -1)
        z = mean
        if self.training:
            z = mean + (0.5 * log).exp() * torch.empty_like(mean).normal_(generator=generator_on(mean.device))
        divergence = 0.5 * (prior_log - log + (log.exp() + (mean - prior_mean) ** 2) / prior_log.exp() - 1)
        return divergence, z


def _beside(memory: Memory, z: Tensor) -> Memory:
    return memory._replace(summary=torch.cat([memory.summary, z.to(memory.summary.dtype)], -1))
