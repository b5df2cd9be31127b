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
from unspool.inputs.items.titles import Titles, titles_of
from unspool.layers import Projected, TokenEmbedding, TransformerEncoder, WindowNetwork, WordDropout
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
    """

    kind: ClassVar[str] = "items"

    def __init__(self, items: Sequence[str], counts: Sequence[int], titles: Sequence[str]) -> None:
        self.items, self.counts, self.titles = tuple(items), np.asarray(counts, np.int64), tuple(titles)
        self.lookup = Titles(self.items, self.titles, self.counts.tolist())

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
        """Return the title of an item by its index from 0, or its name in the data where it has none."""
        return self.lookup.names[place]

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
        places = []
        for item in value:
            try:
                place = self.lookup.find(item)
            except DataError as error:
                raise DataError(error.message, where) from None
            if place is None:
                raise DataError(f"there is no item {item!r} in this model{self.lookup.hint(item)}", where)
            places.append(place)
        return np.array(places, np.int64)

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
        embedding = TokenEmbedding(len(self) + 1, network.embedding, word_dropout=hide)
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

    def positions(self, value: History) -> tuple[str, ...]:
        """Return the titles of the items of a history."""
        return tuple(self.title(int(place)) for place in self.places(value, "history"))

    def features(self, values: Sequence[History]) -> list[list[str]]:
        """Return the items of each history."""
        return [list(value) for value in values]

    def summary(self) -> str:
        """Return the number of items, in words."""
        return f"{len(self):,} items"

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
        replace_file(
            folder / _FILE, msgspec.json.encode(_Record(list(self.items), self.counts.tolist(), titles)) + b"\n"
        )

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the list of items")
        titles = record.titles or [""] * len(record.items)
        if not len(set(record.items)) == len(record.items) == len(record.counts) == len(titles) > 0:
            raise ModelFolderError(f"{folder / _FILE}: the list of items is damaged: its parts differ in length")
        return cls(record.items, record.counts, titles)


class _Record(msgspec.Struct):
    items: list[str]
    counts: list[Annotated[int, msgspec.Meta(ge=0)]]
    titles: list[str]
