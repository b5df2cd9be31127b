"""`unspool export`: write a model as a file that runs without Python and torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unspool.cli.open_model import model_argument, open_model
from unspool.cli.talk import common, example, result_json, say
from unspool.ship.target_names import TARGETS

__all__ = ["export"]


@click.command(
    epilog=example(
        "unspool export my-model --to onnx --out model.onnx --data test.tsv",
        "unspool export my-model --to c --out model.c --small int8",
        "unspool export my-assistant --to html --out assistant.html --small int4",
    )
)
@model_argument
@click.option("--to", type=click.Choice(list(TARGETS)), required=True, help="Target.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write; PATH.json is the report.")
@click.option("--small", type=click.Choice(["int8", "int4"]), help="Round the weights.  [float32]")
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Held-out data to compare on, labelled or not; repeatable.  [the files that the model was tested on]",
)
@click.option(
    "--limit", type=click.FloatRange(min=0), default=1e-4, help="Largest difference of a probability.  [0.0001]"
)
@click.option(
    "--max-loss",
    type=click.FloatRange(min=0, max=1),
    default=0.005,
    help="Largest loss of score, or of equal answers, by rounding.  [0.005]",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as one line of JSON.")
@common
def export(model: str, cell: str | None, out: Path, data: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write MODEL as a file that runs without Python and torch.

    The file runs on held-out data at once, at most 200 texts, and must give the answers of the model; otherwise nothing
    is written. A report with agreement, score and hashes goes beside the file.
    """
    task = open_model(model, cell)
    written = task.export(out, data=list(data) or None, **options)
    if as_json:
        result_json(written.report)
    else:
        say(str(written))
