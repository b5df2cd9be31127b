"""`unspool generate`: continue a text with a language model."""

from __future__ import annotations

import click

from unspool.cli.open_model import device_option, model_argument, open_model_for
from unspool.cli.talk import common, example, flush, result, result_json
from unspool.errors import UsageError

__all__ = ["generate"]


@click.command(epilog=example("unspool generate my-writer --prompt 'It was a ' --temperature 0.7 --seed 1"))
@model_argument
@click.option("--prompt", default="", help="Beginning of the text.  [a new line]")
@click.option(
    "--length", default=300, show_default=False, help="Number of units to write (characters, words ...).  [300]"
)
@click.option(
    "--temperature",
    default=1.0,
    help="Sampling temperature: above 1 more varied, below 1 less, 0 always the most probable.  [1]",
)
@click.option("--top-k", type=int, help="Sample from this many most probable units only.")
@click.option(
    "--top-p", type=float, help="Sample from the most probable units whose probabilities sum to this (nucleus)."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of the sampling; the same seed gives the same text."
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Write one line of JSON at the end.")
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
    """Continue a prompt with a language model; the text appears unit by unit."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UsageError("the prompt is not UTF-8") from None
    task = open_model_for("generate", model, cell, device)
    pieces = task.stream(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    if as_json:
        result_json({"prompt": prompt, "text": "".join(pieces)})
        return
    begin = next(pieces, "")  # checks the temperature before any output
    result(prompt + begin, newline=False)
    flush()
    for piece in pieces:
        result(piece, newline=False)
        flush()
    result("")
