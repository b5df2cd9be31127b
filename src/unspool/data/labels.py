"""Label vocabularies: names of classes or tags, and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError, ModelFolderError
from unspool.reading import read_json
from unspool.settings import nearest
from unspool.writing import replace_file

__all__ = ["Labels"]


class Labels:
    """Names of classes or tags in a fixed order; a name's id is its index.

    Args:
        names: The names, each once.
        counts: Occurrences of each name in the training data; None: zeros.

    Attributes:
        names: The names, in the order of their ids.
        counts: Occurrences of each name in the training data.

    Raises:
        DataError: If a name occurs twice, or the number of counts differs from that of names.
    """

    def __init__(self, names: Sequence[str], counts: Sequence[int] | None = None) -> None:
        self.names = tuple(names)
        self.counts = tuple(counts) if counts is not None else (0,) * len(self.names)
        self._ids = {name: place for place, name in enumerate(self.names)}
        if len(self._ids) != len(self.names):
            raise DataError("a label stands twice in the list of labels")
        if len(self.counts) != len(self.names):
            raise DataError(f"{len(self.counts)} counts came with {len(self.names)} labels")

    @classmethod
    def learn(cls, names: Iterable[str]) -> Self:
        """Build the vocabulary of some labels: most frequent first, ties by name."""
        counts = Counter(names)
        ordered = sorted(counts, key=lambda name: (-counts[name], name))
        return cls(ordered, [counts[name] for name in ordered])

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:8]) + (", ..." if len(self) > 8 else "")
        return f"Labels({len(self)}: {shown})"

    def name(self, id: int) -> str:
        """Return the name of an id."""
        return self.names[id]

    def id(self, name: str, where: str | None = None) -> int:
        """Return the id of a name.

        Args:
            name: A label.
            where: `file:line` of the label, for messages.

        Raises:
            DataError: If the name is none of the labels; the message suggests the nearest.
        """
        try:
            return self._ids[name]
        except KeyError:
            shown = ", ".join(self.names[:12]) + (", ..." if len(self) > 12 else "")
            hint = nearest(name, self.names)
            message = f"the label {name!r} was not seen in training{hint}; the labels are {shown}"
            raise DataError(message, where) from None

    def ids(self, names: Iterable[str], where: str | None = None) -> NDArray[np.int32]:
        """Return the ids of several names, int32 (names,).

        Raises:
            DataError: If a name is none of the labels.
        """
        entries = list(names)
        try:
            return np.array([self._ids[name] for name in entries], dtype=np.int32)
        except KeyError:
            return np.array([self.id(name, where) for name in entries], dtype=np.int32)

    def refuse_strangers(self, names: Iterable[str], what: str = "label") -> None:
        """Refuse names if none of them is a label; an empty iterable passes.

        Args:
            names: Labels of other data.
            what: Noun for messages, in the singular.

        Raises:
            DataError: If no name is a label; the message lists some of both.
        """
        others = Counter(names)
        if others and not any(name in self for name in others):
            came = _some([name for name, _ in others.most_common()])
            raise DataError(
                f"no {what} of these data is one of the model's: the data have {came}, the model has "
                f"{_some(self.names)}; score data with the {what}s of training"
            )

    def note_strangers(self, names: Iterable[str], what: str) -> list[str]:
        """Return a list with one sentence on the names that are no labels, or an empty list if there are none.

        Args:
            names: Labels of evaluation data.
            what: Noun for the sentence, in the plural.
        """
        others = Counter(name for name in names if name not in self)
        if not others:
            return []
        shown = _some([name for name, _ in others.most_common()])
        return [f"{what} never seen in training count as wrong: {others.total():,} in these data ({shown})"]

    def save(self, folder: Path, name: str = "labels") -> None:
        """Write `name.json` into a folder."""
        record = {"labels": self.names, "counts": self.counts}
        replace_file(folder / f"{name}.json", msgspec.json.format(msgspec.json.encode(record)) + b"\n")

    @classmethod
    def load(cls, folder: Path, name: str = "labels") -> Self:
        """Read `name.json` from a folder.

        Raises:
            ModelFolderError: If the file is missing or damaged.
        """
        path = folder / f"{name}.json"
        record = read_json(path, _Record, "the list of labels")
        try:
            return cls(record.labels, record.counts)
        except DataError as error:
            raise ModelFolderError(f"{path}: the list of labels is damaged: {error}") from None


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


class _Record(msgspec.Struct):
    labels: list[str]
    counts: list[Annotated[int, msgspec.Meta(ge=0, lt=2**53)]]
