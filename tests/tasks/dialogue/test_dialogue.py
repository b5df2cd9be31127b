"""Dialogues: confirmation, missing values, corrections, again and cancel, with a parser that follows a table."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from unspool.commands import CommandSet, command
from unspool.data import SlotSpan
from unspool.errors import CommandError, DataError, UsageError
from unspool.tasks.command.parse import Parse, SlotValue
from unspool.tasks.command.resolution import resolve
from unspool.tasks.dialogue import Dialogue, Due
from unspool.tasks.dialogue.phrases import correction_of, in_words, is_cancel, is_other, is_yes, title_of
from unspool.tasks.dialogue.testing import holds_calls, read_cases, run_cases, scores_of

NOW = datetime(2026, 6, 3, 10, 0)
CALLS: list[tuple[str, dict[str, Any]]] = []


@command("set a timer for {length}", "wake me in {length}", examples=["timer, ten minutes please"])
def set_timer(length: timedelta) -> str:
    CALLS.append(("set_timer", {"length": length}))
    return f"timer for {length}"


@command("turn {state} the {device} [in the {room}]", confirm=True)
def switch(device: Literal["light", "fan"], state: Literal["on", "off"], room: str = "kitchen") -> str:
    CALLS.append(("switch", {"device": device, "state": state, "room": room}))
    return "switched"


@command("paint it {colour}")
def paint(colour: Literal["red", "green", "blue"]) -> None:
    CALLS.append(("paint", {"colour": colour}))


@command("break it", limit=0.2)
def break_it() -> str:
    raise ZeroDivisionError("too much")


@command("wait for ever", limit=0.05)
def wait() -> str:
    time.sleep(5)
    return "never"


COMMANDS = CommandSet.of([set_timer, switch, paint, break_it, wait])


class TableParser:
    """A parser that finds the command by its first word, and leaves slots to the parsers of their kinds."""

    name = "command"

    def __init__(self, commands: CommandSet = COMMANDS) -> None:
        self.commands = CommandSet.from_record(commands.record())

    def parse(self, text: str, now: datetime) -> Parse:
        words = {"set": "set_timer", "wake": "set_timer", "turn": "switch", "paint": "paint", "break": "break_it"}
        name = {**words, "wait": "wait"}.get(text.split()[0].lower())
        shares = dict.fromkeys([name, *self.commands.names] if name else self.commands.names, 0.2)
        if name is None:
            return Parse(text, (), [], 0.01, False, 0.5, shares)
        made = self.commands[name]
        spans = [SlotSpan("room", text.index(" in the ") + 8, len(text))] if " in the " in text else []
        found = resolve(made, text, spans, now)
        slots = [SlotValue(slot, each.text, each.start, each.end, each.value) for slot, each in found.items()]
        return Parse(text, (name,), slots, 0.99, True, 0.5, shares, made)


def assistant(answers: dict[str, str], parser: TableParser | None, confidence: float = 0.8) -> Any:
    def ask(text: str, *, threshold: float | None = None) -> Any:
        known = text in answers and confidence >= (threshold or 0)
        answer = answers[text] if known else "I don't know."
        return SimpleNamespace(answer=answer, known=known, confidence=confidence, source_line=lambda: "from a table")

    return SimpleNamespace(name="answer", ask=ask, parser=parser)


@pytest.fixture
def dialogue() -> Dialogue:
    CALLS.clear()
    return Dialogue(TableParser(), COMMANDS, clock=lambda: NOW)  # type: ignore[arg-type]


def said(dialogue: Dialogue, *texts: str) -> list[tuple[str, str]]:
    return [(turn.kind, turn.reply) for turn in map(dialogue.say, texts)]


def test_a_complete_command_is_carried_out_with_typed_arguments(dialogue):
    turn = dialogue.say("set a timer for a quarter of an hour")
    assert (turn.kind, turn.reply, turn.acted) == ("did", "timer for 0:15:00", True)
    assert [("set_timer", {"length": timedelta(minutes=15)})] == CALLS
    record = turn.record()
    assert json.loads(json.dumps(record)) == record
    assert record["command"] == "set_timer"


def test_a_missing_value_is_asked_for_until_it_is_one(dialogue):
    assert said(dialogue, "set a timer", "soon", "no idea", "twenty minutes please") == [
        ("ask", "How long?"),
        ("ask", "'soon' is not a duration; expected something like 'ten minutes'. How long?"),
        ("ask", "'no idea' is not a duration; expected something like 'ten minutes'. How long? Say “cancel” to stop."),
        ("did", "timer for 0:20:00"),
    ]
    assert dialogue.state.pending is None
    assert said(dialogue, "set a timer", "never mind") == [("ask", "How long?"), ("cancel", "All right, I leave it.")]
    assert said(dialogue, "set a timer", "paint it red") == [("ask", "How long?"), ("did", "Done.")]
    assert [name for name, _ in CALLS] == ["set_timer", "paint"]


def test_confirmation_is_needed_where_the_owner_asks_for_it(dialogue):
    assert said(dialogue, "turn off the fan in the attic", "what?", "yes") == [
        ("confirm", "Turn off the fan in the attic: shall I?"),
        ("confirm", "Please say yes or no: turn off the fan in the attic?"),
        ("did", "switched"),
    ]
    assert CALLS == [("switch", {"device": "fan", "state": "off", "room": "attic"})]
    for no in ("no", "Nope!", "cancel", "don't"):
        assert said(dialogue, "turn on the light", no)[1][0] == "cancel"
    assert len(CALLS) == 1
    assert said(dialogue, "turn on the light", "set a timer for 5 seconds")[1] == ("did", "timer for 0:00:05")


def test_the_other_one_again_and_corrections(dialogue):
    turns = said(dialogue, "turn on the light", "no, the other one", "yes", "again", "yes", "no, the light", "ok")
    assert [kind for kind, _ in turns] == ["confirm", "confirm", "did", "confirm", "did", "confirm", "did"]
    assert [values["device"] for _, values in CALLS] == ["fan", "fan", "light"]
    assert all(values["state"] == "on" for _, values in CALLS)
    CALLS.clear()
    assert (
        said(dialogue, "wake me in 5 minutes", "sorry, make it ten minutes", "once more")[1:]
        == [
            ("did", "timer for 0:10:00"),
        ]
        * 2
    )
    assert said(dialogue, "paint it red", "not that one", "blue") == [
        ("did", "Done."), ("ask", "Which colour: red, green or blue?"), ("did", "Done."),
    ]  # fmt: skip
    assert CALLS[-2:] == [("paint", {"colour": "red"}), ("paint", {"colour": "blue"})]
    assert said(dialogue, "set a timer for 3 minutes", "the other one")[1][0] == "cancel"
    assert said(Dialogue(TableParser(), COMMANDS), "again", "yes", "cancel") == said(  # type: ignore[arg-type]
        Dialogue(TableParser(), COMMANDS),
        "zebra",
        "zebra",
        "zebra",  # type: ignore[arg-type]
    )


def test_a_function_that_fails_or_never_returns_is_a_sentence(dialogue):
    assert said(dialogue, "break it", "wait for ever") == [
        ("failed", "break_it failed: ZeroDivisionError: too much"),
        ("failed", "wait did not return within its limit of 0.05 seconds; it may still be running"),
    ]


def test_a_decision_calls_nothing_and_a_copied_state_goes_its_own_way(dialogue):
    due = dialogue.decide("wake me in an hour")
    assert isinstance(due, Due)
    assert (due.command.name, due.arguments, CALLS) == ("set_timer", {"length": timedelta(hours=1)}, [])
    turn = dialogue.carry_out(due)
    assert (turn.kind, turn.reply, turn.detail) == ("did", "timer for 1:00:00", due.detail)
    assert dialogue.parse is not None
    assert [("set_timer", {"length": timedelta(hours=1)})] == CALLS
    assert dialogue.decide("turn on the light").kind == "confirm"
    asked = dialogue.state.copy()
    assert dialogue.say("no, in the bedroom").kind == "confirm"
    assert dialogue.say("perhaps").kind == "confirm"
    assert asked.pending.arguments == {"device": "light", "state": "on"}
    dialogue.state = asked
    assert isinstance(dialogue.decide("yes"), Due)
    assert dialogue.state.last[0].name == "switch"


class Room(Enum):
    HALL = 1
    LIVING_ROOM = 2


@command("light the {rooms}")
def light(rooms: list[Room]) -> str:
    return ", ".join(str(room) for room in rooms)


@command("clean the {room}")
def clean(room: Room) -> str:
    return str(room)


def test_the_members_of_an_enum_reach_the_function(monkeypatch):
    rooms = CommandSet.of([light, clean])
    parser = TableParser(rooms)

    def parse(text: str, now: datetime) -> Parse:
        made = parser.commands["light" if text.startswith("light") else "clean"]
        (slot,) = made.slots
        span = SlotSpan(slot.name, text.index("the ") + 4, len(text))
        slots = [SlotValue(name, each.text, each.start, each.end, each.value)
                 for name, each in resolve(made, text, [span], now).items()]  # fmt: skip
        return Parse(text, (made.name,), slots, 0.99, True, 0.5, {made.name: 1.0}, made)

    monkeypatch.setattr(parser, "parse", parse)
    one = Dialogue(parser, rooms, clock=lambda: NOW)  # type: ignore[arg-type]
    assert said(one, "clean the living room", "no, the other one") == [
        ("did", "Room.LIVING_ROOM"), ("did", "Room.HALL"),
    ]  # fmt: skip
    assert said(one, "light the hall and living room") == [("did", "Room.HALL, Room.LIVING_ROOM")]
    assert one.state.record()["last"] == {"command": "light", "arguments": {"rooms": ["HALL", "LIVING_ROOM"]}}


def test_an_unknown_sentence_names_the_nearest_two(dialogue):
    turn = dialogue.say("sing a song")
    assert turn.kind == "refuse"
    assert turn.reply.endswith("The nearest that I can do: “set a timer for …” or “turn … the … in the …”.")
    assert not turn.acted
    assert CALLS == []
    assert dialogue.state.record() == {"pending": None, "last": None, "nearest": ["set_timer", "switch"]}


def test_questions_and_commands_share_a_dialogue():
    talk = Dialogue(
        assistant({"who are you": "Me.", "set it": "A question."}, TableParser()), COMMANDS, clock=lambda: NOW
    )
    assert said(talk, "who are you", "paint it green") == [("answer", "Me."), ("did", "Done.")]
    assert said(talk, "set it")[0] == ("ask", "How long?")  # the command is surer than the answer
    surer = Dialogue(assistant({"set it": "A question."}, TableParser(), confidence=0.999), COMMANDS)
    assert said(surer, "set it") == [("answer", "A question.")]
    surer.threshold = 0.9999
    assert said(surer, "set it")[0][0] == "ask"
    plain = Dialogue(assistant({"who are you": "Me."}, None))
    assert said(plain, "who are you", "paint it green") == [("answer", "Me."), ("refuse", "I don't know.")]
    with pytest.raises(UsageError, match="learned no commands"):
        Dialogue(assistant({}, None), COMMANDS)


def test_without_functions_a_call_is_named_and_other_files_are_refused():
    talk = Dialogue(TableParser(), clock=lambda: NOW)  # type: ignore[arg-type]
    assert said(talk, "set a timer for 2 hours") == [
        ("would", "I would set a timer for two hours; load the file of commands to carry it out.")
    ]
    with pytest.raises(CommandError, match="'paint' is not in the file"):
        Dialogue(TableParser(), CommandSet.of([set_timer, switch, break_it, wait]))  # type: ignore[arg-type]


def test_state_lines_tell_what_is_under_way(dialogue):
    dialogue.say("turn on the fan")
    assert dialogue.state.lines()[0] == "under way: switch(device=fan, state=on), waiting for yes or no"
    dialogue.say("yes")
    dialogue.say("set a timer")
    assert dialogue.state.lines()[:2] == [
        "under way: set_timer(), asking for length",
        "last call: switch(device=fan, state=on)",
    ]


def test_phrases():
    assert correction_of("no, in the bedroom") == "in the bedroom"
    assert correction_of("No no, I meant ten.") == "ten"
    assert correction_of("north of here") is None
    assert correction_of("no") is None
    assert is_yes("Yes, please!")
    assert is_cancel("never mind, please")
    assert is_other("No, the other one.")
    assert not is_yes("yesterday")
    assert title_of(COMMANDS["paint"]) == "paint it …"
    assert in_words(COMMANDS["switch"], {"device": "fan", "state": "on", "room": ""}) == "turn on the fan"
    assert in_words(COMMANDS["switch"], {"device": "fan"}) == "switch (device fan)"


@pytest.mark.parametrize(
    ("name", "text", "spans", "expected"),
    [
        ("set_timer", "wake me in ten minutes", [("length", "ten")], {"length": timedelta(minutes=10)}),
        ("set_timer", "wake me in ten minutes", [], {"length": timedelta(minutes=10)}),
        ("set_timer", "ten minutes or five minutes", [], {}),
        ("set_timer", "wake me soon", [("length", "soon")], {}),
        ("switch", "turn the fan off", [("device", "off"), ("state", "fan")], {"device": "fan", "state": "off"}),
        ("switch", "turn on the lights in the hall, please", [("room", "hall, please")],
         {"device": "light", "state": "on", "room": "hall"}),
        ("switch", "turn on the radio", [("device", "radio")], {"state": "on"}),
        ("paint", "paint it blue", [("other", "blue")], {"colour": "blue"}),
    ],
)  # fmt: skip
def test_tagged_spans_are_corrected_by_the_parsers(name, text, spans, expected):
    placed = [SlotSpan(slot, text.index(value), text.index(value) + len(value)) for slot, value in spans]
    found = resolve(COMMANDS[name], text, placed, NOW)
    assert {slot: each.value for slot, each in found.items()} == expected
    for each in found.values():
        assert text[each.start : each.end] == each.text


def test_a_file_of_sentences_holds_calls(tmp_path):
    path = tmp_path / "cases.jsonl"
    rows = [
        {"text": "set a timer for 90 seconds", "call": "set_timer", "arguments": {"length": "a minute and a half"}},
        {"text": "turn on the fan", "call": "switch", "arguments": {"device": "fan", "state": "on", "room": "Kitchen"}},
        {"text": "turn on the fan", "call": "switch", "arguments": {"device": "light", "state": "on"}},
        {"text": "paint it red", "call": None},
        {"text": "set a timer", "call": None},
        {"text": "why", "call": None, "answer": "Because."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert holds_calls(str(path))
    talk = Dialogue(assistant({"why": "Because."}, TableParser()), clock=lambda: NOW)
    results = run_cases(talk, read_cases(str(path), COMMANDS))
    assert [each.right for each in results] == [True, True, False, False, False, True]
    assert scores_of(results) == {
        "calls": pytest.approx(2 / 3), "functions": 1.0, "acted": pytest.approx(1 / 3), "answers": 1.0,
    }  # fmt: skip
    assert json.loads(json.dumps(results[2].record()))["arguments"] == {"device": "fan", "state": "on"}
    for row, message in (
        ({"text": "a"}, "expected an object like"),
        ({"text": "a", "call": "set_time"}, "there is no command 'set_time' .did you mean 'set_timer'"),
        ({"text": "a", "call": "paint", "arguments": {"color": "red"}}, "paint has no argument 'color'"),
        ({"text": "a", "call": "paint", "arguments": []}, "arguments are list"),
        ({"text": "a", "call": None, "now": "noon"}, "now = 'noon'; expected a moment"),
    ):
        path.write_text(json.dumps(rows[0]) + "\n" + json.dumps(row))
        with pytest.raises(DataError, match=message) as caught:
            read_cases(str(path), COMMANDS)
        assert "cases.jsonl:2: " in str(caught.value)
    path.write_text(json.dumps({"text": "paint it red", "call": "paint", "arguments": {"colour": "mauve"}}))
    with pytest.raises(DataError, match="argument 'colour': 'mauve' is not one of red, green, blue"):
        run_cases(talk, read_cases(str(path), COMMANDS))


@command("add {items} to my list", "add {items}")
def add(items: list[str]) -> str:
    CALLS.append(("add", {"items": items}))
    return f"added {' + '.join(items)}"


class ListParser(TableParser):
    """A parser that also knows lists, which end at `to` or at the end."""

    def parse(self, text: str, now: datetime) -> Parse:
        if not text.lower().startswith("add "):
            return super().parse(text, now)
        made = self.commands["add"]
        end = text.index(" to ") if " to " in text else len(text)
        slots = [SlotValue("items", text[4:end], 4, end, made.slot("items").kind.parse(text[4:end], now))]
        return Parse(text, ("add",), slots, 0.99, True, 0.5, {"add": 0.99, "paint": 0.01}, made)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("set a timer for ten minutes and paint it red", ["set_timer", "paint"]),
        ("paint it red, then set a timer for an hour and a half.", ["paint", "set_timer"]),
        ("paint it red. Set a timer for ten minutes", ["paint", "set_timer"]),
        ("add eggs and oat milk to my list and then paint it blue", ["add", "paint"]),
        ("paint it red and set a timer for an hour, and add tea to my list", ["paint", "set_timer", "add"]),
        ("add eggs and oat milk to my list", ["add"]),
        ("add eggs, oat milk and paint it red", ["add"]),  # the list takes the words
        ("set a timer for an hour and a half", ["set_timer"]),
        ("set a timer for an hour and do not forget", ["set_timer"]),
        ("paint it red and twenty minutes", ["paint"]),
        ("paint it red and add it to my list", ["paint"]),  # which it
        ("paint it red, add tea to my list", ["paint"]),  # no conjunction
    ],
)
def test_a_sentence_is_cut_into_commands_only_where_each_is_one(text, calls):
    CALLS.clear()
    commands = CommandSet.of([set_timer, paint, add])
    dialogue = Dialogue(ListParser(commands), commands, clock=lambda: NOW)  # type: ignore[arg-type]
    turn = dialogue.say(text)
    assert turn.kind == "did"
    assert [name for name, _ in CALLS] == calls
    assert dialogue.understand(text).call == " + ".join(calls)
    assert dialogue.state.last is not None
    assert dialogue.state.last[0].name == calls[-1]
    if text.startswith("paint it red, then"):
        assert CALLS[1][1] == {"length": timedelta(minutes=90)}
        assert turn.reply == "Done. timer for 1:30:00"
        assert turn.detail == "paint: 99% familiar; set_timer: 99% familiar"


def test_of_several_commands_none_is_called_if_one_needs_a_question(dialogue):
    for text in ("paint it red and turn on the light", "set a timer and paint it red"):
        turn = dialogue.say(text)
        assert turn.kind == "refuse"
        assert turn.reply == "That is 2 commands, and one of them needs a question; please give me one at a time."
    assert not CALLS
    assert dialogue.state.pending is None
    assert dialogue.understand("set a timer and paint it red").missing == ("length",)


def test_of_several_commands_one_may_fail(dialogue):
    turn = dialogue.say("break it and paint it red")
    assert (turn.kind, turn.command) == ("failed", "paint")
    assert turn.reply == "break_it failed: ZeroDivisionError: too much. Done."
    assert [name for name, _ in CALLS] == ["paint"]
    named = Dialogue(TableParser(), clock=lambda: NOW)  # type: ignore[arg-type]
    turn = named.say("paint it red and set a timer for ten minutes")
    assert (turn.kind, turn.reply.count("I would")) == ("would", 2)
