"""`unspool inspect`: trace a network on one text, compare it with another, or change it on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.open_model import model_argument, open_model, text_of
from unspool.cli.out_files import check_new_file, check_out
from unspool.cli.stages import StageLines
from unspool.cli.talk import common, console, example, say, writing
from unspool.errors import UsageError
from unspool.tasks.catalog import TASKS

if TYPE_CHECKING:
    from unspool.inspection import Edit, Gradients, PictureMaps, Trace
    from unspool.tasks import Task

__all__ = ["edits_of", "inspect"]


@click.command(
    epilog=example(
        "unspool inspect my-model 'not a dull moment' --out trace.html",
        "unspool inspect my-model 'not a dull moment' --edit 'layer 1 / h = zero @ 3'",
        "unspool inspect my-model 'not a dull moment' --against other-model",
        "unspool inspect my-model 'not a dull moment' --gradients",
    )
)
@model_argument
@click.argument("text")
@click.option("--array", metavar="NAME", help="Also draw this array unit by unit, such as 'layer 1 forward / forget'.")
@click.option("--maps", metavar="PATTERN", help="Draw these attention maps, such as '*head 1' or '*'.  [the first]")
@click.option("--memory", type=click.IntRange(min=1), metavar="STEP", help="Also draw the memory after this step.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Also write the trace to a file: .html .json .npz .csv or .svg; of a picture, also .png.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option(
    "--against",
    metavar="OTHER",
    type=click.Path(),
    help="Compare with the model OTHER: predictions, and the differences at each word.",
)
@click.option("--against-text", metavar="TEXT", help="Compare with another text, of this model or of --against.")
@click.option("--gradients", is_flag=True, help="Show how far gradients reach back through time instead: |dL_t/dh_s|.")
@click.option(
    "--loss-at",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --gradients: only the loss at this position of the text, counted from 1.  [all]",
)
@click.option(
    "--target",
    help="With --gradients: the label, the tags (separated by blanks) or the translation that the losses score.  "
    "[the model's own prediction]",
)
@click.option(
    "--truncation",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="With --gradients: also the share of the gradient beyond a truncation of so many steps.",
)
@click.option(
    "--edit",
    "edit_lines",
    metavar="EDIT",
    multiple=True,
    help="Change a gate, a state, attention or a token, and show both runs: 'layer 1 / forget[3,7] = 0 @ 2'. Repeat it "
    "for several.",
)
@click.option("--edits", "recipe", type=click.Path(path_type=Path), help="Also make the changes of this recipe.")
@click.option("--save-edits", type=click.Path(path_type=Path), help="Write all changes to a new recipe (.json).")
@click.option("--length", type=click.IntRange(0), help="Units to write after the text, in both runs (language models).")
@click.option("--temperature", type=float, help="Sampling temperature of these units.  [1]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of the sampling, equal in both runs.")
@common
def inspect(
    model: str,
    text: str,
    cell: str | None,
    array: str | None,
    maps: str | None,
    memory: int | None,
    out: tuple[Path, ...],
    overwrite: bool,
    against: str | None,
    against_text: str | None,
    gradients: bool,
    loss_at: int | None,
    target: str | None,
    truncation: int | None,
    edit_lines: tuple[str, ...],
    recipe: Path | None,
    save_edits: Path | None,
    **generation: Any,
) -> None:
    """Show a model's prediction, attention, gates and states on one TEXT (- is stdin), word by word.

    For a model that reads pictures, TEXT is the path of one: the pixels that move its score, the activity of its stages
    and its first filters are drawn over the picture; with --array or --maps, its steps like those of a text.

    With edits, show the run without them beside the run with them. --out then writes the trace with the edits.
    """
    from unspool.inspection import compare_traces, show, show_fork, write_recipe
    from unspool.inspection.files import FORMATS
    from unspool.inspection.gradient_files import FORMATS as GRADIENT_FORMATS

    text = text_of(text, "text")
    only = {"--loss-at": loss_at, "--target": target, "--truncation": truncation}
    if wrong := [flag for flag, value in only.items() if value is not None and not gradients]:
        raise UsageError(f"{wrong[0]} belongs to --gradients; add --gradients, or leave {wrong[0]} out")
    pictures = tuple(path for path in out if path.suffix.lower() == ".png")
    check_out(out, GRADIENT_FORMATS if gradients else (*FORMATS, ".png"), overwrite=overwrite)
    if save_edits is not None:
        check_new_file(save_edits, overwrite=overwrite)
    edits = edits_of(recipe, edit_lines)
    options = {name: value for name, value in generation.items() if value is not None}
    if not edits and (save_edits is not None or options or recipe is not None):
        flags = [*("--" + name for name in options), *(["--save-edits"] if save_edits is not None else ["--edits"])]
        raise UsageError(f"{flags[0]} needs an edit: add --edit 'layer 1 / h = zero @ 2', or name a recipe with edits")
    if gradients:
        others = {"--maps": maps, "--memory": memory, "--edit": edits or None, "--against": against or against_text}
        _refuse_beside("--gradients", others)
        _show_gradients(open_model(model, cell), text, array, out, overwrite, loss_at, target, truncation)
        return
    if against is not None or against_text is not None:
        others = {"--array": array, "--maps": maps, "--memory": memory, "--edit": edits or None}
        _refuse_beside("--against" if against is not None else "--against-text", others)
    task = open_model(model, cell)
    if options and "generate" not in TASKS[task.name].verbs:
        raise UsageError(f"--{next(iter(options))}: only language models go on after the text")
    if against is not None or against_text is not None:
        second = task if against is None else open_model(against, cell)
        difference = compare_traces(task.trace(text), second.trace(text_of(against_text or text, "text")))
        _show(difference.trace(), out, lambda: console().print(difference), overwrite=overwrite)
        return
    step = None if memory is None else memory - 1
    plain = array is None and maps is None and memory is None and not edits
    if plain and TASKS[task.name].draws_picture_maps and _reads_pictures(task):
        classifier: Any = task
        view = classifier.picture_maps(text)
        check_out(out, view.forms, overwrite=overwrite)
        _show(view, out, lambda: view.show(console()), overwrite=overwrite)
        return
    check_out(pictures, FORMATS, overwrite=overwrite)
    if not edits:
        trace = task.trace(text)
        _show(trace, out, lambda: show(trace, console(), array=array, maps=maps, memory=step), overwrite=overwrite)
        return
    fork = task.fork(text, edits, **options)
    if save_edits is not None:
        write_recipe(edits, save_edits, overwrite=overwrite)
        say(f"written: {save_edits}")
    _show(fork.edited, out, lambda: show_fork(fork, console(), array=array, maps=maps), overwrite=overwrite)


def _reads_pictures(task: Task[Any, Any]) -> bool:
    """Return whether a model reads pictures, not features of them."""
    fitted = getattr(task.fitted, "input", None)
    return fitted is not None and fitted.kind == "images" and not fitted.reads_features


def edits_of(recipe: Path | None, lines: tuple[str, ...]) -> tuple[Edit, ...]:
    """Return the edits of a recipe, if there is one, and then those of lines of text.

    Raises:
        DataError: If the recipe can't be used.
        UsageError: If a line can't be parsed.
    """
    from unspool.inspection import Edit, read_recipe

    return (*(() if recipe is None else read_recipe(recipe)), *map(Edit.parse, lines))


def _refuse_beside(flag: str, others: Mapping[str, object]) -> None:
    """Refuse options that belong to another picture than the one that a flag asks for."""
    for name, value in others.items():
        if value is not None:
            raise UsageError(f"{name} and {flag} draw different things; pass one of them")


def _show(
    result: Trace | Gradients | PictureMaps, out: Sequence[Path], draw: Callable[[], None], *, overwrite: bool
) -> None:
    """Write the files, then draw; the files exist even if the reader of standard output exits early."""
    for path in out:
        result.save(path, overwrite=overwrite)
    with writing():
        draw()
    for path in out:
        say(f"written: {path}")


def _show_gradients(
    task: Task[Any, Any],
    text: str,
    array: str | None,
    out: tuple[Path, ...],
    overwrite: bool,
    loss_at: int | None,
    target: str | None,
    truncation: int | None,
) -> None:
    from unspool.inspection import show_gradients

    chosen = target.split() if target is not None and task.name == "tag" else target
    at = None if loss_at is None else loss_at - 1
    result = task.gradients(text, target=chosen, loss_at=at, truncation=truncation, progress=StageLines())
    if array is not None:
        result.array(array)
    _show(result, out, lambda: show_gradients(result, console(), array=array), overwrite=overwrite)
