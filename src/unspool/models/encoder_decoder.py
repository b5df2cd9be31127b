"""Sequence in, sequence of another length out: one network for every way of giving context."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unspool.data import IGNORED, Paired, Tokens
from unspool.errors import SettingError
from unspool.layers import FullSoftmax, Projected, Recurrent, SequenceDropout, TokenEmbedding
from unspool.models.decoders import Decoded, Memory
from unspool.models.latent import LatentVariable
from unspool.models.loss import Loss
from unspool.randomness import generator_on

__all__ = ["EncoderDecoder", "Forced", "covered_twice"]


class Forced(NamedTuple):
    """What a network thinks of a given target."""

    log_probabilities: Tensor  # of each target unit and the end, in nats, (target time + 1, batch), 0 in the padding
    attention: Tensor | None  # (target time + 1, batch, source time)


class EncoderDecoder(nn.Module):
    """Read a source, then predict the target unit by unit.

    Args:
        source: Vectors of source units.
        target: Vectors of target units; may be the same table.
        encoder: Reads the source; None hands its vectors on as they are.
        decoder: Writes the target; one of `models.decoders`.
        softmax: Scores over the target vocabulary.
        combine: From a decoder's output with its context to what the softmax reads, through a tanh (the attentional
            vector of Luong et al. 2015); None where the output is read as it is.
        latent: A latent variable between source and target.
        input_dropout: Share of features dropped of all embedded units.
        output_dropout: Share of features dropped before the softmax.
        variational: Whether these keep one mask per sequence.
        label_smoothing: Share of each target spread over the vocabulary in training; the loss is then the divergence
            from the smoothed target.
        coverage_penalty: Weight of attending twice to the same place, λ of See et al. 2017, arXiv:1704.04368, eq. 11.
        sampling: Chance that a decoder input in training is the network's own last word, at the beginning and at the
            end of training (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099; 1 is free running).

    Attributes:
        progress: How much of the training is done, between 0 and 1; whoever trains sets it.
    """

    def __init__(
        self,
        source: TokenEmbedding,
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

    # ---- reading -----------------------------------------------------------------------------------------------

    def encode(self, source: Tokens) -> Memory:
        """Read the sources, int64 (source time, batch)."""
        vectors = self.input_dropout(self.source(source))
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
        vectors = vectors.transpose(0, 1) if self.encoder is None else None
        return Memory(states.transpose(0, 1), mask, summary, final, vectors)

    # ---- writing -----------------------------------------------------------------------------------------------

    def start(self, source: Tokens) -> Any:
        """The state before the first target unit, every tensor with the batch first."""
        memory = self.encode(source)
        if self.latent is not None:
            memory = self.latent.expected(memory)
        return self.decoder.start(memory)

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read a unit of each target, (batch,): log-probabilities of the next, (batch, vocabulary), and the state."""
        outputs, state = self._step(ids, state)
        return self.softmax.log_probabilities(self._read_out(outputs)), state

    def _step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self.target.word_dropout is not None:
            ids = self.target.word_dropout(ids)
        vectors: Tensor = self.target.table(ids)
        outputs, state = self.decoder.advance(_one_step(self.input_dropout, vectors), state)
        return outputs, state

    def _read_out(self, outputs: Tensor) -> Tensor:
        """What the softmax reads, for outputs (time, batch, width) or (items, width)."""
        if self.combine is not None:
            outputs = torch.tanh(self.combine(outputs))
        return _one_step(self.output_dropout, outputs) if outputs.ndim == 2 else self.output_dropout(outputs)

    # ---- training ----------------------------------------------------------------------------------------------

    def forward(self, batch: Paired) -> Forced:
        """The log-probabilities of given targets, and where each step looked."""
        memory = self.encode(batch.source)
        if self.latent is not None:
            memory = self.latent.expected(memory)
        decoded = self._forced(batch.inputs, memory, need_weights=True)
        targets = batch.targets
        scores = self.softmax.log_probabilities(self._read_out(decoded.outputs))
        chosen = scores.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return Forced(chosen.masked_fill(targets == IGNORED, 0), decoded.attention)

    def loss(self, batch: Paired, carry: None = None) -> Loss:
        """-log p of every target unit and end, summed; in training with what the settings add to it."""
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
            decoded = self._forced(inputs, memory, need_weights=self.training and self.coverage_penalty > 0)
        real = targets != IGNORED
        outputs = self._read_out(decoded.outputs)[real]  # dropped while it has its time: a mask for each sequence
        smoothing = self.label_smoothing if self.training else 0.0
        total = self.softmax.loss(outputs, targets[real], label_smoothing=smoothing) + extra
        if self.training and self.coverage_penalty and decoded.attention is not None:
            total = total + self.coverage_penalty * covered_twice(decoded.attention, real)
        return Loss(total, len(outputs))

    def _target_vectors(self, batch: Paired) -> Tensor:
        """The target and its end, embedded, (target time + 1, batch, embedding)."""
        targets = batch.targets
        tokens = Tokens(targets.masked_fill(targets == IGNORED, 0), batch.target.lengths + 1)
        vectors: Tensor = self.input_dropout(self.target(tokens))
        return vectors

    def _forced(self, inputs: Tensor, memory: Memory, *, need_weights: bool) -> Decoded:
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
        """Step by step, each input with some chance the likeliest word of the step before."""
        state, ids = self.decoder.start(memory), inputs[0]
        outputs, weights = [], []
        for step in range(len(inputs)):
            output, state = self._step(ids, state)
            outputs.append(output)
            weights.append(state.attention)
            if step + 1 < len(inputs):
                own = torch.rand(ids.shape, device=ids.device, generator=generator_on(ids.device)) < chance
                with torch.no_grad():
                    said = self.softmax.logits(self._read_out(output)).argmax(-1)
                ids = torch.where(own, said, inputs[step + 1])
        return Decoded(torch.stack(outputs), None if weights[0] is None else torch.stack(weights))

    def _refuse_without_attention(self) -> None:
        if not self.decoder.attends:
            raise SettingError(
                "coverage_penalty needs a network with attention: dot, additive, bilinear or transformer"
            )


def covered_twice(attention: Tensor, real: Tensor) -> Tensor:
    """Sum over steps and places of min(weight, weight so far): See et al. 2017, arXiv:1704.04368, eq. 12.

    Args:
        attention: (target time, batch, source time).
        real: True at target steps that count, bool (target time, batch).
    """
    attention = attention.float() * real.unsqueeze(-1)
    before = attention.cumsum(0) - attention
    return torch.minimum(attention, before).sum()


def _one_step(dropout: SequenceDropout, vectors: Tensor) -> Tensor:
    """Dropout of vectors without time, (items, features)."""
    dropped: Tensor = dropout(vectors.unsqueeze(0))
    return dropped[0]


def _mean(vectors: Tensor, lengths: Tensor) -> Tensor:
    """Mean over real steps, (batch, width), of vectors (time, batch, width)."""
    steps = torch.arange(len(vectors), device=vectors.device)[:, None]
    inside = vectors.masked_fill((steps >= lengths).unsqueeze(-1), 0)
    return inside.sum(0) / lengths.unsqueeze(-1).to(vectors.dtype)
