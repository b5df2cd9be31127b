"""Joey NMT's networks with our weights, its search, and our batches in its form.

Its own builder makes the networks, its own `search` decodes. Where ours differ without reason they are brought
together: the output layer gets a bias, the first LSTM state two products in place of one, norms one epsilon, and
dropout stands in equally many places. Joey begins a target with a unit of its own, which here is the unknown unit with
the end's vector; neither side may write it.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any, cast

import torch
from torch import Tensor, nn

from unspool.data import END, IGNORED, PADDING, UNKNOWN, Paired, Tokens
from unspool.layers import BilinearAttention, Projected, Recurrent, TransformerDecoder, TransformerEncoder
from unspool.models import EncoderDecoder, LateAttentionDecoder, Loss


def missing() -> str | None:
    """Why Joey can't take part; None if it can."""
    if importlib.util.find_spec("joeynmt") is None:
        return "it is not installed (pip install joeynmt)"
    try:
        import joeynmt.model  # type: ignore[import-not-found, unused-ignore]
        import joeynmt.search  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError as error:
        return f"it can't be imported here ({error})"
    return None


class Joey(nn.Module):
    """Joey's network behind our `loss`."""

    def __init__(self, source: EncoderDecoder) -> None:
        super().__init__()
        from joeynmt.model import build_model

        units = _Units(len(source.target.table.weight))
        recurrent = isinstance(source.decoder, LateAttentionDecoder)
        config = _recurrent(source) if recurrent else _transformer(source)
        logging.disable(logging.INFO)  # Joey announces every network
        self.model = build_model(config, units, units)
        logging.disable(logging.NOTSET)
        self.model.decoder.output_layer.bias = nn.Parameter(source.softmax.bias.detach().clone())
        with torch.no_grad():
            self.model.src_embed.lut.weight.copy_(source.source.table.weight)
            self._copy_recurrent(source) if recurrent else self._copy_transformer(source)
        self.smoothing = source.label_smoothing

    def loss(self, batch: JoeyBatch, carry: None = None) -> Loss:
        """What Joey computes in training, its count of right units included."""
        self.model.loss_function = ("crossentropy", self.smoothing if self.training else 0.0)
        total, *_ = self.model(return_type="loss", **vars(batch.joey))
        return Loss(total, batch.joey.ntokens)

    def translate(self, batch: JoeyBatch, limit: int, width: int) -> list[list[int]]:
        """Units of every sentence; a width of 1 is the greedy search."""
        from joeynmt.search import search

        options = {"generate_unk": False, "min_output_length": 0}
        rows, *_ = search(self.model, batch.joey, limit, width if width > 1 else 0, 1.0, **options)
        return [_until_end(row) for row in rows.astype(int).tolist()]

    def _copy_recurrent(self, source: EncoderDecoder) -> None:
        ours, theirs = source.decoder, self.model.decoder
        _copy_lstm(cast(Recurrent, source.encoder), self.model.encoder.rnn)
        _copy_lstm(ours.stack, theirs.rnn)
        theirs.attention.key_layer.weight.copy_(cast(BilinearAttention, ours.attention).weight)
        assert source.combine is not None
        context, state = torch.split(source.combine.weight, [ours.attention.memory_size, ours.stack.output_size], 1)
        theirs.att_vector_layer.weight.copy_(torch.cat([state, context], 1))
        theirs.att_vector_layer.bias.copy_(source.combine.bias)
        theirs.bridge_layer = nn.Linear(ours.bridge.project.in_features, ours.bridge.project.out_features)
        theirs.bridge_layer.load_state_dict(ours.bridge.project.state_dict())
        theirs._init_hidden = lambda final: torch.tanh(theirs.bridge_layer(final))[None].chunk(2, -1)

    def _copy_transformer(self, source: EncoderDecoder) -> None:
        encoder: TransformerEncoder = cast(Projected, source.encoder).stack
        decoder: TransformerDecoder = source.decoder.stack
        for mine, theirs in ((encoder, self.model.encoder), (decoder, self.model.decoder)):
            assert mine.positions is not None
            theirs.pe.pe[0, :512] = mine.positions.rows(512, source.target.table.weight)
            theirs.layer_norm.load_state_dict(mine.norm.state_dict())
            _copy_layers(mine, theirs)
        for module in self.model.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = decoder.norm.eps


class JoeyBatch:
    """One of our batches as Joey's: the batch first, longest source first; begun by one unit, ended by another."""

    def __init__(self, source: Tokens, batch: Paired | None = None) -> None:
        from joeynmt.batch import Batch  # type: ignore[import-not-found, unused-ignore]

        assert (source.lengths[1:] <= source.lengths[:-1]).all(), "Joey packs the longest source first"
        whole = None
        if batch is not None:
            targets = batch.targets.masked_fill(batch.targets == IGNORED, PADDING)
            whole = torch.cat([torch.full_like(targets[:1], UNKNOWN), targets]).transpose(0, 1).contiguous()
        self.joey = Batch(
            src=source.ids.transpose(0, 1).contiguous(),
            src_length=source.lengths,
            src_prompt_mask=None,
            trg=whole,
            trg_prompt_mask=None,
            indices=torch.arange(len(source.lengths)),
            device=torch.device("cpu"),
            pad_index=PADDING,
            eos_index=END,
        )


class _Units:
    """What Joey asks of a vocabulary."""

    pad_index, unk_index, bos_index, eos_index, sep_index = PADDING, UNKNOWN, UNKNOWN, END, None
    specials = ("<pad>", "<unk>", "</s>")
    lang_tags = ()

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def lookup(self, unit: str) -> int:
        return self.specials.index(unit)


def _recurrent(source: EncoderDecoder) -> dict[str, Any]:
    stack, rate = source.decoder.stack, source.input_dropout.rate
    encoder = cast(Recurrent, source.encoder)
    embeddings = {"embedding_dim": stack.input_size, "dropout": rate}
    common = {"type": "recurrent", "rnn_type": "lstm", "embeddings": embeddings}
    return {
        "encoder": {**common, "hidden_size": encoder.hidden_size, "bidirectional": True},
        "decoder": {
            **common,
            "hidden_size": stack.hidden_size,
            "attention": "luong",
            "input_feeding": False,
            "hidden_dropout": rate,
        },
        "tied_embeddings": True,
        "tied_softmax": True,
    }


def _transformer(source: EncoderDecoder) -> dict[str, Any]:
    stack = source.decoder.stack
    layer = stack._blocks()[0]
    side = {
        "type": "transformer",
        "embeddings": {"embedding_dim": stack.size, "scale": True, "dropout": layer.dropout},
        "hidden_size": stack.size,
        "ff_size": layer.expand.out_features,
        "num_layers": len(stack.layers),
        "num_heads": layer.self_attention.heads,
        "dropout": layer.dropout,
        "layer_norm": "pre",
    }
    return {"encoder": side, "decoder": side, "tied_embeddings": True, "tied_softmax": True}


def _copy_lstm(ours: Recurrent, theirs: nn.LSTM) -> None:
    for cell, suffix in zip(cast(nn.ModuleList, ours.layers[0]), ("_l0", "_l0_reverse"), strict=False):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, name + suffix).copy_(getattr(cell, name))


def _copy_layers(ours: TransformerEncoder | TransformerDecoder, theirs: Any) -> None:
    names = {"self_attention": "src_src_att", "self_norm": "layer_norm"}
    if isinstance(ours, TransformerDecoder):
        names = {"self_attention": "trg_trg_att", "self_norm": "x_layer_norm"}
        names |= {"memory_attention": "src_trg_att", "memory_norm": "dec_layer_norm"}
    for mine, other in zip(ours._blocks(), theirs.layers, strict=True):
        for name, their_name in names.items():
            part, their_part = getattr(mine, name), getattr(other, their_name)
            if isinstance(part, nn.LayerNorm):
                their_part.load_state_dict(part.state_dict())
            else:
                _copy_attention(part, their_part)
                their_part.dropout.p = part.dropout
        feed = other.feed_forward
        feed.layer_norm.load_state_dict(mine.feedforward_norm.state_dict())
        feed.pwff_layer[0].load_state_dict(mine.expand.state_dict())
        feed.pwff_layer[3].load_state_dict(mine.reduce.state_dict())
        feed.pwff_layer[2].p = mine.activation_dropout


def _copy_attention(ours: Any, theirs: Any) -> None:
    weights: tuple[Tensor, ...] = ours.in_proj_weight.chunk(3)
    biases: tuple[Tensor, ...] = ours.in_proj_bias.chunk(3)
    for layer, weight, bias in zip((theirs.q_layer, theirs.k_layer, theirs.v_layer), weights, biases, strict=True):
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    theirs.output_layer.load_state_dict(ours.out_proj.state_dict())


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(END)] if END in row else [unit for unit in row if unit != PADDING]
