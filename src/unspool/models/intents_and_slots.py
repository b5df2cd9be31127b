"""Joint network for commands: intents of a sentence from the pooled states, and the slot tag of each word."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import IGNORED, Labelled, Tokens
from unspool.layers import Dropout, LinearChainCRF, Projected, Readout, Recurrent, SequenceDropout, TokenEmbedding
from unspool.models.loss import Loss

__all__ = ["IntentSlotModel", "IntentSlotOutput"]


class IntentSlotOutput(NamedTuple):
    """Logits of intents and slot tags, and pooling weights."""

    logits: Tensor  # of the intents, (batch, intents)
    tags: Tensor | None  # scores of the slot tags, (time, batch, tags); None without slots
    weights: Tensor | None  # of attention or mean pooling, (time, batch); else None


class IntentSlotModel(nn.Module):
    r"""Recognize intents and slots with one encoder.

    .. math:: y = W_y \, \mathrm{pool}(h_1, \dots, h_T) + b_y, \qquad
        s_t = W_s h_t + V \, p(y) + b_s

    :math:`p(y)` is the distribution of the intents, without its gradient: the tags of a word depend on the intent.

    Source: Liu and Lane 2016, arXiv:1609.01454; the path from intent to slots after Goo et al. 2018, "Slot-gated
    modeling". Differs: the intent is added to the scores of the tags, not multiplied into the states.

    Args:
        embedding: Embedding of the tokens.
        encoder: Recurrent stack or Transformer encoder.
        readout: Pooling of the states for the intents.
        num_intents: Number of intents.
        num_tags: Number of slot tags; 0 for a model without slots.
        several: Whether a sentence may have any number of intents.
        crf: Conditional random field over the tags. None: independent tags.
        dropout: Dropout rate before and after the encoder.
        variational: Whether the dropout of the word vectors and states uses one mask per sequence.
        label_smoothing: Fraction of the target distributed over all intents, at least 0 and less than 1.
        slot_weight: Weight of the slots' loss relative to the intents'.
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        encoder: Recurrent | Projected,
        readout: Readout,
        num_intents: int,
        num_tags: int,
        *,
        several: bool = False,
        crf: LinearChainCRF | None = None,
        dropout: float = 0.0,
        variational: bool = False,
        label_smoothing: float = 0.0,
        slot_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.readout, self.crf = embedding, encoder, readout, crf
        self.input_dropout = SequenceDropout(dropout, variational=variational)
        self.state_dropout = SequenceDropout(dropout, variational=variational)
        self.output_dropout = Dropout(dropout)
        self.output = nn.Linear(readout.size, num_intents)
        self.tag_output = nn.Linear(encoder.output_size, num_tags) if num_tags else None
        self.intent_to_tags = nn.Linear(num_intents, num_tags, bias=False) if num_tags else None
        self.several, self.label_smoothing, self.slot_weight = several, label_smoothing, slot_weight

    def forward(self, tokens: Tokens) -> IntentSlotOutput:
        """Return the logits of the intents, and the scores of every tag at every token, arbitrary in the padding."""
        vectors = self.input_dropout(self.embedding(tokens))
        states = self.encoder(vectors, tokens.lengths).outputs
        vector, weights = self.readout(states, tokens.lengths)
        logits: Tensor = self.output(self.output_dropout(vector))
        if self.tag_output is None or self.intent_to_tags is None:
            return IntentSlotOutput(logits, None, weights)
        intents = (logits.sigmoid() if self.several else logits.softmax(-1)).detach()
        tags = self.tag_output(self.state_dropout(states)) + self.intent_to_tags(intents)
        return IntentSlotOutput(logits, tags, weights)

    def loss(self, batch: Labelled, carry: Any = None) -> Loss:
        """Return -log p of the intents plus the weighted -log p of the tags, summed over sequences, in nats.

        Args:
            batch: Tokens with their tags, `Labelled`, as the tokens of a `Labelled` with the intents. Sentences out of
                scope may have `IGNORED` as their intent, and sentences without known slots as the tag of each token.
            carry: Not used.
        """
        tagged: Labelled = batch.tokens
        output = self(tagged.tokens)
        logits = output.logits.float()
        if self.several:
            smooth = self.label_smoothing
            targets = batch.targets * (1 - smooth) + smooth / 2
            total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        else:
            total = F.cross_entropy(
                logits, batch.targets, ignore_index=IGNORED, label_smoothing=self.label_smoothing, reduction="sum"
            )
        if output.tags is not None:
            total = total + self.slot_weight * self._tag_loss(output.tags.float(), tagged)
        return Loss(total, len(batch.targets))

    def _tag_loss(self, scores: Tensor, tagged: Labelled) -> Tensor:
        if self.crf is not None:
            is_tagged, lengths = tagged.targets[0] != IGNORED, tagged.tokens.lengths
            tags = tagged.targets.clamp(min=0)
            nats = self.crf.log_partition(scores, lengths) - self.crf.score(scores, tags, lengths)
            return nats.where(is_tagged, 0).sum()
        return F.cross_entropy(scores.flatten(0, 1), tagged.targets.flatten(), ignore_index=IGNORED, reduction="sum")
