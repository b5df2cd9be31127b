"""Sequence model trained by connectionist temporal classification (CTC): outputs shorter than inputs, not aligned."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Frames, Transcribed
from unspool.layers import Projected, Recurrent, SequenceDropout
from unspool.models.loss import Loss

__all__ = ["CTCModel"]


class CTCModel(nn.Module):
    r"""Network whose output at each step is a unit, or the blank.

    .. math:: L = -\log \sum_{\pi : B(\pi) = y} \prod_t p(\pi_t \mid x)

    where :math:`B` drops repeated units, then blanks. Source: Graves et al. 2006, "Connectionist temporal
    classification: labelling unsegmented sequence data with recurrent neural networks".

    Args:
        embedding: From a batch of sounds to vectors, (time, batch, features), with `batch.lengths` steps.
        encoder: Recurrent stack or Transformer encoder.
        num_units: Number of units; 0 is the blank.
        dropout: Dropout rate before and after the encoder.
        input_dropout: Dropout rate before the encoder. None: `dropout`.
        variational: Whether the dropout uses one mask per sequence.
    """

    def __init__(
        self,
        embedding: nn.Module,
        encoder: Recurrent | Projected,
        num_units: int,
        *,
        dropout: float = 0.0,
        input_dropout: float | None = None,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder = embedding, encoder
        self.input_dropout = SequenceDropout(
            dropout if input_dropout is None else input_dropout, variational=variational
        )
        self.output_dropout = SequenceDropout(dropout, variational=variational)
        self.output = nn.Linear(encoder.output_size, num_units)

    def forward(self, frames: Frames) -> Tensor:
        """Return log-probabilities of every unit at every step, (time, batch, units); arbitrary in the padding."""
        vectors = self.input_dropout(self.embedding(frames))
        states = self.encoder(vectors, frames.lengths).outputs
        scores: Tensor = self.output(self.output_dropout(states))
        return scores.float().log_softmax(-1)

    def loss(self, batch: Transcribed, carry: Any = None) -> Loss:
        """Return -log p of the transcripts, summed, in nats; counts their units.

        A sound with fewer steps than its transcript needs adds nothing: its loss would be infinite.
        """
        return Loss(self.transcript_losses(batch).sum(), max(1, batch.targets.size))

    def transcript_losses(self, batch: Transcribed) -> Tensor:
        """Return -log p of each transcript, in nats, (batch,); 0 where the sound has too few steps."""
        targets = batch.targets.ids.T.contiguous()
        if not targets.shape[1]:
            targets = torch.zeros(len(targets), 1, dtype=torch.int64, device=targets.device)
        losses: Tensor = F.ctc_loss(
            self(batch.inputs),
            targets,
            batch.inputs.lengths,
            batch.targets.lengths,
            reduction="none",
            zero_infinity=True,
        )
        return losses
