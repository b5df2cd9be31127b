"""The chat and completion protocol that local servers share, so that existing clients work as they are.

Fields that have no meaning here are refused by name instead of being ignored, unless they hold the value that changes
nothing. A language model answers completions and chats; an assistant or a command parser answers chats.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from unspool.server.api import read_body, state_of
from unspool.server.dialogues import Conversation
from unspool.server.faults import ApiError, json_response
from unspool.server.models import Served
from unspool.server.schemas import ChatMessage, ChatRequest, CompletionRequest
from unspool.server.state import ServerState
from unspool.server.streaming import TextStream, events, unless_gone

__all__ = ["chat_completions", "completions", "list_models", "show_model"]

_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None, False, 0),
    "top_logprobs": (None, 0),
    "suffix": (None, ""),
    "best_of": (None, 1),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "store": (None, False),
}
"""Values with which a field that has no meaning here changes nothing."""
_DEFAULT_LENGTH = 200


async def list_models(request: Request) -> Response:
    """List the models."""
    state = state_of(request)
    return json_response({"object": "list", "data": [_model(state, one) for one in state.models.by_name.values()]})


async def show_model(request: Request) -> Response:
    """Return a model."""
    state = state_of(request)
    return json_response(_model(state, state.models.get(request.path_params["id"])))


def _model(state: ServerState, served: Served) -> dict[str, Any]:
    return {"id": served.name, "object": "model", "created": int(state.started), "owned_by": "unspool"}


async def completions(request: Request) -> Response:
    """Continue a text with a language model."""
    state, body = state_of(request), await read_body(request, CompletionRequest)
    _refuse_fields(body)
    served = state.models.get(body.model, verb="generate")
    if not isinstance(body.prompt, str) and len(body.prompt) != 1:
        raise ApiError(400, f"prompt holds {len(body.prompt)} texts; expected one", "prompt")
    prompt = body.prompt if isinstance(body.prompt, str) else body.prompt[0]
    text = _Text(state, served, body, prompt, body.max_tokens)
    name, begin = f"cmpl-{secrets.token_hex(8)}", prompt if body.echo else ""

    def record(piece: str, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": reason}
        return _envelope(name, "text_completion", served, choice)

    if body.stream:
        return events(_chunks(text, record, begin, body.stream_options), text.cancel)
    whole = begin + await unless_gone(request, text.whole(), state.settings.max_seconds)
    return json_response(record(whole, text.reason) | {"usage": text.usage()})


async def chat_completions(request: Request) -> Response:
    """Answer a chat, with an assistant or a language model."""
    state, body = state_of(request), await read_body(request, ChatRequest)
    _refuse_fields(body)
    texts = [_content(message) for message in body.messages]
    served = _chat_model(state, body.model)
    name = f"chatcmpl-{secrets.token_hex(8)}"

    def whole_record(answer: str, reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return _envelope(name, "chat.completion", served, choice)

    def chunk(piece: str, reason: str | None) -> dict[str, Any]:
        delta = {"role": "assistant", "content": piece} if reason is None else {}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _envelope(name, "chat.completion.chunk", served, choice)

    if served.chats:
        reply = await _ask(request, state, served, body, texts)
        usage = _usage(*(len(text.split()) for text in (texts[-1], reply["answer"])))
        if body.stream:
            return events(
                _one_answer(chunk, reply, usage if (body.stream_options or {}).get("include_usage") else None)
            )
        return json_response(whole_record(reply["answer"], "stop") | {"usage": usage, "unspool": reply})
    prompt = "\n".join([*texts, ""])
    length = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    text = _Text(state, served, body, prompt, length)
    if body.stream:
        return events(_chunks(text, chunk, "", body.stream_options), text.cancel)
    content = await unless_gone(request, text.whole(), state.settings.max_seconds)
    return json_response(whole_record(content, text.reason) | {"usage": text.usage()})


class _Text:
    """One text that a language model writes, until a stop sequence or the maximum length."""

    def __init__(self, state: ServerState, served: Served, body: Any, prompt: str, length: int | None) -> None:
        self._stops = _stops(body.stop)
        length = min(_DEFAULT_LENGTH, state.settings.max_tokens) if length is None else length
        state.check_inputs([prompt], written=length)
        state.thread.check_open()
        text = served.task.continuation(
            prompt,
            length=length,
            temperature=1.0 if body.temperature is None else body.temperature,
            top_p=body.top_p,
            seed=secrets.randbits(62) if body.seed is None else body.seed,
        )
        self._read = len(text.unread) - 1
        seconds, stops = state.settings.max_seconds, bool(self._stops)
        self._stream = TextStream(state.thread, served, text, list(text.unread), seconds, unit_by_unit=stops)
        self.reason = "length"
        """Why the text ended: `stop` or `length`."""

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the text before the first stop sequence; what may begin one waits."""
        waiting, longest = "", max(map(len, self._stops), default=1) - 1
        async with aclosing(self._stream.pieces()) as pieces:
            async for piece in pieces:
                waiting += piece
                places = [place for stop in self._stops if (place := waiting.find(stop)) >= 0]
                if places:
                    self.reason = "stop"
                    yield waiting[: min(places)]
                    return
                cut = max(0, len(waiting) - longest)
                yield waiting[:cut]
                waiting = waiting[cut:]
        yield waiting

    async def whole(self) -> str:
        """Return the whole text."""
        async with aclosing(self.pieces()) as pieces:
            return "".join([piece async for piece in pieces])

    def cancel(self) -> None:
        """Let the model thread drop the text, if it is still writing it."""
        self._stream.cancel()

    def usage(self) -> dict[str, int]:
        """Return the numbers of units read and written."""
        return _usage(self._read, self._stream.units)


async def _chunks(text: _Text, record: Any, begin: str, options: dict[str, Any] | None) -> AsyncGenerator[Any, None]:
    if begin:
        yield record(begin, None)
    async with aclosing(text.pieces()) as pieces:
        async for piece in pieces:
            if piece:
                yield record(piece, None)
    yield record("", text.reason)
    if (options or {}).get("include_usage"):
        yield record("", None) | {"choices": [], "usage": text.usage()}


async def _one_answer(chunk: Any, reply: dict[str, Any], usage: dict[str, int] | None) -> AsyncGenerator[Any, None]:
    yield chunk(reply["answer"], None)
    yield chunk("", "stop") | {"unspool": reply}
    if usage is not None:
        yield chunk("", None) | {"choices": [], "usage": usage}


async def _ask(
    request: Request, state: ServerState, served: Served, body: ChatRequest, texts: Sequence[str]
) -> dict[str, Any]:
    """Answer the last message with an assistant, in a dialogue if it has commands."""
    messages = body.messages
    if messages[-1].role != "user":
        raise ApiError(400, f"the last message is of the role {messages[-1].role!r}; expected user", "messages")
    state.check_inputs(texts)
    state.thread.check_open()
    if served.commands is not None:
        before = [(one.role, text.strip()) for one, text in zip(messages[:-1], texts, strict=False)]
        name = msgspec.json.encode([body.dialogue, body.user]).decode()
        return await state.dialogues.say(request, served, Conversation(served.name, name, tuple(before)), texts[-1])

    def run(questions: list[str]) -> list[dict[str, Any]]:
        return [served.task.ask(question).record() for question in questions]

    call = state.thread.call((served.name, "ask"), [texts[-1]], run)
    (reply,) = await unless_gone(request, call, state.settings.max_seconds)
    return dict(reply)


def _chat_model(state: ServerState, name: str | None) -> Served:
    """Return the model of a chat: an assistant, or else a language model."""
    if name is None and not any(one.chats for one in state.models.by_name.values()):
        return state.models.get(None, verb="generate")
    served = state.models.get(name, verb="" if name else "chat")
    if not (served.chats or served.writes):
        raise ApiError(400, served.refusal("chat"), "model")
    return served


def _content(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = []
    for part in message.content:
        text = part.get("text")
        if part.get("type") != "text" or not isinstance(text, str):
            raise ApiError(400, "a part of a message is no text; expected parts of the type 'text'", "messages")
        parts.append(text)
    return "".join(parts)


def _refuse_fields(body: Any) -> None:
    for name, values in _NO_EFFECT.items():
        value = getattr(body, name, None)
        if value not in values:
            raise ApiError(400, f"{name} is not supported by this server; leave it out", name)


def _stops(stop: str | list[str] | None) -> list[str]:
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if len(stops) > 16 or not all(0 < len(one) <= 1000 for one in stops):
        raise ApiError(400, "stop: expected at most 16 texts of 1 to 1,000 characters", "stop")
    return stops


def _usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _envelope(name: str, kind: str, served: Served, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": served.name, "choices": [choice]}
