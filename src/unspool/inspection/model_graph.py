"""Graph of a model: its parts with shapes and weights, one cell folded, and the cells unrolled over a text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from unspool.cells import Cell
from unspool.errors import UsageError
from unspool.inspection.cell_graph import CellGraph, cell_graph
from unspool.inspection.gradients import Gradients
from unspool.inspection.graph_picture import graph_picture
from unspool.inspection.notebook import pictured, show_result
from unspool.inspection.result import new_file
from unspool.inspection.retention import is_backward
from unspool.inspection.trace import Trace
from unspool.layers import Recurrent
from unspool.settings import nearest
from unspool.writing import replace_file

__all__ = ["Block", "ModelGraph", "UnrolledRow", "graph", "graph_of_model"]

FORMATS = (".svg", ".json")


@dataclass(frozen=True)
class Block:
    """A part of a model."""

    name: str
    """Name of the attribute that holds the part."""
    kind: str
    """Name of its class."""
    lines: tuple[str, ...]
    """Class, shapes, number of weights, and weights shared with other parts."""
    weights: int
    """Number of weights, those shared with earlier parts included."""

    def record(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return {**vars(self), "lines": list(self.lines)}


@dataclass(frozen=True)
class UnrolledRow:
    """A layer and direction over the steps of a text."""

    place: str
    label: str
    backward: bool
    values: tuple[float, ...] = ()
    """Value behind the thickness of the edge from each step to the next one in the text."""
    sizes: tuple[float, ...] | None = None
    """These values between 0 and 1, for the thickness; None without a trace."""

    def record(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return {**vars(self), "values": list(self.values), "sizes": None if self.sizes is None else list(self.sizes)}


@dataclass(frozen=True, repr=False)
class ModelGraph:
    """Graph of a model or a cell: folded once, and unrolled over the first twelve steps of a text.

    The nodes of the cell do not depend on the length of the text: the unrolled picture repeats one box per step.
    """

    model: str
    """One line that describes the network."""
    blocks: tuple[Block, ...]
    """Parts of the model, from input to output; empty for a bare cell."""
    cell: CellGraph | None
    """One step of the cell of the first layer; None for a network without cells."""
    tokens: tuple[str, ...] = ()
    """Tokens of the text; the picture draws the first twelve."""
    rows: tuple[UnrolledRow, ...] = ()
    """Layers and directions over the text, the first layer first; empty without a text."""
    thickness: str = ""
    """Meaning of the thickness of the edges between steps; empty without a trace."""
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON values: blocks, nodes and edges of the cell, rows over the text."""
        return {
            "format": "unspool graph",
            "version": 1,
            "model": self.model,
            "blocks": [block.record() for block in self.blocks],
            "cell": None if self.cell is None else self.cell.record(),
            "tokens": list(self.tokens),
            "rows": [row.record() for row in self.rows],
            "thickness": self.thickness,
            "notes": list(self.notes),
        }

    def picture(self) -> str:
        """Return the SVG picture, for light and dark pages."""
        return graph_picture(self)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the picture (.svg) or the nodes and edges (.json), atomically.

        Raises:
            UsageError: If the suffix is another, the folder is missing, or the file exists and `overwrite` is False.
            MachineError: If the file can't be written.
        """
        path = new_file(path, FORMATS, "a graph", overwrite=overwrite)
        content = self.picture() if path.suffix.lower() == ".svg" else json.dumps(self.record(), allow_nan=False)
        replace_file(path, content.encode("utf-8", "backslashreplace"))
        return path

    def show(self, console: Console | None = None) -> None:
        """Display the picture in a notebook, or print the parts and the equations of the cell.

        Args:
            console: Console to print to, also from a notebook; if omitted, the notebook or the standard output.
        """
        show_result(self, console, lambda console: console.print(repr(self), markup=False, highlight=False))

    def _repr_html_(self) -> str:
        return pictured(self.picture(), repr(self))

    def __repr__(self) -> str:
        lines = [f"Graph of {self.model}"]
        lines += [f"  {block.name}: {', '.join(block.lines)}" for block in self.blocks]
        if self.cell is not None:
            lines.append(f"  {self.cell.name}: {len(self.cell.nodes)} nodes, {len(self.cell.edges)} edges")
            lines += [f"    {node.label} = {node.expression}" for node in self.cell.nodes if node.expression]
            lines.append(f"    engine: {self.cell.engine}")
            lines += [f"    not traced: {self.cell.refusal}"] * bool(self.cell.refusal)
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def graph(
    model: Any, text: Any = None, *, thickness: Trace | Gradients | None = None, array: str | None = None
) -> ModelGraph:
    """Return the graph of a trained model, a recurrent stack, any torch module, or a cell.

    Args:
        model: The model or cell.
        text: Text over which to unroll the cell, as the model's `trace` takes it; or a sequence of tokens, for a cell
            or a stack.
        thickness: Trace or gradients of the same text; the edges between steps become as thick as their values.
        array: Name of the array of `thickness`; the state's size, or the norms of the whole state, if omitted.

    Raises:
        UsageError: If something else came, or there is no such array.
    """
    if callable(getattr(model, "graph", None)):
        result: ModelGraph = model.graph(text, thickness=thickness, array=array)
        return result
    if not isinstance(model, nn.Module):
        raise UsageError(f"graph takes a model, a recurrent stack or a cell, and {type(model).__name__} came")
    tokens = text.split() if isinstance(text, str) else [str(token) for token in text or ()]
    return graph_of_model(model, tokens=tokens, thickness=thickness, array=array)


def graph_of_model(
    network: nn.Module,
    *,
    tokens: Sequence[str] = (),
    thickness: Trace | Gradients | None = None,
    array: str | None = None,
    model: str = "",
) -> ModelGraph:
    """Return the graph of a network, unrolled over some tokens; see `graph`."""
    cells = _cells(network)
    folded = cell_graph(cells[0][1]) if cells else None
    notes = [] if cells else ["This network has no recurrent cell: nothing repeats over time."]
    kinds = {(type(cell).__name__, cell.hidden_size) for _, cell, _ in cells}
    if len(kinds) > 1:
        notes.append(f"Cells of other layers: {', '.join(sorted(f'{name} of {size}' for name, size in kinds))}.")
    rows = _rows(cells, tokens, thickness, array) if tokens else ()
    blocks = () if isinstance(network, Cell) else tuple(_blocks(network))
    meaning = _meaning(thickness, array) if rows else ""
    name = model or (cells[0][1].__class__.__name__ if isinstance(network, Cell) else type(network).__name__)
    return ModelGraph(name, blocks, folded, tuple(tokens), rows, meaning, tuple(notes))


def _cells(network: nn.Module) -> list[tuple[str, Cell[Any], bool]]:
    """Return the cells over the input with their places: those of the first stack, or the cell itself."""
    if isinstance(network, Cell):
        return [("cell", network, False)]
    stacks = [module for module in network.modules() if isinstance(module, Recurrent)]
    if stacks:
        return list(stacks[0].named_cells())
    inner = [(name, module, False) for name, module in network.named_modules() if isinstance(module, Cell)]
    return inner[:1]


def _blocks(network: nn.Module) -> list[Block]:
    """Return the parts of a network in the order of their definition, with shapes and weights."""
    blocks, owners = [], dict[int, str]()
    parts = [("stack", network)] if isinstance(network, Recurrent) else list(network.named_children())
    for name, part in parts:
        weights = list(part.parameters())
        shared = sorted({owners[id(weight)] for weight in weights if id(weight) in owners})
        count = sum(weight.numel() for weight in weights)
        if not weights and not hasattr(part, "size"):
            continue  # dropout and the like
        owners |= {id(weight): name for weight in weights if id(weight) not in owners}
        lines = [type(part).__name__, *_details(part), f"{count:,} weights" if count else "no weights"]
        lines += [f"shares weights with {', '.join(shared)}"] * bool(shared)
        blocks.append(Block(name, type(part).__name__, tuple(lines), count))
    return blocks


def _details(part: nn.Module) -> list[str]:
    """Return the shapes of a part, in words."""
    if isinstance(part, Recurrent):
        return [
            f"{place}: {type(cell).__name__} {cell.input_size} → {cell.hidden_size}"
            for place, cell, _ in part.named_cells()
        ]
    if isinstance(part, nn.Linear):
        return [f"{part.in_features} → {part.out_features}"]
    table = getattr(part, "table", None)
    if isinstance(table, nn.Embedding):
        return [f"{table.num_embeddings} units → {getattr(part, 'output_size', table.embedding_dim)}"]
    sizes = [getattr(part, name, None) for name in ("input_size", "output_size")]
    if all(isinstance(size, int) for size in sizes):
        return [f"{sizes[0]} → {sizes[1]}"]
    size = getattr(part, "size", None)
    return [f"→ {size}"] if isinstance(size, int) else []


def _rows(
    cells: Sequence[tuple[str, Cell[Any], bool]],
    tokens: Sequence[str],
    thickness: Trace | Gradients | None,
    array: str | None,
) -> tuple[UnrolledRow, ...]:
    """Return the rows of the unrolled picture, with the sizes of all edges on one scale."""
    values = [_steps(_values(place, thickness, array), tokens, backward) for place, _, backward in cells]
    top = max((float(np.max(np.abs(each), initial=0.0)) for each in values if each is not None), default=0.0) or 1.0
    rows = []
    for (place, cell, backward), each in zip(cells, values, strict=True):
        label = type(cell).__name__.removesuffix("Cell")[:6]
        sizes = None if each is None else tuple((np.abs(each) / top).tolist())
        rows.append(UnrolledRow(place, label, backward, () if each is None else tuple(each.tolist()), sizes))
    return tuple(rows)


def _steps(values: NDArray[np.float64] | None, tokens: Sequence[str], backward: bool) -> NDArray[np.float64] | None:
    """Return the value of each edge between neighbouring steps: that of the state from which the edge leaves."""
    if values is None:
        return None
    if len(values) != len(tokens):
        raise UsageError(f"the trace has {len(values)} tokens and the text {len(tokens)}; pass a trace of this text")
    return values[1:] if backward else values[:-1]


def _values(place: str, thickness: Trace | Gradients | None, array: str | None) -> NDArray[np.float64] | None:
    """Return one value per step of a place; None if there is none."""
    if thickness is None:
        return None
    names = list(thickness.norms) if isinstance(thickness, Gradients) else list(thickness.arrays)
    own = [
        name for name in names if name.rpartition(" / ")[0].endswith(place) and is_backward(name) == is_backward(place)
    ]
    if array is not None:
        own = [name for name in own if name == array or name.rpartition(" / ")[2] == array]
        if array not in names and not any(name.rpartition(" / ")[2] == array for name in names):
            raise UsageError(
                f"there is no array {array!r}{nearest(array, names)}; there are {', '.join(map(repr, names))}"
            )
    if not own:
        return None
    if isinstance(thickness, Gradients):
        name = next((each for each in own if each.endswith(" / state")), own[0])
        return np.asarray(thickness.array(name)[-1], dtype=np.float64)
    name = own[0] if array is not None else next((each for each in own if each.endswith((" / h", " / c"))), own[-1])
    return np.asarray(np.abs(thickness.array(name)).mean(axis=1), dtype=np.float64)


def _meaning(thickness: Trace | Gradients | None, array: str | None) -> str:
    if isinstance(thickness, Gradients):
        return "the gradient of the last loss with respect to the state"
    return "" if thickness is None else f"the mean size of {array or 'the state'}"
