"""Encoder-decoder (sequence to sequence): encode a source, then predict the target unit by unit."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unspool.data import IGNORED, Captioned, Paired, Tokens
from unspool.errors import SettingError
from unspool.layers import FullSoftmax, Projected, Recurrent, SequenceDropout, TokenEmbedding
from unspool.models.decoders import Decoded, Memory
from unspool.models.latent import LatentVariable
from unspool.models.loss import Loss
from unspool.randomness import generator_on

__all__ = ["EncoderDecoder", "Forced", "coverage_loss"]


Source = Tokens | Captioned
"""Source sequences: token ids, int64 (source time, batch), or a batch with lengths and mask."""


class Forced(NamedTuple):
    """Scores of target sequences under teacher forcing."""

    log_probabilities: Tensor  # of target units and end, in nats, (target time + 1, batch), 0 in the padding
    attention: Tensor | None  # (target time + 1, batch, source time)


class EncoderDecoder(nn.Module):
    """Encoder-decoder with a choice of encoder and decoder.

    Args:
        source: Embedding of source units; or a module from another source, such as images, to vectors.
        target: Embedding of target units; may be the same table.
        encoder: Encoder of the source. None: the embeddings themselves.
        decoder: Decoder of the target, one of `models.decoders`.
        softmax: Output layer over the target vocabulary.
        combine: Linear layer with tanh between decoder and softmax (the attentional vector of Luong et al. 2015). None:
            no such layer.
        latent: Latent variable between source and target. None: no latent variable.
        input_dropout: Dropout rate of all embeddings.
        output_dropout: Dropout rate before the softmax.
        variational: Whether these use one mask per sequence.
        label_smoothing: Fraction of each target distributed over the vocabulary in training; the loss is then the
            divergence from the smoothed target.
        coverage_penalty: Weight of the coverage loss, λ of See et al. 2017, arXiv:1704.04368, equation 11.
        sampling: Probability that a decoder input in training is the network's own last prediction, at the start and
            at the end of training (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099; 1 is free running).

    Attributes:
        progress: Fraction of the training so far, between 0 and 1; the training loop sets it.
    """

    def __init__(
        self,
        source: nn.Module,
        target: TokenEmbedding,
        encoder: Recurrent | Projected | None,
        decoder: Any,
        softmax: FullSoftmax,
        *,
        combine: nn.Linear | None = None,
        latent: LatentVariable | None = None,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        variational: bool = False,
        label_smoothing: float = 0.0,
        coverage_penalty: float = 0.0,
        sampling: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        self.source, self.target, self.encoder, self.decoder = source, target, encoder, decoder
        self.combine, self.softmax, self.latent = combine, softmax, latent
        self.input_dropout = SequenceDropout(input_dropout, variational=variational)
        self.output_dropout = SequenceDropout(output_dropout, variational=variational)
        self.label_smoothing, self.coverage_penalty, self.sampling = label_smoothing, coverage_penalty, sampling
        self.progress = 1.0

    # Encoder

    def encode(self, source: Source, vectors: Tensor | None = None) -> Memory:
        """Encode sources.

        Args:
            source: The sources.
            vectors: Embedded sources, (source time, batch, features), in place of the model's own embedding of them.
        """
        vectors = self.input_dropout(self.source(source)) if vectors is None else vectors
        mask = source.mask.transpose(0, 1)
        if self.encoder is None:
            states, final = vectors, None
            summary = _mean(vectors, source.lengths)
        elif isinstance(self.encoder, Recurrent):
            states, final = self.encoder(vectors, source.lengths)
            summary = torch.cat([direction[0] for direction in final[-1]], -1)
        else:
            states, final = self.encoder(vectors, source.lengths).outputs, None
            summary = _mean(states, source.lengths)
        read = vectors.transpose(0, 1) if self.encoder is None else None
        return Memory(states.transpose(0, 1), mask, summary, final, read)

    # Step by step

    def start(self, source: Source) -> Any:
        """Return the state before the first target unit, every tensor with the batch first."""
        memory = self.encode(source)
        if self.latent is not None:
            memory = self.latent.expected(memory)
        return self.decoder.start(memory)

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read one unit per target, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        outputs, state = self._step(ids, state)
        return self.softmax.log_probabilities(self._read_out(outputs)), state

    def after(self, prefixes: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """Run the decoder over whole prefixes, in place of one step after another.

        Args:
            prefixes: Target units so far, with the start symbol, (time, batch).
            memory: The encoded sources.

        Returns:
            Log-probabilities of the next unit, (batch, vocabulary), and the attention of the last step, (batch, source
            time), or None.
        """
        decoded = self._teacher_forcing(prefixes, memory, need_weights=True)
        scores = self.softmax.log_probabilities(self._read_out(decoded.outputs)[-1])
        return scores, None if decoded.attention is None else decoded.attention[-1]

    def _step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self.target.word_dropout is not None:
            ids = self.target.word_dropout(ids)
        vectors: Tensor = self.target.table(ids)
        outputs, state = self.decoder.advance(_one_step(self.input_dropout, vectors), state)
        return outputs, state

    def _read_out(self, outputs: Tensor) -> Tensor:
        """Return the input of the softmax, for outputs (time, batch, width) or (items, width)."""
        if self.combine is not None:
            outputs = torch.tanh(self.combine(outputs))
        return _one_step(self.output_dropout, outputs) if outputs.ndim == 2 else self.output_dropout(outputs)

    # Teacher forcing and loss

    def forward(self, batch: Paired | Captioned, vectors: Tensor | None = None) -> Forced:
        """Return log-probabilities of the targets, and attention weights of each step; `vectors` as in `encode`."""
        memory = self.encode(batch.source, vectors)
        if self.latent is not None:
            memory = self.latent.expected(memory)
        decoded = self._teacher_forcing(batch.inputs, memory, need_weights=True)
        targets = batch.targets
        scores = self.softmax.log_probabilities(self._read_out(decoded.outputs))
        target_scores = scores.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return Forced(target_scores.masked_fill(targets == IGNORED, 0), decoded.attention)

    def loss(self, batch: Paired | Captioned, carry: None = None) -> Loss:
        """Return -log p of all target units and ends, summed, in nats; in training with all penalties."""
        memory = self.encode(batch.source)
        extra: Tensor | float = 0.0
        if self.latent is not None:
            memory, extra = self.latent(memory, self._target_vectors(batch), batch.target.lengths + 1, self.progress)
        inputs, targets = batch.inputs, batch.targets
        if self.training and self.coverage_penalty:
            self._refuse_without_attention()
        chance = self._sampling_chance()
        if chance > 0:
            decoded = self._with_own_words(inputs, memory, chance)
        else:
            decoded = self._teacher_forcing(inputs, memory, need_weights=self.training and self.coverage_penalty > 0)
        real = targets != IGNORED
        outputs = self._read_out(decoded.outputs)[
            real
        ]  # before the mask, so that variational dropout sees the time dimension
        smoothing = self.label_smoothing if self.training else 0.0
        total = self.softmax.loss(outputs, targets[real], label_smoothing=smoothing) + extra
        if self.training and self.coverage_penalty and decoded.attention is not None:
            total = total + self.coverage_penalty * coverage_loss(decoded.attention, real)
        return Loss(total, len(outputs))

    def _target_vectors(self, batch: Paired | Captioned) -> Tensor:
        """Embed the target and its end, (target time + 1, batch, embedding)."""
        targets = batch.targets
        tokens = Tokens(targets.masked_fill(targets == IGNORED, 0), batch.target.lengths + 1)
        vectors: Tensor = self.input_dropout(self.target(tokens))
        return vectors

    def _teacher_forcing(self, inputs: Tensor, memory: Memory, *, need_weights: bool) -> Decoded:
        lengths = torch.full(inputs.shape[1:], len(inputs), device=inputs.device)
        vectors = self.input_dropout(self.target(Tokens(inputs, lengths)))
        decoded: Decoded = self.decoder(vectors, memory, need_weights=need_weights)
        return decoded

    def _sampling_chance(self) -> float:
        if not self.training:
            return 0.0
        first, last = self.sampling
        return first + (last - first) * self.progress

    def _with_own_words(self, inputs: Tensor, memory: Memory, chance: float) -> Decoded:
        """Decode step by step; each input is the prediction of the step before with probability `chance`."""
        state, ids = self.decoder.start(memory), inputs[0]
        outputs, weights = [], []
        for step in range(len(inputs)):
            output, state = self._step(ids, state)
            outputs.append(output)
            weights.append(state.attention)
            if step + 1 < len(inputs):
                own = torch.rand(ids.shape, device=ids.device, generator=generator_on(ids.device)) < chance
                with torch.no_grad():
                    predictions = self.softmax.logits(self._read_out(output)).argmax(-1)
                ids = torch.where(own, predictions, inputs[step + 1])
        return Decoded(torch.stack(outputs), None if weights[0] is None else torch.stack(weights))

    def _refuse_without_attention(self) -> None:
        if not self.decoder.attends:
            raise SettingError(
                "coverage_penalty needs a network with attention: dot, additive, bilinear or transformer"
            )


def coverage_loss(attention: Tensor, real: Tensor) -> Tensor:
    """Return the coverage loss: the sum over steps and positions of min(weight, weight so far).

    Source: See et al. 2017, arXiv:1704.04368, equation 12.

    Args:
        attention: (target time, batch, source time).
        real: True at valid target steps, bool (target time, batch).
    """
    attention = attention.float() * real.unsqueeze(-1)
    before = attention.cumsum(0) - attention
    return torch.minimum(attention, before).sum()


def _one_step(dropout: SequenceDropout, vectors: Tensor) -> Tensor:
    """Apply sequence dropout to vectors without time, (items, features)."""
    outputs: Tensor = dropout(vectors.unsqueeze(0))
    return outputs[0]


def _mean(vectors: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean over valid steps, (batch, width), of vectors (time, batch, width)."""
    steps = torch.arange(len(vectors), device=vectors.device)[:, None]
    inside = vectors.masked_fill((steps >= lengths).unsqueeze(-1), 0)
    return inside.sum(0) / lengths.unsqueeze(-1).to(vectors.dtype)
