"""`unspool ask`: answer questions about a story with a reader."""

from __future__ import annotations

import sys

import click

from unspool.cli.open_model import device_option, model_argument, open_model_for
from unspool.cli.talk import common, example, flush, result, result_json, say
from unspool.errors import DataError

__all__ = ["ask"]


@click.command(epilog=example("unspool ask my-reader", "unspool ask my-reader story.txt --json"))
@model_argument
@click.argument("file", default="-")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each answer, with all weights.")
@common
def ask(model: str, file: str, cell: str | None, device: str, as_json: bool) -> None:
    """Tell a reader a story and ask questions about it.

    A line of FILE or stdin that ends in a question mark is a question about the sentences before it. A blank line
    begins another story. Below each answer, the command shows the sentence with the highest attention weight of each
    hop, and the value of the hop's gate if the network is gated.
    """
    task = open_model_for("ask", model, cell, device)
    from unspool.data import read_lines

    typed = file == "-" and sys.stdin.isatty()
    if typed:
        say("one sentence a line; a question ends in a question mark; a blank line begins a new story; ctrl-D ends")
    story: list[str] = []
    for line in read_lines(file):
        text = line.text.strip()
        if not text:
            story = []
        elif not text.endswith("?"):
            story.append(text)
        else:
            try:
                answer = task.ask(story, text)
            except DataError as error:
                message = error.message.removeprefix("question: ")
                if not typed:
                    raise DataError(message, line.where) from None
                say(message)
                continue
            if as_json:
                result_json(answer.record())
            else:
                result(f"{answer.answer}  ({answer.probability:.0%})")
                for hop, sentence in enumerate(answer.read_most(), 1):
                    gate = f", gate {answer.gates[hop - 1]:.0%} open" if answer.gates else ""
                    result(f"  hop {hop} read: {sentence}  ({max(answer.hops[hop - 1]):.0%}{gate})")
            flush()
