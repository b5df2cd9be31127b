"""Commands in a model folder: names, templates and types of slots, without the author's functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from unspool.commands import CommandSet
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["load_commands", "save_commands"]

_FILE = "commands.json"


def save_commands(commands: CommandSet, folder: Path) -> None:
    """Write `commands.json` into a folder."""
    replace_file(folder / _FILE, msgspec.json.encode(commands.record()) + b"\n")


def load_commands(folder: Path) -> CommandSet | None:
    """Read the commands of a folder, without functions; None if it has none.

    Raises:
        ModelFolderError: If the file is damaged.
    """
    path = folder / _FILE
    return CommandSet.from_record(read_json(path, dict[str, Any], "the commands")) if path.exists() else None
