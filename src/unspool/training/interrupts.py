"""Signals that stop a training, heard between updates."""

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
    """The first signal, where nothing is lost by stopping in the middle."""


class Interrupts:
    """Holds back the first SIGINT, SIGTERM or SIGHUP, as a request; the second one raises KeyboardInterrupt.

    Only the main thread can listen. A shell starts jobs in the background with SIGINT ignored; here it is heard all the
    same, since nothing else stops such a training in good order. SIGHUP stays ignored where it is: `nohup` says so.
    """

    def __init__(self, *, insist: bool = True, talk: bool = False) -> None:
        """Prepare to listen.

        Args:
            insist: Whether a second signal stops at once. Under `torchrun` it doesn't: the terminal and the launcher
                both pass one ctrl-C on.
            talk: Whether to say on stderr what happens now.
        """
        self.requested = False
        """Whether the run was asked to stop."""
        self._insist, self._talk, self._at_once = insist, talk, False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _heard():
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, the first signal raises `StopNow`: what is interrupted here changes nothing."""
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


def _heard() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not None]  # None: not Python's to change
