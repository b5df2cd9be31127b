"""`Recommender`, the task that predicts the next item of a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import Bucketed, DataSource, Examples, Labelled, RowsInMemory, Sequences, Tokens, evaluation_batches
from unspool.errors import DataError, UsageError, counted, option
from unspool.layers import FullSoftmax, SampledSoftmax, initialize
from unspool.models import NextItemModel
from unspool.settings import Settings
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.finite import check_output
from unspool.tasks.recommend.data import Histories, open_data
from unspool.tasks.recommend.fitted import FittedRecommender, known_histories
from unspool.tasks.recommend.plan import RULES
from unspool.tasks.recommend.recommendation import Recommendation
from unspool.tasks.recommend.scores import Ranked, rank_of_targets, ranking_scores
from unspool.tasks.recommend.settings import RecommenderSettings
from unspool.tasks.task import Task
from unspool.tasks.trainable import batched_tokens, device_of

__all__ = ["Recommendation", "Recommender"]

_FULL = 20_000  # most items of a full softmax in training, with loss = auto
_QUICK = 5_000  # most targets that are ranked after each epoch
_SCORES = 8_000_000  # scores in memory


class Recommender(Task[Histories, FittedRecommender]):
    """Recommender: predicts the next item of a history of items."""

    name: ClassVar[str] = "recommend"
    _rules = RULES
    settings_type: ClassVar[type[Settings]] = RecommenderSettings
    fitted_type: ClassVar[type[FittedRecommender]] = FittedRecommender
    summary: ClassVar[str] = "Predicts the next item of a history."

    def __init__(self, settings: RecommenderSettings | None = None, **values: Any) -> None:
        super().__init__(settings, **values)

    @property
    def metric(self) -> tuple[str, bool]:
        return f"ndcg@{self.settings.k}", True

    def _columns_in_memory(self) -> tuple[str, ...]:
        return "user", "item", "time"

    def _read(self, source: DataSource) -> Histories:
        reader = open_data(self.settings, source, self._read_as)
        data = self.settings.data
        examples = Histories.of(reader, data.hold_out)
        if self._read_as is None:
            examples = examples.with_enough_events(data.min_item_events, data.min_user_events)
        self._remember(reader)
        return examples

    # ---- network

    def _build(self) -> nn.Module:
        network, items = self.settings.network, self.fitted.items
        encoder = items.encoder(network, self._cell)
        tied, size = encoder.embedding.table.weight, len(items) + 1
        softmax: FullSoftmax
        if network.loss == "sampled" or (network.loss == "auto" and len(items) > _FULL):
            softmax = SampledSoftmax(encoder.size, size, network.negatives, tied=tied)
        else:
            softmax = FullSoftmax(encoder.size, size, tied=tied)
        model = NextItemModel(
            encoder.embedding, encoder.stack, softmax, dropout=network.dropout, variational=network.variational
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _start(self, examples: Histories) -> None:
        pass

    def _make_network(self) -> nn.Module:
        model = super()._make_network()
        return model

    def _source(self, examples: Histories) -> Bucketed[Any]:
        return bucketed(self._encode(examples), self.settings.training)

    def _encode(self, examples: Histories) -> Examples:
        flat, offsets = known_histories(self.fitted.items, examples)
        most = self.settings.data.max_history
        pieces = []
        for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
            while end - begin > 1:
                start = max(begin, end - most - 1)
                pieces.append(flat[start:end] + 1)
                end = start + 1
        ids = [piece.astype(np.int32) for piece in pieces]
        return Examples(Sequences.of(piece[:-1] for piece in ids), Sequences.of(piece[1:] for piece in ids))

    def _queries(self, examples: Histories, most: int | None = None):
        table = self.fitted.items.table(examples.names)
        flat = table[examples.flat]
        out = []
        for u in range(len(examples)):
            h = flat[examples.offsets[u]:examples.offsets[u+1]]
            for t in range(examples.targets[u], len(h)):
                known = h[:t]
                out.append((known[known >= 0], h[t]))
        if most is not None and len(out) > most:
            out = out[:: len(out) // most + 1]
        return out

    def _score(self, model: nn.Module, examples: Histories) -> dict[str, float]:
        return self._rank(model, self._queries(examples, _QUICK))

    def _final_score(self, model, examples):
        return self._rank(model, self._queries(examples))

    @torch.no_grad()
    def logits(self, model, queries):
        most = self.settings.data.max_history
        ex = Examples(Sequences.of((h[-most:] + 1).astype(np.int32) for h, _ in queries))
        for places, batch in evaluation_batches(ex, batch_tokens=batched_tokens(self.settings), batch_size=max(1, _SCORES // len(self.fitted.items))):
            yield places, model(batch.to(device_of(model)))[:, 1:].cpu().numpy()

    def _rank(self, model, queries):
        k = self.settings.k
        ranks = np.zeros(len(queries)); lists = np.zeros((len(queries), k), np.int64)
        for places, scores in self.logits(model, queries):
            for row, place in enumerate(places):
                scores[row, queries[place][0]] = -np.inf
            ranks[places] = rank_of_targets(scores, np.array([queries[place][1] for place in places]))
            lists[places] = torch.from_numpy(scores).topk(k).indices.numpy()
        return ranking_scores(Ranked(ranks, lists, np.full(len(lists), k)), len(self.fitted.items))

    def _baselines(self, train, held_out):
        return {}

    def predict(self, texts):
        raise NotImplementedError

    def trace(self, text, edits=()):
        raise NotImplementedError
