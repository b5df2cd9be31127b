"""Clock of a training run: elapsed seconds and tokens per second, without pauses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """Elapsed time of a run over all its sessions, and tokens per second in this session."""

    def __init__(self, earlier: float = 0.0) -> None:
        """Start.

        Args:
            earlier: Seconds of earlier sessions.
        """
        self._start = time.monotonic() - earlier
        self._paused, self._lap_paused = 0.0, 0.0
        self._lap_start = self._session = self._reported = time.monotonic()
        self._tokens, self._lap_tokens = 0, 0
        self.validating, self.validations = 0.0, 0
        """Seconds and number of this session's validations."""

    def seconds(self) -> float:
        """Return the seconds of all sessions so far."""
        return time.monotonic() - self._start

    def session(self) -> float:
        """Return the seconds of this session so far."""
        return time.monotonic() - self._session

    def working(self) -> float:
        """Return the seconds of this session so far, without its validations."""
        return self.session() - self.validating

    def count(self, tokens: int) -> None:
        """Count the tokens of an update."""
        self._tokens += tokens
        self._lap_tokens += tokens

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Exclude the time inside the context, such as saving, from the speed."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._paused += time.monotonic() - start
            self._lap_paused += time.monotonic() - start

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Count the time inside the context as one validation, and exclude it from the speed."""
        start = time.monotonic()
        with self.pause():
            yield
        self.validating += time.monotonic() - start
        self.validations += 1

    def seconds_per_validation(self) -> float:
        """Return the mean seconds of a validation of this session; 0 before the first."""
        return self.validating / self.validations if self.validations else 0.0

    def speed(self) -> float:
        """Return the training speed of this session, in tokens per second."""
        return self._tokens / max(time.monotonic() - self._session - self._paused, 1e-9)

    def lap_speed(self) -> float:
        """Return the training speed since the last call, in tokens per second."""
        now = time.monotonic()
        speed = self._lap_tokens / max(now - self._lap_start - self._lap_paused, 1e-9)
        self._lap_start, self._lap_tokens, self._lap_paused = now, 0, 0.0
        return speed

    def report_due(self, interval: float) -> bool:
        """Return whether `interval` seconds have passed since this method last returned True."""
        now = time.monotonic()
        if now - self._reported < interval:
            return False
        self._reported = now
        return True
