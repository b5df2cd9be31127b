"""A Gaussian latent variable between a source and its target."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unspool.layers import Recurrent
from unspool.models.decoders import Memory
from unspool.randomness import generator_on

__all__ = ["LatentVariable"]


class LatentVariable(nn.Module):
    r"""What an answer decides that its question does not.

    .. math::
        p(z \mid x) &= \mathcal N(\mu_p(x), \sigma_p^2(x)) \\
        q(z \mid x, y) &= \mathcal N(\mu_q(x, y), \sigma_q^2(x, y)) \\
        -\log p(y \mid x) &\le E_q[-\log p(y \mid x, z)] + \mathrm{KL}(q \,\|\, p)

    In training z is drawn from the posterior q, which sees the target; in use it is the prior's mean. The divergence
    grows into the loss (annealing, Bowman et al. 2016, arXiv:1511.06349) and costs nothing in a dimension that carries
    less than `free_bits` on the batch's average (Kingma et al. 2016, arXiv:1606.04934, section C.8). Source: Serban et
    al. 2017, arXiv:1605.06069.

    Args:
        summary_size: Width of the source's summary.
        target: Reads the target's vectors, one direction or both.
        size: Width of z.
        annealing: Share of the training in which the divergence's weight climbs from 0 to 1.
        free_bits: Nats that each dimension may carry for nothing.
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
        """The memory with the prior's mean beside its summary: (batch, summary + size)."""
        mean, _ = self.prior(memory.summary).chunk(2, -1)
        return _beside(memory, mean)

    def forward(self, memory: Memory, target: Tensor, lengths: Tensor, progress: float) -> tuple[Memory, Tensor]:
        """Draw from the posterior.

        Args:
            memory: The encoder's.
            target: The target's vectors, (target time, batch, embedding).
            lengths: Of the targets, int64 (batch,).
            progress: How much of the training is done, between 0 and 1; the full weight counts outside of training.

        Returns:
            The memory with z beside its summary, and the weighted divergence, summed over the batch, in nats.
        """
        final = self.target(target, lengths).state[-1]
        seen = torch.cat([memory.summary, *(direction[0] for direction in final)], -1)
        divergence_per_dimension, z = self._draw(memory.summary, seen)
        weight = 1.0
        if self.training:
            divergence_per_dimension = divergence_per_dimension.mean(0).clamp(min=self.free_bits) * len(z)
            weight = min(1.0, progress / self.annealing) if self.annealing else 1.0
        return _beside(memory, z), weight * divergence_per_dimension.sum()

    def _draw(self, summary: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        prior_mean, prior_log = self.prior(summary).float().chunk(2, -1)
        mean, log = self.posterior(seen).float().chunk(2, -1)
        z = mean
        if self.training:
            z = mean + (0.5 * log).exp() * torch.empty_like(mean).normal_(generator=generator_on(mean.device))
        divergence = 0.5 * (prior_log - log + (log.exp() + (mean - prior_mean) ** 2) / prior_log.exp() - 1)
        return divergence, z


def _beside(memory: Memory, z: Tensor) -> Memory:
    return memory._replace(summary=torch.cat([memory.summary, z.to(memory.summary.dtype)], -1))
