"""`unspool init`: write a folder of files that an assistant is trained from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from unspool.cli.demo_folder import refuse_used
from unspool.cli.talk import common, example, result
from unspool.samples.assistant import source_files
from unspool.writing import new_generation

__all__ = ["init"]

_ABOUT = {
    "commands.py": "what the assistant can do: one function for each command",
    "pairs.tsv": "what the assistant can answer: a question and an answer on each line",
}


@click.command(epilog=example("unspool init assistant", "unspool init assistant kitchen-helper"))
@click.argument("name", type=click.Choice(["assistant"]))
@click.argument("folder", type=click.Path(path_type=Path), default=Path("assistant"))
@common
def init(name: str, folder: Path) -> None:
    r"""Write a folder of files to begin with, to change and to train from; FOLDER is new or empty.

    \b
    assistant  commands.py: six functions, and the sentences that call them: a timer, lists,
               arithmetic, units, lights, notes
               pairs.tsv: forty questions with answers, each in two wordings

    Without FOLDER, the files go into the folder assistant. Nothing is overwritten.
    """
    refuse_used(folder)
    contents = source_files()
    with new_generation(folder) as new:
        for file, content in contents.items():
            (new / file).write_bytes(content)
    lines = [f"Wrote {len(contents)} files. Change them as you like.\n"]
    lines += [f"    {folder / file}: {_ABOUT[file]}" for file in contents]
    pairs, commands = (shlex.quote(str(folder / file)) for file in ("pairs.tsv", "commands.py"))
    lines += ["\nNext, train an assistant on them, and talk to it:\n"]
    lines += [f"    unspool train answer {pairs} {commands} --out my-assistant"]
    lines += [f"    unspool chat my-assistant --commands {commands}"]
    result("\n".join(lines))
