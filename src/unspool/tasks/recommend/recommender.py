"""`Recommender`, the task that predicts the next item of a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import (
    IGNORED,
    Bucketed,
    DataSource,
    Examples,
    Labelled,
    Layout,
    Paths,
    Reader,
    Sequences,
    Tokens,
    Unlabelled,
    evaluation_batches,
)
from unspool.errors import UsageError, counted, option
from unspool.inputs.items.fitted import History
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edit, Edits
from unspool.inspection.fork import Outcomes
from unspool.layers import FeatureTable, FullSoftmax, SampledSoftmax, initialize
from unspool.models import NextItemModel
from unspool.settings import Settings
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.recommend.data import Histories, in_memory, open_data, unlabelled_histories
from unspool.tasks.recommend.fitted import FittedRecommender, counted_histories, known_histories
from unspool.tasks.recommend.influence import influence_map
from unspool.tasks.recommend.mixture import fit_mixture, mixed_scores
from unspool.tasks.recommend.plan import RULES
from unspool.tasks.recommend.ranking import SCORES_IN_MEMORY, Queries, Scores, most_targets, rank_by, ranked
from unspool.tasks.recommend.recommendation import Recommendation
from unspool.tasks.recommend.scores import ranking_scores
from unspool.tasks.recommend.settings import RecommenderSettings
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of
from unspool.training.random_state import seeded

if TYPE_CHECKING:
    from unspool.tasks.recommend.keywords import RecommenderKeywords

__all__ = ["Recommendation", "Recommender"]

_FULL = 20_000  # most items of a full softmax in training, with loss = auto
_QUICK = 5_000  # most targets that are ranked after each epoch
_ALIKE, _FEW_LISTS = 0.5, 20  # share of distinct lists below which a note says so, of at least so many
_TIES = 0.01  # share of events at equal times above which a note says so
_BEGINNING = 1e-9  # share of an item without events, after an empty history


class Recommender(Task[Histories, FittedRecommender]):
    """Recommender: predicts the next item of a history of items.

    Example:
        >>> from unspool import Recommender
        >>> model = Recommender(titles="movies.csv").fit("ratings.csv")  # doctest: +SKIP
        >>> model.predict(["Alien", "Brazil"]).items[:2]  # doctest: +SKIP
        ['Blade Runner (1982)', 'Aliens (1986)']
    """

    name: ClassVar[str] = "recommend"
    _reads_words: ClassVar[bool] = True
    _rules = RULES
    settings_type: ClassVar[type[Settings]] = RecommenderSettings
    fitted_type: ClassVar[type[FittedRecommender]] = FittedRecommender
    summary: ClassVar[str] = "Predicts the next item of a history."

    def __init__(self, settings: RecommenderSettings | None = None, **values: Unpack[RecommenderKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def metric(self) -> tuple[str, bool]:
        return f"ndcg@{self.settings.k}", True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return "user", "item", "time"

    def _data_source(self, data: DataLike, labels: Iterable[Any] | None = None, *, part: str = "") -> DataSource:
        """Return paths or rows as in other tasks; histories in memory are lists of items, or a mapping of users."""
        if labels is not None:
            raise UsageError("a recommender learns from histories alone, and labels came; pass the histories only")
        return super()._data_source(in_memory(data), part=part)

    def _read(self, source: DataSource) -> Histories:
        data = self.settings.data
        reader = open_data(self.settings, source, self._read_as)
        examples = Histories.of(reader, data.hold_out)
        if self._read_as is None:  # training data
            examples = examples.with_enough_events(data.min_item_events, data.min_user_events)
        else:
            examples.refuse_short()
        self._remember(reader)
        return examples

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Load a trained model from its folder; see `Task.load`."""
        task = super().load(folder, cell=cell)
        task._read_as = task._read_as or Layout()
        return task

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> Reader[Unlabelled]:
        """Open histories for reading: tables as in training, or a history a line; see `Task.read_inputs`."""
        items, before = self.fitted.items, self._read_as
        return unlabelled_histories(
            self.settings, paths, before, items.value, items.places, self.fitted.user_names, format=format
        )

    def _checked_text(self, text: Any, where: str) -> Any:
        return self.fitted.items.value(text, where)

    def _is_one(self, texts: Any) -> bool:
        return self.fitted.items.is_one(texts)

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        network, items = self.settings.network, self.fitted.items
        encoder = items.encoder(network, self._cell)
        table, size, trained = encoder.embedding.table, len(items) + 1, items.trained + 1
        tied = table if isinstance(table, FeatureTable) else table.weight
        softmax: FullSoftmax
        if network.loss == "sampled" or (network.loss == "auto" and items.trained > _FULL):
            softmax = SampledSoftmax(encoder.size, size, network.negatives, tied=tied, trained=trained)
        else:
            softmax = FullSoftmax(encoder.size, size, tied=tied, trained=trained)
        model = NextItemModel(
            encoder.embedding, encoder.stack, softmax, dropout=network.dropout, variational=network.variational
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _start(self, examples: Histories) -> None:
        softmax, counts = self.model.softmax, self.fitted.items.id_counts()
        softmax.start_from(counts.numpy())
        if isinstance(softmax, SampledSoftmax):
            softmax.sample_by(counts)
        self._level_new_items(self.model)

    @torch.no_grad()
    def _level_new_items(self, model: Any) -> None:
        """Give items that do not occur in training no vector of their own, and the mean bias of those that do."""
        first, softmax = self.fitted.items.trained + 1, model.softmax
        softmax.bias[first:] = softmax.bias[1:first].mean()
        model.embedding.table.weight[first : len(softmax.bias)] = 0

    def _summary(self) -> str:
        network = self.settings.network
        own = super()._summary()
        if network.network == "window":
            own = (
                f"window of {counted(network.window, 'items')}, {counted(network.layers, 'layers')} of {network.hidden}"
            )
        return f"{own}, {self.fitted.items.summary()}"

    def _source(self, examples: Histories) -> Bucketed[Tokens | Labelled]:
        return bucketed(self._encode(examples), self.settings.training)

    def _encode(self, examples: Histories) -> Examples:
        """Cut histories into pieces of at most `max_history` items, each item predicted once from those before it."""
        flat, offsets = known_histories(self.fitted.items, examples)
        most, inputs, targets = self.settings.data.max_history, [], []
        users = self.fitted.user_places(examples.users)
        for begin, end, user in zip(offsets[:-1].tolist(), offsets[1:].tolist(), users, strict=True):
            while end - begin > 1:
                start = max(begin, end - most - 1)
                piece = (flat[start:end] + 1).astype(np.int32)
                first = piece[:1] if start == begin else np.array([IGNORED], np.int32)
                heads = np.full(len(user), IGNORED, np.int32)
                heads[-1:] = first[: len(heads)]
                inputs.append(np.concatenate([(user + 1).astype(np.int32), piece[:-1]]))
                targets.append(np.concatenate([heads, piece[1:]]))
                end = start + 1
        return Examples(Sequences.of(inputs), Sequences.of(targets))

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: Histories) -> dict[str, float]:
        """Score the network alone on up to 5,000 targets; on fewer if there are very many items."""
        most = min(_QUICK, most_targets(20 * len(self.fitted.items)))
        return self._scores(model, self._queries(examples, most))

    def _final_score(self, model: nn.Module, examples: Histories) -> dict[str, float]:
        return self._scores(model, self._targets(examples))

    def _targets(self, examples: Histories) -> Queries:
        """Return all targets of some histories; of very many with very many items, evenly spaced ones."""
        return self._queries(examples, most_targets(len(self.fitted.items)))

    def _queries(self, examples: Histories, most: int | None = None) -> Queries:
        """Return the targets of some histories, with the features of their users."""
        items = self.fitted.items
        users = None if items.user_features is None else self.fitted.user_places(examples.users)
        return Queries.of(items, examples, most, users)

    def _scores(self, model: nn.Module, queries: Queries) -> dict[str, float]:
        items = len(self.fitted.items)
        return ranking_scores(ranked(queries, self._scored(model, queries), items, self.settings.k), items)

    def _scored(self, model: nn.Module, queries: Queries) -> Scores:
        """Yield the scores of all items, minus infinity for hidden ones, block by block."""
        for places, logits in self._logits(model, queries.with_users()):
            histories = [queries.histories[place] for place in places]
            yield places, self._mixed(logits, histories, histories if self.fitted.hides else [])

    def _mixed(
        self, logits: NDArray[np.float32], histories: Sequence[NDArray[Any]], hidden: Sequence[NDArray[Any]]
    ) -> NDArray[np.float32]:
        return mixed_scores(self.fitted.mixture, self.fitted.counts, logits, histories, hidden, self.fitted.alike)

    @torch.no_grad()
    def _logits(self, model: nn.Module, histories: Sequence[NDArray[np.int64]]) -> Scores:
        """Yield the logits of the network, (queries, items), block by block; log popularity after an empty history.

        A history may begin with the features of its user.
        """
        items = self.fitted.items
        if len(histories) == 1 and len(histories[0]):
            ids = torch.from_numpy(self._ids(histories[0])).to(device_of(model))
            yield np.zeros(1, np.int64), model.logits_of_one(ids).float().cpu().numpy()[None, 1:]  # type: ignore[operator]
            return
        filled = np.array([place for place, history in enumerate(histories) if len(history)], np.int64)
        if len(empty := np.setdiff1d(np.arange(len(histories)), filled)):
            shares = np.log(np.maximum(items.counts / items.counts.sum(), _BEGINNING)).astype(np.float32)
            yield empty, np.repeat(shares[None], len(empty), 0)
        if not len(filled):
            return
        examples = Examples(Sequences.of(self._ids(histories[place]).astype(np.int32) for place in filled))
        size = max(1, SCORES_IN_MEMORY // len(items))
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings), batch_size=size):
            tokens: Any = batch
            yield filled[places], model(tokens.to(device_of(model)))[:, 1:].cpu().numpy()

    def _ids(self, history: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ids that the network reads: the features of the user, then the last items."""
        most, items = self.settings.data.max_history, self.fitted.items.only_items(history)
        if len(items) == len(history):
            return history[-most:] + 1
        return np.concatenate([history[history >= len(self.fitted.items)], items[-most:]]) + 1

    def _finish(self, splits: Splits[Histories], score: Callable[[], None]) -> list[str]:
        """Fit the mixture, compute the final scores, and say when most lists are alike."""
        self._level_new_items(self.model)
        notes = [] if splits.valid is None else self._mix(splits.valid.examples)
        score()
        held_out = splits.test or splits.valid
        if held_out is not None and self.record is not None:
            notes += self.fitted.score_notes(held_out.examples)
            scores = self.record.metrics["valid" if splits.test is None else "test"]
            if len(held_out.examples) >= _FEW_LISTS and scores["distinct_lists"] < _ALIKE:
                notes.append(
                    f"warning: only {scores['distinct_lists']:.0%} of the lists differ: most people get the same "
                    f"{self.settings.k} items; train longer, or with less {option('dropout', None)}"
                )
        return notes

    def _mix(self, held_out: Histories) -> list[str]:
        """Fit the weights of the mixture to validation data."""
        fitted = self.fitted
        if fitted.counts is None:
            return []
        queries = self._queries(held_out, max(100, SCORES_IN_MEMORY // len(fitted.items)))
        usable = [
            place
            for place, (history, target) in enumerate(zip(queries.histories, queries.targets, strict=True))
            if len(history) and target >= 0 and not (fitted.hides and target in history)
        ]
        if not usable:
            return []
        queries = queries.take(np.array(usable))
        logits = np.zeros((len(queries), len(fitted.items)), np.float32)
        for places, block in self._logits(self.model, queries.with_users()):
            logits[places] = block
        hidden = queries.histories if fitted.hides else []
        fitted.mixture, before, after = fit_mixture(
            fitted.counts, logits, queries.histories, hidden, queries.targets, fitted.alike
        )
        weights = fitted.mixture
        return [
            f"mixed with counts by weights from validation: network {weights.network:.2f}, chain {weights.chain:.2f}, "
            f"neighbours {weights.neighbours:.2f}; nats {before:.4g} before, {after:.4g} after"
        ]

    def _improvements(self) -> list[str]:
        return [] if self.settings.mix else [f"a mixture of the network and counts ({option('mix')})"]

    def _notes(self, train: Histories, held_out: Histories | None) -> list[str]:
        items = self.fitted.items
        features = (("items", items.item_features), ("users", items.user_features))
        notes = [f"features of {whose}: {each.summary()}" for whose, each in features if each is not None]
        if train.ties > _TIES:
            notes.append(f"{train.ties:.0%} of the events have the time of the one before, and keep the file's order")
        return [*notes, *(f"left out {count:,} {what}" for what, count in train.left_out.items())]

    def _baselines(self, train: Histories, held_out: Histories) -> dict[str, dict[str, float]]:
        fitted, k = self.fitted, self.settings.k
        counts, queries = counted_histories(fitted.items, train), self._targets(held_out)
        functions = {
            "popularity": counts.popular,
            "Markov chain": counts.chained,
            "item neighbours": counts.near,
        }
        items = len(fitted.items)
        return {
            name: ranking_scores(rank_by(queries, function, items, k, hide=fitted.hides), items)
            for name, function in functions.items()
        }

    # ---- new items, tables of users ------------------------------------------------------------------------------

    @torch.no_grad()
    def add_items(self, table: str) -> int:
        """Add new items to a trained model, which ranks them by their features alone.

        Items of the table that the model has keep their features. `save` keeps the new ones.

        Args:
            table: Table with the columns of the training's table of items.

        Returns:
            Number of new items.

        Raises:
            DataError: If the table is missing or bad, or lacks a column.
            UsageError: If the model was trained without features of items.
        """
        self._need_model()
        before, old = len(self.fitted.items), self.model
        count = self.fitted.add_items(table)
        if count:
            end = before + 1  # ids of users' features follow those of the items
            with seeded(self.settings.training.seed):
                model: Any = self._make_network().to(device_of(old))
            stored = {**old.state_dict()}
            for name, weight in model.state_dict().items():
                if weight.shape != stored[name].shape:
                    more = stored[name][end - 1 : end].expand(count, *weight.shape[1:])
                    stored[name] = torch.cat([stored[name][:end], more, stored[name][end:]])
            model.load_state_dict(stored)
            self.model = model.eval()
            self._level_new_items(self.model)
        return count

    def use_users(self, table: str) -> None:
        """Read the features of users from another table from now on.

        Args:
            table: Table with the columns of the training's table of users.

        Raises:
            UsageError: If the model was trained without features of users.
        """
        if self.fitted.items.user_features is None:
            raise UsageError(
                f"this model learned no features of users, so it takes no table of users; train it with "
                f"{option('users', 'TABLE')}"
            )
        self.fitted.users_table = table

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str, *, k: int | None = None, exclude: Iterable[str] = ()) -> Recommendation: ...
    @overload
    def predict(self, texts: Iterable[Any], *, k: int | None = None, exclude: Iterable[str] = ()) -> Any: ...
    def predict(self, texts: Any, *, k: int | None = None, exclude: Iterable[str] = ()) -> Any:
        """Recommend the next items for one history, or for each of several.

        Args:
            texts: A history: a list of items, oldest first, each a title or a name in the data; or a text with commas
                between. Of several histories, a list.
            k: Number of items; by the setting `k` if omitted.
            exclude: Items that are not recommended.

        Returns:
            One recommendation for one history, a list for several.

        Raises:
            DataError: If there is no such item, or a history is empty.
            UsageError: If `k` is not positive, or the model has not been trained.
        """
        if k is not None and k < 1:
            raise UsageError(f"k = {k}: expected at least 1")
        excluded = [exclude] if isinstance(exclude, str) else list(exclude)
        return self._for_each(texts, lambda listed: self._recommended(listed, k, excluded))

    def predict_each(self, texts: Sequence[Any]) -> list[Recommendation]:
        """Recommend for each of several histories, each a text or a list; see `Task.predict_each`."""
        return self.recommend(texts)

    def recommend(
        self, histories: Sequence[Any], *, k: int | None = None, exclude: Iterable[str] = ()
    ) -> list[Recommendation]:
        """Recommend for each of several histories, each a list of items or a text; see `predict`."""
        self._need_model()
        listed = [self._checked_text(history, f"text {number}") for number, history in enumerate(histories, 1)]
        return self._recommended(listed, k, list(exclude))

    def _recommended(self, histories: list[History], k: int | None, exclude: list[str]) -> list[Recommendation]:
        items = self.fitted.items
        places = [items.places(history, f"text {number}") for number, history in enumerate(histories, 1)]
        excluded = items.places(exclude, "exclude") if exclude else np.empty(0, np.int64)
        if not places:
            return []
        rows: list[Recommendation | None] = [None] * len(places)
        for indices, scores in self._hidden_scores(places, excluded):
            for index, row in zip(indices, scores, strict=True):
                rows[index] = self._recommendation(places[index], row, min(k or self.settings.k, len(items)), index)
        return [row for row in rows if row is not None]

    def _hidden_scores(self, places: Sequence[NDArray[np.int64]], excluded: NDArray[np.int64]) -> Scores:
        for indices, logits in self._logits(self.model, places):
            histories = [self.fitted.items.only_items(places[index]) for index in indices]
            seen = histories if self.fitted.hides else [excluded] * len(histories)
            hidden = [np.concatenate([each, excluded]) for each in seen] if len(excluded) else seen
            yield indices, self._mixed(logits, histories, hidden if self.fitted.hides or len(excluded) else [])

    def _recommendation(self, history: NDArray[np.int64], scores: NDArray[np.float32], k: int, index: int) -> Any:
        items, row = self.fitted.items, torch.from_numpy(scores)
        best = row.topk(k)
        if not best.values[0].isneginf():  # minus infinity: all items are hidden
            check_output(best.values[0], f"text {index + 1}")
        shares = (best.values - row.logsumexp(0)).exp()
        listed = [
            (place, share) for place, share in zip(best.indices.tolist(), shares.tolist(), strict=True) if share > 0
        ]
        return Recommendation(
            [items.title(place) for place in history.tolist()],
            [items.title(place) for place, _ in listed],
            [share for _, share in listed],
            [items.items[place] for place, _ in listed],
        )

    def _questions(self, examples: Histories) -> Questions:
        items, queries = self.fitted.items, self._queries(examples)
        usable = [place for place, history in enumerate(queries.histories) if len(history)]
        histories = queries.with_users()
        names = [[items.name(item) for item in histories[place]] for place in usable]
        answers = [items.title(int(queries.targets[place])) if queries.targets[place] >= 0 else "" for place in usable]
        return Questions(names, answers, [f"history {place + 1}" for place in usable])

    # ---- inside ------------------------------------------------------------------------------------------------

    def trace(self, text: Any, edits: Edits = ()) -> Trace:
        """Read one history; return the recorded values, and how far each item of it moved each recommendation.

        The first map, `left out`, holds the log-probability of each recommended item minus that without one item of
        the history, in nats.

        Args:
            text: The history, as for `predict`.
            edits: Changes of gates, states, attention and items during the run.

        Raises:
            DataError: If there is no such item.
            UsageError: If an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        history = self._one_history(text)
        ids = self._ids(history)
        titles = tuple(self.fitted.items.title(id - 1) for id in ids.tolist())
        tokens = Tokens(torch.from_numpy(ids)[:, None], torch.tensor([len(ids)])).to(device_of(self.model))
        attention = AttentionRecording(self.model.encoder, titles)
        with attention.watch():
            logits, arrays, notes = self._recorded(lambda: self.model(tokens))
        known = self.fitted.items.only_items(history)
        scores = self._mixed(logits[:, 1:].cpu().numpy(), [known], [known] if self.fitted.hides else [])
        result = self._recommendation(history, scores[0], min(self.settings.k, len(self.fitted.items)), 0)
        prediction = {
            "label": result.items[0] if result.items else "",
            "probabilities": dict(zip(result.items, result.probabilities, strict=True)),
        }
        maps = influence_map(self, history, result) | attention.maps() | self._memory_maps(arrays, titles)
        return Trace(titles, arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    def log_shares(self, histories: Sequence[NDArray[np.int64]], hidden: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return log-probabilities of the next item in nats, minus infinity for hidden items, (histories, items).

        Args:
            histories: Items of each history, from 0; an empty one stands for a person without a history.
            hidden: Items that are not recommended after any of them.
        """
        shares = np.zeros((len(histories), len(self.fitted.items)))
        for places, logits in self._logits(self.model, histories):
            known = [self.fitted.items.only_items(histories[place]) for place in places]
            scores = self._mixed(logits, known, [hidden] * len(places))
            shares[places] = torch.from_numpy(scores).double().log_softmax(-1).numpy()
        return shares

    def _one_history(self, text: Any) -> NDArray[np.int64]:
        if not self._is_one(text):
            raise UsageError(
                "trace takes one history; of several make a list: [model.trace(each) for each in histories]"
            )
        return self.fitted.items.places(self._checked_text(text, "text"), "text")

    def _edited_run(self, text: Any, edits: Sequence[Edit], run: Any) -> Any:
        """Run on the titles of a history, so that an edit can replace one of them."""
        self._need_model()
        titles = [self.fitted.items.title(place) for place in self._one_history(text).tolist()]
        return super()._edited_run(titles, edits, run)

    def _outcomes(self, text: Any) -> Outcomes:
        """Return the distribution of the next item."""
        history = self._one_history(text)
        known = self.fitted.items.only_items(history)
        log_shares = self.log_shares([history], known if self.fitted.hides else known[:0])
        return Outcomes(np.exp(log_shares), log_shares, self.fitted.items.title)

    def _output_row(self, choice: str) -> Tensor | None:
        place = int(self.fitted.items.places([choice], "choice")[0])
        softmax = self.model.softmax
        return None if softmax.project is not None else softmax.vectors()[place + 1].detach()

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return -log p of each later item by the network alone, and of the target after the history."""
        model, items = self.model, self.fitted.items
        history = self._one_history(text)
        wanted = (
            self.predict_each([[items.name(place) for place in history.tolist()]])[0].ids[0]
            if target is None
            else target
        )
        last = items.places([wanted], "target")
        ids = torch.from_numpy(history + 1).to(device_of(model))
        following = np.concatenate([history[1:], last])
        at = np.flatnonzero(following < len(items))  # the features of the user are not predicted
        targets = torch.from_numpy(following[at] + 1).to(device_of(model))
        steps = torch.from_numpy(at).to(device_of(model))
        with torch.no_grad():
            inputs = model.embedding(Tokens(ids[:, None], torch.tensor([len(ids)], device=ids.device)))

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            states = model.encoder(copies, None).outputs
            scores = model.softmax.log_probabilities(states[steps[rows], torch.arange(len(rows), device=rows.device)])
            nats: Tensor = -scores.gather(1, targets[rows].unsqueeze(1))[:, 0]
            return nats

        names = [items.title(place) for place in history.tolist()]
        return TextLosses(inputs, losses, names, [items.title(place) for place in following[at].tolist()], at.tolist())
