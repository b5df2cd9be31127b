"""Functions that fit an input to training data, and load an input from a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from unspool.inputs.catalog import INPUTS
from unspool.inputs.contract import FittedInput
from unspool.inputs.entry import InputEntry

__all__ = ["learn_input", "load_input"]


def learn_input(name: str, values: Sequence[Any], columns: Sequence[str], settings: Any) -> FittedInput[Any]:
    """Fit an input to training data.

    Args:
        name: Name of the input.
        values: The values from its reader.
        columns: The columns of the values.
        settings: Settings of a task, with `vocabulary` and `network`.

    Raises:
        DataError: If the values are empty or inconsistent.
    """
    return _class_of(INPUTS[name]).learn(values, columns, settings)


def load_input(folder: Path, settings: Any) -> FittedInput[Any]:
    """Load the input of a model folder; `text` if no file identifies another.

    Raises:
        ModelFolderError: If a file is missing or damaged.
    """
    *_, last = INPUTS.values()
    entry = next((entry for entry in INPUTS.values() if (folder / entry.file).is_file()), last)
    return _class_of(entry).load(folder, settings)


def _class_of(entry: InputEntry) -> type[FittedInput[Any]]:
    kind: type[FittedInput[Any]] = getattr(import_module(f"unspool.inputs.{entry.name}.fitted"), entry.fitted)
    return kind
