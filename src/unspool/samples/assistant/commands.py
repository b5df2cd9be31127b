"""Commands of an assistant: an ordinary Python file, yours to change.

The templates above a function are sentences that ask for it; its arguments are read out of the sentence, each by its
type; the text that it returns is the reply. In a template, `[the]` may be left out, `(set|start)` is one of several,
`{length}` is a value of the argument `length`, and `{state=on|off}` a value in no other words.
"""

import json
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from unspool.commands import command
from unspool.commands.english.durations import duration_words
from unspool.writing import replace_file

HERE = Path(__file__).parent  # lists and notes are kept beside this file
# Parts that templates share.
LIST = "[the|my|our] [{list_name=shopping|grocery|to-do|todo|to do|packing|travel}] list"
JOBS = "{items=call the dentist|water the plants|pay the rent|fix the bike|wash the car and mow the lawn}"
ROOM = "{room=kitchen|bedroom|living room|lounge|bathroom|hall|hallway}"
PLACE = f"(in (the|my|our) {ROOM}|{{room=everywhere|in every room|in the whole house}})"
LIGHT = "(light|lights|lamp|lamps)"
FACT = "{text=the plumber comes on tuesday|my locker is number 24|tom is allergic to nuts|the spare key is at anna's}"
# Synonyms: more words for a value. "15 kg" and "15 kilos" call the function with "kilograms".
# fmt: off
OPERATIONS = {"plus": ["and", "add", "sum", "total"], "minus": ["less", "take away", "take", "subtract", "difference"],
              "times": ["multiplied by", "multiply", "x", "product"], "divided by": ["over", "divide", "split"]}
STATES = {"on": ["light up", "bright"], "off": ["out", "kill", "shut off", "dark"]}
ROOMS = {"living room": "lounge", "hall": "hallway", "everywhere": ["all", "in every room", "in the whole house"]}
Unit = Literal["kilometres", "metres", "centimetres", "miles", "feet", "inches", "kilograms", "grams", "pounds",
               "ounces", "litres", "cups", "celsius", "fahrenheit"]
UNITS = {"kilometres": ["km", "kilometers"], "metres": ["m", "meters"], "centimetres": ["cm", "centimeters"], "miles":
         ["mi", "mile"], "feet": ["ft", "foot"], "inches": ["inch"], "kilograms": ["kg", "kilos"], "grams": ["g"],
         "pounds": ["lb", "lbs", "pound"], "ounces": ["oz"], "litres": ["l", "liters"], "cups": ["cup"], "celsius":
         ["°C", "degrees celsius"], "fahrenheit": ["°F", "degrees fahrenheit"]}
SIZES = [{"kilometres": 1000, "metres": 1, "centimetres": 0.01, "miles": 1609.344, "feet": 0.3048, "inches": 0.0254},
         {"kilograms": 1, "grams": 0.001, "pounds": 0.45359237, "ounces": 0.028349523125},
         {"litres": 1, "cups": 0.2365882365}]  # a cup of the United States
# fmt: on
Room = Literal["kitchen", "bedroom", "living room", "bathroom", "hall", "everywhere"]
lights: dict[str, str] = {}  # the state of each room


# An argument without a default is asked for when a sentence lacks it. Examples are sentences with their values marked.
@command(
    "(set|start|make|create|run) [me] [a|another|the] timer [(for|of|with) {length}]",
    "(set|start) [a] timer for {length} (to {label}|for {label=the eggs|the pasta|my tea|a nap|the oven|the washing})",
    "(set|start|i need|i want|give me|put on) a {length} (timer|countdown|timer to {label}) [now]",
    "({length} timer|(time|count down|count down from|put a timer on for|[a] timer [for]|countdown) {length})",
    "(remind|tell|alert|ping|buzz|nudge|notify|call|wake) me ([up] (in|after) {length}|to {label} in {length})",
    "(let me know|tell me|beep|ring|say something|shout) (when|once) {length} (is|are|have) (up|over|passed|gone)",
    "in {length} (remind me to {label}|tell me to {label}|wake me|let me know|ring)",
    examples=("set a {label=pasta} timer for {length=nine minutes}", "{label=pizza} timer {length=12 minutes}"),
)
def set_timer(length: timedelta, label: str = "") -> str:
    """Start a timer."""
    name = f"Your timer {label and f'for {label} '}"
    timer = threading.Timer(length.total_seconds(), print, [f"\n{name}is over: {duration_words(length)}."])
    timer.daemon = True  # ends with the program
    timer.start()
    return f"{name}is running: {duration_words(length)}."


@command(
    f"(add|put|get|write|stick|include|pop|throw|i want) ({{items}}|something) (on|to|onto|in) {LIST}",
    f"(add|put|write) {JOBS} (on|to|in) [my|the|our] {{list_name=to-do|todo|to do|task}} list",
    f"(add|put|write) (to|on|onto) {LIST}[:] ({{items}}|{JOBS})",
    f"{{items}} (should go|has to go|must be|belongs|goes) on {LIST}",
    "(add|buy|we need [more|to buy]|i have to buy|we have to get|(we're|we are|we've run) (out of|low on)) {items}",
    "[i need to|i have to|i must|we should|remember to] {list_name=pack} {items} [for the trip]",
    synonyms={"list_name": {"shopping": "grocery", "to-do": ["to-do", "todo", "task"], "packing": ["pack", "travel"]}},
)
def add_to_list(items: list[str], list_name: Literal["shopping", "to-do", "packing"] = "shopping") -> str:
    """Put things on a list, kept in lists.json."""
    path = HERE / "lists.json"
    lists = json.loads(path.read_text("utf-8")) if path.exists() else {}
    lists[list_name] = lists.get(list_name, []) + items
    replace_file(path, json.dumps(lists, indent=2, ensure_ascii=False).encode())
    return f"Your {list_name} list: {', '.join(lists[list_name])}."


@command(
    "[what is|what's|how much is|calculate|work out|compute|tell me|find] {first} "
    "{operation=plus|and|add|minus|less|take away|times|x|multiplied by|divided by|over} {second}",
    "[what's|what is|find|give me] the {operation=sum|total|difference|product} of {first} and {second}",
    "[can you] ({operation=add|multiply|sum} {first} (and|with)|{operation=add} {first} to) {second} [together]",
    "[what do i get if i|what if you] ({operation=divide|multiply} {first} by|{operation=split} {first} into) {second}",
    "[what is left if i|what if you|now] ({operation=take} {second} [away]|{operation=subtract} {second}) from {first}",
    synonyms={"operation": OPERATIONS},
)
def calculate(first: float, operation: Literal["plus", "minus", "times", "divided by"], second: float) -> str:
    """Calculate with two numbers."""
    if operation == "divided by" and second == 0:
        return "Nothing can be divided by zero."
    results = {"plus": first + second, "minus": first - second, "times": first * second}
    return f"{_short(first)} {operation} {_short(second)} is {_short(results.get(operation, first / (second or 1)))}."


@command(
    "[convert|change|turn|make|express|what is|what's|how much is|give me] {amount} {unit} (to|into|in|as) {target}",
    "how many {target} (is|are|are in|are there in|in|do i get from|make) {amount} {unit}",
    "how (long|far|heavy|hot|warm|cold|much|tall|high) (is|are) {amount} {unit} in {target}",
    "[i have|it says|the recipe says|it is] {amount} {unit}[,] (what is that|how much is it) in {target}",
    synonyms={"unit": UNITS, "target": UNITS},
)
def convert(amount: float, unit: Unit, target: Unit) -> str:
    """Convert between units."""
    if {unit, target} <= {"celsius", "fahrenheit"}:
        celsius = amount if unit == "celsius" else (amount - 32) / 1.8
        return f"{_short(amount)} {unit} is {_short(celsius if target == 'celsius' else celsius * 1.8 + 32)} {target}."
    for factors in SIZES:
        if unit in factors and target in factors:
            return f"{_short(amount)} {unit} is {_short(amount * factors[unit] / factors[target])} {target}."
    return f"I can't turn {unit} into {target}: they measure different things."


@command(
    f"(turn|switch|put|flick|flip) {{state=on|off|out}} [the|my] [{ROOM}] {LIGHT}",
    f"(turn|switch|put|have|get|i want|leave) the [{ROOM}] {LIGHT} {{state=on|off}}",
    f"(turn|switch|put|i need) ({{state=on|off|out}} the {LIGHT}|[the] {LIGHT} {{state=on|off|out}}) {PLACE}",
    "(turn|switch|put) ({state=on|off} {room=all} [of] the lights|[the] {room=all} lights {state=on|off})",
    f"[the] ([{ROOM}] {LIGHT} {{state=on|off|out}}|{LIGHT} {{state=on|off|out}} {PLACE})",
    f"({{state=kill|shut off}} the [{ROOM}] light|{{state=light up}} the {ROOM}|make the {ROOM} {{state=dark|bright}})",
    synonyms={"state": STATES, "room": ROOMS},
)
def switch_light(state: Literal["on", "off"], room: Room = "living room") -> str:
    """Switch a light."""
    # Call a real lamp here, such as requests.post("http://lamp.local/light/0", json={"turn": state})
    before, lights[room] = lights.get(room), state
    return f"Light {state} ({room}{', as before' if before == state else ''})."


@command(
    f"(note|note down|write down|jot down|remember|keep in mind|record) that ({{text}}|{FACT})",
    f"(take|make|write|add|save|leave) [me] a note [to {{text}}|[that|:|saying|,] ({FACT}|{{text}})]",
    f"(note|write down|jot down|note to self|memo|new note|write this down|put in my notes)[:] ({{text}}|{FACT})",
    examples=("note that {text=we owe sam twenty euros}", "remember that {text=i parked the car on level three}"),
)
def take_note(text: str) -> str:
    """Keep a note in notes.txt."""
    path = HERE / "notes.txt"
    notes = path.read_text("utf-8") if path.exists() else ""
    replace_file(path, f"{notes}{date.today()} {text}\n".encode())
    return f"Noted: {text}."


def _short(value: float) -> str:
    return f"{round(value, 4) if abs(value) >= 1 else float(f'{value:.4g}'):,.15g}"
