"""Answers that take a while: server-sent events, texts of the model thread, and clients that go away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from unspool.errors import UnspoolError
from unspool.server.faults import ApiError, error_content
from unspool.server.model_thread import ModelThread, Writing
from unspool.server.models import Served

if TYPE_CHECKING:
    from unspool.decoding import Continuation

__all__ = ["TextStream", "events", "unless_gone"]

T = TypeVar("T")
_PATIENCE = 0.2  # seconds before anyone watches whether the client of a request is still there
_LOG = logging.getLogger("unspool.server")


class TextStream:
    """The text that the model thread writes for one request.

    Args:
        thread: The model thread.
        served: The language model.
        text: What to read and write.
        context: The units before, which the decoder of the text needs.
        seconds: Maximum duration.
        unit_by_unit: Whether each piece is of one unit, however many arrive together.
        incomplete: Whether an incomplete character at the end of `context` belongs to the text.
        goes_on: Whether another stream may complete a character that is incomplete at the end.
    """

    def __init__(
        self,
        thread: ModelThread,
        served: Served,
        text: Continuation,
        context: Sequence[int],
        seconds: float,
        *,
        unit_by_unit: bool = False,
        incomplete: bool = False,
        goes_on: bool = False,
    ) -> None:
        from unspool.decoding import TextPieces

        self._decoder = TextPieces(served.task.vocabulary.decode, context, incomplete=incomplete)
        self._writing: Writing = thread.write(served, text)
        self._seconds, self._unit_by_unit, self._goes_on = seconds, unit_by_unit, goes_on
        self._deadline = asyncio.get_running_loop().time() + seconds
        self.units = 0
        """Number of units written so far."""
        self.complete = False
        """Whether the text was written to its end; the model thread then no longer changes it."""

    @property
    def context(self) -> list[int]:
        """The last units, with which a later stream begins."""
        return self._decoder.context

    @property
    def incomplete(self) -> bool:
        """Whether a character at the end is incomplete, and waits for a later stream."""
        return self._decoder.incomplete

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the text piece by piece; a piece may be empty."""
        writing, ended = self._writing, False
        try:
            while not ended:
                await self._wait()
                ended, units = writing.ended, writing.take()
                if writing.error is not None:
                    raise writing.error
                for group in [[unit] for unit in units] if self._unit_by_unit else [units] if units else []:
                    self.units += len(group)
                    yield self._decoder.add(group)
            self.complete = True
            if not self._goes_on:
                yield self._decoder.end()
        finally:
            self.cancel()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._writing.ready.wait()
        except TimeoutError:
            raise ApiError(
                504, f"the text took longer than {self._seconds:g} seconds, the limit of --max-seconds"
            ) from None

    async def whole(self) -> str:
        """Return the whole text."""
        async with aclosing(self.pieces()) as pieces:
            return "".join([piece async for piece in pieces])

    def cancel(self) -> None:
        """Let the model thread drop the text, if it is still writing it."""
        self._writing.cancelled = True


def events(contents: AsyncGenerator[Any, None], finish: Callable[[], None] = lambda: None) -> StreamingResponse:
    """Return a response of server-sent events: one JSON value each, then `[DONE]`.

    An error becomes an event with the field `error`, as the status is sent already.

    Args:
        contents: The values.
        finish: Called at the end, also if the client goes away before the first value.
    """
    return _EventStream(contents, finish)


class _EventStream(StreamingResponse):
    media_type = "text/event-stream"

    def __init__(self, contents: AsyncGenerator[Any, None], finish: Callable[[], None]) -> None:
        super().__init__(_lines(contents), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client goes away."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await _cancel(sending, gone)
            self._finish()

    async def _send(self, send: Send) -> None:
        iterator = self.body_iterator
        async with aclosing(iterator):  # type: ignore[type-var]
            await self.stream_response(send)


async def _lines(contents: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(contents):
            async for content in contents:
                yield b"data: " + msgspec.json.encode(content) + b"\n\n"
    except Exception as error:
        if not isinstance(error, ApiError | UnspoolError):
            _LOG.exception("a stream failed")
        yield b"data: " + msgspec.json.encode(error_content(error)) + b"\n\n"
    yield b"data: [DONE]\n\n"


async def unless_gone(request: Request, answer: Awaitable[T], seconds: float) -> T:
    """Await an answer, unless the client goes away or it takes too long.

    Raises:
        ApiError: If it takes longer than the limit.
        ConnectionResetError: If the client has gone.
    """
    work = asyncio.ensure_future(answer)
    gone: asyncio.Future[None] | None = None
    try:
        await asyncio.wait({work}, timeout=min(_PATIENCE, seconds))
        if not work.done():
            gone = asyncio.ensure_future(_disconnected(request.receive))
            await asyncio.wait({work, gone}, timeout=seconds - _PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if gone is not None and gone.done():
            raise ConnectionResetError("the client has gone")
        raise ApiError(504, f"the answer took longer than {seconds:g} seconds, the limit of --max-seconds")
    finally:
        await _cancel(work, gone)


async def _cancel(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel what still runs, and wait until it has ended."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.gather(*running, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
