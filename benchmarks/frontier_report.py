"""Tables and pictures of the frontier benchmark, and the comparison with earlier figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from measure import table
from rivals.frontier_peers import PEERS
from workloads.frontier_sets import Description

__all__ = ["UNSPOOL", "compare", "fill", "pictures", "report"]

UNSPOOL = "unspool"
PLACE = ("<!-- measured tables -->", "<!-- end of measured tables -->")
"""Marks of the place in a page that holds the tables."""

Record = Mapping[str, Any]
Sets = Mapping[str, Description]


@dataclass(frozen=True)
class Kind:
    """How scores of one kind are written and compared."""

    factor: float
    digits: int
    even: float
    """Differences up to this are even, in the unit of the table."""
    tolerance: float
    """Differences up to this are no warning in `compare`, in the unit of the table."""
    higher: bool = True
    """Whether higher is better."""

    def text(self, score: float) -> str:
        """A score in the unit of the table."""
        return f"{self.factor * score:.{self.digits}f}"

    def gain(self, score: float, other: float) -> float:
        """How much better a score is than another, in the unit of the table."""
        return self.factor * (score - other) * (1 if self.higher else -1)


KINDS = {
    "accuracy": Kind(100, 1, even=0.2, tolerance=2.0),
    "f1": Kind(100, 1, even=0.3, tolerance=2.0),
    "nats": Kind(1, 3, even=0.005, tolerance=0.03, higher=False),
    "perplexity": Kind(1, 1, even=1.0, tolerance=5.0, higher=False),
    "bleu": Kind(1, 1, even=0.3, tolerance=4.0),
}
"""How each score is written and compared."""


class Cell(NamedTuple):
    """All runs of one method on one data set under one limit."""

    method: str
    minutes: float | None
    scores: tuple[float, ...]
    processor: float
    """Mean processor time, in seconds."""
    failed: int

    @property
    def score(self) -> float:
        """Mean score over the seeds; NaN if all runs failed."""
        return statistics.fmean(self.scores) if self.scores else math.nan


# ---- tables ----------------------------------------------------------------------------------------------------


def report(record: Record, sets: Sets) -> str:
    """Return one table for each data set with figures, after a count of wins and losses."""
    parts, verdicts = [], []
    for name, description in sets.items():
        cells = _cells(record, name)
        if cells:
            parts.append(_table(description, cells))
            verdicts += [_verdict(description, cells, minutes) for minutes in _limits(cells)]
    measured = [verdict for verdict in verdicts if verdict]
    counts = ", ".join(
        f"{sum(word in verdict for verdict in measured)} {name}"
        for word, name in (("win", "wins"), ("even", "even"), ("loss", "losses"))
    )
    return "\n\n".join([f"Unspool against the best peer: {counts}.", *parts])


def _cells(record: Record, data: str) -> list[Cell]:
    """Group the runs of one data set: Unspool first, then the peers, each by its limit."""
    groups: dict[tuple[str, float | None], list[Record]] = {}
    for run in record["runs"]:
        if run["data"] == data:
            groups.setdefault((run["method"], run["minutes"]), []).append(run)
    order = [UNSPOOL, *PEERS]
    cells = [
        Cell(
            method,
            minutes,
            tuple(run["score"] for run in runs if "error" not in run),
            statistics.fmean(run["processor_seconds"] for run in runs),
            sum("error" in run for run in runs),
        )
        for (method, minutes), runs in groups.items()
        if method in order
    ]
    return sorted(cells, key=lambda cell: (order.index(cell.method), cell.minutes or 0.0))


def _limits(cells: Iterable[Cell]) -> list[float | None]:
    """The limits of the columns: those of the benchmark, and others with figures; None alone in the small version."""
    timed = {cell.minutes for cell in cells if cell.minutes is not None}
    return sorted({1.0, 3.0, 10.0, 30.0, *timed}) if timed else [None]


def _table(description: Description, cells: Sequence[Cell]) -> str:
    limits = _limits(cells)
    columns: list[float | None] = [*(limit for limit in limits if limit is not None), None]
    heads = [*(f"{limit:g} min" for limit in columns if limit is not None), "ends by itself"]
    by_place = {(cell.method, cell.minutes): cell for cell in cells}
    rows = []
    for method in dict.fromkeys(cell.method for cell in cells):
        own = [limit for limit in columns if (method, limit) in by_place]
        timed = any(limit is not None for limit in own)
        texts = [_text(description, by_place.get((method, limit)), timed and limit is not None) for limit in columns]
        rows.append([_title(method), *texts])
    verdicts = [_verdict(description, cells, limit) if limit in limits else "" for limit in columns]
    rows.append(["Unspool against the best peer", *(verdict or "–" for verdict in verdicts)])
    adaptive = [_verdict(description, cells, limit, adapts=True) if limit in limits else "" for limit in columns]
    if any(adaptive):
        rows.append(["against the best that learns from the test text", *(verdict or "–" for verdict in adaptive)])
    return f"### {description.title}: {description.measure}\n\n{table(['method', *heads], rows)}"


def _title(method: str) -> str:
    return "Unspool" if method == UNSPOOL else PEERS[method].title


def _text(description: Description, cell: Cell | None, limited: bool) -> str:
    if cell is None:
        return "not measured" if limited else "–"
    failed = f"{cell.failed} of {cell.failed + len(cell.scores)} failed"
    if not cell.scores:
        return failed
    kind = KINDS[description.score]
    spread = f" ±{kind.factor * statistics.stdev(cell.scores):.{kind.digits}f}" if len(cell.scores) > 1 else ""
    notes = [_time(cell.processor), *([f"{len(cell.scores)} seeds"] if spread else [])]
    return f"{kind.text(cell.score)}{spread} ({', '.join([*notes, *([failed] if cell.failed else [])])})"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _verdict(description: Description, cells: Sequence[Cell], minutes: float | None, *, adapts: bool = False) -> str:
    """Compare Unspool under one limit with the best peer; empty without figures.

    Peers that end by themselves count under every limit, even if they needed longer.
    """
    kind = KINDS[description.score]
    ours = next((cell for cell in cells if cell.method == UNSPOOL and cell.minutes == minutes and cell.scores), None)
    if ours is None:
        return ""
    peers = [
        cell
        for cell in cells
        if cell.method != UNSPOOL
        and cell.scores
        and PEERS[cell.method].adapts == adapts
        and cell.minutes in (minutes, None)
    ]
    if not peers:
        return ""
    best = max(peers, key=lambda cell: kind.gain(cell.score, 0.0))
    gain = kind.gain(ours.score, best.score)
    word = "even" if abs(gain) <= kind.even else "win" if gain > 0 else "loss"
    text = f"{gain:+.{kind.digits}f} {word}".replace("-", "−")
    return f"**{text}**" if word == "loss" else text


def fill(page: str, record: Record, sets: Sets, images: Sequence[str] = ()) -> str:
    """Put the tables of all measured sets, and the `images`, between the marks of a page.

    Raises:
        SystemExit: If the page has no marks.
    """
    begin, end = PLACE
    before, mark, rest = page.partition(begin)
    _, other, after = rest.partition(end)
    if not mark or not other:
        raise SystemExit(f"the page has no place for the tables: expected the lines {begin} and {end}")
    pictures_here = "\n\n".join(f"![Score against processor minutes]({'assets/' + name})" for name in images)
    facts = _conditions(record)
    body = "\n\n".join(part for part in (facts, pictures_here, report(record, sets)) if part)
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"


def _conditions(record: Record) -> str:
    """The machine and the versions, with the commits of all runs."""
    facts = dict(record.get("conditions", {}))
    commits = list(dict.fromkeys(run["commit"] for run in record["runs"] if "commit" in run))
    loads = [run["load"] for run in record["runs"] if "load" in run]
    if commits:
        facts["commit"] = ", ".join(commits)
    if loads:
        facts["load before"] = f"{min(loads):g} to {max(loads):g}"
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


# ---- comparison with earlier figures ---------------------------------------------------------------------------


def compare(record: Record, earlier: Record, sets: Sets) -> list[str]:
    """Return a warning for each score that differs from earlier figures, and a line that counts the comparisons."""
    places = ("data", "method", "minutes", "seed")
    new = {tuple(run[place] for place in places): run for run in record["runs"]}
    lines, comparisons = [], 0
    for old in earlier["runs"]:
        run = new.get(tuple(old[place] for place in places))
        if run is None or "error" in old:
            continue
        comparisons += 1
        kind, name = KINDS[sets[old["data"]].score], f"{old['data']}, {_title(old['method'])}"
        if "error" in run:
            lines.append(f"warning: {name} failed: {run['error']}")
            continue
        gain = kind.gain(run["score"], old["score"])
        if abs(gain) > kind.tolerance:
            better = "better" if gain > 0 else "worse"
            lines.append(
                f"warning: {name}: {kind.text(run['score'])} is {better} than the stored {kind.text(old['score'])} by "
                f"more than {kind.tolerance:g}"
            )
    moved = f"{len(lines)} moved" if lines else "none moved"
    return [*lines, f"frontier: {comparisons} scores compared with the stored ones, {moved} by more than the tolerance"]


# ---- pictures --------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _GAP, _ACROSS = 430, 250, 30, 2
_LEFT, _TOP, _LINE = 52, 46, 17
_STYLE = """
svg{--ground:#fff;--ink:#222;--faint:#ddd;--c0:#c8102e;--c1:#33658a;--c2:#758e4f;--c3:#b8860b;--c4:#6d597a;--c5:#777}
@media (prefers-color-scheme:dark){
svg{--ground:#1e2129;--ink:#e2e4e9;--faint:#3a3f4b;--c0:#ff6b7f;--c1:#86bbd8;--c2:#a9c77b;--c3:#f6ae2d;--c4:#c3a6d8;--c5:#aaa}}
.ground{fill:var(--ground)}text{fill:var(--ink);font:12px sans-serif}.title{font-weight:bold;font-size:13px}
.axis{stroke:var(--faint)}.line{fill:none;stroke-width:2}
"""


def pictures(record: Record, sets: Sets) -> dict[str, str]:
    """Return an SVG for each task with figures, by file name: score against processor minutes, a panel for each set."""
    files = {}
    for task in dict.fromkeys(description.task for description in sets.values()):
        panels = [
            (description, cells)
            for name, description in sets.items()
            if description.task == task and (cells := [cell for cell in _cells(record, name) if cell.scores])
        ]
        if panels:
            files[f"frontier-{task}.svg"] = _picture(task, panels)
    return files


def _picture(task: str, panels: Sequence[tuple[Description, Sequence[Cell]]]) -> str:
    legend = _LINE * max(len({cell.method for cell in cells}) for _, cells in panels)
    height, rows = _TOP + _HEIGHT + 42 + legend + _GAP, -(-len(panels) // _ACROSS)
    width = min(len(panels), _ACROSS) * (_WIDTH + _GAP)
    body = []
    for place, (description, cells) in enumerate(panels):
        x, y = (place % _ACROSS) * (_WIDTH + _GAP), (place // _ACROSS) * height
        body += [f'<g transform="translate({x},{y})">', *_panel(description, cells), "</g>"]
    styles = f"{_STYLE}{''.join(_colour(number) for number in range(6))}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {rows * height}" role="img">',
            f"<title>{escape(task)}: score against processor minutes</title><style>{styles}</style>",
            '<rect class="ground" width="100%" height="100%"/>',
            *body,
            "</svg>\n",
        ]
    )


def _colour(number: int) -> str:
    return f".s{number}{{stroke:var(--c{number})}}.f{number}{{fill:var(--c{number})}}"


def _panel(description: Description, cells: Sequence[Cell]) -> list[str]:
    """Axes, a line or a mark for each method, and the legend below."""
    kind = KINDS[description.score]
    scores = [kind.factor * cell.score for cell in cells]
    ticks = _ticks(min(scores), max(scores))
    low, high = ticks[0], ticks[-1]
    minutes = [cell.processor / 60 for cell in cells]
    first, last = (fit(math.log10(end)) for fit, end in ((math.floor, min(minutes)), (math.ceil, max(*minutes, 1.01))))

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * (math.log10(seconds / 60) - first) / (last - first)

    def y(score: float) -> float:
        return _TOP + _HEIGHT * (1 - (kind.factor * score - low) / (high - low))

    better = "" if kind.higher else " (lower is better)"
    marks = [
        f'<text class="title" x="4" y="16">{escape(description.title)}</text>',
        f'<text x="4" y="32">{escape(description.measure)}{better}</text>',
    ]
    for tick in ticks:
        level = y(tick / kind.factor)
        marks.append(f'<path class="axis" d="M{_LEFT} {level:.1f}H{_WIDTH}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for power in range(first, last + 1):
        place = x(60 * 10.0**power)
        marks.append(f'<path class="axis" d="M{place:.1f} {_TOP}V{_TOP + _HEIGHT}"/>')
        marks.append(f'<text x="{place:.1f}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">{10.0**power:g}</text>')
    marks.append(
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_TOP + _HEIGHT + 32}" text-anchor="middle">processor minutes</text>'
    )
    colours = [UNSPOOL, *(name for name, peer in PEERS.items() if peer.task == description.task)]
    for row, method in enumerate(dict.fromkeys(cell.method for cell in cells)):
        colour = colours.index(method)
        marks += _series([(x(cell.processor), y(cell.score)) for cell in cells if cell.method == method], colour)
        level = _TOP + _HEIGHT + 42 + _LINE * row
        marks.append(f'<circle class="f{colour}" cx="{_LEFT}" cy="{level + 4}" r="4"/>')
        marks.append(f'<text x="{_LEFT + 10}" y="{level + 8}">{escape(_title(method))}</text>')
    return marks


def _series(points: Sequence[tuple[float, float]], colour: int) -> list[str]:
    points = sorted(points)
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    marks = [f'<path class="line s{colour}" d="M{line}"/>'] if len(points) > 1 else []
    return marks + [f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose a range, three to seven of them."""
    span = max(high - low, abs(high) / 100, 1e-6)
    step = 10 ** math.floor(math.log10(span))
    step = next(size * step for size in (0.2, 0.5, 1.0, 2.0) if span / (size * step) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]
