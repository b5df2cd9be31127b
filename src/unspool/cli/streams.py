"""Handling of standard streams that are closed, full or disconnected."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["let_go", "let_go_of_what_fails", "open_closed_streams"]

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed_streams() -> set[str]:
    """Open the null device in place of closed streams; otherwise the next open files would take their descriptors.

    Returns:
        The names of the closed streams: `stdin`, `stdout`, `stderr`.
    """
    closed = {name for name, _ in _STREAMS if getattr(sys, name) is None}
    for number, (name, mode) in enumerate(_STREAMS):
        if name in closed:
            place = os.open(os.devnull, os.O_RDWR)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
    return closed


def let_go(stream: TextIO) -> None:
    """Redirect a stream's buffer to the null device, so that Python reports no error when it exits."""
    with suppress(OSError, ValueError):
        place = os.open(os.devnull, os.O_WRONLY)
        os.dup2(place, stream.fileno())
        os.close(place)


def let_go_of_what_fails() -> None:
    """Flush standard output and error; redirect a stream that can't be written to the null device."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            let_go(stream)
