"""Signal handling: stop a training between updates on ctrl-C, SIGTERM or SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupts", "StopNow"]

_NOTE = b"\nfinishing this update, then saving; ctrl-C again stops at once\n"


class StopNow(KeyboardInterrupt):
    """Raised at the first signal inside `Interrupts.at_once`."""


class Interrupts:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request to stop; the second one raises KeyboardInterrupt.

    Handlers are installed in the main thread only. Shells start background jobs with SIGINT ignored; this context
    handles it anyway, since nothing else stops such a training in good order. An ignored SIGHUP, as under `nohup`,
    stays ignored.
    """

    def __init__(self, *, insist: bool = True, talk: bool = False) -> None:
        """Prepare the handlers.

        Args:
            insist: Whether a second signal stops at once. False under `torchrun`, where the terminal and the launcher
                both forward a single ctrl-C.
            talk: Whether to confirm the first signal on stderr.
        """
        self.requested = False
        """Whether a signal has requested a stop."""
        self._insist, self._talk, self._at_once = insist, talk, False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _signals():
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `StopNow` at the first signal inside the context; for code that may be interrupted anywhere."""
        self._at_once = self._insist
        try:
            yield
        finally:
            self._at_once = False

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if again and self._insist:
            raise KeyboardInterrupt
        if self._at_once:
            raise StopNow
        if self._talk and not again:
            with suppress(OSError):  # the terminal may be gone
                os.write(2, _NOTE)  # the signal may have come in the middle of a print


def _signals() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not None]  # None: installed outside Python
