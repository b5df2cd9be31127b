"""`unspool monitor`: curves, samples and warnings of training runs, also while they train."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unspool.cli.talk import common, console, example, result_json, say, table, writing
from unspool.errors import UsageError, for_command_line, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from unspool.training.run_log import RunLog

__all__ = ["monitor"]

_MARGIN = 12  # columns beside a curve
_FIRST = ("training loss", "learning rate", "gradient norm", "speed")
_SAMPLE = 400  # characters of a sample


@click.command(epilog=example("unspool monitor my-model --follow", "unspool monitor runs/"))
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN|FOLDER...")
@click.option("--follow", is_flag=True, help="Draw again whenever there is news, until all runs have ended.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2.0, help="Seconds between looks, with --follow.")
@click.option("--curve", "curves", multiple=True, metavar="NAME", help="Draw this curve, such as 'gradient norm'.")
@click.option("--json", "as_json", is_flag=True, help="Write each run as one line of JSON.")
@common
def monitor(folders: tuple[Path, ...], follow: bool, seconds: float, curves: tuple[str, ...], as_json: bool) -> None:
    """Show the curves, samples and warnings of a training RUN, or of all runs in a FOLDER side by side.

    A run is the model folder of a training that is in progress, was interrupted or is finished.
    """
    from unspool.training.run_log import find_runs

    if follow and as_json:
        raise UsageError("--json writes the state of this moment; leave out --follow")
    runs = find_runs(folders)
    for name in curves:
        if not any(name in run.curves for run in runs):
            runs[0].curve(name)  # raises the error that names the curves
    if as_json:
        for run in runs:
            result_json(run.record())
        return
    screen = console()
    with writing():
        if follow:
            with suppress(KeyboardInterrupt):
                _follow(runs, curves, screen, seconds)
        else:
            screen.print(_view(runs, curves, screen.width))


def _follow(runs: Sequence[RunLog], curves: Sequence[str], screen: Console, seconds: float) -> None:
    from rich.live import Live

    if not screen.is_terminal:
        _follow_in_lines(runs, seconds)
        return
    view = _view(runs, curves, screen.width)
    with Live(view, console=screen, auto_refresh=False, vertical_overflow="visible") as live:
        live.refresh()
        while any(run.state == "running" for run in runs):
            time.sleep(seconds)
            if _read(runs):
                live.update(_view(runs, curves, screen.width), refresh=True)
        _read(runs)
        live.update(_view(runs, curves, screen.width), refresh=True)


def _follow_in_lines(runs: Sequence[RunLog], seconds: float) -> None:
    """Write a line for each run with news; for files and pipes."""
    news = list(runs)
    while True:
        running = any(run.state == "running" for run in runs)
        for run in news:
            click.echo(f"{run.name}: {_state_line(run)}")
        sys.stdout.flush()
        if not running:
            break
        time.sleep(seconds)
        news = _read(runs)
    say("all runs have ended")


def _read(runs: Sequence[RunLog]) -> list[RunLog]:
    """Read the logs, and return the runs with news."""
    return [run for run in runs if run.read()]


def _view(runs: Sequence[RunLog], curves: Sequence[str], width: int) -> RenderableType:
    from rich.console import Group

    return Group(*(_one(runs[0], curves, width) if len(runs) == 1 else _several(runs, curves, width)))


def _one(run: RunLog, curves: Sequence[str], width: int) -> list[Any]:
    from rich.text import Text

    parts: list[Any] = [Text(f"{printable(run.name)}: {_state_line(run)}", style="bold")]
    for name in curves or _usual_curves(run):
        parts += [Text(), _bars(run, name, width - _MARGIN, height=4 if name in curves or name == _FIRST[0] else 3)]
    if not run.curves:
        parts.append(Text("the log has no line yet"))
    parts += _sample_lines(run)
    return parts + _warning_lines([run])


def _usual_curves(run: RunLog) -> list[str]:
    main = run.main
    names = [_FIRST[0], *([main.name] if main else []), *_FIRST[1:]]
    return [name for name in names if name in run.curves]


def _bars(run: RunLog, name: str, width: int, *, height: int, last: float | None = None) -> Any:
    from unspool.inspection.curve_bars import CurveBars

    curve = run.curve(name)
    envelope = curve.envelope(max(10, width), first=0, last=last if last is not None else run.update)
    title = f"{name}: {curve.last:.4g}"
    if curve is run.main and (best := run.best_update) is not None:
        title += f", best at update {best:,}"
    values = envelope.joined().high
    return CurveBars(title, values, envelope.not_finite > 0, height)


def _state_line(run: RunLog) -> str:
    """Return state, position, newest loss and score of a run in one line."""
    parts = [run.state, f"update {run.update:,}" + (f" of {run.facts.updates:,}" if run.facts.updates else "")]
    epoch, seconds = run.newest("epoch"), run.newest("seconds")
    if epoch == epoch:
        parts.append(f"epoch {epoch:.3g}")
    if seconds == seconds:
        parts.append(_time(seconds))
    newest = (run.curves.get(_FIRST[0]), run.main)
    parts += [f"{curve.name} {curve.last:.4g}" for curve in newest if curve is not None]
    return ", ".join(parts)


def _time(seconds: float) -> str:
    from unspool.training.progress import clock

    return clock(seconds)


def _several(runs: Sequence[RunLog], curves: Sequence[str], width: int) -> list[Any]:
    """Return a table of the runs, then each curve of every run on the same axis of updates."""
    from rich.text import Text

    rows = [[printable(run.name), run.state, f"{run.update:,}", *_figures(run)] for run in runs]
    title = next((run.main.name for run in runs if run.main is not None), "score")
    parts: list[Any] = [Text(table(["run", "state", "update", "training loss", title, "best at", "speed"], rows))]
    last = max(run.update for run in runs)
    for run in runs:
        names = curves or [_FIRST[0]]
        for name in names:
            if name in run.curves:
                bars = _bars(run, name, width - _MARGIN, height=2, last=last)
                parts += [Text(), _titled(bars, f"{printable(run.name)}, {bars.title}")]
    return parts + _warning_lines(runs)


def _titled(bars: Any, title: str) -> Any:
    from dataclasses import replace

    return replace(bars, title=title)


def _figures(run: RunLog) -> list[str]:
    loss, speed = run.curves.get(_FIRST[0]), run.curves.get("speed")
    best = run.best_update
    numbers = [loss.last if loss else None, run.main.last if run.main else None]
    texts = ["" if number is None else f"{number:.4g}" for number in numbers]
    return [*texts, "" if best is None else f"{best:,}", "" if speed is None else f"{speed.last:,.0f}"]


def _sample_lines(run: RunLog) -> list[Any]:
    """Return the samples of the newest validation."""
    from rich.text import Text

    samples = run.samples
    if not samples:
        return []
    newest = samples[-1].update
    lines = [Text(), Text(f"samples at update {newest:,}", style="bold")]
    for sample in samples:
        if sample.update == newest:
            lines += [Text(f"  {name}: {printable(text, _SAMPLE)}") for name, text in sample.texts.items()]
    return lines


def _warning_lines(runs: Sequence[RunLog]) -> list[Any]:
    from rich.text import Text

    from unspool.training.run_warnings import run_warnings

    lines: list[Any] = []
    for run in runs:
        for warning in run_warnings(run):
            where = f"{printable(run.name)}: " if len(runs) > 1 else ""
            text = for_command_line(f"warning: {where}{warning.text}; {warning.cure}")
            lines.append(Text(text, style="yellow"))
    return [Text(), *lines] if lines else []
