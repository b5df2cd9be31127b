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
LIST = "[the|my|our] [{list_name=shopping|grocery|groceries|to-do|todo|packing|travel}] list"
JOBS = "{items=call the dentist|water the plants|pay the rent|fix the bike|wash the car and mow the lawn}"
ROOM = "{room=kitchen|bedroom|living room|lounge|bathroom|hall|hallway}"
PLACE = f"(in (the|my|our) {ROOM}|{{room=everywhere|in every room|in the whole house|in the house}})"
LIGHT = "(light|lights|lamp|lamps)"
# Synonyms: more words for a value. "15 kg" and "15 kilos" call the function with "kilograms".
# fmt: off
LISTS = {"shopping": ["grocery", "groceries"], "to-do": ["todo", "task"], "packing": ["pack", "travel"]}
OPERATIONS = {"plus": ["+", "and", "add", "sum", "total", "added to", "increased by", "increase", "raise"],
              "minus": ["-", "−", "less", "take away", "take", "subtract", "deduct", "remove", "knock", "difference",
                        "decreased by", "reduced by", "reduce", "decrease", "lower"],
              "times": ["*", "×", "x", "multiplied by", "multiply", "product", "lots of"],
              "divided by": ["/", "÷", "over", "divide", "split", "share", "shared by", "divided into", "split by"]}
STATES = {"on": ["light up", "lit", "lit up", "illuminate", "bright", "brighten", "it's dark", "too dark",
                 "some light", "activate", "enable", "power up", "power on", "fire up"],
          "off": ["out", "kill", "cut", "douse", "shut off", "dark", "darken", "darkness", "no light", "no more light",
                  "extinguish", "lose", "deactivate", "disable", "power down", "power off", "put out"]}
ROOMS = {"living room": "lounge", "hall": "hallway", "everywhere": ["all", "every", "every room", "in every room",
         "in the whole house", "in the house"]}
Unit = Literal["kilometres", "metres", "centimetres", "miles", "feet", "inches", "kilograms", "grams", "pounds",
               "ounces", "litres", "cups", "celsius", "fahrenheit"]
UNITS = {"kilometres": ["km", "kilometers"], "metres": ["m", "meters"], "centimetres": ["cm", "centimeters"], "miles":
         ["mi", "mile"], "feet": ["ft", "foot"], "inches": ["inch"], "kilograms": ["kg", "kilos"], "grams": ["g"],
         "pounds": ["lb", "lbs", "pound"], "ounces": ["oz"], "litres": ["l", "liters"], "cups": ["cup"], "celsius":
         ["°C", "c", "centigrade", "degrees celsius"], "fahrenheit": ["°F", "f", "degrees fahrenheit"]}
SIZES = [{"kilometres": 1000, "metres": 1, "centimetres": 0.01, "miles": 1609.344, "feet": 0.3048, "inches": 0.0254},
         {"kilograms": 1, "grams": 0.001, "pounds": 0.45359237, "ounces": 0.028349523125},
         {"litres": 1, "cups": 0.2365882365}]  # a cup of the United States
# fmt: on
Room = Literal["kitchen", "bedroom", "living room", "bathroom", "hall", "everywhere"]
lights: dict[str, str] = {}  # the state of each room


# An argument without a default is asked for when a sentence lacks it. Examples are sentences with their values marked.
@command(
    "(set|start|make|create|run|begin|get) [me] [up] [a|another|the] (timer|countdown) [(for|of|with|to) {length}]",
    "(set|start|run|put on) [up] [a] (timer|countdown) (for|of) {length} (to|for) {label}",
    "(set|start|run|i need|i want|i'd like|give me|put on|do) [me] a {length} (timer|countdown) [(for|to) {label}|now]",
    "[a] {length} (timer|countdown) [for {label}]",
    "[put|i need|start with|give me] {length} (on the (clock|timer)|from now|starting now|as a timer) [for {label}]",
    "(set|start|make|run) a[nother] {length} (timer|countdown)[,] ([and] (call|name|label) it|called|named) {label}",
    "(set|start|make|run) a (timer|countdown) (for|of) {length}[,] ([and] (call|name|label) it|called|named) {label}",
    "[a] {length} (timer|countdown)[,] (called|named|labelled) {label}",
    "(time|count down [from]|count|put a timer on for|[a] timer[:] [for|of]|countdown [of]|start timing) {length}",
    "(remind|tell|alert|ping|buzz|nudge|notify|call|wake|warn) me ([up] (in|after) {length}|to {label} in {length})",
    "(remind|tell|alert|ping|nudge|warn) me (about {label} (in|after) {length}|in {length} (about|to) {label})",
    "(let me know|tell me|beep|ring|say something|shout) (when|once) {length} (is|are|have) (up|over|passed|gone)",
    "(let me know|beep|ring|shout|buzz|say something|make a noise|give me a (call|nudge|sign)) (in|after) {length}",
    "in {length} ((remind|tell) me (to|about) {label}|wake me|let me know|ring|i have to {label})",
    "(time|set a timer for) {label=the eggs|the pasta|my nap|the cake|the laundry} (for|,|at|to) {length}",
    "(set|start|run) (a|the|my) {label=pasta|tea|egg|pizza|laundry|nap|rice} timer (for|of|to) {length}",
    "{label=pasta|tea|egg|cake|laundry|yoga|break} timer[,|:| for| of] {length}",
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
    f"(add|put|get|write|stick|include|pop|throw|enter|i want) ({{items}}|something) [down] (on|to|onto|in) {LIST}",
    f"(add|put|stick|drop) {{items}} [down] (on|onto|to|at) the (bottom|top|back) of {LIST}",
    f"(add|put|write) {JOBS} (on|to|in) [my|the|our] {{list_name=to-do|todo|to do|task}} list",
    f"(add|put|write) (to|on|onto) {LIST}[:] ({{items}}|{JOBS})",
    f"(can|could) (we|i|you) (have|get|put) {{items}} [written|put|noted] (on|to) {LIST}",
    f"(i want|i'd like|we want|get) {{items}} (added|put|written|noted) (to|on|onto) {LIST}",
    f"{{items}} [should go|has to go|must be|need to be|belongs|goes|go] (on|onto|for) {LIST}",
    f"[on|to|for] {LIST}[:|,] [add|put|plus|needs|also|and] {{items}}",
    "[for] {list_name=groceries|shopping|grocery|packing|to-do}[:|,] [please] [add|put|buy|also|get] {items}",
    f"(make sure (there is|there are|we have) {{items}} on|check that {{items}} is on) {LIST}",
    f"{LIST} (should have|must have|could do with|needs) {{items}} [on it]",
    "(add|put) [to|on] {list_name=groceries|shopping|packing|to-do}[:|,] {items}",
    "(add|buy|we need [more|to buy]|i have to buy|we have to get|(we're|i'm|we've run|we are) (out of|low on)) {items}",
    f"(we're|i'm|we've run|i've run) (out of|low on) {{items}}[,] (add|put) (it|them|some) [down] (on|to) {LIST}",
    f"(don't forget|remember|we need|i need) {{items}}[,] (add|put|write) (it|them|that) [down] (on|onto|to) {LIST}",
    "(pick up|don't forget|remember to buy|get [me|us] some|i need to buy|put down) {items}",
    "[i need to|i have to|i must|we should|remember to] {list_name=pack} {items} [for the (trip|weekend)]",
    synonyms={"list_name": LISTS},
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
    "{operation=plus|and|add|minus|less|take away|times|x|multiplied by|divided by|over|lots of|shared by} {second}",
    "[what is|what's|how much is|work out] {first} {operation=+|-|−|*|×|x|/|÷} {second} [=|equals|= what]",
    "(what does|what do|how much does) {first} {operation=plus|add|and|minus|times|less|over|+|-} {second} (make|give)",
    "{first} {operation=plus|and|minus|times|divided by|less} {second} (is what|equals|is how much|gives what|makes)",
    "[what's|what is|find|give me] [the] {operation=sum|total|difference|product} (of|between) {first} and {second}",
    "[can you] ({operation=add|multiply|sum} {first} (and|with)|{operation=add} {first} to) {second} [together]",
    "[what is|what's] {first} {operation=increased by|decreased by|reduced by|divided into|split by} {second}",
    "{operation=increase|raise|reduce|decrease|lower} {first} by {second}",
    "[what do i get if i|what if you] ({operation=divide|multiply} {first} by|{operation=split|share|divide} {first} "
    "(into|between|among|by)) {second} [people|parts|ways]",
    "[what is left if i|what if you|now] ({operation=take} {second} [away]|{operation=subtract|remove} {second}) "
    "from {first}",
    "[what is left if i|now] {operation=take|knock} {second} (off|away from) {first}",
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
    "how many {target} (is|are|are in|are there in|in|do i get from|make|fit in|would be) {amount} {unit}",
    "[the|number of] {target} (in|for|from) {amount} {unit}",
    "{amount} {unit} (is|equals|makes|gives) how (many|much) [in] {target}",
    "how (long|far|heavy|hot|warm|cold|much|tall|high) (is|are) {amount} {unit} in {target}",
    "(what does|what do|what would) {amount} {unit} (make|be|equal|amount to) in {target}",
    "[i have|it says|the recipe says|it is|it weighs|we need|they want] {amount} {unit}[,] [and|so] "
    "(what is that|how much is it|how many is this|give me that|put that|convert it|what's that) (in|to) {target}",
    "if (it|a bag|the road|my dog|he) (is|weighs|measures|holds|has) {amount} {unit}[,] how many {target} "
    "(is that|are that|would that be|does it make)",
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
    f"[the] ([{ROOM}] {LIGHT}|{LIGHT} {PLACE}) (should|must|has to|needs to) (go|be|stay) {{state=on|off|out}}",
    f"{{state=kill|shut off|cut|douse|lose|put out|extinguish}} the ([{ROOM}] {LIGHT}|{LIGHT} {PLACE})",
    f"{{state=activate|deactivate|enable|disable|power up|power down}} the ([{ROOM}] {LIGHT}|{LIGHT} {PLACE})",
    f"(nobody is|no one is|i'm|i can't see) in the {ROOM}[,] (turn|put) (the {LIGHT} {{state}}|{{state}} the {LIGHT})",
    f"({{state=kill|shut off|cut|douse}}|(turn|switch) {{state=off|on}}) {{room=every|all}} [the] {LIGHT} [in here]",
    f"{{state=light up|brighten|darken}} the {ROOM}",
    f"(make|keep|i want|i'd like|i need|leave|have) [the|my] {ROOM} {{state=dark|bright|lit up|lit}}",
    f"{{state=it's dark|too dark}} in [the|my] {ROOM}[,] ([a] light|lights|some light)",
    f"(do you mind|how about) (turning|switching) {{state=on|off}} the ([{ROOM}] {LIGHT}|{LIGHT} {PLACE})",
    f"[let's have|i want|give me|there should be] {{state=some light|no light|no more light|darkness}} {PLACE}",
    synonyms={"state": STATES, "room": ROOMS},
)
def switch_light(state: Literal["on", "off"], room: Room = "living room") -> str:
    """Switch a light."""
    # Call a real lamp here, such as requests.post("http://lamp.local/light/0", json={"turn": state})
    before, lights[room] = lights.get(room), state
    return f"Light {state} ({room}{', as before' if before == state else ''})."


@command(
    "(note|note down|write down|jot down|remember|keep in mind|record|log|don't let me forget) that {text}",
    "(take|make|write|add|save|leave) [me] a [quick|new] note [to {text}|[that|:|saying|,|of] {text}]",
    "(note|write down|jot down|note to self|memo|new note|write this down|put in my notes)[:|,] {text}",
    "(save this|write this)[:|,] {text}",
    "(take this down|record this|quick note|for my notes|log|remember this)[:|,] {text}",
    "(make|take|keep) a note of (this|the following|that) [thought|fact][:|,] {text}",
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
