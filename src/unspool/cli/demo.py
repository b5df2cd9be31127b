"""`unspool demo`: an assistant is trained, asked what it has never heard, and opened up."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.demo_folder import demo_folder
from unspool.cli.talk import common, console, example, reporter, result, say

if TYPE_CHECKING:
    from unspool.tasks import Assistant, Reply

__all__ = ["demo"]

_SETTINGS: dict[str, Any] = {
    "epochs": 15,
    "learning_rate": 1e-2,
    "keep": 0.65,  # rather silent than wrong
    "device": "cpu",
    "threads": 1,  # networks this small only wait for each other on several threads
    "seed": 1,
}
_ASKED = (
    "How high do I set the seat of my bicycle?",
    "There is red wine on my white tablecloth, what do I do?",
    "May I add a few new pairs to an assistant that is already trained?",
)
_UNKNOWN = "What is the capital of Mongolia?"
_INTRODUCTION = """\
An assistant learns from questions and answers that come with this package: {questions} questions about the kitchen,
the garden, bicycles, computers and Unspool itself, each in a few wordings. It learns to find the question that was
meant, from nothing and on this machine alone.
"""


@click.command(epilog=example("unspool demo", "unspool demo agreement --out my-demo"))
@click.argument("name", type=click.Choice(["assistant", "agreement"]), default="assistant")
@click.option("--out", type=click.Path(path_type=Path), help="Keep data and model in this new folder.")
@common
def demo(name: str, out: Path | None) -> None:
    r"""Train something small, use it, and look inside.

    \b
    assistant  questions and answers in, something to talk to out: half a minute
    agreement  a bag of words, an Elman network and an LSTM learn which verb fits, and are compared

    Needs nothing but this package.
    """
    if name == "agreement":
        from unspool.cli.demo_agreement import show_agreement

        show_agreement(out)
    else:
        _show_assistant(out)


def _show_assistant(out: Path | None) -> None:
    from unspool.samples import everyday
    from unspool.tasks import Assistant

    with demo_folder(out) as folder:
        data = folder / "questions.jsonl"
        with everyday.path() as sample:
            data.write_bytes(sample.read_bytes())
        result(_INTRODUCTION.format(questions=len(everyday.pairs())))
        assistant = Assistant(**_SETTINGS)
        assistant.fit(data, out=folder / "assistant", reporter=reporter())
        _ask(assistant)
        _look_inside(assistant)
        _show_way_on(out)
        if _on_a_terminal() and click.confirm("\nTalk to it?", default=True):
            from unspool.cli.chat import converse

            converse(assistant, None if out is None else str(folder / "assistant"))


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(assistant: Assistant) -> None:
    """Three questions in words it has never seen, and one that it can't know."""
    result("\nThree questions in words that it has never seen:\n")
    for question in _ASKED:
        _show(assistant.ask(question))
    result("And one that nobody told it about:\n")
    _show(assistant.ask(_UNKNOWN))


def _show(reply: Reply) -> None:
    result(f"  > {reply.question}\n    {reply.answer}\n    ({reply.source_line()})\n")


def _look_inside(assistant: Assistant) -> None:
    """Which words of one question counted, and which known questions they pointed at."""
    from unspool.inspection import show

    result("What did it look at? How much each word of the last question but one counted, and what it was near to:\n")
    show(assistant.trace(_ASKED[-1]), console())


def _show_way_on(out: Path | None) -> None:
    lines = ["\nGo on with questions and answers of your own, one pair a line, a tab between them:\n"]
    lines += ["    unspool train answer my-pairs.tsv --out my-assistant", "    unspool chat my-assistant"]
    lines += ["\nOther demos and tasks: unspool demo agreement, unspool train --help"]
    if out is not None:
        model = shlex.quote(str(out / "assistant"))
        lines += ["\nOr with what you have just trained:\n", f"    unspool chat {model}"]
    result("\n".join(lines))
    say("")
