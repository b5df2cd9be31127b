"""Training log: `log.jsonl` with one JSON object per line, and TensorBoard on request."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unspool.errors import MissingExtraError
from unspool.training.checkpoint import machine_error

__all__ = ["Log"]


class Log:
    """Append lines to `log.jsonl`; a resumed run first truncates it to the position in its checkpoint."""

    def __init__(self, folder: Path, *, position: int = 0, update: int = 0, tensorboard: bool = False) -> None:
        """Open the log.

        Args:
            folder: Folder of the log.
            position: Bytes of an existing log to keep.
            update: Number of earlier updates, for TensorBoard.
            tensorboard: Whether to write TensorBoard events too.

        Raises:
            MissingExtraError: If `tensorboard` is set and tensorboardX is not installed.
            MachineError: If the file can't be opened.
        """
        self._board = _open_board(folder / "tensorboard", update) if tensorboard else None
        self._path = folder / "log.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            os.truncate(self._path, min(position, self._path.stat().st_size))
            self._file = self._path.open("ab", buffering=0)  # a failed write leaves nothing to fail again on closing
        except OSError as error:
            raise machine_error(self._path, error) from error

    def write(self, kind: str, update: int, values: Mapping[str, Any]) -> None:
        """Append a line; non-finite numbers become null.

        Raises:
            MachineError: If the disk is full.
        """
        plain = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}
        rest = (json.dumps({"kind": kind, "update": update, **plain}) + "\n").encode()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise machine_error(self._path, error) from error
        if self._board is not None:
            for key, value in plain.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{kind}/{key}", value, update)

    def position(self) -> int:
        """Flush the log to disk and return its length in bytes."""
        try:
            os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise machine_error(self._path, error) from error

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _open_board(folder: Path, update: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard = true", "tensorboardX", "tensorboard") from None
    return SummaryWriter(str(folder), purge_step=update + 1 if update else None)
