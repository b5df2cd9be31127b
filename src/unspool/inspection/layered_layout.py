"""Layered layout of directed graphs: rows from arguments to results, few crossings, bounded width.

The method is that of Sugiyama, Tagawa and Toda 1981, doi:10.1109/TSMC.1981.4308636: rows by longest path, with a bound
on the width of a row; crossings by barycentres; and a point in each row that an edge passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layout", "layered_layout"]

Size = tuple[float, float]
_LANE = 12.0  # width of the place that an edge takes in a row that it passes, pixels
_SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """Places of nodes and edges, in pixels."""

    centres: Mapping[str, tuple[float, float]]
    """Centre of each node."""
    routes: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    """Points that each edge passes, from the lower side of its source to the upper side of its target."""
    width: float
    height: float


def layered_layout(
    sizes: Mapping[str, Size],
    edges: Iterable[tuple[str, str]],
    *,
    last: Sequence[str] = (),
    width: float = 720.0,
    gap: float = 18.0,
    between: float = 34.0,
) -> Layout:
    """Lay out an acyclic graph in rows.

    Args:
        sizes: Width and height of each node; each node comes after its arguments.
        edges: Pairs of source and target.
        last: Nodes of the last row.
        width: Width that a row keeps to, if its nodes allow.
        gap: Space between neighbours of a row.
        between: Space between two rows.
    """
    pairs = [pair for pair in dict.fromkeys(edges) if pair[0] != pair[1]]
    rows = _rows(sizes, pairs, last, width, gap)
    lanes, links = _lanes(rows, pairs)
    spans = {**dict.fromkeys(lanes, _LANE), **{name: size[0] + gap for name, size in sizes.items()}}
    _order(rows, links)
    x = _across(rows, links, spans)
    heights = [max((sizes[name][1] for name in row if name in sizes), default=0.0) for row in rows]
    y, middles = 0.0, []
    for height in heights:
        middles.append(y + height / 2)
        y += height + between
    centres = {name: (x[name], middles[number]) for number, row in enumerate(rows) for name in row if name in sizes}
    routes = {}
    for source, target in pairs:
        path = [(centres[source][0], centres[source][1] + sizes[source][1] / 2)]
        first, final = _row_of(rows, source), _row_of(rows, target)
        for number in range(first + 1, final):
            at = x[_lane(source, target, number)]
            path += [(at, middles[number] - heights[number] / 2), (at, middles[number] + heights[number] / 2)]
        path.append((centres[target][0], centres[target][1] - sizes[target][1] / 2))
        routes[source, target] = tuple(path)
    right = max((x[name] + spans[name] / 2 for row in rows for name in row), default=gap / 2)
    return Layout(centres, routes, right - gap / 2, max(0.0, y - between))


def _row_of(rows: list[list[str]], name: str) -> int:
    return next(number for number, row in enumerate(rows) if name in row)


def _rows(
    sizes: Mapping[str, Size], pairs: list[tuple[str, str]], last: Sequence[str], width: float, gap: float
) -> list[list[str]]:
    """Return the nodes of each row: below all arguments, and in the next row if theirs is full."""
    arguments: dict[str, list[str]] = {name: [] for name in sizes}
    for source, target in pairs:
        arguments[target].append(source)
    row_of: dict[str, int] = {}
    filled: list[float] = []
    for name, (span, _) in sizes.items():
        if name in last:
            continue
        row = max((row_of[argument] + 1 for argument in arguments[name]), default=0)
        while row < len(filled) and filled[row] and filled[row] + gap + span > width:
            row += 1
        filled += [0.0] * (row + 1 - len(filled))
        filled[row] += span + (gap if filled[row] else 0.0)
        row_of[name] = row
    end = max(row_of.values(), default=-1) + 1
    row_of |= dict.fromkeys(last, end)
    rows: list[list[str]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    for name in sizes:
        rows[row_of[name]].append(name)
    return [row for row in rows if row]


def _lane(source: str, target: str, row: int) -> str:
    return f"\0{source}\0{target}\0{row}"


def _lanes(rows: list[list[str]], pairs: list[tuple[str, str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Add a lane to each row that an edge passes; return the lanes, and links between neighbouring rows."""
    row_of = {name: number for number, row in enumerate(rows) for name in row}
    lanes: list[str] = []
    links: list[tuple[str, str]] = []
    for source, target in pairs:
        chain = [source]
        for number in range(row_of[source] + 1, row_of[target]):
            lane = _lane(source, target, number)
            rows[number].append(lane)
            lanes.append(lane)
            chain.append(lane)
        chain.append(target)
        links += pairwise(chain)
    return lanes, links


def _neighbours(links: list[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, target in links:
        below.setdefault(source, []).append(target)
        above.setdefault(target, []).append(source)
    return above, below


def _order(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    """Order each row by the mean place of its neighbours, downwards and upwards in turn."""
    above, below = _neighbours(links)
    place = {name: float(index) for row in rows for index, name in enumerate(row)}
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            keys = {name: _mean([place[other] for other in near.get(name, ())], place[name]) for name in row}
            row.sort(key=keys.__getitem__)
            for index, name in enumerate(row):
                place[name] = index - len(row) / 2


def _across(rows: list[list[str]], links: list[tuple[str, str]], spans: Mapping[str, float]) -> dict[str, float]:
    """Return the centre of each node and lane: near its neighbours, without overlap in its row."""
    above, below = _neighbours(links)
    x: dict[str, float] = {}
    widest = max((sum(spans[name] for name in row) for row in rows), default=0.0)
    for row in rows:
        left = -sum(spans[name] for name in row) / 2
        for name in row:
            x[name] = left + spans[name] / 2
            left += spans[name]
    for sweep in range(2 * _SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wishes = [_mean([x[other] for other in near.get(name, ())], x[name]) for name in row]
            x |= dict(zip(row, _spread(wishes, [spans[name] for name in row], widest), strict=True))
    left = min((x[name] - spans[name] / 2 for row in rows for name in row), default=0.0)
    return {name: at - left for name, at in x.items()}


def _spread(wishes: list[float], spans: list[float], width: float) -> list[float]:
    """Return places in order, without overlap, within a width around 0, nearest to the wishes by least squares.

    The method pools adjacent violators: it is isotonic regression on the wishes without the offsets of the row.
    """
    offsets, total = [], 0.0
    for index, span in enumerate(spans):
        total += (spans[index - 1] + span) / 2 if index else 0.0
        offsets.append(total)
    blocks: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, number = blocks.pop()
            mean, count = (before * number + mean * count) / (number + count), number + count
        blocks.append((mean, count))
    starts = [mean for mean, count in blocks for _ in range(count)]
    low, high = (spans[0] - width) / 2, (width - spans[-1]) / 2 - offsets[-1]
    return [min(max(start, low), high) + offset for start, offset in zip(starts, offsets, strict=True)]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
