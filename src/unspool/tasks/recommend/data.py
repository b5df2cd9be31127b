"""Data of the task `recommend`: histories of users, held out by position or by time; imports no torch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    DataSource,
    Layout,
    Paths,
    Reader,
    RowsInMemory,
    Sample,
    Unlabelled,
    find_files,
    read_unlabelled,
)
from unspool.data.forms import form_by_suffix, forms_of
from unspool.data.histories import UserEvents, histories_of_rows, read_histories
from unspool.data.history_names import ITEM_NAMES, USER_NAMES
from unspool.errors import DataError, counted, option
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options
from unspool.tasks.recommend.settings import RecommenderSettings

__all__ = ["Histories", "in_memory", "open_data", "samples", "unlabelled_histories"]

_FEWEST = 3  # events of a history of which one may be held out


@dataclass(frozen=True, eq=False)
class Histories(Examples):
    """Histories of users in one flat array; events from `targets` on are to be predicted, all before are known."""

    users: list[str]
    names: list[str]
    """Items by code."""
    flat: NDArray[np.int32]
    """Codes of all events, oldest first, user after user, (events,)."""
    offsets: NDArray[np.int64]
    """Start of each history in `flat`, and the end of the last, (users + 1,)."""
    targets: NDArray[np.int64]
    """Index of the first target of each history, at least 1, (users,)."""
    times: NDArray[np.float64] | None = None
    """Time of each event, (events,); None: unknown."""
    hold_out: str = "last"
    left_out: dict[str, int] = field(default_factory=dict)
    """Number of rows or histories left out, by reason."""
    origin: str | None = None
    """`file:line` of the first event."""
    ties: float = 0.0
    """Share of the events with the time of the one before; they keep the order of the file."""

    @classmethod
    def of(cls, reader: Reader[UserEvents], hold_out: str = "last") -> Self:
        """Read all events, and sort those of each user by time; equal times keep the order of the data.

        Raises:
            DataError: If a row is bad, or only some rows have times.
        """
        users: dict[str, int] = {}
        names: dict[str, int] = {}
        owners, codes, times = array("i"), array("i"), array("d")
        origin = None
        for event in reader:
            origin = origin or event.where
            user = users.setdefault(event.user, len(users))
            if len(codes) and (event.time is None) == bool(times):
                raise DataError("only some events have a time; expected all of them, or none", event.where)
            for item in event.items:
                owners.append(user)
                codes.append(names.setdefault(item, len(names)))
            if event.time is not None:
                times.append(event.time)
        owner, code = (np.frombuffer(part, np.int32) if part else np.empty(0, np.int32) for part in (owners, codes))
        time = np.frombuffer(times, np.float64) if times else None
        order = np.argsort(owner, kind="stable") if time is None else np.lexsort((time, owner))
        left_out, ties = {}, 0.0
        if time is not None:
            twice = _repeated(owner, code, time)
            if twice.any():
                left_out["duplicate rows"] = int(twice.sum())
                order = order[~twice[order]]
            time = time[order]
            ties = float(((np.diff(time) == 0) & (np.diff(owner[order]) == 0)).sum()) / len(order)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[order], minlength=len(users)))])
        ends = np.diff(offsets) - 1
        targets = np.maximum(1, ends)
        return cls(
            list(users), list(names), code[order], offsets, targets, time, hold_out, left_out, origin, ties
        )  # fmt: skip

    def refuse_short(self) -> None:
        """Refuse histories that leave nothing to predict.

        Raises:
            DataError: If no user has two items.
        """
        if len(self) and self.lengths.max() < 2:
            others = f", as have all {counted(len(self), 'users')}" if len(self) > 1 else ""
            raise DataError(
                f"user {self.users[0]!r} has one item{others}; expected two or more, of which the last is predicted",
                self.origin,
            )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each history, (users,)."""
        return np.diff(self.offsets)

    def owners(self) -> NDArray[np.int64]:
        """Return the index of the user of each event, (events,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """Return the histories with only some of their events; users without events are left out."""
        lengths = np.bincount(self.owners()[keep], minlength=len(self))
        there = lengths > 0
        offsets = np.concatenate([[0], np.cumsum(lengths[there])])
        return replace(
            self,
            users=[user for user, stays in zip(self.users, there, strict=True) if stays],
            flat=self.flat[keep],
            offsets=offsets,
            targets=np.maximum(1, lengths[there] - 1),
            times=None if self.times is None else self.times[keep],
        )

    def with_enough_events(self, of_item: int, of_user: int) -> Self:
        """Leave out rare items and short histories, again and again until all have enough events.

        Raises:
            DataError: If nothing is left.
        """
        whole = self
        while True:
            counts = np.bincount(self.flat, minlength=len(self.names))
            keep = (counts >= of_item)[self.flat] & (self.lengths >= of_user)[self.owners()]
            if keep.all():
                break
            self = self.select(keep)
        if not len(self):
            raise DataError(
                f"no history is left of {counted(len(whole), 'users')} with {counted(len(whole.flat), 'events')}: "
                f"each needs {counted(of_user, 'items')}, and each item {counted(of_item, 'events')} "
                f"({option('min_user_events', None)}, {option('min_item_events', None)})",
                (whole.origin or "").rpartition(":")[0] or None,
            )
        kept, used = set(self.users), np.unique(self.flat)
        items = len(np.unique(whole.flat)) - len(used)
        left_out = {"histories": len(whole) - len(kept), "items": items}
        return replace(self, left_out={**whole.left_out, **{what: count for what, count in left_out.items() if count}})

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self | None]:
        """Hold out the last event of each history, or the events after a date; see `Examples.divide`.

        The held-out part has the whole histories, with the held-out events as targets.

        Raises:
            DataError: If the histories are too short, or the times are unknown.
        """
        if self.hold_out == "time":
            return self._divide_by_time(fraction)
        long = self.lengths >= _FEWEST
        if not long.any():
            return self, None
        ends = self.offsets[1:] - 1
        keep = np.ones(len(self.flat), np.bool_)
        keep[ends[long]] = False
        rest = replace(
            self, flat=self.flat[keep], times=None if self.times is None else self.times[keep],
            offsets=np.concatenate([[0], np.cumsum(self.lengths - long)]), targets=np.ones(len(self), np.int64),
        )  # fmt: skip
        return rest, self._take(np.flatnonzero(long), self.lengths[long] - 1)

    def _divide_by_time(self, fraction: float) -> tuple[Self, Self | None]:
        if self.times is None:
            raise DataError(
                f"{option('hold_out', 'time')} needs times, and the data have none; name their column "
                f"({option('time', 'NAME')})"
            )
        cut = np.sort(self.times)[int(len(self.times) * (1 - fraction)) :][:1]
        before = self.times < (cut[0] if len(cut) else np.inf)
        known = np.bincount(self.owners()[before], minlength=len(self))
        chosen = np.flatnonzero((known >= 1) & (known < self.lengths))
        if not len(chosen) or (known < 2).all():
            raise DataError(
                f"a share of {fraction:g} of the events leaves no history with an event before and after it"
            )
        rest = self.select(before)
        return replace(rest, targets=np.ones(len(rest), np.int64)), self._take(chosen, known[chosen])

    def _take(self, places: NDArray[np.int64], targets: NDArray[np.int64]) -> Self:
        lengths = self.lengths[places]
        keep = np.zeros(len(self), np.bool_)
        keep[places] = True
        events = keep[self.owners()]
        return replace(
            self, users=[self.users[place] for place in places], flat=self.flat[events],
            times=None if self.times is None else self.times[events],
            offsets=np.concatenate([[0], np.cumsum(lengths)]), targets=targets.astype(np.int64),
        )  # fmt: skip

    def sizes(self) -> dict[str, int]:
        """Return the numbers of histories, events and items."""
        return {"histories": len(self), "events": len(self.flat), "items": len(np.unique(self.flat))}

    def samples(self) -> Iterator[Sample]:
        """Yield each history as a list of its items."""
        for place, user in enumerate(self.users):
            codes = self.flat[self.offsets[place] : self.offsets[place + 1]]
            yield Sample(f"user {user}", (" ".join(self.names[code] for code in codes),), is_text=False)


def _repeated(owner: NDArray[Any], code: NDArray[Any], time: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark rows that repeat an earlier row: the same user, item and time, (events,)."""
    order = np.lexsort((time, code, owner))
    same = np.ones(max(0, len(order) - 1), np.bool_)
    for part in (owner, code, time):
        same &= part[order][1:] == part[order][:-1]
    repeated = np.zeros(len(order), np.bool_)
    repeated[order[1:]] = same
    return repeated


def open_data(
    settings: RecommenderSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[UserEvents]:
    """Open histories for reading, event by event.

    Args:
        settings: The settings of the task.
        source: Files, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    columns: dict[str, Any] = {"user": data.user, "item": data.item, "time": data.time, "before": before}
    if isinstance(source, RowsInMemory):
        return histories_of_rows(source.reader(skip_bad=options["skip_bad"]), **columns)
    return read_histories(source, **options, **columns)


def samples(events: Iterable[UserEvents]) -> Iterator[Sample]:
    """Convert events to samples for summaries and checks: the user with the items."""
    for event in events:
        yield Sample(
            event.where,
            (" ".join((event.user, *event.items, "" if event.time is None else f"{event.time:.15g}")),),
            is_text=False,
        )


def in_memory(data: Any) -> Any:
    """Convert histories in memory to rows: a list of lists of items, or a mapping from users to such lists.

    Everything else, such as tuples of user, item and time, or a table, is returned unchanged.
    """
    if isinstance(data, Mapping) and not set(map(_lower, data)) & {*USER_NAMES, *ITEM_NAMES}:
        return [{"user": str(user), "history": list(items)} for user, items in data.items()]
    if isinstance(data, list) and data and all(isinstance(each, list) for each in data):
        return [{"user": f"history {number}", "history": items} for number, items in enumerate(data, 1)]
    if isinstance(data, list) and data and all(isinstance(each, tuple) and len(each) == 2 for each in data):
        return [{"user": user, "item": item} for user, item in data]
    return data


def _lower(name: Any) -> str:
    return str(name).casefold()


def unlabelled_histories(
    settings: RecommenderSettings,
    paths: Paths,
    before: Layout | None,
    value: Callable[[str, str], list[str]],
    places: Callable[[list[str], str], object],
    user_names: Callable[[list[str]], list[list[str]]],
    *,
    format: str | None = None,
) -> Reader[Unlabelled]:
    """Open histories without targets: tables as in training, one history for each user; otherwise one a line.

    Args:
        settings: The settings of the task.
        paths: Files, folders, globs or `-`.
        before: Layout of the training data.
        value: Splits a line into items; the second argument is its `file:line`.
        places: Refuses unknown items of a table; the second argument is their `file:line`.
        user_names: Names of the features of some users, which begin their histories.
        format: Name of the form; None: by suffix.
    """
    files = find_files(paths)
    if (format or "text") in forms_of("lines") and not any(form_by_suffix(file, "rows") for file in files):
        return read_unlabelled(paths, format="text").map(
            lambda line: line if line.is_blank else Unlabelled(line.where, value(line.value, line.where))
        )
    reader = open_data(settings.replace(**{"data.format": format}), paths, before)

    def known(event: UserEvents) -> UserEvents:
        places(list(event.items), event.where)
        return event

    def histories(file: str) -> Iterator[Unlabelled]:
        whole = Histories.of(reader.map(known))
        rows = zip(whole.users, user_names(whole.users), whole.offsets[:-1], whole.offsets[1:], strict=True)
        for user, features, begin, end in rows:
            yield Unlabelled(f"user {user}", [*features, *(whole.names[code] for code in whole.flat[begin:end])])

    return Reader([", ".join(files)], histories, skip_bad=None)
