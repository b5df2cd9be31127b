"""`unspool units`: list, add and remove the names of a model's units."""

from __future__ import annotations

import click

from unspool.cli.open_model import model_argument, open_model
from unspool.cli.talk import common, example, result, result_json, say, table
from unspool.errors import UsageError

__all__ = ["units"]


@click.command(
    epilog=example(
        "unspool units my-model",
        "unspool units my-model --add 'layer 1 / c' 38 'bracket depth'",
        "unspool units my-model --remove 'bracket depth'",
    )
)
@model_argument
@click.option(
    "--add",
    nargs=3,
    type=(str, int, str),
    metavar="ARRAY UNIT NAME",
    help="Name a unit, counted from 1, of an array of states such as 'layer 1 / c'.",
)
@click.option("--remove", metavar="NAME", help="Remove this name.")
@click.option("--json", "as_json", is_flag=True, help="Write the names as one line of JSON.")
@common
def units(model: str, cell: str | None, add: tuple[str, int, str] | None, remove: str | None, as_json: bool) -> None:
    """List the names of units, which inspect shows; give or remove one."""
    if add and remove is not None:
        raise UsageError("--add and --remove change the same list; pass one of them")
    task = open_model(model, cell)
    if add:
        task.name_unit(add[0], add[1] - 1, add[2])
    if remove is not None:
        task.remove_unit_name(remove)
    names = task.unit_names
    if as_json:
        result_json([{"array": each.array, "unit": each.unit + 1, "name": each.name} for each in names])
    elif names:
        result(table(["name", "array", "unit"], [[each.name, each.array, str(each.unit + 1)] for each in names]))
    else:
        say(f"no unit of {model} has a name; unspool probe {model} DATA --property depth finds units to name")
