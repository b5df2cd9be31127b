r"""Linear-chain conditional random field.

.. math::
    s(y) = a_{y_1} + \sum_t e_{t, y_t} + \sum_{t>1} A_{y_{t-1} y_t} + z_{y_T}, \qquad
    \log p(y) = s(y) - \log \sum_{y'} e^{s(y')}

Source: Lafferty, McCallum and Pereira 2001; as the last layer of a recurrent tagger: Lample et al. 2016,
arXiv:1603.01360, section 2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LinearChainCRF"]

_FORBIDDEN = -1e4


class LinearChainCRF(nn.Module):
    """Linear-chain CRF: scores, loss, marginals and Viterbi decoding of tag sequences.

    Args:
        num_tags: Number of tags.
        allowed: Allowed transitions, bool (tag before, tag after). None: all.
        allowed_first: Tags that may begin a sequence, bool (tags,). None: all.
        allowed_last: Tags that may end a sequence, bool (tags,). None: all.
    """

    forbidden: Tensor
    forbidden_first: Tensor
    forbidden_last: Tensor

    def __init__(
        self,
        num_tags: int,
        *,
        allowed: Tensor | None = None,
        allowed_first: Tensor | None = None,
        allowed_last: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))
        self.first = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.last = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        for name, mask, shape in (
            ("forbidden", allowed, (num_tags, num_tags)),
            ("forbidden_first", allowed_first, (num_tags,)),
            ("forbidden_last", allowed_last, (num_tags,)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.bool) if mask is None else ~mask)

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        return (
            self.transitions.masked_fill(self.forbidden, _FORBIDDEN),
            self.first.masked_fill(self.forbidden_first, _FORBIDDEN),
            self.last.masked_fill(self.forbidden_last, _FORBIDDEN),
        )

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the sum of -log p over the sequences, in nats.

        Args:
            emissions: Scores of each tag at each step, (time, batch, tags).
            tags: Target tags, (time, batch); padding is ignored.
            lengths: Valid steps, (batch,).
        """
        emissions = emissions.float()
        return (self.log_partition(emissions, lengths) - self.score(emissions, tags, lengths)).sum()

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score s(y) of tags, (batch,)."""
        transitions, first, last = self._scores()
        steps = torch.arange(emissions.shape[0], device=emissions.device)[:, None]
        mask = steps < lengths
        tags = tags.masked_fill(~mask, 0)
        at_steps = emissions.gather(2, tags.unsqueeze(-1)).squeeze(-1)  # (time, batch)
        between = transitions[tags[:-1], tags[1:]]
        ends = tags.gather(0, (lengths - 1)[None])[0]
        return at_steps.masked_fill(~mask, 0).sum(0) + (between * mask[1:]).sum(0) + first[tags[0]] + last[ends]

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the log of the partition function, the sum of e^score over all tag sequences, (batch,)."""
        transitions, first, last = self._scores()
        initial, *later = emissions.unbind()  # the gradient of each `emissions[t]` would be as long as the sequence
        forward = first + initial  # (batch, tags)
        for t, emission in enumerate(later, 1):
            after = torch.logsumexp(forward.unsqueeze(2) + transitions, dim=1) + emission
            forward = torch.where((t < lengths).unsqueeze(-1), after, forward)
        return torch.logsumexp(forward + last, dim=1)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the marginal probability of each tag at each step, (time, batch, tags); zero in the padding."""
        with torch.enable_grad():
            leaf = emissions.detach().float().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_partition(leaf, lengths).sum(), leaf)
        return gradient

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the best tags, (time, batch), by the Viterbi algorithm; zero in the padding."""
        transitions, first, last = self._scores()
        emissions = emissions.float()
        time, batch, _ = emissions.shape
        best = first + emissions[0]
        pointers = []
        for t in range(1, time):
            scores, pointer = (best.unsqueeze(2) + transitions).max(dim=1)
            running = (t < lengths).unsqueeze(-1)
            best = torch.where(running, scores + emissions[t], best)
            pointers.append(pointer)
        tags = torch.zeros(time, batch, dtype=torch.long, device=emissions.device)
        tag = (best + last).argmax(1)
        for t in range(time - 1, -1, -1):
            if t < time - 1:
                step_back = pointers[t].gather(1, tag.unsqueeze(1)).squeeze(1)
                tag = torch.where(t + 1 < lengths, step_back, tag)
            tags[t] = torch.where(t < lengths, tag, torch.zeros_like(tag))
        return tags
