"""`unspool generate`: a language model writes on."""

from __future__ import annotations

import click

from unspool.cli.open_model import device_option, model_argument, open_model_for
from unspool.cli.talk import common, example, flush, result, result_json
from unspool.errors import UsageError

__all__ = ["generate"]


@click.command(epilog=example("unspool generate my-writer --prompt 'It was a ' --temperature 0.7 --seed 1"))
@model_argument
@click.option("--prompt", default="", help="How the text begins.  [a new line]")
@click.option("--length", default=300, show_default=False, help="Units to write (characters, words ...).  [300]")
@click.option("--temperature", default=1.0, help="Above 1 bolder, below 1 safer, 0 always the likeliest.  [1]")
@click.option("--top-k", type=int, help="Choose among this many likeliest units only.")
@click.option("--top-p", type=float, help="Choose among the likeliest units whose chances add up to this.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed writes the same text.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write one line of JSON when all is written.")
@common
def generate(
    model: str,
    cell: str | None,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Let a language model write on from a prompt; the text appears as it is written."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UsageError("the prompt is not UTF-8") from None
    task = open_model_for("generate", model, cell, device)
    pieces = task.stream(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    if as_json:
        result_json({"prompt": prompt, "text": "".join(pieces)})
        return
    begin = next(pieces, "")  # before anything is shown: this is where a temperature out of range is refused
    result(prompt + begin, newline=False)
    flush()
    for piece in pieces:
        result(piece, newline=False)
        flush()
    result("")
