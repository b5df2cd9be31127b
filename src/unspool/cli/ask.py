"""`unspool ask`: tell a reader a story, sentence by sentence, and ask."""

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

    Every line of FILE or stdin that ends in a question mark is asked about the sentences before it; a blank line begins
    another story. Below the answer stands the sentence that each hop read most, and how far its gate was open if the
    network is gated.
    """
    task = open_model_for("ask", model, cell, device)
    from unspool.data import read_lines

    typed = file == "-" and sys.stdin.isatty()
    if typed:
        say("tell a sentence a line, ask with a question mark, begin anew with a blank line; end with ctrl-D")
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
