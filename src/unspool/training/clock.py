"""Time spent and tokens seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """The time of a run, over all its sessions, and its speed in this one."""

    def __init__(self, spent: float = 0.0) -> None:
        """Start.

        Args:
            spent: Seconds spent in earlier sessions.
        """
        self._start = time.monotonic() - spent
        self._paused, self._lap_paused = 0.0, 0.0
        self._lap_start = self._session = self._reported = time.monotonic()
        self._tokens, self._lap_tokens = 0, 0
        self.validating, self.validations = 0.0, 0
        """Seconds and number of this session's validations."""

    def seconds(self) -> float:
        """Time spent."""
        return time.monotonic() - self._start

    def session(self) -> float:
        """Time spent in this session."""
        return time.monotonic() - self._session

    def working(self) -> float:
        """Time spent in this session, without its validations."""
        return self.session() - self.validating

    def count(self, tokens: int) -> None:
        """Note the tokens of an update."""
        self._tokens += tokens
        self._lap_tokens += tokens

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time that is not training, such as saving."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._paused += time.monotonic() - start
            self._lap_paused += time.monotonic() - start

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Time of one validation, which is not training."""
        start = time.monotonic()
        with self.pause():
            yield
        self.validating += time.monotonic() - start
        self.validations += 1

    def speed(self) -> float:
        """Tokens per second of training in this session."""
        return self._tokens / max(time.monotonic() - self._session - self._paused, 1e-9)

    def lap_speed(self) -> float:
        """Tokens per second of training since the last call."""
        now = time.monotonic()
        speed = self._lap_tokens / max(now - self._lap_start - self._lap_paused, 1e-9)
        self._lap_start, self._lap_tokens, self._lap_paused = now, 0, 0.0
        return speed

    def report_due(self, interval: float) -> bool:
        """Whether that much time has gone by since this last said yes."""
        now = time.monotonic()
        if now - self._reported < interval:
            return False
        self._reported = now
        return True
