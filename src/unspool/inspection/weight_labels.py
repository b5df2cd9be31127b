"""Expressions of weights: what the matrices and vectors of a compiled graph are made of, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only

from unspool.engine.compiler.frontend.shapes import Weight
from unspool.engine.compiler.frontend.trace import Tape

__all__ = ["NAMES", "SIGNS", "WeightLabel", "in_brackets", "weight_labels"]

SIGNS = {"add": " + ", "sub": " − ", "mul": " ⊙ ", "div": " / "}
"""Signs of operations with two arguments."""
NAMES = {
    "sigmoid": "σ",
    "minimum": "min",
    "maximum": "max",
    "at_least": "max",
    "at_most": "min",
    "sum_inner": "sum",
    "sum_outer": "sum",
    "max_inner": "max",
    "max_outer": "max",
}
"""Names of operations in expressions, where they differ from the compiler's."""


class WeightLabel(NamedTuple):
    """A matrix or vector of the graph, which depends on weights alone."""

    label: str
    """How it follows from the weights: a name, a part of a weight, or an expression."""
    names: tuple[str, ...]


def weight_labels(tape: Tape, owned: Mapping[str, Tensor]) -> tuple[list[WeightLabel], list[WeightLabel]]:
    """Return what each matrix and each vector of the graph is made of."""
    values: list[tuple[Tensor, tuple[str, ...]]] = []
    labels: dict[int, str] = {}
    whole: dict[int, Tensor] = {}
    for name in tape.names:
        plain, weight = name.lstrip("."), owned[name].detach()
        values.append((weight, (plain,)))
        labels[_memory(weight)], whole[_memory(weight)] = plain, weight

    def label(value: Tensor) -> str:
        place = _memory(value)
        return labels[place] + (_part(value, whole[place]) if place in whole else "")

    with torch.no_grad():
        for function, arguments, options in tape.calls:
            flat, _ = tree_flatten((arguments, options))
            used = [values[part.number] for part in flat if isinstance(part, Weight)]
            names = tuple(dict.fromkeys(name for _, several in used for name in several))
            filled = tree_map_only(Weight, lambda weight: values[weight.number][0], (arguments, options))
            results = function(*filled[0], **filled[1])
            for result in [results] if isinstance(results, Tensor) else results:
                if _memory(result) not in labels:
                    texts = [label(values[part.number][0]) if isinstance(part, Weight) else part for part in arguments]
                    labels[_memory(result)] = _call(function, texts)
                values.append((result, names))
        parts = [WeightLabel(label(value), names) for value, names in values]
    return [parts[number] for number in tape.matrices], [parts[number] for number in tape.vectors]


def _memory(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _part(value: Tensor, whole: Tensor) -> str:
    """Return the rows and columns of a weight that a view shows, in brackets and from 1; empty for all of it."""
    if value.numel() == whole.numel() or value.dim() == 0:
        return ""
    offset = int(value.storage_offset() - whole.storage_offset())
    if whole.dim() == 3 and value.numel() == whole[0].numel():
        return f"[{offset // whole[0].numel() + 1}]"
    if whole.dim() == 1:
        return f"[{offset + 1}–{offset + value.numel()}]"
    if whole.dim() != 2 or value.dim() != 2:
        return ""
    width = whole.shape[1]
    rows, columns = value.shape if value.stride(1) == 1 else value.shape[::-1]
    row, column = divmod(offset, width)
    across = "" if columns == width else f", {column + 1}–{column + columns}"
    return f"[{':' if rows == len(whole) else f'{row + 1}–{row + rows}'}{across}]"


def _call(function: Any, arguments: list[Any]) -> str:
    """Return a call that depends on weights alone as an expression."""
    name = function.overloadpacket.__name__ if hasattr(function, "overloadpacket") else function.__name__
    texts = [f"{part:.4g}" if isinstance(part, float) else str(part) for part in arguments]
    if name == "rsub" and len(texts) == 2:
        name, texts = "sub", texts[::-1]
    if name in SIGNS and len(texts) == 2:
        return f"{in_brackets(texts[0])}{SIGNS[name]}{in_brackets(texts[1])}"
    return f"{NAMES.get(name, name)}({', '.join(texts)})"


def in_brackets(text: str) -> str:
    """Put an expression with a sign in brackets."""
    return (
        f"({text})"
        if any(sign in text for sign in (" + ", " − ", " ⊙ ", " / ", " · ")) and not _wrapped(text)
        else text
    )


def _wrapped(text: str) -> bool:
    """Return whether an expression is one call, whose brackets hold all signs."""
    depth, head = 0, text.find("(")
    if head < 0 or not text.endswith(")") or " " in text[:head]:
        return False
    for index, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and head < index < len(text) - 1:
            return False
    return True
