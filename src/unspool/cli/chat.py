"""`unspool chat`: chat with an assistant that was trained on questions and answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from unspool.cli.open_model import device_option, model_argument, open_model_for
from unspool.cli.talk import common, console, example, flush, result, result_json, say
from unspool.errors import UnspoolError, UsageError

if TYPE_CHECKING:
    from unspool.tasks import Assistant, Reply

__all__ = ["chat", "converse"]

_HELP = """\
/why            show the sources of the last answer, and the next candidates
/look           show the weight of each word of your last question
/write          let the generator answer your last question in its own words
/add Q => A     add an answer and save the assistant
/sure NUMBER    set the confidence threshold for answers, between 0 and 1
/bye            leave (so does ctrl-D)"""


@click.command(epilog=example("unspool chat my-assistant", "echo 'How do I begin?' | unspool chat my-assistant -"))
@model_argument
@click.argument("file", required=False)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Lowest confidence at which it answers.  [the model's own]"
)
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each answer, with its sources.")
@device_option
@common
def chat(model: str, file: str | None, cell: str | None, threshold: float | None, as_json: bool, device: str) -> None:
    """Chat with an assistant: one question a line, from the terminal, a FILE or stdin (-).

    Below its confidence threshold, the assistant says that it does not know. On a terminal, /help lists the commands.
    """
    task = open_model_for("chat", model, cell, device)
    if file is None and sys.stdin.isatty():
        converse(task, model, threshold=threshold)
        return
    _answer_lines(task, file or "-", threshold, as_json=as_json)


def _answer_lines(task: Assistant, file: str, threshold: float | None, *, as_json: bool) -> None:
    from unspool.data import read_lines

    for line in read_lines(file):
        reply = task.ask(line.text, threshold=threshold) if line.text.strip() else None
        if as_json:
            result_json(None if reply is None else reply.record())
        else:
            result("" if reply is None else reply.answer)
        flush()


def converse(task: Assistant, folder: str | None, *, threshold: float | None = None) -> None:
    """Run an interactive chat on the terminal until the user leaves.

    Args:
        task: The assistant.
        folder: Model folder in which `/add` saves the assistant; None: `/add` saves nothing.
        threshold: Lowest confidence of an answer, between 0 and 1; None: the assistant's own.
    """
    say(f"{task.introduction()} /help lists commands, ctrl-D ends.")
    talk = _Talk(task, folder, threshold)
    while True:
        try:
            typed = input("> ").strip()
        except EOFError:
            say("")
            return
        if typed in ("/bye", "/quit", "/exit"):
            return
        if typed:
            try:
                talk.hear(typed)
            except UnspoolError as error:
                say(error.message)


class _Talk:
    """One chat on the terminal: the assistant, the last reply and the commands."""

    def __init__(self, task: Assistant, folder: str | None, threshold: float | None) -> None:
        self.task, self.folder, self.threshold = task, folder, threshold
        self.last: Reply | None = None
        self.commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: result(_HELP),
            "/why": self._why,
            "/look": self._look,
            "/write": self._write,
            "/add": self._add,
            "/sure": self._sure,
        }

    def hear(self, typed: str) -> None:
        """Answer a question, or run a command."""
        word, _, rest = typed.partition(" ")
        if not typed.startswith("/"):
            self.last = self.task.ask(typed, threshold=self.threshold)
            result(self.last.answer)
            say(f"  {self.last.source_line()}")
        elif word in self.commands:
            self.commands[word](rest.strip())
        else:
            from unspool.settings import nearest

            say(f"there is no command {word}{nearest(word, self.commands)}; /help lists the commands")

    def _last_reply(self) -> Reply:
        if self.last is None:
            raise UsageError("ask something first")
        return self.last

    def _why(self, _: str) -> None:
        for source in self._last_reply().sources:
            result(f"{source.share:6.1%}  {source.question}  =>  {source.answer}")

    def _look(self, _: str) -> None:
        from unspool.inspection import show

        show(self.task.trace(self._last_reply().question), console())

    def _write(self, _: str) -> None:
        result(self.task.write(self._last_reply().question))

    def _add(self, rest: str) -> None:
        question, arrow, answer = (part.strip() for part in rest.partition("=>"))
        if not (arrow and question and answer):
            raise UsageError("expected: /add the question => the answer")
        self.task.add([(question, answer)])
        if self.folder is not None:
            self.task.save(self.folder)
        say("learned" if self.folder is not None else "learned, until you leave")

    def _sure(self, rest: str) -> None:
        try:
            value = float(rest)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise UsageError(f"/sure {rest}: expected a number between 0 and 1")
        self.threshold = value
        say(f"answers from a confidence of {value:.0%}")
