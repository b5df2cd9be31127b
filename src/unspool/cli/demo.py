"""`unspool demo`: train a small model, use it, and inspect it."""

from __future__ import annotations

import shlex
import sys
import textwrap
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.demo_folder import demo_folder
from unspool.cli.talk import common, console, example, reporter, result, say

if TYPE_CHECKING:
    from unspool.tasks import Assistant, Reply
    from unspool.tasks.dialogue import Turn

__all__ = ["demo"]

_SETTINGS: dict[str, Any] = {
    "epochs": 15,
    "learning_rate": 1e-2,
    "keep": 0.65,  # a high threshold: the assistant rather declines than answers wrongly
    "device": "cpu",
    "threads": 1,  # for networks this small, thread synchronisation costs more than it saves
    "seed": 1,
}
_QUESTIONS = (
    "How high do I set the seat of my bicycle?",
    "There is red wine on my white tablecloth, what do I do?",
    "May I add a few new pairs to an assistant that is already trained?",
)
_COMMANDS = (
    "remind me about the eggs in a quarter of an hour",
    "could you pop oat milk and rye bread on the shopping list",
)
_UNKNOWN = "Sing me a song about the capital of Mongolia"
_INTRODUCTION = """\
An assistant trains on what comes with this package: {questions} questions about
the kitchen, the garden, bicycles, computers and Unspool itself, each in a few
wordings, and a Python file of {commands} commands. It learns, from random weights and on
this machine alone, to find the stored question that has the same meaning, the
command that a sentence asks for, and its arguments in the sentence.
"""


_HELP = """\
Train a small model, use it, and inspect it.

\b
assistant  train an assistant on questions, answers and commands, then chat with it: a minute or two
agreement  train a bag of words, an Elman network and an LSTM on verb agreement, and compare them
pictures   train a captioner on generated pictures, and see where it looked: about two minutes

A demo needs nothing but this package.
"""


@click.command(help=_HELP, epilog=example("unspool demo", "unspool demo agreement --out my-demo"))
@click.argument("name", type=click.Choice(["assistant", "agreement", "pictures"]), default="assistant")
@click.option("--out", type=click.Path(path_type=Path), help="Keep data and model in this new folder.")
@common
def demo(name: str, out: Path | None) -> None:
    """Train a small model, use it, and inspect it."""
    if name == "agreement":
        from unspool.cli.demo_agreement import show_agreement

        show_agreement(out)
    elif name == "pictures":
        from unspool.cli.demo_pictures import show_pictures

        show_pictures(out)
    else:
        _show_assistant(out)


def _show_assistant(out: Path | None) -> None:
    from unspool.samples import everyday
    from unspool.tasks import Assistant

    with demo_folder(out) as folder:
        data, commands = folder / "questions.jsonl", folder / "commands.py"
        with everyday.path() as sample:
            data.write_bytes(sample.read_bytes())
        commands.write_bytes(_sample_commands())
        assistant = Assistant(**_SETTINGS)
        result(_INTRODUCTION.format(questions=len(everyday.pairs()), commands=6))
        assistant.fit([data, commands], out=folder / "assistant", reporter=reporter())
        _ask(assistant)
        _command(assistant)
        _look_inside(assistant)
        _show_way_on(out)
        if _on_a_terminal() and click.confirm("\nChat with the assistant?", default=True):
            from unspool.cli.chat import converse

            converse(assistant, None if out is None else str(folder / "assistant"), dialogue=assistant.dialogue())


def _sample_commands() -> bytes:
    return files("unspool.samples.assistant").joinpath("commands.py").read_bytes()


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(assistant: Assistant) -> None:
    """Ask three questions in new wordings, and one that the assistant can't answer."""
    result("\nThree questions, in wordings that are not in the training data:\n")
    for question in _QUESTIONS:
        _show(assistant.ask(question))


def _command(assistant: Assistant) -> None:
    """Give two commands in new words, and one sentence that is neither a command nor a question of the assistant."""
    result("Two commands in new words; the functions in commands.py carry them out:\n")
    for text in _COMMANDS:
        turn = assistant.act(text)
        inside = ", ".join(f"{name}={_spoken(assistant, turn, name)}" for name in turn.arguments)
        _tell(text, turn.reply, f"{turn.command}({inside}), {turn.detail}")
    result("And a sentence that is neither:\n")
    turn = assistant.act(_UNKNOWN)
    _tell(_UNKNOWN, turn.reply)


def _show(reply: Reply) -> None:
    _tell(reply.question, reply.answer, reply.source_line())


def _tell(text: str, reply: str, detail: str = "") -> None:
    """Write a sentence with its reply, in lines of at most 80 columns."""
    lines = [f"  > {text}", *textwrap.wrap(reply, 76), *(textwrap.wrap(f"({detail})", 76) if detail else ())]
    result("\n    ".join(lines) + "\n")


def _spoken(assistant: Assistant, turn: Turn, name: str) -> str:
    """Return an argument of a call in words."""
    assert assistant.fitted.commands is not None
    kind = assistant.fitted.commands[str(turn.command)].slot(name).kind
    return f"“{kind.speak(turn.arguments[name])}”"


def _look_inside(assistant: Assistant) -> None:
    """Show the weight of each word of a question, and the nearest questions of the training data."""
    from unspool.inspection import show

    result("The weight of each word of the third question, and the nearest questions of the training data:\n")
    show(assistant.trace(_QUESTIONS[-1]), console())
    if assistant.parser is not None:
        result("\nThe first command as the network reads it: the attention that decides about the")
        result("command, and the argument of which each word is a part. A value is one word.\n")
        trace, parse = assistant.parser.trace(_COMMANDS[0]), assistant.parser.predict(_COMMANDS[0])
        slots = {word: slot.slot for slot in parse.slots for word in (slot.text, *slot.text.split())}
        weights = trace.arrays["readout / weight"][:, 0]
        width = max(map(len, trace.tokens))
        for word, weight in zip(trace.tokens, weights, strict=True):
            bar = "█" * round(24 * float(weight))
            result(f"  {word:>{width}}  {slots.get(word, ''):<7}{weight:6.1%}  {bar}".rstrip())


def _show_way_on(out: Path | None) -> None:
    lines = ["\nNext, train on your own questions and answers, one pair a line, separated by a tab:\n"]
    lines += ["    unspool train answer my-pairs.tsv --out my-assistant", "    unspool chat my-assistant"]
    lines += ["\nOr begin with a folder of commands and questions that you change: unspool init assistant"]
    lines += ["\nOther demos and tasks: unspool demo agreement, unspool demo pictures, unspool train --help"]
    if out is not None:
        model = shlex.quote(str(out / "assistant"))
        commands = shlex.quote(str(out / "commands.py"))
        lines += ["\nOr use the assistant that the demo trained:\n", f"    unspool chat {model} --commands {commands}"]
        lines += [f"    unspool studio {model}"]
    lines += ["\nLook inside a network in the browser, live: unspool studio --demo"]
    result("\n".join(lines))
    say("")
