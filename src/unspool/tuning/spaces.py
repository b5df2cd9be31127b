"""Search spaces: those of the tasks, and those of a user, read from TOML and checked against the settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from unspool.discovery import discover_entries
from unspool.errors import SettingError, UsageError, option
from unspool.settings import Settings, describe, dotted_names, make, read_recipe
from unspool.tasks.space import Choice, Float, Int, LogFloat, Range, SearchSpace

__all__ = ["SPACES", "Space", "check_space", "combinations", "in_range", "read_space", "short_names", "space_of"]

SPACES: Mapping[str, SearchSpace] = discover_entries("unspool.tasks", "space")
"""The written space of each task that has one, by the name of the task."""

Space = dict[str, Range]
"""Ranges by dotted name of the setting."""

_NOT_TUNABLE = {
    **dict.fromkeys(("training.epochs", "training.minutes", "training.course"), "the trials have equal lengths"),
    **dict.fromkeys(("choose_by", "several", "generator"), "it changes the score that is compared"),
    **dict.fromkeys(("tokenization", "references", "spans"), "it changes how the validation data are scored"),
    "training.seed": "it changes the validation data",
    "training.plan": "trials plan nothing",
    **dict.fromkeys(
        ("training.device", "training.threads", "training.tensorboard", "training.checkpoint_minutes"),
        "it does not change the model",
    ),
}
_FEWEST_KINDS = "expected log-float, float, int or choice"


def read_space(path: Path) -> Space:
    """Read a space from a file in TOML; a list of values is a choice.

    Raises:
        SettingError: If the file can't be read, or a range in it is invalid.
    """
    ranges: dict[str, Any] = {}
    for name, value in read_recipe(path, "search space").items():
        if isinstance(value, list):
            ranges[name] = value
            continue
        setting, dot, part = name.rpartition(".")
        if not dot or not isinstance(ranges.setdefault(setting, {}), dict):
            raise SettingError(f"{path}: {name} = {value!r} is no range; {_example(name)}")
        ranges[setting][part] = value
    return space_of(ranges, str(path))


def space_of(ranges: Mapping[str, Any], where: str = "space") -> Space:
    """Return a space from plain data: ranges as dictionaries, or a list of values for a choice.

    Args:
        ranges: Ranges by dotted or short name.
        where: Name of the source in messages.

    Raises:
        SettingError: If a range is invalid.
    """
    space: Space = {}
    for name, plain in ranges.items():
        record = {"kind": "choice", "values": list(plain)} if isinstance(plain, list | tuple) else plain
        try:
            space[str(name)] = record if isinstance(record, Range) else msgspec.convert(record, Range)
        except msgspec.ValidationError as error:
            problem = str(error).partition(" - at ")[0].replace("`", "")
            raise SettingError(f"{where}: {name} = {plain!r} is no range ({problem}); {_example(name)}") from None
        _check_bounds(name, space[name], where)
    return space


def _example(name: str) -> str:
    last = name.rpartition(".")[2]
    return f'{_FEWEST_KINDS}, as {last} = {{kind = "float", low = 0.1, high = 0.5}}, or a list of values'


def _check_bounds(name: str, bounds: Range, where: str) -> None:
    """Refuse an empty range."""
    if isinstance(bounds, Choice):
        if not bounds.values:
            raise SettingError(f"{where}: {name} has no value to choose; list at least one")
        return
    low, high = bounds.low, bounds.high
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise SettingError(f"{where}: {name} goes from {low} to {high}; expected a low bound below the high one")
    if isinstance(bounds, LogFloat) and low <= 0:
        raise SettingError(f"{where}: {name} is log-float and begins at {low}; expected a low bound above 0")
    if isinstance(bounds, Int) and (bounds.step < 1 or (high - low) % bounds.step):
        raise SettingError(
            f"{where}: {name} goes from {low} to {high} in steps of {bounds.step}; expected steps that end at {high}"
        )


def check_space(space: Space, settings: Settings, fixed: Collection[str], where: str = "space") -> Space:
    """Check a space against the settings of a task; return it by dotted names, without the fixed settings.

    Args:
        space: Ranges by dotted or short name.
        settings: The settings of the first trial.
        fixed: Dotted names of settings that do not vary.
        where: Name of the source in messages.

    Raises:
        SettingError: If a setting does not exist, can't be tuned or does not accept a value.
        UsageError: If no setting is left.
    """
    kind, checked, written = type(settings), Space(), dict[str, str]()
    for name, bounds in space.items():
        try:
            dotted = next(iter(dotted_names(kind, [name])))
        except SettingError as error:
            raise SettingError(f"{where}: {error.message}") from None
        if dotted in written:
            raise SettingError(f"{where}: {written[dotted]} and {name} are the same setting; give one range")
        written[dotted] = name
        _refuse_untunable(dotted, where)
        checked[dotted] = _accepted(dotted, bounds, settings, where)
    left = {name: bounds for name, bounds in checked.items() if name not in fixed}
    if not left:
        why = f"all of its settings are fixed: {', '.join(checked)}" if checked else "it is empty"
        raise UsageError(f"{where} leaves nothing to tune, since {why}; pass another one with {option('space', None)}")
    return left


def _refuse_untunable(name: str, where: str) -> None:
    reason = _NOT_TUNABLE.get(name, "it changes the validation data" if name.startswith("data.") else None)
    if reason is not None:
        raise SettingError(f"{where}: {name} can't be tuned, since {reason}; leave it out")


def _accepted(name: str, bounds: Range, settings: Settings, where: str) -> Range:
    """Return a range with its values as the setting holds them, after a check that the setting accepts them."""
    values = bounds.values if isinstance(bounds, Choice) else (bounds.low, bounds.high)
    if isinstance(bounds, Float | LogFloat) and "float" not in str(describe(type(settings))[name].type):
        raise SettingError(f"{where}: {name} takes no fractions; expected the kind int or choice")
    try:
        read = tuple(attrgetter(name)(make(type(settings), {name: value}, base=settings)) for value in values)
    except SettingError as error:
        raise SettingError(f"{where}: {error.message}") from None
    return Choice(tuple(dict.fromkeys(read))) if isinstance(bounds, Choice) else bounds


def in_range(value: object, bounds: Range) -> bool:
    """Return whether a range holds a value."""
    if isinstance(bounds, Choice):
        return value in bounds.values
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds.low <= value <= bounds.high:
        return False
    return not isinstance(bounds, Int) or (value - bounds.low) % bounds.step == 0


def combinations(space: Space, most: int) -> list[dict[str, Any]] | None:
    """Return all combinations of values of a space; None if there are more than `most`, or without limit."""
    values: list[list[Any]] = []
    for bounds in space.values():
        if isinstance(bounds, Choice):
            values.append(list(bounds.values))
        elif isinstance(bounds, Int):
            values.append(list(range(bounds.low, bounds.high + 1, bounds.step)))
        else:
            return None
    if math.prod(map(len, values)) > most:
        return None
    return [dict(zip(space, each, strict=True)) for each in itertools.product(*values)]


def short_names(names: Collection[str]) -> dict[str, str]:
    """Return the last part of each dotted name where it is unique among them, otherwise the dotted name."""
    lasts = [name.rpartition(".")[2] for name in names]
    return dict(_shortened(names, lasts))


def _shortened(names: Collection[str], lasts: list[str]) -> Iterator[tuple[str, str]]:
    for name, last in zip(names, lasts, strict=True):
        yield name, last if lasts.count(last) == 1 else name
