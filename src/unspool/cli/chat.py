"""`unspool chat`: chat with an assistant that answers questions and carries out commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.open_model import device_option, model_argument, open_model_for
from unspool.cli.talk import common, console, example, flush, result, result_json, say
from unspool.cli.voice import VoiceChoice, talk_by_voice, voice_options
from unspool.errors import UnspoolError, UsageError

if TYPE_CHECKING:
    from unspool.tasks import Assistant, CommandParser, Reply
    from unspool.tasks.dialogue import Dialogue

__all__ = ["chat", "converse"]

_HELP = """\
/why            show the sources of the last answer, and the next candidates
/look           show the weight of each word of your last question
/write          let the generator answer your last question in its own words
/add Q => A     add an answer and save the assistant
/sure NUMBER    set the confidence threshold for answers, between 0 and 1
/state          show the command under way, the last call and the nearest commands
/bye            leave (so does ctrl-D)"""


@click.command(
    epilog=example(
        "unspool chat my-assistant",
        "echo 'How do I begin?' | unspool chat my-assistant -",
        "unspool chat my-assistant --commands commands.py --voice my-ears",
    )
)
@model_argument
@click.argument("file", required=False)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Lowest confidence at which it answers.  [the model's own]"
)
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each answer, with its sources.")
@click.option(
    "--commands",
    metavar="FILE.py",
    type=click.Path(),
    help="Python file of the commands' functions; chatting executes its code. Without it, calls are named only.",
)
@voice_options
@device_option
@common
def chat(
    model: str,
    file: str | None,
    cell: str | None,
    threshold: float | None,
    as_json: bool,
    commands: str | None,
    device: str,
    **spoken: Any,
) -> None:
    """Chat with an assistant: one sentence a line, from the terminal, a FILE or stdin (-); or by voice.

    Below its confidence threshold, the assistant says that it does not know. A command is carried out by the function
    in the FILE.py that you name; a model folder never runs code. On a terminal, /help lists the commands.

    With --voice or --hear, the chat is spoken: a pause ends your utterance, and the reply is printed and spoken.
    """
    choice = VoiceChoice(**spoken)
    choice.check(file)
    task = open_model_for("chat", model, cell, device)
    dialogue = _dialogue(task, commands, threshold)
    if choice.is_on:
        talk_by_voice(dialogue, choice, as_json=as_json, device=device)
        return
    if file is None and sys.stdin.isatty():
        converse(task, model, dialogue=dialogue)
        return
    _answer_lines(task, dialogue, file or "-", as_json=as_json)


def _dialogue(task: Assistant | CommandParser, commands: str | None, threshold: float | None) -> Dialogue:
    from unspool.tasks.dialogue import Dialogue

    return Dialogue(task, commands, threshold=threshold)


def _answer_lines(task: Assistant | CommandParser, dialogue: Dialogue, file: str, *, as_json: bool) -> None:
    from unspool.data import read_lines

    for line in read_lines(file):
        turn = dialogue.say(line.text) if line.text.strip() else None
        if not as_json:
            result("" if turn is None else turn.reply)
        elif turn is None or dialogue.parser is None:
            result_json(None if turn is None or dialogue.reply is None else dialogue.reply.record())
        else:
            result_json(turn.record())
        flush()


def converse(task: Assistant | CommandParser, folder: str | None, *, dialogue: Dialogue | None = None) -> None:
    """Run an interactive chat on the terminal until the user leaves.

    Args:
        task: The assistant, or a parser of commands.
        folder: Model folder in which `/add` saves the assistant; None: `/add` saves nothing.
        dialogue: The dialogue; a new one without functions if omitted.
    """
    say(f"{task.introduction()} /help lists commands, ctrl-D ends.")
    talk = _Talk(task, folder, dialogue or _dialogue(task, None, None))
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
    """One chat on the terminal: the dialogue, and the words that begin with a slash."""

    def __init__(self, task: Assistant | CommandParser, folder: str | None, dialogue: Dialogue) -> None:
        self.task: Any = task
        self.folder, self.dialogue = folder, dialogue
        self.commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: result(_HELP),
            "/why": self._why,
            "/look": self._look,
            "/write": self._write,
            "/add": self._add,
            "/sure": self._sure,
            "/state": lambda _: result("\n".join(self.dialogue.state.lines())),
        }

    def hear(self, typed: str) -> None:
        """Answer a question, or run a command."""
        word, _, rest = typed.partition(" ")
        if not typed.startswith("/"):
            turn = self.dialogue.say(typed)
            result(turn.reply)
            if turn.detail:
                say(f"  {turn.detail}")
        elif word in self.commands:
            self.commands[word](rest.strip())
        else:
            from unspool.settings import nearest

            say(f"there is no command {word}{nearest(word, self.commands)}; /help lists the commands")

    def _last_reply(self) -> Reply:
        if self.dialogue.reply is None:
            raise UsageError("ask something first")
        return self.dialogue.reply

    def _why(self, _: str) -> None:
        for source in self._last_reply().sources:
            result(f"{source.share:6.1%}  {source.question}  =>  {source.answer}")

    def _look(self, _: str) -> None:
        from unspool.inspection import show

        show(self.task.trace(self._last_reply().question), console())

    def _write(self, _: str) -> None:
        result(self.task.write(self._last_reply().question))

    def _add(self, rest: str) -> None:
        if self.dialogue.assistant is None:
            raise UsageError("this model knows commands alone; train an assistant to add questions and answers")
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
        self.dialogue.threshold = value
        say(f"answers from a confidence of {value:.0%}")
