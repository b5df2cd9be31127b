"""The encoder–decoders that a good engineer writes out of `torch.nn`, and their greedy and beam search."""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rivals.bare import copied_linear, copied_lstm, copied_table
from unspool.data import END, IGNORED, PADDING, UNKNOWN, Paired, Tokens
from unspool.layers import BilinearAttention, FullSoftmax, Projected, Recurrent, TransformerDecoder, TransformerEncoder
from unspool.models import EncoderDecoder, LateAttentionDecoder, Loss

State = tuple[Tensor, ...]
"""What a network knows between two steps; every tensor has the batch first."""


class PlainRecurrent(nn.Module):
    """Packed nn.LSTM in both directions, nn.LSTM, bilinear attention after it, one output layer tied to the words."""

    def __init__(self, source: EncoderDecoder) -> None:
        super().__init__()
        decoder, encoder = source.decoder, source.encoder
        if not isinstance(decoder, LateAttentionDecoder) or not isinstance(encoder, Recurrent) or not source.combine:
            raise ValueError("the plain recurrent network has attention after the recurrence")
        self.words, self.bias = copied_table(source.source.table), _copied_bias(source)
        self.encoder, self.decoder = copied_lstm(encoder), copied_lstm(decoder.stack)
        self.bridge, self.combine = copied_linear(decoder.bridge.project), copied_linear(source.combine)
        self.fit = nn.Parameter(cast(BilinearAttention, decoder.attention).weight.detach().clone())
        self.dropout, self.smoothing = nn.Dropout(source.input_dropout.rate), source.label_smoothing

    def begin(self, source: Tokens) -> State:
        """The state before the first unit: h, c, keys, memory, and where the source is padded."""
        packed = pack_padded_sequence(self.dropout(self.words(source.ids)), source.lengths, enforce_sorted=False)
        outputs, (last, _) = self.encoder(packed)
        memory = pad_packed_sequence(outputs)[0].transpose(0, 1)
        h, c = torch.tanh(self.bridge(torch.cat([last[0], last[1]], -1))).chunk(2, -1)
        return h, c.contiguous(), F.linear(memory, self.fit), memory, ~source.mask.transpose(0, 1)

    def next(self, written: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores of what follows, (rows, vocabulary), for units written so far, (rows, steps)."""
        h, c, *memory = state
        outputs, (h, c) = self.decoder(self.words(written[:, -1:]).transpose(0, 1), (h[None], c[None]))
        return self._scores(self._look(outputs.transpose(0, 1), *memory)[:, 0]), (h[0], c[0], *memory)

    def loss(self, batch: Paired, carry: None = None) -> Loss:
        h, c, *memory = self.begin(batch.source)
        outputs, _ = self.decoder(self.dropout(self.words(batch.inputs)), (h[None], c[None]))
        looked = self.dropout(self._look(outputs.transpose(0, 1), *memory).transpose(0, 1))
        return _loss(self, looked, batch.targets)

    def _look(self, states: Tensor, keys: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        fits = torch.bmm(states, keys.transpose(1, 2)).masked_fill(padding[:, None], float("-inf"))
        context = torch.bmm(fits.softmax(-1), memory)
        return torch.tanh(self.combine(torch.cat([context, states], -1)))

    def _scores(self, outputs: Tensor) -> Tensor:
        return F.linear(outputs, self.words.weight, self.bias)


class PlainTransformer(nn.Module):
    """nn.Transformer, normed before its blocks, with one output layer tied to the words; it keeps no cache."""

    positions: Tensor

    def __init__(self, source: EncoderDecoder) -> None:
        super().__init__()
        if not isinstance(source.encoder, Projected) or not isinstance(source.encoder.project, nn.Identity):
            raise ValueError("the plain Transformer has one on both sides, as wide as the words")
        encoder: TransformerEncoder = source.encoder.stack
        stack: TransformerDecoder = source.decoder.stack
        layer = stack._blocks()[0]
        self.words, self.bias, self.scale = copied_table(source.source.table), _copied_bias(source), stack.scale
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own fast path is for norms after the blocks alone
            self.stacks = nn.Transformer(
                stack.size,
                layer.self_attention.heads,
                num_encoder_layers=len(encoder.layers),
                num_decoder_layers=len(stack.layers),
                dim_feedforward=layer.expand.out_features,
                dropout=layer.dropout,
                batch_first=True,
                norm_first=True,
            )
        _copy_stack(encoder, self.stacks.encoder)
        _copy_stack(stack, self.stacks.decoder)
        assert stack.positions is not None
        self.register_buffer("positions", stack.positions.rows(512, self.words.weight).detach().clone())
        self.dropout, self.smoothing = nn.Dropout(layer.dropout), source.label_smoothing

    def begin(self, source: Tokens) -> State:
        """The state before the first unit: the memory, and where the source is padded."""
        padding = ~source.mask.transpose(0, 1)
        return self.stacks.encoder(self._enter(source.ids.transpose(0, 1)), src_key_padding_mask=padding), padding

    def next(self, written: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores of what follows, (rows, vocabulary), for units written so far, (rows, steps)."""
        return F.linear(self._read(written, *state)[:, -1], self.words.weight, self.bias), state

    def loss(self, batch: Paired, carry: None = None) -> Loss:
        states = self._read(batch.inputs.transpose(0, 1), *self.begin(batch.source))
        return _loss(self, states.transpose(0, 1), batch.targets)

    def _enter(self, ids: Tensor) -> Tensor:
        entered: Tensor = self.dropout(self.words(ids) * self.scale + self.positions[: ids.shape[1]])
        return entered

    def _read(self, ids: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        states: Tensor = self.stacks.decoder(
            self._enter(ids), memory, tgt_mask=later, memory_key_padding_mask=padding, tgt_is_causal=True
        )
        return states


AffineProlog = PlainRecurrent | PlainTransformer


def plain_translator(source: EncoderDecoder) -> AffineProlog:
    """The same network out of torch.nn's modules, with a copy of the weights."""
    recurrent = isinstance(source.decoder, LateAttentionDecoder)
    return PlainRecurrent(source) if recurrent else PlainTransformer(source)


@torch.no_grad()
def greedy(model: AffineProlog, source: Tokens, limit: int) -> list[list[int]]:
    """Write the likeliest unit each time; sequences that came to their end leave the batch."""
    state, places = model.begin(source), torch.arange(len(source.lengths))
    written = torch.full((len(places), 1), END)
    found: list[list[int]] = [[] for _ in places]
    for _ in range(limit):
        scores, state = model.next(written, state)
        scores[:, [PADDING, UNKNOWN]] = float("-inf")
        written = torch.cat([written, scores.argmax(-1, keepdim=True)], 1)
        going = written[:, -1] != END
        for row in (~going).nonzero()[:, 0].tolist():
            found[places[row]] = written[row, 1:-1].tolist()
        if not going.all():
            written, places, state = written[going], places[going], tuple(part[going] for part in state)
        if not len(places):
            break
    for place, row in zip(places.tolist(), written.tolist(), strict=True):
        found[place] = row[1:]
    return found


@torch.no_grad()
def beam(model: AffineProlog, source: Tokens, limit: int, width: int, alpha: float = 1.0) -> list[list[int]]:
    """Follow some beginnings of every sequence; each end makes its beam narrower, and who is finished leaves."""
    count, size = len(source.lengths), len(model.bias)
    state = tuple(part.repeat_interleave(width, 0) for part in model.begin(source))
    written = torch.full((count * width, 1), END)
    totals = torch.full((count, width), float("-inf"))
    totals[:, 0] = 0
    left, places = torch.full((count,), width), torch.arange(count)
    found: list[tuple[bool, float, list[int]]] = [(False, float("-inf"), []) for _ in range(count)]
    for step in range(limit):
        scores, state = model.next(written, state)
        scores = scores.log_softmax(-1)
        scores[:, [PADDING, UNKNOWN]] = float("-inf")
        totals, chosen = (totals.view(-1, 1) + scores).view(len(places), -1).topk(width)
        totals = totals.masked_fill(torch.arange(width) >= left[:, None], float("-inf"))
        units, rows = chosen % size, chosen // size + torch.arange(len(places))[:, None] * width
        written = torch.cat([written[rows.view(-1)], units.view(-1, 1)], 1)
        real = totals > float("-inf")
        ended = (units == END) & real
        for row, rank in (real if step + 1 == limit else ended).nonzero().tolist():
            ids, over = written[row * width + rank, 1:].tolist(), bool(ended[row, rank])
            score = float(totals[row, rank]) / ((5 + step + 1) / 6) ** alpha
            place = int(places[row])
            found[place] = max(found[place], (over, score, ids[:-1] if over else ids))
        left = left - ended.sum(1)
        totals = totals.masked_fill(ended, float("-inf"))
        going = left > 0
        if not going.any():
            break
        kept = going.repeat_interleave(width)
        rows, written = rows.view(-1)[kept], written[kept]
        state = tuple(part[rows] for part in state)
        totals, left, places = totals[going], left[going], places[going]
    return [ids for _, _, ids in found]


def _loss(model: AffineProlog, outputs: Tensor, targets: Tensor) -> Loss:
    real = targets != IGNORED
    smoothing = model.smoothing if model.training else 0.0
    scores = F.linear(outputs[real], model.words.weight, model.bias)
    total = F.cross_entropy(scores, targets[real], reduction="sum", label_smoothing=smoothing)
    return Loss(total, int(real.sum()))


def _copied_bias(source: EncoderDecoder) -> nn.Parameter:
    softmax = source.softmax
    if not isinstance(softmax, FullSoftmax) or softmax.weight is not source.source.table.weight:
        raise ValueError("the plain networks have one table for both sides and the output")
    return nn.Parameter(softmax.bias.detach().clone())


@torch.no_grad()
def _copy_stack(ours: TransformerEncoder | TransformerDecoder, theirs: nn.Module) -> None:
    """Copy the weights layer by layer; where we drop nothing, theirs drops nothing."""
    names = {"self_attention": "self_attn", "memory_attention": "multihead_attn", "expand": "linear1"}
    names |= {"reduce": "linear2", "self_norm": "norm1"}
    with_memory = isinstance(ours, TransformerDecoder)
    names |= {"memory_norm": "norm2", "feedforward_norm": "norm3"} if with_memory else {"feedforward_norm": "norm2"}
    blocks = cast(list[Any], list(cast(nn.ModuleList, theirs.layers)))
    for mine, other in zip(ours._blocks(), blocks, strict=True):
        other.load_state_dict({f"{names[name]}.{rest}": value for (name, _, rest), value in _split(mine.state_dict())})
        other.dropout.p = mine.activation_dropout
        for attention in (other.self_attn, other.multihead_attn) if with_memory else (other.self_attn,):
            attention.dropout = mine.self_attention.dropout
    cast(nn.Module, theirs.norm).load_state_dict(ours.norm.state_dict())


def _split(weights: dict[str, Tensor]) -> list[tuple[tuple[str, str, str], Tensor]]:
    return [(name.partition("."), value) for name, value in weights.items()]
