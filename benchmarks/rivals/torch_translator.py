"""Peer of translators: an LSTM encoder–decoder with attention as a person writes it out of `torch.nn` in an afternoon.

Subwords by `tokenizers`, batches of 64 sentences of like length, Adam with a rate of 0.001, dropout 0.2, gradients
clipped at 1, teacher forcing; the weights with the best validation loss write the test translations with a beam of 5.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from workloads.frontier_sets import DataSet

from rivals.plain_translation import State, beam
from rivals.reading import read_both_sides
from unspool.data import END, PADDING, UNKNOWN, Tokens
from unspool.tasks.translate.scores import grouped, translation_scores

__all__ = ["TorchTranslator", "torch_translator"]

_UNITS, _WIDTH, _BATCH, _BEAM, _LONGEST = 8000, 256, 64, 5, 100
_SPECIAL = {PADDING: "<pad>", UNKNOWN: "<unk>", END: "</s>"}

Pairs = list[tuple[list[int], list[int]]]
"""Ids of both sides of each pair, with the end."""


class TorchTranslator(nn.Module):
    """A packed bidirectional nn.LSTM, nn.LSTM with dot-product attention after it, and an output layer.

    Args:
        units: Size of the joint vocabulary.
        width: Hidden units and embedding dimension.
        dropout: Dropout rate of embeddings and of the output layer's input.
    """

    def __init__(self, units: int, width: int = _WIDTH, dropout: float = 0.2) -> None:
        super().__init__()
        self.source, self.target = (nn.Embedding(units, width, padding_idx=PADDING) for _ in range(2))
        self.encoder = nn.LSTM(width, width // 2, bidirectional=True, batch_first=True)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.combine, self.output = nn.Linear(2 * width, width), nn.Linear(width, units)
        self.dropout = nn.Dropout(dropout)

    @property
    def bias(self) -> Tensor:
        """Bias of the output layer, whose length is the size of the vocabulary."""
        return self.output.bias

    def begin(self, source: Tokens) -> State:
        """The state before the first unit: h, c, memory, and where the source is padded; batch first."""
        words = self.dropout(self.source(source.ids.transpose(0, 1)))
        packed = pack_padded_sequence(words, source.lengths, batch_first=True, enforce_sorted=False)
        outputs, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True)
        h, c = (torch.cat([part[0], part[1]], -1) for part in last)
        return h, c, memory, ~source.mask.transpose(0, 1)

    def next(self, written: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores of what follows, (rows, vocabulary), for units written so far, (rows, steps)."""
        scores, (h, c) = self._read(written[:, -1:], *state)
        return scores[:, 0], (h, c, *state[2:])

    def forward(self, source: Tokens, target: Tensor) -> Tensor:
        """Summed cross-entropy of the targets, (batch, steps), which end in `END` and padding."""
        inputs = F.pad(target[:, :-1], (1, 0), value=END)
        scores, _ = self._read(inputs, *self.begin(source))
        return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=PADDING, reduction="sum")

    def _read(
        self, inputs: Tensor, h: Tensor, c: Tensor, memory: Tensor, padding: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, (h, c) = self.decoder(self.dropout(self.target(inputs)), (h[None], c[None]))
        fits = (states @ memory.transpose(1, 2)).masked_fill(padding[:, None], float("-inf"))
        context = fits.softmax(-1) @ memory
        combined = torch.tanh(self.combine(torch.cat([context, states], -1)))
        return self.output(self.dropout(combined)), (h[0], c[0])


def torch_translator(data: DataSet, minutes: float | None, seed: int) -> dict[str, Any]:
    """Train until the time limit, and translate the test sources."""
    began = time.process_time()
    torch.manual_seed(seed)
    order = random.Random(seed)
    tokenizer = _tokenizer(read_both_sides(data.train))
    train, valid = (_encode(tokenizer, *read_both_sides(files)) for files in (data.train, data.valid))
    model = TorchTranslator(tokenizer.get_vocab_size())
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    until = began + 60 * (1.0 if minutes is None else minutes)
    best, weights, updates, epochs, pace = float("inf"), model.state_dict(), 0, 0.0, 0.0
    while time.process_time() + pace < until:
        updates += _epoch(model, adam, train, order, until - pace)
        epochs = updates * _BATCH / len(train)
        validation = time.process_time()
        loss = _loss(model, valid)
        pace = time.process_time() - validation
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    none = "none" in data.flags
    sources, references = grouped(*read_both_sides(data.test), together=True)
    scores = translation_scores(_translate(model.eval(), tokenizer, sources), references, "none" if none else "13a")
    return {"scores": scores, "detail": f"{updates:,} updates, {epochs:.1f} epochs, nats {best:.2f} on validation"}


def _epoch(model: TorchTranslator, adam: torch.optim.Adam, train: Pairs, order: random.Random, until: float) -> int:
    """Go through the pairs once, or until a moment on the clock `time.process_time`; return the number of updates."""
    model.train()
    for number, batch in enumerate(_batches(train, order)):
        if time.process_time() >= until:
            return number
        adam.zero_grad()
        (model(*_tensors(batch)) / sum(len(target) for _, target in batch)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
    return number + 1


@torch.no_grad()
def _loss(model: TorchTranslator, examples: Pairs) -> float:
    model.eval()
    total = sum(float(model(*_tensors(batch))) for batch in _batches(examples, None))
    return total / sum(len(target) for _, target in examples)


def _translate(model: TorchTranslator, tokenizer: Tokenizer, sources: Sequence[str]) -> list[str]:
    outputs = [""] * len(sources)
    encoded = [[*encoding.ids[:_LONGEST], END] for encoding in tokenizer.encode_batch(list(sources))]
    places = sorted(range(len(sources)), key=lambda place: len(encoded[place]))
    for begin in range(0, len(places), _BATCH):
        part = places[begin : begin + _BATCH]
        source = _tokens([encoded[place] for place in part])
        written = beam(model, source, int(1.5 * len(source.ids)) + 10, _BEAM)  # type: ignore[arg-type]
        for place, ids in zip(part, written, strict=True):
            outputs[place] = tokenizer.decode(ids)
    return outputs


def _batches(examples: Pairs, order: random.Random | None) -> Iterator[Pairs]:
    """Batches of pairs with like lengths; shuffled with an order."""
    places = sorted(
        range(len(examples)), key=lambda place: (*map(len, examples[place]), order.random() if order else 0)
    )
    cuts = list(range(0, len(places), _BATCH))
    if order is not None:
        order.shuffle(cuts)
    for cut in cuts:
        yield [examples[place] for place in places[cut : cut + _BATCH]]


def _tensors(batch: Pairs) -> tuple[Tokens, Tensor]:
    targets = [torch.tensor(target) for _, target in batch]
    return _tokens([source for source, _ in batch]), pad_sequence(targets, batch_first=True, padding_value=PADDING)


def _tokens(rows: list[list[int]]) -> Tokens:
    ids = pad_sequence([torch.tensor(row) for row in rows], padding_value=PADDING)
    return Tokens(ids, torch.tensor([len(row) for row in rows]))


def _tokenizer(texts: tuple[list[str], list[str]]) -> Tokenizer:
    """Learn one vocabulary of subwords for both sides."""
    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    names = [_SPECIAL[id] for id in sorted(_SPECIAL)]
    trainer = trainers.BpeTrainer(vocab_size=_UNITS, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator([text for side in texts for text in side], trainer)
    return tokenizer


def _encode(tokenizer: Tokenizer, sources: list[str], targets: list[str]) -> Pairs:
    sides = ([[*each.ids[:_LONGEST], END] for each in tokenizer.encode_batch(side)] for side in (sources, targets))
    return list(zip(*sides, strict=True))
