"""Export of a trained model: write, run on held-out lines, compare with the model, and keep only what agrees."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unspool.errors import DataError, MachineError, UsageError, counted, option
from unspool.ship.answers import Answer, Comparison, compare_answers, score_answers
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Units
from unspool.ship.small import Small
from unspool.ship.targets import Options, target
from unspool.writing import replace_file

if TYPE_CHECKING:
    from unspool.tasks.task import Task

__all__ = ["Exported", "export_task"]

_MOST = 200  # held-out texts that an export is run on, spread evenly over the data
_MOST_WRITTEN = 40  # of these, for models that write
_DRAWN = 50  # texts drawn from the vocabulary, where there are no data


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and how it compares with the model."""

    files: tuple[Path, ...]
    report: dict[str, Any]
    """As in the report beside the files."""

    def __str__(self) -> str:
        report = self.report
        score = report.get("score")
        sizes = sum(file["bytes"] for file in report["files"])
        line = (
            f"written: {', '.join(map(str, self.files))}, {sizes:,} bytes; on {counted(report['texts'], 'texts')} "
            f"({report['lines']}) {report['agreement']:.2%} the same answers, "
            f"largest difference {report['largest_difference']:.2g}"
        )
        if report["hindrance"] is not None:
            line += f" (of the judge in numpy, not of the file: {report['hindrance']})"
        return line + (f"; score {score['model']:.4f} of the model, {score['export']:.4f} here" if score else "")


class _HeldOut(NamedTuple):
    texts: list[Any]
    right: list[str] | None
    """Correct answers; None if the data have none."""
    source: str


def export_task(
    task: Task[Any, Any],
    path: Path,
    *,
    to: str,
    small: Small | None,
    data: Any,
    limit: float,
    max_loss: float,
    overwrite: bool,
) -> Exported:
    """Export a model; arguments as in `Task.export`."""
    export = target(to)
    report_path = _checked_place(path, overwrite=overwrite)
    sheet = task.sheet()
    held_out = _held_out(task, sheet.front.units, data)
    if sheet.writer is not None:
        held_out = held_out._replace(
            texts=held_out.texts[:_MOST_WRITTEN], right=held_out.right and held_out.right[:_MOST_WRITTEN]
        )
    held_out = held_out._replace(texts=[task._export_text(text) for text in held_out.texts])
    expected = task._export_answers(held_out.texts)
    title = path.stem if task._home is None else task._home.name
    stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        artefact = export(sheet, stage / path.name, Options(small=small, title=title))
        hindrance = artefact.hindrance()
        texts = held_out.texts
        actual = artefact.run(texts) if hindrance is None else artefact.judged(sheet, texts, small)
        comparison = compare_answers(sheet, held_out.texts, expected, actual)
        score = _scores(sheet, expected, actual, held_out.right)
        _refuse_what_differs(comparison, score, limit, max_loss, small)
        moved = [path.parent / file.relative_to(stage) for file in artefact.files]
        beside = [name for name in stage.iterdir() if name.name != path.name]  # weights in a file of their own
        for name in beside:
            _check_free(path.parent / name.name, overwrite=overwrite)
        report = {
            "task": sheet.task,
            "target": to,
            "small": small,
            "files": [_facts(file, file.relative_to(stage)) for file in artefact.files],
            "lines": held_out.source,
            "texts": comparison.texts,
            "agreement": comparison.agreement,
            "largest_difference": comparison.largest_difference,
            "ran": hindrance is None,
            "hindrance": hindrance,
            "limit": limit if small is None else None,
            "score": score,
            "weights_sha256": _weights_hash(task),
        }
        if path.is_dir():
            shutil.rmtree(path)  # an earlier export
        for part in (stage / path.name, *beside):
            part.replace(path.parent / part.name)
        replace_file(report_path, json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise MachineError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Exported((*moved, report_path), report)


def _checked_place(path: Path, *, overwrite: bool) -> Path:
    """Return the path of the report beside an export.

    Raises:
        UsageError: If the folder is missing, or something stands there that must not be replaced: only files, and the
            folder of an earlier export, ever are.
    """
    if not path.name or not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name!r} into; name a new file in a folder")
    report = path.with_name(f"{path.name}.json")
    if not (path.is_dir() and overwrite and _is_export(path, report)):
        _check_free(path, overwrite=overwrite)
    _check_free(report, overwrite=overwrite)
    return report


def _check_free(place: Path, *, overwrite: bool) -> None:
    if place.is_dir():
        raise UsageError(f"{place} is a folder, and an export would replace it; name another place")
    if place.exists() and not overwrite:
        raise UsageError(f"{place} exists already; name another place, or add {option('overwrite')}")


def _is_export(folder: Path, report: Path) -> bool:
    """Return whether a folder holds nothing but the files that the report beside it names."""
    try:
        names = {file["name"] for file in json.loads(report.read_bytes())["files"]}
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return all(str(file.relative_to(folder.parent)) in names for file in folder.rglob("*"))


def _held_out(task: Task[Any, Any], units: Units, data: Any) -> _HeldOut:
    """Return held-out texts: those of the caller, of the files that the model was tested on, or drawn ones."""
    if data is not None:
        held_out = _read(task, data, _name_of(data))
        if not held_out.texts:
            raise DataError(f"there is no text in {held_out.source} to compare the export with the model on")
        return held_out
    record = task.record.data if task.record is not None else {}
    for part in ("test", "valid", "train"):
        facts = record.get(part)
        paths = facts.get("paths") if isinstance(facts, dict) else None
        if paths and all(Path(path).exists() for path in paths):
            try:
                return _read(task, list(paths), f"{part} data: {', '.join(map(str, paths))}")
            except (DataError, UsageError):
                continue
    return _HeldOut(_drawn(units), None, "drawn from the vocabulary, without data")


def _name_of(data: Any) -> str:
    paths = [data] if isinstance(data, str | os.PathLike) else data
    named = isinstance(paths, list | tuple) and all(isinstance(path, str | os.PathLike) for path in paths)
    return ", ".join(map(str, paths)) if named and all(map(os.path.exists, paths)) else "examples in memory"


def _read(task: Task[Any, Any], data: Any, source: str) -> _HeldOut:
    try:
        questions = task._export_questions(task._read(task._data_source(data)))
    except (DataError, UsageError):
        if source == "examples in memory":
            raise
        texts = [row.value for row in task.read_inputs(data) if not row.is_blank]
        return _HeldOut(_spread(texts), None, source)
    right = _spread(questions.answers) if questions.answers else None
    return _HeldOut(_spread(questions.inputs), right, source)


def _spread(items: Sequence[Any]) -> list[Any]:
    """Return at most `_MOST` items, spread evenly."""
    if len(items) <= _MOST:
        return list(items)
    return [items[place * (len(items) - 1) // (_MOST - 1)] for place in range(_MOST)]


def _drawn(units: Units) -> list[str]:
    chance = random.Random(1)
    names = [name for name in units.names[3:] if name.strip()] or ["a"]
    blank = " " if units.units in ("word", "blank") else ""
    return [blank.join(chance.choices(names, k=chance.randint(1, 20))) for _ in range(_DRAWN)]


def _scores(
    sheet: Sheet, model: Sequence[Answer], exported: Sequence[Answer], right: list[str] | None
) -> dict[str, float] | None:
    if right is None:
        return None
    return {"model": score_answers(sheet, model, right), "export": score_answers(sheet, exported, right)}


def _refuse_what_differs(
    comparison: Comparison, score: dict[str, float] | None, limit: float, max_loss: float, small: str | None
) -> None:
    where = ""
    if comparison.first_difference is not None:
        text, right, actual = comparison.first_difference
        where = f"; on {text!r:.80} the model answers {right!r:.60}, the export {actual!r:.60}"
    if small is None:
        if comparison.largest_difference > limit or comparison.agreement < 1:
            raise UsageError(
                f"nothing was written: the export differs from the model by up to {comparison.largest_difference:.2g} "
                f"(limit {limit:.2g}), with {comparison.agreement:.2%} the same answers{where}"
            )
        return
    lost = score["model"] - score["export"] if score is not None else 1 - comparison.agreement
    if lost > max_loss:
        what = "of the score" if score is not None else "of the answers"
        raise UsageError(
            f"nothing was written: {small} weights lose {lost:.2%} {what}, and the limit is {max_loss:.2%}{where}; "
            f"raise it with {option('max_loss', None)}, or leave {option('small', None)} out"
        )


def _facts(file: Path, name: Path) -> dict[str, Any]:
    content = file.read_bytes()
    return {"name": str(name), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _weights_hash(task: Task[Any, Any]) -> str | None:
    if task._home is None or not (task._home / "model.safetensors").is_file():
        return None
    return hashlib.sha256((task._home / "model.safetensors").read_bytes()).hexdigest()
