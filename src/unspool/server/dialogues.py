"""Dialogues of chats with models that know commands: states between requests, and functions in threads of their own.

The chat protocol is stateless: each request brings all messages. The state after a reply is stored under a hash of the
messages up to that reply, and of the conversation's identifier. The next request of the conversation finds the state
there, so that no earlier message is understood again, and no earlier function runs again. A conversation that nobody
stored begins afresh.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.requests import Request

from unspool.commands import Command, CommandSet
from unspool.commands.calling import running_calls
from unspool.errors import CommandError
from unspool.server.faults import BusyError
from unspool.server.model_thread import ModelThread
from unspool.server.models import Models, Served
from unspool.server.settings import ServerSettings
from unspool.server.streaming import unless_gone
from unspool.tasks.dialogue import MOST_COMMANDS, Dialogue, DialogueState, Due, Turn

if TYPE_CHECKING:
    from unspool.tasks.answer.reply import Reply
    from unspool.tasks.command.parse import Parse

__all__ = ["Conversation", "Dialogues"]

_MOST_CALLS = 32  # functions that run at once, those beyond their time limit included
_LOG = logging.getLogger("unspool.server")


class Conversation(NamedTuple):
    """The messages of a request before its last one."""

    model: str
    name: str
    """Identifier that the client chose; empty if it chose none."""
    messages: tuple[tuple[str, str], ...] = ()
    """Role and content of each message."""

    def key(self) -> bytes:
        """Return a hash of the conversation."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()

    def then(self, question: str, reply: str) -> Conversation:
        """Return the conversation with one more message, and the reply."""
        return self._replace(messages=(*self.messages, ("user", question.strip()), ("assistant", reply.strip())))


class _Step(NamedTuple):
    """What the model thread decided about one message."""

    turn: Turn | Due
    state: DialogueState
    reply: Reply | None
    parse: Parse | None


class Dialogues:
    """The dialogues of all chats with models that know commands.

    Args:
        settings: Limits: the maximum number of states, and the seconds that an unused one is stored.
        thread: The model thread.
        functions: Commands of the file that the owner named; None: calls are named, never run.
    """

    def __init__(self, settings: ServerSettings, thread: ModelThread, functions: CommandSet | None = None) -> None:
        self.settings, self.functions, self._thread = settings, functions, thread
        self._of_models: dict[str, tuple[Dialogue, bool]] = {}
        self._working: set[asyncio.Task[Turn]] = set()
        self._states: OrderedDict[bytes, tuple[float, DialogueState]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def check(self, models: Models) -> None:
        """Bind the functions to all loaded models that know commands.

        Raises:
            CommandError: If no model knows commands, or the file fits none of them.
        """
        if self.functions is None:
            return
        knowing = [served for served in models.by_name.values() if served.commands is not None]
        problems = [f"{served.name}: {self._misfit(served)}" for served in knowing if not self.acts(served)]
        if len(problems) < len(knowing):
            for problem in problems:
                _LOG.warning("%s; its commands are named, not run", problem)
            return
        raise CommandError("; ".join(problems) or "no model of this server learned commands; leave out the file")

    def acts(self, served: Served) -> bool:
        """Whether the server runs the functions of a loaded model's commands."""
        return self._of(served)[1]

    def _misfit(self, served: Served) -> str:
        assert served.commands is not None
        assert self.functions is not None
        try:
            served.commands.bind(self.functions)
        except CommandError as error:
            return error.message
        return ""

    def _of(self, served: Served) -> tuple[Dialogue, bool]:
        """Return the dialogue of a model, whose state changes with each message, and whether it runs functions."""
        if served.name not in self._of_models:
            dialogue = Dialogue(served.task)
            assert dialogue.commands is not None
            acts = self.functions is not None and not self._misfit(served)
            bound = dialogue.commands.bind(self.functions) if acts and self.functions else dialogue.commands
            dialogue.commands = replace(bound, commands=tuple(self._limited(one, acts) for one in bound))
            self._of_models[served.name] = dialogue, acts
        return self._of_models[served.name]

    def _limited(self, command: Command, acts: bool) -> Command:
        """Return a command without its function unless the server runs it, with a limit below that of requests."""
        limit = min(command.limit, self.settings.max_seconds / (MOST_COMMANDS + 1))
        return replace(command, limit=limit, function=command.function if acts else None)

    # ---- one message -------------------------------------------------------------------------------------------

    async def say(self, request: Request, served: Served, conversation: Conversation, text: str) -> dict[str, Any]:
        """Reply to the last message of a request, and carry out its command.

        Args:
            request: The request; nothing is called if its client goes away before that.
            served: A model that knows commands.
            conversation: The messages before.
            text: The last message.

        Raises:
            ApiError: If too many functions are running, or the model thread is too busy.
            UnspoolError: If the message does not fit.
        """
        dialogue, acts = self._of(served)
        key = conversation.key()
        before = self._take(key)
        try:
            step = await self._decide(request, dialogue, before, text)
            work = asyncio.create_task(self._finish(dialogue, step, conversation, text))
        except BaseException:
            self._put(key, before)
            raise
        if not isinstance(step.turn, Due):
            self._put(key, before)
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        # A function that has begun goes on, and its state is stored, also if the client goes away.
        turn = await unless_gone(request, asyncio.shield(work), self.settings.max_seconds)
        return _record(dialogue, turn, step, acts)

    async def _decide(self, request: Request, dialogue: Dialogue, before: DialogueState | None, text: str) -> _Step:
        def run(values: list[Any]) -> list[_Step]:
            dialogue.state = DialogueState() if before is None else before.copy()
            dialogue.reply = dialogue.parse = None
            turn = dialogue.decide(text)
            return [_Step(turn, dialogue.state, dialogue.reply, dialogue.parse)]

        call = self._thread.call(object(), [None], run)  # a key of its own: never batched with another request
        step: _Step = (await unless_gone(request, call, self.settings.max_seconds))[0]
        if isinstance(step.turn, Due) and (running := running_calls()) >= _MOST_CALLS:
            raise BusyError(f"{running} functions of commands are running; try again when some have ended")
        return step

    async def _finish(self, dialogue: Dialogue, step: _Step, conversation: Conversation, text: str) -> Turn:
        """Call the function of a turn, if there is one, and store the state after the turn."""
        turn = step.turn
        if isinstance(turn, Due):
            turn = await _in_thread(partial(dialogue.carry_out, turn))
        self._put(conversation.then(text, turn.reply).key(), step.state)
        return turn

    # ---- states ------------------------------------------------------------------------------------------------

    def _take(self, key: bytes) -> DialogueState | None:
        """Return the state of a conversation; one that waits for confirmation is removed, so that one yes calls once.

        `_put` stores the state again if nothing was called.
        """
        self.expire()
        if key not in self._states:
            return None
        state = self._states[key][1]
        if state.pending is not None and state.pending.asking is None:
            del self._states[key]
        return state

    def _put(self, key: bytes, state: DialogueState | None) -> None:
        if state is None:
            return
        self._states[key] = time.monotonic(), state
        self._states.move_to_end(key)
        while len(self._states) > self.settings.max_sessions:
            self._states.popitem(last=False)

    def expire(self) -> None:
        """Forget the states that nobody has used for too long."""
        oldest = time.monotonic() - self.settings.session_seconds
        while self._states and next(iter(self._states.values()))[0] < oldest:
            self._states.popitem(last=False)


def _record(dialogue: Dialogue, turn: Turn, step: _Step, acts: bool) -> dict[str, Any]:
    """Return a turn as JSON, with the state after it, and what the model recognized in the message."""
    reply = {} if step.reply is None else step.reply.record()
    parse = None if step.parse is None else step.parse.record()
    assert dialogue.commands is not None
    slots = []
    for name, value in turn.json_arguments.items():
        kind = dialogue.commands[turn.command or ""].slot(name).kind
        words = "" if value is None else kind.speak(turn.arguments[name])
        slots.append({"name": name, "kind": kind.name, "value": value, "words": words})
    return {
        **reply,
        "question": turn.text,
        "answer": turn.reply,
        "kind": turn.kind,
        "command": turn.command,
        "arguments": dict(turn.json_arguments),
        "slots": slots,
        "detail": turn.detail,
        "parse": parse,
        "state": {**step.state.record(), "lines": step.state.lines()},
        "acts": acts,
    }


async def _in_thread(work: Callable[[], Turn]) -> Turn:
    """Run work in a daemon thread of its own, so that neither a pool nor the end of the server waits for it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Turn] = loop.create_future()

    def settle(turn: Turn | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        elif turn is not None:
            answer.set_result(turn)

    def run() -> None:
        turn: Turn | None = None
        failure: Exception | None = None
        try:
            turn = work()
        except Exception as error:
            failure = error
        try:
            loop.call_soon_threadsafe(settle, turn, failure)
        except RuntimeError:  # the loop has ended: nobody waits any more
            _LOG.debug("a function returned after the end of the server")

    threading.Thread(target=run, name="unspool-call", daemon=True).start()
    return await answer
