"""Sessions: texts that a language model reads and continues bit by bit, each with a state of constant size."""

from __future__ import annotations

import secrets
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.server.faults import ApiError, BusyError
from unspool.server.models import Served
from unspool.server.settings import ServerSettings

if TYPE_CHECKING:
    from unspool.decoding import Continuation, Sampling

__all__ = ["Session", "Sessions"]

_CONTEXT = 8  # units that decode the beginning of the next ones


class Session:
    """A text between two requests: the packed state of the model, and what is needed to go on.

    Args:
        served: The language model.
        sampling: How units are chosen.
        seed: Seed of the random numbers.
        unread: Units that the model has not read yet.
    """

    __slots__ = (
        "busy",
        "context",
        "drawn",
        "id",
        "incomplete",
        "sampling",
        "seed",
        "served",
        "state",
        "unread",
        "used",
    )

    def __init__(self, served: Served, sampling: Sampling, seed: int, unread: Sequence[int]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.served, self.sampling, self.seed = served, sampling, seed
        self.unread, self.context = array("q", unread), array("q", unread[-_CONTEXT:])
        self.incomplete = False
        """Whether the text ends within a character, whose first bytes no answer held yet."""
        self.state: Any = None
        self.drawn = 0
        self.used = time.monotonic()
        self.busy = False
        """Whether a request advances the session."""

    def open(self, units: Sequence[int], length: int) -> Continuation:
        """Return the text as a continuation that reads units and writes some.

        The last unit stays unread if nothing is written, so that a session needs no scores between requests.

        Args:
            units: Units to read first.
            length: Number of units to write.
        """
        from unspool.decoding import Continuation

        unread = [*self.unread, *units]
        keep = 0 if length else 1
        text = Continuation(unread[: len(unread) - keep], length=length, sampling=self.sampling, seed=self.seed)
        text.drawn = self.drawn
        text.state = None if self.state is None else _unpacked(self.state, self.served)
        return text

    def close(self, text: Continuation, units: Sequence[int], length: int) -> None:
        """Keep the state of a continuation that `open` returned, after its end.

        Args:
            text: The continuation.
            units: As passed to `open`.
            length: As passed to `open`.
        """
        last = [*self.unread, *units][-1:] if not length else []
        self.unread = array("q", [*text.unread, *last])
        if text.state is not None:
            self.state = _packed(text.state, self.served)
        self.drawn = text.drawn

    def end_with(self, units: Sequence[int], *, incomplete: bool) -> None:
        """Keep the last units, which decode the beginning of the next ones.

        Args:
            units: The last units.
            incomplete: Whether they end within a character.
        """
        self.context, self.incomplete = array("q", units[-_CONTEXT:]), incomplete

    def fork(self, seed: int | None) -> Session:
        """Return a copy with a new id, and the same state."""
        copy = Session(self.served, self.sampling, self.seed if seed is None else seed, self.unread)
        copy.state, copy.drawn = self.state, self.drawn
        copy.end_with(self.context, incomplete=self.incomplete)
        return copy


class Sessions:
    """All open sessions, least recently used first.

    Args:
        settings: Maximum number, and seconds until they end.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._open: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, session: Session) -> Session:
        """Add a session, after removing those that have expired.

        Raises:
            BusyError: If there are too many.
        """
        self.expire()
        if len(self._open) >= self.settings.max_sessions:
            raise BusyError(f"{len(self._open):,} sessions are open, the limit of --max-sessions; delete some")
        self._open[session.id] = session
        return session

    def get(self, name: str) -> Session:
        """Return a session.

        Raises:
            ApiError: If there is none, or it has expired.
        """
        self.expire()
        if name not in self._open:
            raise ApiError(404, "there is no such session; it may have expired", "id")
        return self._open[name]

    def touch(self, session: Session) -> None:
        """Note that a session was used now."""
        session.used = time.monotonic()
        if session.id in self._open:
            self._open.move_to_end(session.id)

    def remove(self, session: Session) -> None:
        """End a session; a request that advances it goes on."""
        self._open.pop(session.id, None)

    def expire(self) -> None:
        """Remove the sessions that nobody has used for too long."""
        oldest = time.monotonic() - self.settings.session_seconds
        expired: list[Session] = []
        for session in self._open.values():
            if session.used > oldest:
                break
            if not session.busy:
                expired.append(session)
        for session in expired:
            self.remove(session)

    def seconds_left(self, session: Session) -> float:
        """Return the seconds until a session ends without use."""
        return max(0.0, session.used + self.settings.session_seconds - time.monotonic())


def _packed(state: Any, served: Served) -> Any:
    """Return the tensors of a state as one array of bytes, without the cost of objects; other states as they are."""
    from unspool.decoding.states import leaves

    parts = [None if leaf is None else leaf.cpu().numpy() for leaf in leaves(state)]
    if _layout(parts) != _shapes(served):
        return state
    return b"".join(part.tobytes() for part in parts if part is not None)


def _unpacked(packed: Any, served: Served) -> Any:
    import torch

    from unspool.decoding.states import rebuilt

    if not isinstance(packed, bytes):
        return packed
    parts: list[Any] = []
    begin = 0
    device = next(served.task.model.parameters()).device
    for shape in _shapes(served):
        if shape is None:
            parts.append(None)
            continue
        sizes, dtype = shape
        count = int(np.prod(sizes))
        numbers = np.frombuffer(packed, dtype, count, begin).reshape(sizes).copy()
        parts.append(torch.from_numpy(numbers).to(device))
        begin += count * dtype.itemsize
    return rebuilt(served.start, iter(parts))


def _shapes(served: Served) -> list[Any]:
    """Return shape and number type of each part of a state of the model."""
    from unspool.decoding.states import leaves

    if served.layout is None:
        served.start = served.task.continuations(tiled=True).start()
        served.layout = _layout([None if leaf is None else leaf.cpu().numpy() for leaf in leaves(served.start)])
    return served.layout


def _layout(parts: list[Any]) -> list[Any]:
    return [None if part is None else (part.shape, part.dtype) for part in parts]
