"""The model thread: one thread owns all models, batches requests that wait together, and continues texts step by step.

Requests come from an asyncio loop. Requests of the same kind that wait when the thread is free run as one batch, so a
batch costs no waiting time. Between two batches the thread advances all texts by one unit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from unspool.server.faults import ApiError, BusyError, shutting_down
from unspool.server.metrics import Metrics
from unspool.server.models import Models, Served
from unspool.server.settings import ServerSettings

if TYPE_CHECKING:
    from unspool.decoding import Continuation

__all__ = ["ModelThread", "Writing"]

_LARGEST_BATCH = 256  # inputs that run together
_LAST_SECONDS = 5.0  # to end the batch that runs when the server ends
_PAUSE, _PAUSE_PER_TEXT = 0.05, 0.003  # seconds between two pieces of text for a client; longer for many texts
_LOG = logging.getLogger("unspool.server")


@dataclass(eq=False)
class _Call:
    """One request for results of inputs."""

    key: Hashable
    """Calls with equal keys run together."""
    run: Callable[[list[Any]], Sequence[Any]]
    """Returns one result per input."""
    inputs: list[Any]
    answer: asyncio.Future[list[Any]]
    loop: asyncio.AbstractEventLoop


@dataclass(eq=False)
class Writing:
    """A text that the thread continues for a client."""

    served: Served
    text: Continuation
    ready: asyncio.Event
    """Set whenever units arrived, or the text ended."""
    loop: asyncio.AbstractEventLoop
    units: list[int] = field(default_factory=list)
    """Units that the client's side has not taken yet; only the loop's thread reads and changes them."""
    ended: bool = False
    error: Exception | None = None
    cancelled: bool = False
    pending: list[int] = field(default_factory=list)
    """Units that the model thread has not passed on yet."""

    def take(self) -> list[int]:
        """Return the units that arrived, and forget them."""
        units, self.units = self.units, []
        self.ready.clear()
        return units


class ModelThread:
    """Runs the models.

    Args:
        models: The models; `load` loads them.
        settings: Limits.
        metrics: Counts batches and units.
    """

    def __init__(self, models: Models, settings: ServerSettings, metrics: Metrics) -> None:
        self.models, self.settings, self.metrics = models, settings, metrics
        self.failure: Exception | None = None
        """Why loading failed."""
        self._calls: deque[_Call] = deque()
        self._waiting: deque[Writing] = deque()
        self._writing: dict[int, Writing] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._passed = 0.0
        self._thread = threading.Thread(target=self._run, name="unspool-models", daemon=True)

    # ---- for the loop's thread ---------------------------------------------------------------------------------

    def start(self, load: Callable[[], None]) -> None:
        """Start the thread, which first calls `load`."""
        self._load = load
        self._thread.start()

    def stop(self) -> None:
        """Finish what is queued, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self.models.loaded:  # loading can't be interrupted: the thread then ends with the process
            self._thread.join(timeout=_LAST_SECONDS)

    @property
    def queue(self) -> int:
        """Number of requests that wait."""
        return len(self._calls) + len(self._waiting)

    @property
    def rows(self) -> int:
        """Number of texts in progress."""
        return len(self._writing)

    def call(
        self, key: Hashable, inputs: list[Any], run: Callable[[list[Any]], Sequence[Any]]
    ) -> asyncio.Future[list[Any]]:
        """Run a function in the thread, together with the inputs of other calls of the same key.

        Args:
            key: Calls with equal keys take the same function.
            inputs: Inputs of this call.
            run: Returns one result per input.

        Returns:
            The results, one per input of this call; cancelling it drops the call if it still waits.

        Raises:
            BusyError: If too many requests wait.
        """
        self.check_open()
        loop = asyncio.get_running_loop()
        one = _Call(key, run, inputs, loop.create_future(), loop)
        with self._wake:
            self._calls.append(one)
            self._wake.notify()
        return one.answer

    def write(self, served: Served, text: Continuation) -> Writing:
        """Let the thread continue a text.

        Raises:
            BusyError: If too many requests wait.
        """
        self.check_open()
        writing = Writing(served, text, asyncio.Event(), asyncio.get_running_loop())
        with self._wake:
            self._waiting.append(writing)
            self._wake.notify()
        return writing

    def check_open(self) -> None:
        """Refuse a request that can't be run now.

        Raises:
            ApiError: If the models are not loaded, too many requests wait, or the server is shutting down.
        """
        if self._stopping:
            raise shutting_down()
        if self.failure is not None:
            raise ApiError(503, "the model could not be loaded; the server's log has the details")
        if not self.models.loaded:
            raise ApiError(503, "the model is still being loaded; try again in a few seconds", retry_after=2)
        if self.queue >= self.settings.max_queue:
            raise BusyError(f"{self.queue} requests wait already; try again in a second")

    # ---- in the model thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._load()
        except Exception as error:
            self.failure = error
            return
        while self._await_work():
            try:
                self._run_calls()
                self._admit()
                self._advance()
            except Exception as error:  # a defect of ours: whoever waits gets an answer, and the thread goes on
                _LOG.exception("the model thread met an unexpected error")
                for served in self.models.by_name.values():
                    self._fail(served, error)

    def _await_work(self) -> bool:
        with self._wake:
            while not (self._calls or self._waiting or self._writing or self._stopping):
                self._wake.wait()
            return bool(self._calls or self._waiting or self._writing)

    def _run_calls(self) -> None:
        """Run the call that waits longest, together with others of its key."""
        batch: list[_Call] = []
        others: deque[_Call] = deque()
        size = 0
        with self._wake:
            for one in self._calls:
                if one.answer.cancelled():
                    continue
                if not batch or (one.key == batch[0].key and size + len(one.inputs) <= _LARGEST_BATCH):
                    batch.append(one)
                    size += len(one.inputs)
                else:
                    others.append(one)
            self._calls = others
        if batch:
            self._run_batch(batch)

    def _run_batch(self, batch: list[_Call]) -> None:
        inputs = [value for one in batch for value in one.inputs]
        try:
            results = list(batch[0].run(inputs))
        except Exception as error:
            if len(batch) == 1:
                _answer(batch[0], None, error)
            else:  # one request's data must not fail the others
                for one in batch:
                    self._run_batch([one])
            return
        self.metrics.observe_batch(len(inputs))
        begin = 0
        for one in batch:
            _answer(one, results[begin : begin + len(one.inputs)], None)
            begin += len(one.inputs)

    def _admit(self) -> None:
        """Let waiting texts join the batches of their models."""
        with self._wake:
            room = self.settings.max_batch - len(self._writing)
            new = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        for served in {id(one.served): one.served for one in new}.values():
            mine = [one for one in new if one.served is served and not one.cancelled]
            self._writing |= {id(one.text): one for one in mine}
            try:
                if served.batch is None:
                    served.batch = served.task.continuations(tiled=True)
                served.batch.add([one.text for one in mine])
            except Exception as error:
                self._fail(served, error)

    def _advance(self) -> None:
        """Advance all texts by one unit, and pass units on from time to time."""
        for served in self.models.by_name.values():
            if served.batch is None or not served.batch.rows:
                continue
            gone = [row for row in served.batch.rows if self._writing[id(row)].cancelled]
            served.batch.remove(gone)
            for row in gone:
                self._end(self._writing[id(row)])
            try:
                step = served.batch.step()
            except Exception as error:
                self._fail(served, error)
                continue
            self.metrics.units += len(step.written)
            for row, unit in step.written:
                self._writing[id(row)].pending.append(unit)
            for row in step.finished:
                self._end(self._writing[id(row)])
        now = time.monotonic()
        if now - self._passed >= max(_PAUSE, _PAUSE_PER_TEXT * len(self._writing)):
            self._passed = now
            _pass_on([one for one in self._writing.values() if one.pending])

    def _end(self, writing: Writing, error: Exception | None = None) -> None:
        del self._writing[id(writing.text)]
        _pass_on([writing], ended=True, error=error)

    def _fail(self, served: Served, error: Exception) -> None:
        served.batch = None
        for one in [one for one in self._writing.values() if one.served is served]:
            self._end(one, error)


def _answer(one: _Call, result: list[Any] | None, error: Exception | None) -> None:
    def set_answer() -> None:
        if one.answer.done():
            return
        if error is not None:
            one.answer.set_exception(error)
        else:
            one.answer.set_result(result or [])

    _in_loop(one.loop, set_answer)


def _pass_on(writings: Sequence[Writing], *, ended: bool = False, error: Exception | None = None) -> None:
    """Pass the pending units of texts to their clients' sides; one call per loop wakes it once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Writing, list[int]]]] = {}
    for writing in writings:
        units, writing.pending = writing.pending, []
        by_loop.setdefault(writing.loop, []).append((writing, units))

    def receive(parts: Sequence[tuple[Writing, list[int]]]) -> None:
        for writing, units in parts:
            writing.units += units
            writing.ended, writing.error = ended, error
            writing.ready.set()

    for loop, parts in by_loop.items():
        _in_loop(loop, partial(receive, parts))


def _in_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:  # the loop has ended: nobody waits any more
        _LOG.debug("an answer came after the end of the server")
