"""The loops and networks that a good engineer writes without us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unspool.data import IGNORED, Characters, Labelled, Tokens, Window
from unspool.layers import FullSoftmax, Recurrent, TokenEmbedding
from unspool.models import ClassifierModel, LanguageModel, Loss, TaggerModel
from unspool.training import TrainingSettings
from unspool.training.random_state import RandomState


def bare_loop(model: Any, batches: Sequence[Any], settings: TrainingSettings) -> None:
    """Train on batches: no validation, no log, no checkpoint."""
    random = RandomState(torch.device("cpu"), lends=True)
    random.seed(settings.seed)
    with random.used():
        _bare_loop(model, batches, settings)


def _bare_loop(model: Any, batches: Sequence[Any], settings: TrainingSettings) -> None:
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    betas = (settings.beta1, settings.beta2)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, eps=settings.epsilon, fused=True)
    weights = list(model.parameters())
    model.train()
    carry = None
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        total, count, carry = model.loss(batch, carry)
        (total / count).backward()
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(weights, settings.clip)
        optimizer.step()


class PlainEmbedding(nn.Module):
    """nn.Embedding, beside a convolution over characters where there are any, run once for each different word."""

    def __init__(self, source: TokenEmbedding) -> None:
        super().__init__()
        self.words = copied_table(source.table)
        self.word_dropout = source.word_dropout
        composed = source.characters
        self.characters = self.filters = None
        if composed is not None:
            if composed.kind != "convolution":
                raise ValueError("the plain network composes words by convolution only")
            self.characters, self.filters = copied_table(composed.embedding), None
            old = composed.filters
            self.filters = nn.Conv1d(old.in_channels, old.out_channels, old.kernel_size[0], padding=old.padding[0])
            self.filters.load_state_dict(old.state_dict())

    def forward(self, tokens: Tokens) -> Tensor:
        ids = tokens.ids if self.word_dropout is None else self.word_dropout(tokens.ids)
        vectors: Tensor = self.words(ids)
        spelled: Characters | None = tokens.characters
        if self.characters is None or self.filters is None or spelled is None:
            return vectors
        found = self.filters(self.characters(spelled.ids).permute(1, 2, 0))
        padding = torch.arange(found.shape[-1])[None] >= spelled.lengths[:, None]
        words = found.masked_fill(padding[:, None], float("-inf")).amax(-1).relu()
        return torch.cat([vectors, words[spelled.index]], dim=-1)


class PlainTagger(nn.Module):
    """Embedding, packed nn.LSTM, nn.Linear, cross-entropy."""

    def __init__(self, source: TaggerModel) -> None:
        super().__init__()
        if source.crf is not None:
            raise ValueError("the plain tagger has no CRF")
        self.embedding, self.lstm = PlainEmbedding(source.embedding), copied_lstm(source.encoder)
        self.dropout, self.output = nn.Dropout(source.input_dropout.rate), copied_linear(source.output)

    def loss(self, batch: Labelled, carry: None = None) -> Loss:
        states = _packed(self.lstm, self.dropout(self.embedding(batch.tokens)), batch.tokens.lengths)
        scores = self.output(self.dropout(states)).flatten(0, 1)
        total = F.cross_entropy(scores, batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")
        return Loss(total, int(batch.tokens.lengths.sum()))


class PlainClassifier(nn.Module):
    """Embedding, packed nn.LSTM, maximum over time, nn.Linear, cross-entropy."""

    def __init__(self, source: ClassifierModel) -> None:
        super().__init__()
        if source.encoder is None or source.readout.pooling != "max":
            raise ValueError("the plain classifier takes the maximum over a recurrent network's states")
        self.embedding, self.lstm = PlainEmbedding(source.embedding), copied_lstm(source.encoder)
        self.dropout, self.output = nn.Dropout(source.input_dropout.rate), copied_linear(source.output)

    def loss(self, batch: Labelled, carry: None = None) -> Loss:
        lengths = batch.tokens.lengths
        vectors = self.dropout(self.embedding(batch.tokens))
        states = _packed(self.lstm, vectors, lengths, padding=float("-inf"))
        scores = self.output(self.dropout(states.amax(0)))
        return Loss(F.cross_entropy(scores, batch.targets, reduction="sum"), len(batch.targets))


class PlainLanguageModel(nn.Module):
    """nn.Embedding, nn.LSTM, a product with the embedding's weights, cross-entropy; the state carried, detached."""

    def __init__(self, source: LanguageModel) -> None:
        super().__init__()
        softmax = source.softmax
        if not isinstance(softmax, FullSoftmax):
            raise ValueError("the plain language model has a full softmax")
        self.embedding, self.lstm = copied_table(source.embedding.table), copied_lstm(source.decoder)
        self.dropout = nn.Dropout(source.input_dropout.rate)
        self.project = None if softmax.project is None else copied_linear(softmax.project)
        tied = softmax.weight is source.embedding.table.weight
        self.weight = self.embedding.weight if tied else nn.Parameter(softmax.weight.detach().clone())
        self.bias = nn.Parameter(softmax.bias.detach().clone())

    def loss(self, batch: Window, carry: tuple[Tensor, Tensor] | None = None) -> Loss:
        states, (h, c) = self.lstm(self.dropout(self.embedding(batch.inputs)), carry)
        states = self.dropout(states).flatten(0, 1)
        scores = F.linear(states if self.project is None else self.project(states), self.weight, self.bias)
        targets = batch.targets.flatten()
        total = F.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")
        return Loss(total, int((targets != IGNORED).sum()), (h.detach(), c.detach()))


def plain_network(model: nn.Module) -> Any:
    """The same network out of torch.nn's modules, with a copy of the weights.

    Raises:
        ValueError: If it has a part that is not written here.
    """
    if isinstance(model, TaggerModel):
        return PlainTagger(model)
    if isinstance(model, ClassifierModel):
        return PlainClassifier(model)
    assert isinstance(model, LanguageModel)
    return PlainLanguageModel(model)


def _packed(lstm: nn.LSTM, vectors: Tensor, lengths: Tensor, padding: float = 0.0) -> Tensor:
    packed = pack_padded_sequence(vectors, lengths, enforce_sorted=False)
    states: Tensor = pad_packed_sequence(lstm(packed)[0], padding_value=padding)[0]
    return states


def copied_table(table: nn.Embedding) -> nn.Embedding:
    made = nn.Embedding(table.num_embeddings, table.embedding_dim, padding_idx=table.padding_idx)
    made.load_state_dict(table.state_dict())
    return made


def copied_linear(linear: nn.Linear) -> nn.Linear:
    made = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None)
    made.load_state_dict(linear.state_dict())
    return made


def copied_lstm(stack: Recurrent) -> nn.LSTM:
    made = nn.LSTM(
        stack.input_size,
        stack.hidden_size,
        stack.num_layers,
        bidirectional=stack.directions == 2,
        dropout=stack.dropout.rate if stack.num_layers > 1 else 0.0,
    )
    with torch.no_grad():
        for depth, cells in enumerate(stack.layers):
            for direction, cell in enumerate(cast(nn.ModuleList, cells)):
                suffix = f"_l{depth}" + ("_reverse" if direction else "")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(made, name + suffix).copy_(getattr(cell, name))
    return made
