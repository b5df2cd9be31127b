"""Reader of training runs: curves, state, samples and warnings from `log.jsonl`, also while training writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec
import numpy as np

from unspool.errors import DataError, UsageError
from unspool.settings import nearest
from unspool.training.curves import Curve, Numbers
from unspool.training.folder_lock import LOCK, in_training
from unspool.training.run_facts import RunFacts

__all__ = ["RunLog", "RunSample", "RunState", "find_runs", "is_run", "run_folders"]

RunState = Literal["running", "interrupted", "finished"]

_CHUNK = 1 << 19  # bytes parsed at once; they fit into the processor's cache
_CHECKED = 256  # bytes before the offset that are compared, to notice a log that was cut and has grown again
_DEPTH = 4  # folders below the one to search for runs
_NAN = float("nan")
_TITLES = {
    "loss": "training loss",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "largest_gradient_norm": "largest gradient norm",
    "clipped": "share clipped",
    "tokens_per_second": "speed",
    "epoch": "epoch",
    "seconds": "seconds",
}
_COLUMNS = ("update", *_TITLES)
_HIDDEN = ("epoch", "seconds")
_NO_SCORES = ("kind", "update", "epoch", "loss", "best", "seconds", "samples")


class _Line(msgspec.Struct, gc=False):
    """Numbers of a log line, all finite; other fields are ignored."""

    kind: str
    update: int
    epoch: float = _NAN
    loss: float = _NAN
    learning_rate: float = _NAN
    gradient_norm: float = _NAN
    largest_gradient_norm: float = _NAN
    clipped: float = _NAN
    tokens_per_second: float = _NAN
    seconds: float = _NAN


class _LineWithNull(msgspec.Struct, gc=False):
    """Numbers of a log line, some of them null."""

    kind: str
    update: int
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    largest_gradient_norm: float | None = None
    clipped: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None


_finite_lines, _lines = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_LineWithNull)
_any = msgspec.json.Decoder(dict[str, Any])
_numbers = attrgetter(*_COLUMNS)
_kind = attrgetter("kind")


class RunSample(NamedTuple):
    """A text that the model wrote at a validation."""

    update: int
    texts: dict[str, str]
    """`output`, and for tasks with an input also `input` and `right`, the correct output."""


class RunLog:
    """Log of one run, complete or in progress: call `read` for what was written since the last call.

    Args:
        folder: A model folder, or its folder `training`.
        name: Name of the run; that of the folder if omitted.

    Raises:
        DataError: If the folder holds no training run.

    Example:
        >>> run = RunLog("my-model")  # doctest: +SKIP
        >>> run.curve("training loss").envelope(columns=800).high  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        home = Path(folder)
        if not is_run(home) and home.name == "training" and is_run(home.parent):
            home = home.parent
        if not is_run(home):
            raise DataError("there is no training run; expected a model folder with training/log.jsonl", str(folder))
        self.folder, self.name = home, name or home.resolve().name
        self.path = home / "training" / "log.jsonl"
        self.facts = RunFacts.of(home)
        self._clear()
        self.read()

    def _clear(self) -> None:
        self._offset, self._tail, self._inode = 0, b"", -1
        self._blocks: list[Numbers] = []
        self._validations: list[dict[str, Any]] = []
        self._curves: dict[str, Curve] | None = None
        self.bad_lines = 0
        """Number of lines that are no log lines, such as those after a power failure."""

    def read(self) -> bool:
        """Read the complete lines since the last call; a last line without its end is left for the next call.

        A log that was replaced or cut, since the run was resumed or started again, is read anew.

        Returns:
            Whether curves may differ from before.

        Raises:
            DataError: If the log can't be read.
        """
        self.facts = RunFacts.of(self.folder)
        try:
            with self.path.open("rb", buffering=0) as file:
                return self._read(file)
        except FileNotFoundError:  # training has not begun, or has just been started again
            changed = self._offset > 0
            self._clear()
            return changed
        except OSError as error:
            raise DataError(f"the log can't be read: {error.strerror or error}", str(self.path)) from None

    def _read(self, file: IO[bytes]) -> bool:
        status = os.fstat(file.fileno())
        anew = self._offset > 0 and not self._continues(file, status)
        if anew:
            self._clear()
        self._inode, before = status.st_ino, self._offset
        file.seek(self._offset)
        for lines in _complete_lines(file):
            self._offset += len(lines)
            self._tail = (self._tail + lines)[-_CHECKED:] if len(lines) < _CHECKED else lines[-_CHECKED:]
            self._add(lines)
        if anew or self._offset > before:
            self._curves = None
            return True
        return False

    def _continues(self, file: IO[bytes], status: os.stat_result) -> bool:
        if status.st_ino != self._inode or status.st_size < self._offset:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _add(self, lines: bytes) -> None:
        """Add complete lines: by the fast decoder if all numbers are finite, line by line if one is damaged."""
        for decoder in (_finite_lines, _lines):
            with suppress(msgspec.MsgspecError):
                self._add_parsed(decoder.decode_lines(lines), lines)
                return
        for line in lines.splitlines():
            try:
                self._add_parsed([_lines.decode(line)], line + b"\n")
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.bad_lines += bool(line.strip())

    def _add_parsed(self, parsed: Sequence[_Line | _LineWithNull], lines: bytes) -> None:
        if set(map(_kind, parsed)) != {"train"}:
            others = [place for place, line in enumerate(parsed) if line.kind != "train"]
            texts = [text for text in lines.split(b"\n") if text.strip()]
            decoded = [_any.decode(texts[place]) for place in others]
            self._validations += [record for record in decoded if record["kind"] == "validation"]
            parsed = [line for line in parsed if line.kind == "train"]
        if not parsed:
            return
        if isinstance(parsed[0], _Line):
            numbers = np.fromiter(
                chain.from_iterable(map(_numbers, parsed)), np.float64, len(parsed) * len(_COLUMNS)
            ).reshape(-1, len(_COLUMNS))
        else:
            numbers = np.array(list(map(_numbers, parsed)), np.float64)  # None becomes NaN
        self._blocks.append(numbers)

    @property
    def state(self) -> RunState:
        """`running` while the training process is alive; else `finished`, or `interrupted` before its end."""
        if in_training(self.folder):
            return "running"
        return "finished" if self.facts.complete or self._reached_its_end() else "interrupted"

    def _reached_its_end(self) -> bool:
        """Return whether a run without a task, which has no `unspool.json`, made all its updates."""
        planned = self.facts.updates
        return self.facts.complete is None and planned is not None and self.facts.update >= planned

    @property
    def curves(self) -> Mapping[str, Curve]:
        """All curves by name: `training loss`, `validation nats`, `learning rate`, `gradient norm`, `speed`, ..."""
        if self._curves is None:
            self._curves = self._all_curves()
        return self._curves

    def curve(self, name: str) -> Curve:
        """Return one curve.

        Raises:
            UsageError: If there is no such curve; the message suggests the nearest.
        """
        if name not in self.curves:
            choices = f"; it has {', '.join(map(repr, self.curves)) or 'none'}"
            raise UsageError(f"the run {self.name} has no curve {name!r}{nearest(name, self.curves) or choices}")
        return self.curves[name]

    @property
    def main(self) -> Curve | None:
        """Curve of the score that decides which weights are best; None before the first validation."""
        return self.curves.get(f"validation {self.facts.metric}") or next(
            (curve for name, curve in self.curves.items() if name.startswith("validation ")), None
        )

    @property
    def best_update(self) -> int | None:
        """Update of the best validation so far; None before the first."""
        return next((int(line["update"]) for line in reversed(self._validations) if line.get("best")), None)

    @property
    def update(self) -> int:
        """Last update in the log."""
        last = [int(curve.updates[-1]) for curve in self.curves.values() if len(curve.updates)]
        return max(last, default=0)

    def newest(self, quantity: Literal["epoch", "seconds"]) -> float:
        """Return the last epoch or the elapsed seconds in the log; NaN for an empty log."""
        values = [float(self._blocks[-1][-1, _COLUMNS.index(quantity)])] if self._blocks else []
        if self._validations:
            values.append(_number(self._validations[-1].get(quantity)))
        return max((value for value in values if np.isfinite(value)), default=_NAN)

    @property
    def samples(self) -> list[RunSample]:
        """Texts that the model wrote at its validations, in order; empty for tasks that write no text."""
        return [
            RunSample(int(line["update"]), {str(key): str(text) for key, text in sample.items()})
            for line in self._validations
            for sample in line.get("samples", ())
            if isinstance(sample, dict)
        ]

    def _all_curves(self) -> dict[str, Curve]:
        curves = {}
        table = np.concatenate(self._blocks) if self._blocks else np.empty((0, len(_COLUMNS)))
        updates = table[:, 0].astype(np.int64)
        if len(table):
            loss = table[:, _COLUMNS.index("loss")]
            curves["training loss"] = Curve("training loss", updates, np.ascontiguousarray(loss))
        curves |= self._score_curves()
        for column, (field, title) in enumerate(_TITLES.items(), start=1):
            values = np.ascontiguousarray(table[:, column])
            if field != "loss" and field not in _HIDDEN and np.isfinite(values).any():
                curves[title] = Curve(title, updates, values)
        return curves

    def _score_curves(self) -> dict[str, Curve]:
        fields = dict.fromkeys(
            field
            for line in self._validations
            for field, value in line.items()
            if field not in _NO_SCORES and (value is None or isinstance(value, int | float))
        )
        updates = np.array([line["update"] for line in self._validations], np.int64)
        return {
            f"validation {field}": Curve(
                f"validation {field}", updates, np.array([_number(line.get(field)) for line in self._validations])
            )
            for field in fields
        }

    def record(self, columns: int = 800) -> dict[str, Any]:
        """Return name, state, envelopes of all curves, samples and warnings as JSON values.

        Args:
            columns: Number of columns of each envelope.
        """
        from unspool.training.run_warnings import run_warnings

        main = self.main
        return {
            "name": self.name,
            "folder": str(self.folder),
            "state": self.state,
            "update": self.update,
            "updates": self.facts.updates,
            "epoch": _plain(self.newest("epoch")),
            "seconds": _plain(self.newest("seconds")),
            "metric": main.name if main else None,
            "best_update": self.best_update,
            "curves": {
                name: {
                    "points": len(curve.updates),
                    "latest": _plain(curve.last),
                    "not_finite_updates": curve.not_finite[:1000].tolist(),
                    **curve.envelope(columns).record(),
                }
                for name, curve in self.curves.items()
            },
            "samples": [{"update": sample.update, **sample.texts} for sample in self.samples],
            "warnings": [warning._asdict() for warning in run_warnings(self)],
        }

    def __repr__(self) -> str:
        return f"<RunLog {self.name!r}, {self.state}, update {self.update:,}, {len(self.curves)} curves>"


def is_run(folder: Path) -> bool:
    """Return whether a folder is a model folder with a log, or with a training that has not logged yet."""
    return any((folder / "training" / name).is_file() for name in ("log.jsonl", LOCK))


def find_runs(paths: Sequence[str | os.PathLike[str]]) -> list[RunLog]:
    """Open the runs in folders: each is a run itself, or holds runs, up to four levels below.

    Raises:
        DataError: If a folder is missing or holds no run.
    """
    return [RunLog(folder, name) for folder, name in run_folders(paths).items()]


def run_folders(paths: Sequence[str | os.PathLike[str]]) -> dict[Path, str]:
    """Return the folders of all runs, as `find_runs` opens them, each with a distinct name.

    Raises:
        DataError: If a folder is missing or holds no run.
    """
    folders: dict[Path, str] = {}
    for path in map(Path, paths):
        below = sorted(_runs_below(path, _DEPTH), key=lambda folder: _natural(str(folder)))
        if not below:
            what = "there is no training run in this folder" if path.is_dir() else "there is no such folder"
            raise DataError(f"{what}; expected a model folder, or a folder of model folders", str(path))
        folders |= {folder: str(folder.relative_to(path)) for folder in below if folder != path}
        folders |= {folder: folder.resolve().name for folder in below if folder == path}
    names = list(folders.values())
    return {folder: name if names.count(name) == 1 else str(folder) for folder, name in folders.items()}


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
        return
    if depth == 0 or not folder.is_dir():
        return
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:  # a folder without permission, or removed at this moment
        return
    for entry in entries:
        yield from _runs_below(entry, depth - 1)


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key that puts `run-9` before `run-10`."""
    parts: list[str] = [""]
    for sign in text:
        if sign.isdecimal() == parts[-1][-1:].isdecimal():
            parts[-1] += sign
        else:
            parts.append(sign)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _complete_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield blocks of complete lines; what follows the last line end is left."""
    size = _CHUNK
    while content := file.read(size):
        if end := content.rfind(b"\n") + 1:
            yield content[:end]
            file.seek(end - len(content), os.SEEK_CUR)
            size = _CHUNK
        elif len(content) < size:
            return
        else:  # a line that is longer than the chunk
            file.seek(-len(content), os.SEEK_CUR)
            size *= 2


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else _NAN


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
