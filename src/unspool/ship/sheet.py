"""Sheet: a trained model as a closed list of operations over (time, batch), with text in and text out.

A `Program` computes named values, one operation after the other. The kinds of values are those of `Port`. A program
has one time axis, whose lengths are the input `lengths`; what stands past the length of a sequence is never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unspool.ship.memory import Memory
from unspool.ship.sheet_text import Labels, Replies, TagNames, TextFront, Writing
from unspool.ship.step_graph import StepGraph

__all__ = [
    "Activate",
    "Add",
    "Advance",
    "Array",
    "Attend",
    "BestPath",
    "Concat",
    "Constant",
    "Convolve",
    "Highest",
    "KeyValue",
    "LookUp",
    "Multiply",
    "Normalise",
    "Operation",
    "Pool",
    "Port",
    "Positions",
    "Product",
    "Program",
    "Retrieve",
    "Scale",
    "Sheet",
    "Slice",
    "Softmax",
    "Spell",
    "SumRows",
    "Unroll",
    "Writer",
    "arrays",
]

Array = NDArray[np.float32]
Kind = Literal["ids", "id", "lengths", "bag", "sequence", "row", "places"]


@dataclass(frozen=True)
class Port:
    """A named value: its kind, and its width.

    - `ids`: whole numbers (time, batch); `id`: whole numbers (batch,); `lengths`: whole numbers (batch,).
    - `places`: whole numbers (time, batch), results such as the ids of tags.
    - `bag`: for each sequence, some ids with a weight each.
    - `sequence`: numbers (time, batch, width); `row`: numbers (batch, width).
    """

    name: str
    kind: Kind
    width: int = 0


# ---- operations: every one has `output`, the name of its value ---------------------------------------------------


@dataclass(frozen=True, eq=False)
class LookUp:
    """Take rows of a table: ids to a sequence, an id to a row."""

    output: str
    ids: str
    table: Array
    """(units, width)"""


@dataclass(frozen=True, eq=False)
class SumRows:
    """Sum the rows of a table that a bag names, each times its weight, and add a bias: bag to row."""

    output: str
    bag: str
    table: Array
    """(entries, width)"""
    bias: Array | None = None
    """(width,)"""


@dataclass(frozen=True, eq=False)
class Spell:
    """Run a program over the characters of each token; its row becomes the token's vector: ids to sequence.

    The program has the inputs `ids`, the characters of a word, and `lengths`, and returns one row for each word.
    """

    output: str
    characters: str
    """Name of the input that holds the characters of every token, of the kind `ids` with one more axis."""
    program: Program


@dataclass(frozen=True, eq=False)
class Unroll:
    """Run a cell over time: sequence to sequence, with zeros past the length.

    The state of a sequence stays as it is past the length. With `reverse` the cell runs from the last valid step to the
    first; outputs stand at the step that they belong to.
    """

    output: str
    input: str
    step: StepGraph
    reverse: bool = False
    initial: tuple[str, ...] = ()
    """Rows before the first step; empty: `step.start`."""
    final: tuple[str, ...] = ()
    """Names of the rows after the last step; empty: not needed."""


@dataclass(frozen=True, eq=False)
class Advance:
    """Make one step of a cell: row to row, and a row for each part of the new state."""

    output: str
    input: str
    step: StepGraph
    state: tuple[str, ...]
    after: tuple[str, ...]
    context: tuple[str, ...] = ()
    """Rows that the step takes beside its input."""


@dataclass(frozen=True, eq=False)
class Product:
    """Multiply by a matrix, and add a bias: `x W^T + b`."""

    output: str
    input: str
    weight: Array
    """(out, in)"""
    bias: Array | None = None
    """(out,)"""


@dataclass(frozen=True, eq=False)
class Add:
    """Add values of one shape; a row is added to every step of a sequence."""

    output: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Multiply:
    """Multiply values of one shape, number by number; a row multiplies every step of a sequence."""

    output: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scale:
    """Multiply by a number."""

    output: str
    input: str
    factor: float


@dataclass(frozen=True, eq=False)
class Concat:
    """Join values side by side; a row is joined to every step of a sequence."""

    output: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Activate:
    """Apply a function to every number."""

    output: str
    input: str
    function: Literal["relu", "tanh", "sigmoid", "gelu", "exp"]


@dataclass(frozen=True, eq=False)
class Pool:
    """Make one row of a sequence.

    `last` takes the last valid step; with two `directions` the second half of the columns comes from the first step.
    `first` takes the first step. `sum` with `weights`, a sequence of width 1, is the weighted sum.
    """

    output: str
    input: str
    kind: Literal["last", "first", "mean", "max", "sum"]
    directions: int = 1
    weights: str | None = None


@dataclass(frozen=True, eq=False)
class Softmax:
    """Normalise exponentials over the columns, or over the valid steps; with `log`, their logarithms."""

    output: str
    input: str
    over: Literal["columns", "time"] = "columns"
    log: bool = False


@dataclass(frozen=True, eq=False)
class Attend:
    r"""Scaled dot-product attention over a sequence: :math:`\mathrm{softmax}(q k^T s) v`, for each head.

    The columns are divided evenly among the heads. The query is a row, or a sequence on the same time axis.
    """

    output: str
    query: str
    keys: str
    values: str
    heads: int = 1
    scale: float = 1.0
    weights: str | None = None
    """Name of the weights of a query that is a row and has one head, a sequence of width 1."""


@dataclass(frozen=True, eq=False)
class Normalise:
    """Layer normalisation over the columns, or division by the Euclidean norm (`length`)."""

    output: str
    input: str
    kind: Literal["layer", "length"] = "layer"
    weight: Array | None = None
    bias: Array | None = None
    epsilon: float = 1e-5


@dataclass(frozen=True, eq=False)
class Positions:
    """Add a row that depends on the step: row t of a table, from 0."""

    output: str
    input: str
    table: Array
    """(steps, width)"""
    sinusoidal: bool = False
    """Whether the table continues past its end as sines and cosines (Vaswani et al. 2017, section 3.5)."""


@dataclass(frozen=True, eq=False)
class KeyValue:
    """Compare a row with stored keys, by dot products: row to the scores of all keys, (batch, keys)."""

    output: str
    query: str
    keys: Array
    """(keys, width)"""


@dataclass(frozen=True, eq=False)
class BestPath:
    """Viterbi path of a linear-chain CRF: scores of tags, a sequence, to places. Of equal paths, the lowest tags."""

    output: str
    input: str
    transitions: Array
    """(tag before, tag after)"""
    first: Array
    last: Array


@dataclass(frozen=True, eq=False)
class Convolve:
    """Convolve along time, zeros around the sequence: sequence to sequence of the same length."""

    output: str
    input: str
    weight: Array
    """(out, in, width of the kernel), odd"""
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Slice:
    """Take some columns, from `start` to `stop`, exclusive."""

    output: str
    input: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Highest:
    """Take the column with the highest number, of equal ones the first: a sequence to places."""

    output: str
    input: str


@dataclass(frozen=True, eq=False)
class Retrieve:
    r"""Compare a question with stored keys by common entries and by dense vectors: bag to scores, (batch, keys).

    .. math::
        x_f = e^{\theta_f} v_f \big/ \sqrt{\textstyle\sum_g (e^{\theta_g} v_g)^2 + u}, \quad
        e = \lVert x' \rVert \, \frac{P^\top x'}{\lVert P^\top x' \rVert}, \quad
        \rho = \frac{\lVert x' \rVert}{\lVert x \rVert}, \quad
        \alpha_i = \frac{x^\top x_i + \gamma\, e^\top e_i}{1 + \gamma \rho \rho_i}

    :math:`v` are the weights of the bag, :math:`u` the row `unknown`, and :math:`x'` the entries with `vectors`, the
    first ones. Norms are at least 1e-15, of :math:`P^\top x'` at least 1e-12. The keys are sparse: number
    `values[n]` stands at entry `ids[n]` of key `rows[n]`.
    """

    output: str
    bag: str
    unknown: str
    """Sum of the squared weights of entries outside the vocabulary, a row of width 1."""
    importance: Array
    """The factor of each entry, exp θ, (entries,)."""
    vectors: Array
    """P, (entries with vectors, width)."""
    ids: NDArray[np.int64]
    values: Array
    rows: NDArray[np.int64]
    key_vectors: Array
    """The vector e of each key, (keys, width)."""
    key_shares: Array
    """The share ρ of each key, (keys,)."""
    balance: float
    """γ."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A row that is the same for all sequences."""

    output: str
    row: Array
    """(width,)"""


Operation = (
    LookUp
    | SumRows
    | Spell
    | Unroll
    | Advance
    | Product
    | Add
    | Multiply
    | Scale
    | Concat
    | Activate
    | Pool
    | Softmax
    | Attend
    | Normalise
    | Positions
    | KeyValue
    | BestPath
    | Convolve
    | Slice
    | Highest
    | Retrieve
    | Constant
)


@dataclass(frozen=True, eq=False)
class Program:
    """Operations, each after those whose values it reads."""

    inputs: tuple[Port, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        """One line for each operation."""
        lines = [f"{port.name}: {port.kind} {port.width or ''}".rstrip() for port in self.inputs]
        lines += [_line(operation) for operation in self.operations]
        return "\n".join([*lines, f"return {', '.join(port.name for port in self.outputs)}"])


def _line(operation: Operation) -> str:
    parts = []
    for field in fields(operation):
        value = getattr(operation, field.name)
        if field.name == "output" or value is None or (isinstance(value, tuple) and not value):
            continue
        if isinstance(value, np.ndarray):
            value = "x".join(map(str, value.shape))
        elif isinstance(value, StepGraph):
            value = value.cell
        elif isinstance(value, Program):
            value = f"program of {len(value.operations)} operations"
        parts.append(f"{field.name}={value}")
    return f"{operation.output} = {type(operation).__name__}({', '.join(parts)})"


@dataclass(frozen=True, eq=False)
class Writer:
    """A model that writes unit by unit.

    `start` computes the state before the first unit, and what stays the same while a text is written. `step` takes the
    last unit `id`, then all results of `start`, and returns the logarithms of the probabilities of the next unit,
    `scores`, then the new `state`.
    """

    start: Program
    step: Program
    state: tuple[str, ...]
    """Results of `start` that every step replaces; the others stay."""
    first: int
    """Unit before the first one."""
    end: int
    """Unit that ends a text; -1 if none does."""
    longest: int
    """Most units of a text, with its end; 0: as many as the caller asks for."""
    ratio: float = 0.0
    """Most units more for each unit of the source: at most `floor(length * ratio) + longest`."""
    never: tuple[int, ...] = ()
    """Units that are never written."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A trained model.

    The inputs of `run`, and of `writer.start`, come from `front`: `ids` and `lengths`, the units of the texts;
    `characters`, those of every unit; `bag`, n-grams with their weights, and for questions `unknown`.
    """

    task: str
    front: TextFront
    run: Program | None
    """From texts to numbers; None for writers."""
    back: Labels | TagNames | Writing | Replies
    writer: Writer | None = None
    memory: Memory | None = None
    """Questions and answers of an assistant as texts, for targets that compute the keys of questions by themselves."""


def arrays(part: Any) -> Iterator[Array]:
    """Iterate over all arrays of a sheet, or of a part of it."""
    if isinstance(part, np.ndarray):
        yield part
    elif isinstance(part, tuple | list):
        for each in part:
            yield from arrays(each)
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            if field.name not in ("graph", "wide"):
                yield from arrays(getattr(part, field.name))
