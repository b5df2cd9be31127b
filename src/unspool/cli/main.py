"""Entry point of the command `unspool`: dispatch to the verbs, error messages and exit codes."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from unspool import __version__
from unspool.cli.faults import exit_code_of, without_warnings
from unspool.cli.streams import let_go_of_what_fails, open_closed_streams
from unspool.cli.talk import common, example, flush
from unspool.cli.waiting import spin_briefly_beside_others
from unspool.errors import MachineError
from unspool.settings import nearest
from unspool.tasks.catalog import TASKS
from unspool.tasks.entry import one_of

__all__ = ["VERBS", "run", "unspool"]

VERBS = {
    "demo": "Train an assistant in a minute, chat with it, inspect it.",
    "init": "Write a folder of files to begin with: commands and answers of an assistant.",
    "train": f"Train a model on your files: {one_of(TASKS)}.",
    "check": "Summarise data files and report problems in them, without training.",
    "evaluate": "Score a model on labelled files.",
    "predict": f"{one_of(entry.predict_verb for entry in TASKS.values()).capitalize()} texts, one per line.",
    "ask": "Answer questions about a story with a reader.",
    "chat": "Chat with an assistant, by text or by voice.",
    "listen": "Record your commands, and train a recogniser that hears them.",
    "add": "Add questions and answers to an assistant, without training.",
    "generate": "Generate text with a language model.",
    "inspect": "Show predictions, attention, gates and states on one text.",
    "studio": "Look inside models in the browser, live.",
    "serve": "Serve models over HTTP: predictions, traces, generation, chat.",
    "monitor": "Show curves, samples and warnings of training runs, also while they train.",
    "graph": "Draw a network: its parts, one step of its cell, and its cells over a text.",
    "probe": "Find the unit that tracks a property of the text, and test whether the network uses it.",
    "units": "List the names of units, give or remove one.",
    "prune": "Write a copy of a model without some of its units.",
    "export": "Write a model as ONNX, C or a web page, which run without Python.",
    "compare": "Train several networks with an equal budget and tabulate their scores.",
    "tune": "Search the settings that score best within a time limit.",
    "bench": "Benchmark a cell on this machine against torch.nn and the plain loop.",
    "info": "Summarise a model folder: network, data, scores, settings.",
    "doctor": "List the versions, devices and missing packages of this machine.",
}
"""Summary of each verb, by name; the module of the same name holds the command."""


class _LazyGroup(click.Group):
    """A group of commands that imports a verb's module only when the verb runs; printing help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs, in the order of `VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of a verb; None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"unspool.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an error names the nearest one."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            hint = nearest(args[0], VERBS) or f"; choose one of {', '.join(VERBS)}"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run a command line and exit with its code."""
        words = args[0] if args else options.get("args")
        arguments = list(sys.argv[1:] if words is None else words)
        debug = "--debug" in arguments
        try:
            if "stdout" in open_closed_streams():
                raise MachineError("standard output is closed; send it to a file, or to /dev/null")
            with without_warnings(debug):
                returned = super().main(arguments, options.get("prog_name") or "unspool", standalone_mode=False)
                flush()
            code = returned if isinstance(returned, int) else 0
        except (Exception, KeyboardInterrupt) as error:
            code = exit_code_of(error, debug=debug)
        _leave(code)


def _leave(code: int) -> NoReturn:
    let_go_of_what_fails()
    if "torch.distributed" in sys.modules:
        from unspool.training.distributed import leave

        leave(code)
    sys.exit(code)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        "unspool demo", "unspool train classify reviews.tsv --out my-model", "unspool train classify --help"
    ),
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@common
def unspool() -> None:
    """Train sequence models on your own data, and look inside them."""


def run() -> NoReturn:
    """Entry point of the command."""
    spin_briefly_beside_others()
    try:
        unspool.main(prog_name="unspool")
    finally:
        gc.freeze()  # otherwise Python's exit traverses all of torch's objects several times
