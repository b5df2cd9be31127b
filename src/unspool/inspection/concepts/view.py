"""Terminal view of a concept report: verdict, best units, controls, ablation and examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from unspool.inspection.paint import OPEN_SHUT, Brush
from unspool.inspection.trace import visible

if TYPE_CHECKING:
    from unspool.inspection.concepts.report import Ablation, ConceptReport, Excerpt

__all__ = ["lines"]

_BAR, _UNITS = 16, 5


def lines(report: ConceptReport, console: Console, width: int) -> Iterator[Text]:
    """Yield the lines of a report, at most `width` cells each, from 60."""
    brush = Brush.of(console)

    def plain(text: str, style: str = "") -> Text:
        return Text(brush.plain(text), style=style)

    yield plain(f"{report.concept}: {report.verdict}", "bold")
    yield plain(f"{report.model}; {report.tokens[0]:,} tokens select, {report.tokens[1]:,} are held out", "dim")
    yield Text()
    for sentence in report.sentences():
        yield plain(sentence)
    yield Text()
    yield from _units(report, brush)
    yield Text()
    yield from _controls(report, brush)
    if report.ablation is not None:
        yield Text()
        yield from _ablation(report.ablation, brush)
    for title, excerpts in (("highest", report.highest), ("lowest", report.lowest)):
        if excerpts:
            yield Text()
            yield plain(f"where {report.best.name} is {title}: value, property, text", "bold")
            yield from (_excerpt(each, brush, width) for each in excerpts)
    for note in report.notes:
        yield plain(f"Note: {note}")


def _units(report: ConceptReport, brush: Brush) -> Iterator[Text]:
    floor = 0.0 if report.kind == "numeric" else 0.5
    several = len(report.targets) > 1
    yield Text(brush.plain(f"{'best units':29} held-out {report.score_name:14} 95 %          p"), style="bold")
    for unit in report.ranking(_UNITS):
        share = max(0.0, (unit.score - floor) / (1 - floor))
        line = Text(brush.fit(unit.name, 29) + " ")
        line.append(brush.bar(share, _BAR), style=brush.style(share, OPEN_SHUT))
        line.append(f" {unit.score:5.2f}  {unit.low:5.2f} to {unit.high:.2f}  {unit.p:.2g}")
        if several:
            line.append(f"  {brush.plain(visible(unit.target))}")
        yield _cropped(line)
    best = report.best
    side = ("above", "below")[best.direction < 0]
    yield Text(
        brush.plain(f"threshold: {side} {report.threshold:.3g}, balanced accuracy {report.threshold_accuracy:.2f}"),
        style="dim",
    )


def _controls(report: ConceptReport, brush: Brush) -> Iterator[Text]:
    floor = 0.0 if report.kind == "numeric" else 0.5
    yield Text(brush.plain(f"{'controls':29} held-out {report.score_name}"), style="bold")
    rows = {**report.controls, f"sparse probe, {len(report.probe)} units": report.probe_score}
    rows["the same for the control task"] = report.probe_control
    for name, score in rows.items():
        share = max(0.0, (score - floor) / (1 - floor))
        line = Text(brush.fit(name, 29) + " ")
        line.append(brush.bar(share, _BAR), style=brush.style(share, OPEN_SHUT))
        yield _cropped(line.append(f" {score:5.2f}"))


def _ablation(ablation: Ablation, brush: Brush) -> Iterator[Text]:
    size = len(ablation.units)
    what = "the unit clamped at its mean" if size == 1 else f"{size} units clamped at their means"
    yield Text(f"change of the loss in nats, with {what}", style="bold")
    count, head = f"random ({len(ablation.random_units)})", "unit" if size == 1 else "units"
    yield Text(f"{ablation.what:21} {'count':>7} {'loss':>7} {head:>9} {count:>12} {'95 %':>9} {'times':>7}")
    for place, name in enumerate(ablation.categories):
        times = ablation.times[place]
        shown = f"{times:7.1f}" if 0 < times < 1e5 else f"{'-':>7}"
        mark = "bold" if name == ablation.expected else ""
        yield _cropped(
            Text(
                f"{brush.fit(_visible_name(name), 21)} {ablation.counts[place]:7d} {ablation.loss[place]:7.3f} "
                f"{ablation.change[place]:+9.4f} {ablation.random_mean[place]:+12.4f} "
                f"{ablation.random_high[place]:+9.4f} {shown}",
                style=mark,
            )
        )


def _visible_name(name: str) -> str:
    """Return a name from the data in printable form; blanks stay blanks."""
    return " ".join(visible(part) if part else "" for part in name.split(" "))


def _excerpt(excerpt: Excerpt, brush: Brush, width: int) -> Text:
    room = width - 16
    token = visible(excerpt.token)
    before = brush.plain("".join(map(_visible_sign, excerpt.before)))[-(room // 2) :]
    after = brush.plain("".join(map(_visible_sign, excerpt.after)))
    line = Text(f"{excerpt.value:+6.2f} {excerpt.label:6.4g}  {before:>{room // 2}}")
    return _cropped(line.append(brush.plain(token), style="bold reverse").append(after[: room // 2 - 2]))


def _visible_sign(sign: str) -> str:
    """Return a character in printable form; a blank stays a blank."""
    return sign if sign == " " else visible(sign)


def _cropped(line: Text) -> Text:
    line.rstrip()
    line.no_wrap, line.overflow = True, "crop"
    return line
