"""What all requests of a server share: models, the model thread, sessions, limits and counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.commands import CommandSet
from unspool.errors import UnspoolError, for_command_line
from unspool.server.dialogues import Dialogues
from unspool.server.faults import ApiError
from unspool.server.metrics import Metrics
from unspool.server.model_thread import ModelThread
from unspool.server.models import Models
from unspool.server.run_list import RunList
from unspool.server.sessions import Sessions
from unspool.server.settings import ServerSettings

__all__ = ["ServerState"]


class ServerState:
    """State of one server.

    Args:
        models: The models.
        settings: Address, access and limits.
        runs: Folders of training runs to watch.
        functions: Commands whose functions chats call; None: calls are named, never run.
    """

    def __init__(
        self,
        models: Models,
        settings: ServerSettings,
        runs: Sequence[Path] = (),
        functions: CommandSet | None = None,
    ) -> None:
        self.models, self.settings = models, settings
        self.runs = RunList(list(runs))
        self.metrics = Metrics()
        self.thread = ModelThread(models, settings, self.metrics)
        self.sessions = Sessions(settings)
        self.dialogues = Dialogues(settings, self.thread, functions)
        self.started = time.time()
        self.draining = False
        """Whether the server is shutting down."""

    def failure_sentence(self) -> str | None:
        """Return why loading failed, for people; None if it did not."""
        failure = self.thread.failure
        if failure is None:
            return None
        return for_command_line(failure.message) if isinstance(failure, UnspoolError) else repr(failure)[:300]

    def check_inputs(self, inputs: Sequence[Any], *, written: int = 0, images: bool = False) -> None:
        """Refuse a request above the limits.

        Args:
            inputs: Its inputs.
            written: Number of units that it wants written.
            images: Whether they are image files in Base64, which only `--max-body` limits: the model scales them down.

        Raises:
            ApiError: If there is no input, there are too many, they are too long, or too much is to be written.
        """
        settings = self.settings
        if not inputs:
            raise ApiError(400, "inputs is empty; expected at least one input", "inputs")
        if len(inputs) > settings.max_items:
            raise ApiError(413, f"{len(inputs):,} inputs came; the limit of --max-items is {settings.max_items:,}")
        length = sum(_length(value) for value in inputs)
        if length > settings.max_characters and not images:
            limit = settings.max_characters
            raise ApiError(413, f"{length:,} characters came; the limit of --max-characters is {limit:,}")
        if written > settings.max_tokens:
            raise ApiError(413, f"length = {written:,}: the limit of --max-tokens is {settings.max_tokens:,}", "length")

    def check_trace(self, value: Any, *, image: bool = False) -> None:
        """Refuse to trace an input above the limit; `image` as in `check_inputs`.

        Raises:
            ApiError: If it is too long.
        """
        length, limit = _length(value), self.settings.max_trace
        if length > limit and not image:
            raise ApiError(413, f"{length:,} characters came; the limit of --max-trace is {limit:,}", "input")


def _length(value: Any) -> int:
    if isinstance(value, list):
        return sum(len(part) if isinstance(part, str) else 8 for part in value)
    return len(value) if isinstance(value, str) else 8
