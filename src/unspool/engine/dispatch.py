"""Dispatch: choose the path for a request by rule, and report the choice in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from unspool.cells import Cell
from unspool.engine.cpu import CpuPath
from unspool.engine.native import NativePath
from unspool.engine.reference import ReferencePath
from unspool.engine.request import Path, Request
from unspool.engine.scan import ScanPath
from unspool.errors import BackendError
from unspool.settings import nearest

__all__ = [
    "PATHS",
    "Dispatch",
    "Report",
    "any_backend",
    "choose",
    "demands",
    "log_choice",
    "logs",
    "note",
    "record_dispatch",
    "report",
    "watching",
]

PATHS: dict[str, Path] = {path.name: path for path in (CpuPath(), NativePath(), ScanPath(), ReferencePath())}
"""Every path, fastest first; `auto` takes the first that supports the request and is not slower than a later one."""


@dataclass(frozen=True)
class Report:
    """The path of a request, and why no faster path runs."""

    backend: str
    cell: str
    sizes: str
    refusals: dict[str, str] = field(default_factory=dict)
    details: str = ""
    """What the path makes of the cell; only `explain` fills it."""

    @property
    def reason(self) -> str:
        """The reason for the path, in one line."""
        if not self.refusals:
            return f"{self.backend} is the fastest path there is for this cell"
        return "; ".join(f"not {name}: {why}" for name, why in self.refusals.items())

    def __str__(self) -> str:
        line = f"{self.cell} ({self.sizes}) runs on the {self.backend} path: {self.reason}"
        return f"{line}\n\n{self.details}" if self.details else line


@dataclass
class Dispatch:
    """The paths that ran in a `record_dispatch` block."""

    reports: list[Report] = field(default_factory=list)

    @property
    def backend(self) -> str:
        """The path that ran; several paths joined by `+`; `none` if nothing ran."""
        return "+".join(dict.fromkeys(report.backend for report in self.reports)) or "none"

    @property
    def reason(self) -> str:
        """The reasons for the paths, joined by ` | `."""
        return " | ".join(dict.fromkeys(report.reason for report in self.reports))


_log = logging.getLogger("unspool.engine")
_logged: WeakKeyDictionary[Cell[Any], set[str]] = WeakKeyDictionary()

watching: ContextVar[Dispatch | None] = ContextVar("dispatch", default=None)


@contextmanager
def record_dispatch() -> Iterator[Dispatch]:
    """Record a report of every `unroll` in this context."""
    dispatch = Dispatch()
    token = watching.set(dispatch)
    try:
        yield dispatch
    finally:
        watching.reset(token)


_lenient: ContextVar[bool] = ContextVar("any_backend", default=False)


@contextmanager
def any_backend() -> Iterator[None]:
    """Let `auto` stand for every requested backend in this context, since watching a cell needs the plain loop."""
    token = _lenient.set(True)
    try:
        yield
    finally:
        _lenient.reset(token)


def demands(backend: str) -> bool:
    """Return whether a request names a backend, so that no other may run in its place."""
    return backend != "auto" and not _lenient.get()


def note(report: Report) -> None:
    """Append a report to the recording of this context, if there is one."""
    dispatch = watching.get()
    if dispatch is not None:
        dispatch.reports.append(report)


def log_choice(cell: Cell[Any], report: Report) -> None:
    """Log a choice of path at level DEBUG, once for each cell and path."""
    paths = _logged.setdefault(cell, set())
    if report.backend not in paths:
        paths.add(report.backend)
        _log.debug("%s", report)


def logs() -> bool:
    """Return whether level DEBUG is logged at all."""
    return _log.isEnabledFor(logging.DEBUG)


def choose(request: Request, backend: str) -> tuple[Path, dict[str, str]]:
    """Choose the path for a request.

    Args:
        request: The request.
        backend: `auto`, or the name of a path.

    Returns:
        The path, and why each faster path does not run, by name.

    Raises:
        BackendError: If there is no path of that name, or it does not support the request.
    """
    if backend == "auto" or (backend != "reference" and not demands(backend)):
        refusals: dict[str, str] = {}
        for path in PATHS.values():
            refusal = path.why_slower(request) or path.why_unsupported(request)
            if refusal is None:
                return path, refusals
            refusals[path.name] = refusal
        raise AssertionError("the reference path never refuses")
    if backend not in PATHS:
        raise BackendError(f"there is no backend {backend!r}{nearest(backend, PATHS)}; choose auto, {', '.join(PATHS)}")
    path = PATHS[backend]
    refusal = path.why_unsupported(request)
    if refusal is not None:
        raise BackendError(f'backend="{backend}" can\'t run this: {refusal}')
    return path, {}


def report(request: Request, path: Path, refusals: dict[str, str]) -> Report:
    """Describe a choice of path."""
    cell, inputs = request.cell, request.inputs
    time, batch, width = inputs.shape
    sizes = (
        f"{width} in, {cell.hidden_size} out, {time} steps, batch {batch}, "
        f"{str(inputs.dtype).removeprefix('torch.')} on {inputs.device.type}"
    )
    return Report(path.name, type(cell).__name__, sizes, refusals)
