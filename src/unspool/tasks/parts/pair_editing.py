"""Edits of encoder-decoders: their cells and attentions, and a search whose steps run over the whole prefix."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unspool.cells import editor_of
from unspool.data import Tokens
from unspool.layers import AttentiveCell, TransformerDecoder, TransformerEncoder
from unspool.layers.attention_changes import attention_change
from unspool.models import AttentiveDecoder, EncoderDecoder, LateAttentionDecoder, Memory
from unspool.tasks.parts.editing import EditableAttention, EditableCell, Parts
from unspool.tasks.parts.pair_trace import decoder_cells, encoder_cells

__all__ = ["PrefixSteps", "is_edited", "parts_of_pair"]

_SHARED = "encoder and decoder share their cells, so an edit of one would change the other; train without shared layers"


def parts_of_pair(model: EncoderDecoder) -> Parts:
    """Return what can be edited in an encoder-decoder, with the names of its trace."""
    encoder, decoder = encoder_cells(model.encoder), decoder_cells(model.decoder)
    if encoder and [each.cell for each in encoder] == [each.cell for each in decoder]:
        return Parts(refusal=_SHARED)
    cells = [
        EditableCell(place, cell) for place, cell, _ in (*encoder, *decoder) if not isinstance(cell, AttentiveCell)
    ]
    attentions = []
    if isinstance(model.decoder, AttentiveDecoder):
        attentions = [EditableAttention("", "attention", model.decoder.cell.attention, outer=model.decoder.cell)]
    elif isinstance(model.decoder, LateAttentionDecoder):
        attentions = [EditableAttention("", "attention", model.decoder.attention)]
    for part in model.modules():
        for depth, layer in enumerate(getattr(part, "layers", ()), start=1):
            if isinstance(part, TransformerDecoder):
                place = f"decoder layer {depth}"
                attentions.append(EditableAttention(place, "attention", layer.memory_attention))
                attentions.append(
                    EditableAttention(place, "self-attention", layer.self_attention, columns=1, causal=True)
                )  # the first column is the start symbol
            elif isinstance(part, TransformerEncoder):
                attentions.append(EditableAttention(f"encoder layer {depth}", "self-attention", layer.self_attention))
    return Parts(cells, attentions)


def is_edited(model: EncoderDecoder) -> bool:
    """Return whether edits are attached to a cell or an attention of the network in this context."""
    parts = parts_of_pair(model)
    cells = any(editor_of(each.cell) is not None for each in parts.cells)
    return cells or any(attention_change(each.module) is not None for each in parts.attentions)


class _Prefixes(NamedTuple):
    """State of a search over whole prefixes; every tensor has the batch first."""

    units: Tensor  # read so far, int64 (batch, steps)
    memory: Memory
    attention: Tensor | None = None  # of the last step, (batch, source time)


class PrefixSteps:
    """Step model that runs the decoder over the whole prefix at each step, so that an edit meets every position.

    Args:
        model: The network.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model

    def start(self, source: Tokens) -> _Prefixes:
        """Return the state before the first unit."""
        memory = self.model.encode(source)
        if self.model.latent is not None:
            memory = self.model.latent.expected(memory)
        batch = memory.states.shape[0]
        return _Prefixes(torch.zeros(batch, 0, dtype=torch.int64, device=memory.states.device), memory)

    @torch.no_grad()
    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, _Prefixes]:
        """Read one unit per target, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        units = torch.cat([state.units, ids.unsqueeze(1)], 1)
        scores, attention = self.model.after(units.T, state.memory)
        return scores, _Prefixes(units, state.memory, attention)
