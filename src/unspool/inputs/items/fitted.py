"""Items as input: the catalogue with titles and counts, encoding of histories, and the network that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from unspool.cells import Cell
from unspool.data import Examples, Sequences, refuse_empty
from unspool.errors import DataError, ModelFolderError
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.encoders import recurrent_stack, transformer_options
from unspool.inputs.items.features import Entries, FeatureColumn, FittedFeatures
from unspool.inputs.items.titles import Titles, titles_of
from unspool.layers import (
    Bags,
    FeatureTable,
    Projected,
    TokenEmbedding,
    TransformerEncoder,
    WindowNetwork,
    WordDropout,
)
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["FittedItems", "History"]

History = list[str]
"""Items of one person, oldest first: names in the data, or titles."""

_FILE = "items.json"


class FittedItems(FittedInput[History]):
    """Histories of items, encoded as ids from 1; 0 is padding.

    Args:
        items: Names of the items in the data, in the order of their ids.
        counts: Events of each item in the training data.
        titles: Title of each item; an empty text for none.
        item_features: Features of the items; None: the model has none.
        user_features: Features of the users, which stand as items of their own before a history: `sex = F`.
    """

    kind: ClassVar[str] = "items"

    def __init__(
        self,
        items: Sequence[str],
        counts: Sequence[int],
        titles: Sequence[str],
        item_features: FittedFeatures | None = None,
        user_features: FittedFeatures | None = None,
    ) -> None:
        self.items, self.counts, self.titles = tuple(items), np.asarray(counts, np.int64), tuple(titles)
        self.lookup = Titles(self.items, self.titles, self.counts.tolist())
        self.item_features, self.user_features = item_features, user_features
        self.trained = int(np.count_nonzero(self.counts))
        """Number of items that occur in the training data, the first ones; the others have features alone."""
        self.entries: Entries | None = None
        """Features of each item; None without features."""

    @classmethod
    def learn(cls, values: Sequence[History], columns: Sequence[str], settings: Any) -> Self:
        """Learn the items of histories; see `FittedInput.learn`."""
        names: dict[str, int] = {}
        for item in (item for history in values for item in history):
            names[item] = names.get(item, 0) + 1
        return cls.of_counts(list(names), list(names.values()), {})

    @classmethod
    def of_counts(cls, items: Sequence[str], counts: Sequence[int], titles: Mapping[str, str]) -> Self:
        """Order items by count, the most frequent first, ties by name, and give them titles."""
        order = sorted(range(len(items)), key=lambda place: (-counts[place], items[place]))
        names = [items[place] for place in order]
        return cls(names, [counts[place] for place in order], titles_of(names, titles))

    def __len__(self) -> int:
        return len(self.items)

    def title(self, place: int) -> str:
        """Return the title of an item by its index from 0, or its name in the data where it has none.

        An index from the number of items on is that of a feature of users.
        """
        if self.user_features is not None and place >= len(self):
            return self.user_features.names[place - len(self)]
        return self.lookup.names[place]

    def name(self, place: int) -> str:
        """Return the name in the data of an item by its index, or a feature of users."""
        return self.items[place] if place < len(self) else self.title(place)

    def only_items(self, history: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items of a history without the features of its user."""
        return history if self.user_features is None else history[history < len(self)]

    def with_new(self, items: Sequence[str], titles: Mapping[str, str], entries: Entries) -> FittedItems:
        """Return a catalogue with more items, which have features alone."""
        assert self.entries is not None
        whole = FittedItems(
            [*self.items, *items],
            [*self.counts.tolist(), *[0] * len(items)],
            [*self.titles, *titles_of(items, titles)],
            self.item_features,
            self.user_features,
        )
        whole.entries = self.entries.followed_by(entries)
        return whole

    def value(self, value: Any, where: str) -> History:
        """Split a text into items, or check a list of items; see `FittedInput.value`."""
        if isinstance(value, str):
            history = self.lookup.split(value)
        elif isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
            history = [str(item) for item in value if isinstance(item, str | int | np.integer)]
            if len(history) != len(list(value)):
                raise DataError(f"{value!r:.60} came; expected a list of items", where)
        else:
            raise DataError(f"{type(value).__name__} {value!r:.40} came; expected a list of items", where)
        if not history:
            raise DataError("the history is empty; expected at least one item", where)
        return history

    def text(self, value: History) -> str:
        """Join the titles of the items; see `FittedInput.text`."""
        return ", ".join(self.positions(value))

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one history: a text, or a list of items."""
        return isinstance(values, str) or (
            isinstance(values, list | tuple) and bool(values) and all(isinstance(each, str | int) for each in values)
        )

    def places(self, value: History, where: str) -> NDArray[np.int64]:
        """Return the indices of the items of a history, from 0, (items,).

        Raises:
            DataError: If there is no such item; the message names the nearest.
        """
        places: list[int] = []
        for item in value:
            if (own := self._user_places(item, where)) is not None:
                places += own
                continue
            try:
                place = self.lookup.find(item)
            except DataError as error:
                raise DataError(error.message, where) from None
            if place is None:
                raise DataError(f"there is no item {item!r} in this model{self.lookup.hint(item)}", where)
            places.append(place)
        return np.array(places, np.int64)

    def _user_places(self, text: str, where: str) -> list[int] | None:
        """Return the index of a feature of the user, such as `age = 33`, as a list; None for an item."""
        if self.user_features is None or "=" not in text or self.lookup.find(text) is not None:
            return None
        name, _, value = text.partition("=")
        place = self.user_features.place(text)
        own = self.user_features.of_values({name: value.strip()}, where) if place is None else [place]
        return [len(self) + each for each in own]

    def encode(self, values: Sequence[History], where: Sequence[str]) -> Examples:
        """Encode histories; see `FittedInput.encode`."""
        tokens = Sequences.of(
            (self.places(value, place) + 1).astype(np.int32) for value, place in zip(values, where, strict=True)
        )
        refuse_empty(tokens, where)
        return Examples(tokens)

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the item vectors, and a network in which no step sees a later one."""
        hide = WordDropout(network.item_dropout, unknown=0) if network.item_dropout else None
        rows, table = len(self) + 1, None
        if self.entries is not None or self.user_features is not None:
            rows += len(self.user_features or ())
            table = FeatureTable(rows, network.embedding, self._bags(), dropout=network.feature_dropout)
        embedding = TokenEmbedding(rows, network.embedding, word_dropout=hide, table=table)
        stack: Any
        if network.network == "transformer":
            options = transformer_options(network)
            stack = Projected(network.embedding, TransformerEncoder(network.hidden, causal=True, **options))
        elif network.network == "window":
            sizes = {"num_layers": network.layers, "dropout": network.dropout}
            stack = WindowNetwork(network.embedding, network.hidden, network.window, **sizes)
        else:
            stack = recurrent_stack(network, cell, network.embedding, bidirectional=False)
        return Encoder(embedding, stack, stack.output_size, "last")

    def _bags(self) -> Bags:
        """Return the features of each id; none for padding and for the features of users."""
        entries = self.entries or Entries(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        offsets = np.concatenate([[0], entries.offsets])
        first, features, weights = map(torch.from_numpy, (offsets, entries.features, entries.weights))
        return Bags(first, features, weights, len(self.item_features or ()))

    def positions(self, value: History) -> tuple[str, ...]:
        """Return the titles of the items of a history."""
        return tuple(self.title(int(place)) for place in self.places(value, "history"))

    def features(self, values: Sequence[History]) -> list[list[str]]:
        """Return the items of each history."""
        return [list(value) for value in values]

    def summary(self) -> str:
        """Return the number of items, in words."""
        new = len(self) - self.trained
        return f"{len(self):,} items" + f", {new:,} of them by their features alone" * bool(new)

    def table(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each name in the data, -1 for an item that was not in the training data, (names,)."""
        places = {item: place for place, item in enumerate(self.items)}
        return np.array([places.get(name, -1) for name in names], np.int64)

    def id_counts(self) -> torch.Tensor:
        """Return the events of each id, 0 for padding, (items + 1,)."""
        return torch.from_numpy(np.concatenate([[0], self.counts]))

    def save(self, folder: Path) -> None:
        """Write `items.json` into a folder."""
        titles = list(self.titles) if any(self.titles) else []
        columns = [list(each.columns) if each is not None else [] for each in (self.item_features, self.user_features)]
        record = _Record(list(self.items), self.counts.tolist(), titles, *columns)
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the list of items")
        titles = record.titles or [""] * len(record.items)
        if not len(set(record.items)) == len(record.items) == len(record.counts) == len(titles) > 0:
            raise ModelFolderError(f"{folder / _FILE}: the list of items is damaged: its parts differ in length")
        if not all(column.is_sound() for column in (*record.features, *record.user_features)):
            raise ModelFolderError(f"{folder / _FILE}: the features are damaged: values and limits do not fit together")
        features, users = (
            FittedFeatures(columns) if columns else None for columns in (record.features, record.user_features)
        )
        return cls(record.items, record.counts, titles, features, users)


class _Record(msgspec.Struct):
    items: list[str]
    counts: list[Annotated[int, msgspec.Meta(ge=0)]]
    titles: list[str]
    features: list[FeatureColumn] = []
    user_features: list[FeatureColumn] = []
