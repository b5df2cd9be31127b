"""A small house of commands that the tests share."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

from unspool.commands import CommandSet, command


class Room(Enum):
    KITCHEN = 1
    LIVING_ROOM = "lounge"


@command("set a timer for {length}", "wake me in {length}", examples=["timer, ten minutes please"])
def set_timer(length: timedelta) -> str:
    """Set a timer.

    It rings once.
    """
    return f"A timer of {length} runs."


@command(
    "turn {state} the {device} [in the {room}]",
    confirm=True,
    limit=2,
    synonyms={"device": {"light": ["lamp"]}, "room": {"LIVING_ROOM": "parlour"}},
)
def switch(device: Literal["light", "fan"], state: Literal["on", "off"], room: Room = Room.KITCHEN) -> str:
    return f"{device} {state} {room.name}"


@command("(add|put) {items} (to|on) my [shopping] list", examples=["i need {items=oat milk}"])
def add_items(items: list[str]) -> None: ...


@command("remind me [{when}] to {what}", name="remind")
def remind_me(what: str, when: datetime | None = None) -> str:
    return f"{what}: {when}"


@command("set the heating to {level} [degrees]", "is it (warm|cold)")
def heat(level: float) -> None: ...


FUNCTIONS = (set_timer, switch, add_items, remind_me, heat)
HOUSE = CommandSet.of(FUNCTIONS)
