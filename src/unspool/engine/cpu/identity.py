"""What a trace of a cell depends on: its weights by name, and all else that its step may look at."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor, nn

from unspool.cells import Cell

__all__ = ["identity", "places", "weights"]

_MODULE = frozenset(vars(nn.Module())) - {"training"} | {"_watcher"}


def weights(cell: Cell[Any]) -> dict[str, Tensor]:
    """All tensors that a cell owns, by name: parameters, buffers, and plain attributes."""
    found: dict[str, Tensor] = {}
    for path, module in cell.named_modules():
        owned = {**module._parameters, **module._buffers, **vars(module)}
        found |= {f"{path}.{name}": value for name, value in owned.items() if isinstance(value, Tensor)}
    return found


def places(cell: Cell[Any]) -> list[tuple[dict[str, Any], str]]:
    """Where all those tensors are kept: a dict and a name in it."""
    return [
        (owner, name)
        for module in cell.modules()
        for owner in (module._parameters, module._buffers, vars(module))
        for name, value in owner.items()
        if isinstance(value, Tensor)
    ]


def identity(cell: Cell[Any], owned: dict[str, Tensor]) -> tuple[Hashable, list[object]]:
    """A key that two cells share only if their steps do the same, and the objects whose ids stand in the key.

    `owned` are the cell's `weights`.

    Numbers, texts and containers of them count by value, other objects by identity. What a step reads from elsewhere,
    a global variable or the inside of an object, is not seen.
    """
    held: list[object] = []
    parts: list[Hashable] = []
    for path, module in cell.named_modules():
        parts.append((path, type(module), type(module).forward if module is not cell else type(cell).step))
        parts += _constants(type(module))
        for name, value in vars(module).items():
            if name not in _MODULE and not isinstance(value, Tensor):
                parts.append((name, _key(value, held)))
    parts += [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in owned.items()]
    return tuple(parts), held


def _constants(kind: type) -> list[Hashable]:
    """Numbers and texts that stand in a class, which a person may set from outside."""
    return [
        (name, value)
        for base in kind.__mro__
        if not base.__module__.startswith("torch.")
        for name, value in vars(base).items()
        if isinstance(value, bool | int | float | str) and not name.startswith("__")
    ]


def _key(value: Any, held: list[object]) -> Hashable:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return type(value), value
    if isinstance(value, tuple | list | set | frozenset):
        return type(value), tuple(_key(part, held) for part in value)
    if isinstance(value, dict):
        return dict, tuple((_key(name, held), _key(part, held)) for name, part in value.items())
    held.append(value)
    return id(value)
