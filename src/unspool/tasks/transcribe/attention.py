"""Transcription by attention: the encoder of a sound, and a decoder that writes characters and looks at the sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import END, Captioned, Tokens, Vocabulary, evaluation_batches
from unspool.decoding import DecodingSettings, Hypothesis, decode
from unspool.decoding.ctc import CTCHypothesis
from unspool.inputs.contract import Encoder
from unspool.inputs.network_settings import StackSettings
from unspool.layers import FullSoftmax, TokenEmbedding, initialize
from unspool.models import EncoderDecoder
from unspool.tasks.parts.encoder_decoders import build_decoder, never_written
from unspool.tasks.parts.pair_editing import PrefixSteps, is_edited
from unspool.tasks.parts.pair_settings import TranslatorNetwork
from unspool.tasks.trainable import device_of
from unspool.tasks.transcribe.settings import TranscriberNetwork

__all__ = ["SoundVectors", "build_attentive", "heard_units", "sounds_alone", "write"]

_RATE = 0.05  # of the looks at a sound before the beginning of a character, and after its end


class SoundVectors(nn.Module):
    """Vectors of the sounds of a batch, one for each row.

    Args:
        embedding: From frames to vectors, (time, sounds, features).
    """

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, batch: Captioned) -> Tensor:
        """Return the vectors, (time, rows, features)."""
        vectors: Tensor = self.embedding(batch.inputs_once)
        return vectors.index_select(1, batch.index)


def build_attentive(
    network: TranscriberNetwork, cell: str | type[Cell[Any]], encoder: Encoder, vocabulary: Vocabulary
) -> EncoderDecoder:
    """Build an encoder–decoder over sounds.

    Args:
        network: The settings.
        cell: The cell of encoder and decoder, or its name.
        encoder: Encoder of the sounds.
        vocabulary: Characters of the transcripts.
    """
    shared = {name: getattr(network, name) for name in StackSettings.__struct_fields__}
    writing = TranslatorNetwork(**shared, network=network.attention, embedding=network.embedding)
    decoder = build_decoder(writing.replace(layers=1), cell, encoder.size)
    characters = TokenEmbedding(len(vocabulary), network.embedding)
    model = EncoderDecoder(
        SoundVectors(encoder.embedding),
        characters,
        encoder.stack,
        decoder,
        FullSoftmax(network.hidden, len(vocabulary)),
        combine=nn.Linear(decoder.output_size, network.hidden),
        input_dropout=network.dropout if encoder.drops_inputs else 0.0,
        output_dropout=network.dropout,
        variational=network.variational,
    )
    initialize(model, network.initialization, forget_bias=network.forget_bias)
    return model


def sounds_alone(frames: Any) -> Captioned:
    """Return a batch of sounds, `Frames`, as the source of a search, one row for each."""
    count = len(frames.lengths)
    empty = Tokens(torch.zeros(0, count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64))
    return Captioned(frames, empty, torch.arange(count))


@torch.no_grad()
def write(
    model: nn.Module,
    encoded: Any,
    vocabulary: Vocabulary,
    decoding: DecodingSettings,
    *,
    longest: int,
    batch_tokens: int,
) -> list[list[Hypothesis]]:
    """Write transcripts of every sound, best first.

    Args:
        model: The network, in evaluation mode.
        encoded: The sounds, with or without transcripts.
        vocabulary: Characters of the transcripts.
        decoding: Settings of the search.
        longest: Most characters of a transcript.
        batch_tokens: Steps of sounds in a batch.
    """
    assert isinstance(model, EncoderDecoder)
    device, outputs = device_of(model), [[]] * len(encoded)  # type: ignore[var-annotated]
    steps = PrefixSteps(model) if is_edited(model) else model
    for places, batch in evaluation_batches(encoded, batch_tokens=max(256, batch_tokens // max(1, decoding.beam))):
        frames = batch.inputs_once if isinstance(batch, Captioned) else batch
        source = sounds_alone(frames).to(device)
        hypotheses = decode(
            steps,
            steps.start(cast(Any, source)),
            settings=decoding,
            max_lengths=torch.full((len(places),), longest, device=device),
            forbidden=never_written(vocabulary, device),
            source_lengths=source.lengths,
        )
        for place, best in zip(places, hypotheses, strict=True):
            outputs[place] = best
    return outputs


def heard_units(hypotheses: Sequence[Hypothesis], gap: int) -> list[CTCHypothesis]:
    """Return outputs as units of a transcriber, with the steps that the decoder looked at for each.

    Args:
        hypotheses: The outputs.
        gap: Difference between an id of the vocabulary and its unit.
    """
    return [
        CTCHypothesis(
            [id - gap for id in each.ids if id > END],
            each.score,
            each.log_probability,
            [_span(each, place) for place, id in enumerate(each.ids) if id > END],
        )
        for each in hypotheses
    ]


def _span(hypothesis: Hypothesis, place: int) -> tuple[int, int]:
    """Return the steps that hold most of the attention of a character: the first, and the one after the last."""
    if hypothesis.attention is None:
        return 0, 0
    total = np.cumsum(hypothesis.attention[place])
    begin, last = np.searchsorted(total, [_RATE * total[-1], (1 - _RATE) * total[-1]])
    return int(begin), int(min(last, len(total) - 1)) + 1
