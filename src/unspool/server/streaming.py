"""Answers that take a while: server-sent events, texts of the model thread, and clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from unspool.errors import UnspoolError, for_python
from unspool.server.faults import ApiError
from unspool.server.model_thread import ModelThread, Writing
from unspool.server.models import Served

if TYPE_CHECKING:
    from unspool.decoding import Continuation

__all__ = ["TextStream", "events", "unless_gone"]

T = TypeVar("T")


class TextStream:
    """The text that the model thread writes for one request.

    Args:
        thread: The model thread.
        served: The language model.
        text: What to read and write.
        context: The units before, which the decoder of the text needs.
        seconds: Maximum duration.
    """

    def __init__(
        self, thread: ModelThread, served: Served, text: Continuation, context: Sequence[int], seconds: float
    ) -> None:
        from unspool.decoding import TextPieces

        self._pieces = TextPieces(served.task.vocabulary.decode, context)
        self._writing: Writing = thread.write(served, text)
        self._seconds = seconds
        self.units = 0
        """Number of units written so far."""

    @property
    def context(self) -> list[int]:
        """The last units, with which a later stream begins."""
        return self._pieces.context

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield the text piece by piece; a piece may be empty."""
        writing = self._writing
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    await writing.ready.wait()
                    ended, units = writing.ended, writing.take()
                    self.units += len(units)
                    if writing.error is not None:
                        raise writing.error
                    if units:
                        yield self._pieces.add(units)
                    if ended:
                        yield self._pieces.end()
                        return
        except TimeoutError:
            raise ApiError(
                504, f"the text took longer than {self._seconds:g} seconds, the limit of the server"
            ) from None
        finally:
            writing.cancelled = True

    async def whole(self) -> str:
        """Return the whole text."""
        return "".join([piece async for piece in self])


def events(contents: AsyncIterator[Any], finish: Callable[[], None] | None = None) -> StreamingResponse:
    """Return a response of server-sent events: one JSON value each, then `[DONE]`.

    An error becomes an event with the field `error`, as the status is sent already.

    Args:
        contents: The values.
        finish: Called at the end, also if the client goes away.
    """

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for content in contents:
                yield b"data: " + msgspec.json.encode(content) + b"\n\n"
        except (ApiError, UnspoolError) as error:
            message = error.message if isinstance(error, ApiError) else for_python(error.message)
            yield b"data: " + msgspec.json.encode({"error": {"message": message}}) + b"\n\n"
        finally:
            if finish is not None:
                finish()
        yield b"data: [DONE]\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)


async def unless_gone(request: Request, answer: Awaitable[T], seconds: float) -> T:
    """Await an answer, unless the client goes away or it takes too long.

    Raises:
        ApiError: If it takes longer than the limit.
        ConnectionResetError: If the client has gone.
    """
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if gone.done():
            raise ConnectionResetError("the client has gone")
        raise ApiError(504, f"the answer took longer than {seconds:g} seconds, the limit of the server")
    finally:
        work.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
