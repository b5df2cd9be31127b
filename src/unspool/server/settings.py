"""Settings of the server: address, access and limits. This module imports neither torch nor starlette."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from unspool.errors import SettingError
from unspool.settings import Positive, PositiveInt, Settings

__all__ = ["ServerSettings", "is_loopback"]


class ServerSettings(Settings):
    """Settings of `unspool serve` and `unspool studio`."""

    host: str = "127.0.0.1"
    """Address to listen on; any other than this machine's own loopback address requires a token."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8321
    """Port to listen on; 0 takes a free one."""
    token: str = ""
    """Secret that API requests must send as `Authorization: Bearer`; a random one where a token is required."""
    names: str = ""
    """Further host names, with commas between, under which clients may call this server, as behind a proxy."""
    commands: str = ""
    """Python file of the functions of commands; the server executes its code at the start, and chats call its
    functions. Calls are named, not run, if empty."""
    corrections: str = ""
    """File to which corrected answers of an assistant are appended as JSON lines, to train on; none if empty. Corrected
    commands go to a file beside it, as NAME-calls.jsonl."""
    pruned: str = ""
    """Folder into which the studio may write pruned models, each under a name of its own; none if empty."""
    max_body: PositiveInt = 8_000_000
    """Maximum size of a request, in bytes."""
    max_items: PositiveInt = 1_000
    """Maximum number of inputs in a request."""
    max_characters: PositiveInt = 100_000
    """Maximum length of all texts of a request, in characters."""
    max_trace: PositiveInt = 5_000
    """Maximum length of a text to trace, in characters; a trace holds some hundred numbers for each of them."""
    max_tokens: PositiveInt = 10_000
    """Maximum number of units that a request may write."""
    max_queue: PositiveInt = 512
    """Maximum number of requests that wait for a model; more are refused."""
    max_seconds: Positive = 120.0
    """Maximum duration of a request, in seconds."""
    max_sessions: PositiveInt = 10_000
    """Maximum number of open sessions."""
    session_seconds: Positive = 1800.0
    """Seconds without use after which a session ends."""
    max_batch: PositiveInt = 64
    """Maximum number of texts that a model continues together."""
    max_connections: PositiveInt = 1_000
    """Maximum number of open connections; more are refused."""

    def check(self) -> None:
        """Refuse a token that a header can't hold, and an empty address.

        Raises:
            SettingError: If the token has characters other than visible ASCII, or the host is empty.
        """
        if self.token and not all("!" <= sign <= "~" for sign in self.token):
            raise SettingError("token: expected visible ASCII characters without spaces")
        if not self.host.strip():
            raise SettingError("host is empty: expected an address such as 127.0.0.1 or 0.0.0.0")

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the address."""
        return not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may point anywhere
        return False
