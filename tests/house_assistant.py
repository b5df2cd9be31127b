"""A small assistant with two commands, trained in some seconds, and the file of its commands."""

from __future__ import annotations

import os
from pathlib import Path

from unspool import Assistant

__all__ = ["PAIRS", "train_house", "write_house"]

PAIRS = [("when do you open", "At nine."), ("where are you", "In Paris."), ("who are you", "A network.")]
_COMMANDS = '''
import pathlib
import time
from datetime import timedelta
from typing import Literal

from unspool import command

DIARY = pathlib.Path(__file__).with_suffix(".log")
with DIARY.open("a") as diary:
    diary.write("loaded\\n")


def note(line):
    with DIARY.open("a") as diary:
        diary.write(line + "\\n")


@command("set a timer for {length}", "wake me in {length}", "[start a] timer {length}", limit=SECONDS)
def set_timer(length: timedelta) -> str:
    """Set a timer."""
    note(f"timer {length}")
    while length == timedelta(hours=9) and not DIARY.with_name("free").exists():
        time.sleep(0.02)
    return f"A timer of {length} runs."


@command("turn {state} the {device}", "switch {state} the {device}", confirm=True)
def switch(device: Literal["light", "fan"], state: Literal["on", "off"]) -> str:
    """Switch a device."""
    note(f"switch {device} {state}")
    return f"The {device} is {state}."
'''


def write_house(folder: Path, *, seconds: float = 10.0) -> Path:
    """Write the file of commands; a timer of nine hours never ends, unless there is a file `free` beside it.

    Each load and each call adds a line to `house.log`.

    Args:
        folder: Folder of the file.
        seconds: Time limit of the timer.
    """
    path = folder / "house.py"
    path.write_text(_COMMANDS.replace("SECONDS", str(seconds)), encoding="utf-8")
    return path


def train_house(folder: Path) -> None:
    """Train the assistant into a folder."""
    beside = folder.with_name(folder.name + "-data")
    os.makedirs(beside)
    (beside / "pairs.tsv").write_text("question\tanswer\n" + "".join(f"{q}\t{a}\n" for q, a in PAIRS))
    options = {"sentences": 60, "epochs": 3, "threads": 1, "seed": 1, "device": "cpu"}
    Assistant(**options).fit([beside / "pairs.tsv", write_house(beside)], out=folder)
