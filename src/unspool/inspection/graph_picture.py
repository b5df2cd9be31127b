"""SVG picture of a model's graph: overview, one cell folded with its loop, the equation, and the cell over a text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from rich.cells import cell_len

from unspool.inspection.cell_graph import CellGraph, GraphNode
from unspool.inspection.equation import pieces
from unspool.inspection.layered_layout import Layout, layered_layout
from unspool.inspection.svg import LETTER, SMALL, document, line, shorten, text
from unspool.inspection.trace import visible

if TYPE_CHECKING:
    from unspool.inspection.model_graph import Block, ModelGraph, UnrolledRow

__all__ = ["graph_picture"]

_PAD, _LOOP, _LEAST, _GAP = 20.0, 12.0, 680.0, 22.0
_WRAP = 34  # letters of a line of an expression
_ROW = 15.0
_STEP, _CELL, _BOX, _BETWEEN = 74.0, 48.0, 34.0, 26.0  # of the unrolled picture: step, its box, gap between layers
_LONGEST = 12  # steps of the unrolled picture
_THICK = 9.0  # width of the widest edge
_LIGHT = (
    ".un-box{fill:#eef3f6;stroke:#5b7890}.un-in{fill:#e3f1e1;stroke:#4f8a4a}.un-out{fill:#fbe9da;stroke:#b9672a}"
    ".un-edge{fill:none;stroke:#6d7982;stroke-width:1.2}.un-loop{fill:none;stroke:#b9672a;stroke-width:1.6;"
    "stroke-dasharray:5 3}.un-tip{fill:#6d7982}.un-tip-loop{fill:#b9672a}.un-flow{fill:none;stroke:#1f6fb2}"
)
_DARK = (
    ".un-box{fill:#24303a;stroke:#7fa0ba}.un-in{fill:#203023;stroke:#79b573}.un-out{fill:#3a2a1d;stroke:#e09a62}"
    ".un-edge{stroke:#98a4ad}.un-loop{stroke:#e09a62}.un-tip{fill:#98a4ad}.un-tip-loop{fill:#e09a62}"
    ".un-flow{stroke:#74b6ee}"
)
_KINDS = {"input": "un-in", "state": "un-in", "output": "un-out"}


def graph_picture(graph: ModelGraph) -> str:
    """Return the SVG picture of a graph, for light and dark pages."""
    body: list[str] = []
    layout = None if graph.cell is None else _layout(graph.cell)
    loops = 0 if graph.cell is None else sum(edge.loop for edge in graph.cell.edges)
    width = max(_LEAST, _PAD * 2 + (0 if layout is None else layout.width + _LOOP * (loops + 1)))
    if graph.rows:
        width = max(width, _PAD * 2 + _margin(graph.rows) + _STEP * min(_LONGEST, len(graph.tokens)) + 20)
    y = _PAD + 12
    if graph.blocks:
        body.append(text(_PAD, y, shorten(graph.model, width - 2 * _PAD, LETTER * 1.2), "title"))
        y += 12
    if graph.blocks:
        y = _blocks(body, graph.blocks, y + 6, width)
    if graph.cell is not None and layout is not None:
        y = _cell(body, graph.cell, layout, y + 30 if graph.blocks else y, width)
    if graph.rows:
        y = _unrolled(body, graph, y + 28)
    for note in graph.notes:
        for part in _wrapped(note, int((width - 2 * _PAD) / SMALL)):
            y += 16
            body.append(text(_PAD, y, part, "dim small"))
    return document(graph.model, width, y + _PAD, body, light=_LIGHT, dark=_DARK)


def _blocks(body: list[str], blocks: Sequence[Block], y: float, width: float) -> float:
    """Draw the parts of the model from input to output, in rows; return the y below."""
    across = max(1, int((width - 2 * _PAD + _GAP) // (190 + _GAP)))
    box = (width - 2 * _PAD - _GAP * (across - 1)) / across
    for start in range(0, len(blocks), across):
        row = blocks[start : start + across]
        height = 24 + _ROW * max(len(block.lines) for block in row)
        for index, block in enumerate(row):
            x = _PAD + index * (box + _GAP)
            body.append(_rect(x, y, box, height, "un-box"))
            body.append(text(x + 8, y + 16, shorten(block.name, box - 16)))
            for number, each in enumerate(block.lines):
                body.append(text(x + 8, y + 32 + number * _ROW, shorten(each, box - 16, SMALL), "dim small"))
            if start + index + 1 < len(blocks):
                end, middle = x + box + _GAP - 2, y + height / 2
                body.append(line(x + box, middle, end - 5, middle, "un-edge"))
                body.append(f'<path class="un-tip" d="M{end:.1f} {middle:.1f}l-6 -3.5v7z"/>')
        y += height + 14
    return y - 14


def _cell(body: list[str], cell: CellGraph, layout: Layout, y: float, width: float) -> float:
    """Draw one step of the cell, folded, with its equation and the engine's path; return the y below."""
    title = f"{cell.name}: one step; all steps share its weights"
    body.append(text(_PAD, y, shorten(title, width - 2 * _PAD, LETTER * 1.2), "title"))
    loops = sum(edge.loop for edge in cell.edges)
    top = y + 40 + 4 * loops
    shift = max(_PAD, (width - layout.width - _LOOP * (1 + loops)) / 2)
    for edge in cell.edges:
        if not edge.loop:
            points = [(x + shift, at + top) for x, at in layout.routes[edge.source, edge.target]]
            body.append(_arrow(points, "un-edge"))
    _loops(body, cell, layout, shift, top)
    for node in cell.nodes:
        x, at = layout.centres[node.id]
        body += _node(node, x + shift, at + top)
    y = top + layout.height + 26
    if cell.refusal:
        y = _paragraph(body, f"The compiler can't trace this step: {cell.refusal}", y, width)
    for latex in cell.equation:
        body.append(_equation(_PAD, y, latex))
        y += 20
    if cell.source:
        y = _paragraph(body, f"Source: {cell.source}", y, width)
    shapes = ", ".join(f"{name} {_shape(shape)}" for name, shape in cell.weights.items())
    y = _paragraph(body, f"Shared weights: {shapes or 'none'}", y, width)
    return _paragraph(body, f"Engine: {cell.engine}", y, width)


def _paragraph(body: list[str], content: str, y: float, width: float) -> float:
    for part in _wrapped(content, int((width - 2 * _PAD) / SMALL)):
        body.append(text(_PAD, y, part, "dim small"))
        y += 16
    return y


def _layout(cell: CellGraph) -> Layout:
    sizes = {node.id: _size(node) for node in cell.nodes}
    edges = [(edge.source, edge.target) for edge in cell.edges if not edge.loop]
    return layered_layout(sizes, edges, last=[node.id for node in cell.nodes if node.kind == "output"])


def _size(node: GraphNode) -> tuple[float, float]:
    lines = _wrapped(node.expression, _WRAP)
    letters = max(
        [
            cell_len(node.label) * LETTER + cell_len(_shape(node.shape)) * SMALL + 14,
            *(cell_len(each) * SMALL for each in lines),
        ]
    )
    return letters + 18, 24 + _ROW * len(lines)


def _node(node: GraphNode, x: float, y: float) -> list[str]:
    """Draw a node around its centre."""
    width, height = _size(node)
    left, top = x - width / 2, y - height / 2
    used = f"weights: {', '.join(node.weights)}" if node.weights else ""
    hint = "; ".join(part for part in (node.expression, used, node.where) if part) or node.label
    box = _rect(left, top, width, height, _KINDS.get(node.kind, "un-box"))
    parts = [f"<g><title>{escape(hint)}</title>{box}"]
    parts.append(text(left + 8, top + 16, node.label))
    parts.append(text(left + width - 8, top + 16, _shape(node.shape), "dim small", "end"))
    for number, each in enumerate(_wrapped(node.expression, _WRAP)):
        parts.append(text(left + 8, top + 31 + number * _ROW, each, "dim small"))
    return [*parts, "</g>"]


def _loops(body: list[str], cell: CellGraph, layout: Layout, shift: float, top: float) -> None:
    """Draw the edges to the state before the next step, around the right side."""
    sizes = {node.id: _size(node) for node in cell.nodes}
    loops = [edge for edge in cell.edges if edge.loop]
    loops.sort(key=lambda edge: layout.centres[edge.source][1], reverse=True)
    for number, edge in enumerate(loops):
        right = layout.width + shift + _LOOP * (number + 1)
        (x1, y1), (x2, y2) = layout.centres[edge.source], layout.centres[edge.target]
        spread = 6.0 + 4 * number
        below = y1 + sizes[edge.source][1] / 2 + top
        above = y2 - sizes[edge.target][1] / 2 + top
        start = x1 + shift + min(14.0, sizes[edge.source][0] / 4)
        end = x2 + shift
        path = f"M{start:.1f} {below:.1f}v{spread:.1f}H{right:.1f}V{above - spread - 3:.1f}H{end:.1f}"
        body.append(f'<path class="un-loop" d="{path}V{above - 4:.1f}"/>{_tip(end, above, "un-tip-loop")}')
    if loops:
        right, y = layout.width + shift + _LOOP * len(loops), top - 13 - 4 * len(loops)
        body.append(text(right, y, "to the next step, × T", "dim small", "end"))


def _unrolled(body: list[str], graph: ModelGraph, y: float) -> float:
    """Draw the rows of cells over the tokens; return the y below."""
    tokens = graph.tokens[:_LONGEST]
    whole = len(tokens) == len(graph.tokens)
    shown = "over this text" if whole else f"over the first {len(tokens)} of {len(graph.tokens)} steps"
    body.append(text(_PAD, y, f"Unrolled {shown}", "title"))
    if graph.thickness:
        body.append(text(_PAD, y + 22, f"edges between steps: as thick as {graph.thickness}", "dim small"))
        y += 16
    left, pitch = _PAD + _margin(graph.rows), _BOX + _BETWEEN
    middles = [left + step * _STEP + _CELL / 2 for step in range(len(tokens))]
    y += 34
    body += [_upward(x, y, y - 14) for x in middles]
    for number, row in enumerate(reversed(graph.rows)):  # the last layer on top
        top = y + number * pitch
        name = shorten(row.place, _margin(graph.rows) - 8, SMALL)
        body.append(text(_PAD, top + _BOX / 2 + 4, name, "small"))
        for x in middles:
            body.append(_upward(x, top + pitch, top + _BOX))
            body.append(_rect(x - _CELL / 2, top, _CELL, _BOX, "un-box"))
            body.append(text(x, top + _BOX / 2 + 4, row.label, "small", "middle"))
        body += [_flow(x, top + _BOX / 2, row, step) for step, x in enumerate(middles[:-1])]
    y += pitch * len(graph.rows) + 12
    for x, token in zip(middles, tokens, strict=True):
        body.append(text(x, y, shorten(visible(token), _STEP - 8, SMALL), "small", "middle"))
    return y + 8


def _flow(x: float, y: float, row: UnrolledRow, step: int) -> str:
    """Draw the state's edge between a step, whose box stands around x, and the next."""
    ends = (x + _CELL / 2, x + _STEP - _CELL / 2)
    start, end = ends[::-1] if row.backward else ends
    sign = -1 if row.backward else 1
    tip = f'<path class="un-tip" d="M{end:.1f} {y:.1f}l{-6 * sign} -3.5v7z"/>'
    path = f'd="M{start:.1f} {y:.1f}H{end - 5 * sign:.1f}"'
    if row.sizes is None:
        return f'<path class="un-flow" stroke-width="1.4" {path}/>{tip}'
    thick = 0.6 + (_THICK - 0.6) * row.sizes[step]
    value = f"<title>{row.values[step]:.4g}</title>"
    return f'<g>{value}<path class="un-flow" stroke-width="{thick:.2f}" {path}/>{tip}</g>'


def _upward(x: float, y: float, end: float) -> str:
    """Return a straight arrow upwards."""
    return f'{line(x, y, x, end + 5, "un-edge")}<path class="un-tip" d="M{x:.1f} {end:.1f}l-3.5 6h7z"/>'


def _margin(rows: Sequence[UnrolledRow]) -> float:
    return min(140.0, max(cell_len(row.place) for row in rows) * SMALL + 14)


def _equation(x: float, y: float, latex: str) -> str:
    """Return a line of an equation, with lowered and raised parts."""
    spans, level = [], 0
    for piece in pieces(latex):
        size = ' font-size="9"' if piece.level else ""
        shift = 4 * (level - piece.level)
        spans.append(f'<tspan dy="{shift}"{size}>{escape(piece.text)}</tspan>')
        level = piece.level
    return f'<text class="un-text" xml:space="preserve" x="{x:.1f}" y="{y:.1f}">{"".join(spans)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>'


def _arrow(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return a smooth line through points, with a tip at its end."""
    (x, y), *rest = points
    end_x, end_y = points[-1]
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        stop = to_y - 4 if (to_x, to_y) == points[-1] else to_y
        bend = (stop - y) / 2
        path += f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {stop - bend:.1f} {to_x:.1f} {stop:.1f}"
        x, y = to_x, stop
    return f'<path class="{kind}" d="{path}"/>{_tip(end_x, end_y, "un-tip")}'


def _tip(x: float, y: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x:.1f} {y:.1f}l-3.5 -6h7z"/>'


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _wrapped(content: str, width: int) -> list[str]:
    """Break a text at blanks into lines of at most `width` letters, where its words allow."""
    lines: list[str] = []
    for word in content.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
