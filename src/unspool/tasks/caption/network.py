"""Network of a captioner: an image encoder whose grid of states a decoder reads."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import UNKNOWN, Captioned, Vocabulary
from unspool.errors import SettingError
from unspool.inputs.contract import Encoder
from unspool.layers import FullSoftmax, TokenEmbedding, WordDropout, initialize
from unspool.models import EncoderDecoder
from unspool.tasks.caption.settings import CaptionNetwork
from unspool.tasks.parts.encoder_decoders import build_decoder

__all__ = ["GridStates", "build_captioner"]


class GridStates(nn.Module):
    """States of an image for a decoder: what the encoder makes of each cell, and the cell's place.

    Each image of a batch is encoded once, and its states are repeated for each of its captions.

    Args:
        encoder: Encoder of the images.
        places: Features of the place of each cell, (cells, features): its middle, x and y between -1 and 1; and x² and
            y², so that the mean of several states says how far apart their places are.
        width: Width of the states; a linear layer maps them to it. None: that of the encoder and the places.
    """

    places: Tensor

    def __init__(self, encoder: Encoder, places: NDArray[Any], width: int | None = None) -> None:
        super().__init__()
        self.embedding, self.stack = encoder.embedding, encoder.stack
        self.register_buffer("places", torch.from_numpy(places).float(), persistent=False)
        own = encoder.size + places.shape[1]
        self.project = None if width is None else nn.Linear(own, width)
        self.output_size = own if width is None else width

    def forward(self, batch: Captioned) -> Tensor:
        """Return the states of each row's image, (cells, rows, output_size)."""
        images = batch.inputs_once
        states: Tensor = self.embedding(images)
        if self.stack is not None:
            states = self.stack(states, images.lengths).outputs
        places = self.places.to(states.dtype).unsqueeze(1).expand(-1, states.shape[1], -1)
        states = torch.cat([states, places], -1)
        if self.project is not None:
            states = self.project(states)
        return states.index_select(1, batch.index)


def build_captioner(
    network: CaptionNetwork,
    cell: str | type[Cell[Any]],
    encoder: Encoder,
    boxes: NDArray[Any],
    vocabulary: Vocabulary,
    *,
    label_smoothing: float,
) -> EncoderDecoder:
    """Build a captioner from settings.

    Args:
        network: The settings.
        cell: The cell, or its name.
        encoder: Encoder of the images.
        boxes: Box of each state of the encoder, as shares of the image, (steps, 4).
        vocabulary: Words of the captions.
        label_smoothing: Share of the target distribution spread over the vocabulary.

    Raises:
        SettingError: If the decoder would not see the image.
    """
    transformer = network.network == "transformer"
    learned = network.start == "learned"
    if learned and network.network == "initial":
        raise SettingError(
            "network = initial sees an image in its initial state alone: start = learned does not fit it"
        )
    places = boxes[:, :2] + boxes[:, 2:] - 1
    if learned:
        places = np.concatenate([places, places**2], 1)
    states = GridStates(encoder, places, network.hidden if transformer else None)
    dropout = WordDropout(network.word_dropout, unknown=UNKNOWN) if network.word_dropout else None
    words = TokenEmbedding(len(vocabulary), network.embedding, word_dropout=dropout)
    decoder = build_decoder(network, cell, states.output_size, learned_start=learned)
    width, combine = decoder.output_size, None
    if decoder.attends and not transformer:
        width = network.embedding if network.tied else network.hidden
        combine = nn.Linear(decoder.output_size, width)
    model = EncoderDecoder(
        states,
        words,
        None,
        decoder,
        FullSoftmax(width, len(vocabulary), tied=cast(nn.Parameter, words.table.weight) if network.tied else None),
        combine=combine,
        input_dropout=0.0 if transformer else network.dropout,
        output_dropout=0.0 if transformer else network.dropout,
        variational=network.variational,
        label_smoothing=label_smoothing,
    )
    initialize(model, network.initialization, forget_bias=network.forget_bias)
    return model
