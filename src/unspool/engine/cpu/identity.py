"""What a trace of a cell depends on: its weights by name, and all else that its step may look at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import chain
from operator import is_
from typing import Any

from torch import Tensor, nn

from unspool.cells import Cell

__all__ = ["Look", "identity", "places", "weights"]

_FIXED = ("torch.", "builtins", "typing", "abc")
"""Modules whose classes nobody changes."""
_MODULE = frozenset(vars(nn.Module())) - {"training"}


def places(cell: Cell[Any]) -> list[tuple[str, dict[str, Any], str]]:
    """Where the tensors are kept that a cell owns, parameters, buffers and plain attributes: path, dict, name in it."""
    return [
        (f"{path}.{name}", owner, name)
        for path, module in cell.named_modules()
        for owner in (module._parameters, module._buffers, vars(module))
        for name, value in owner.items()
        if isinstance(value, Tensor)
    ]


def weights(cell: Cell[Any]) -> dict[str, Tensor]:
    """All those tensors by path."""
    return {path: owner[name] for path, owner, name in places(cell)}


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


class Look:
    """A cell as it was looked at, to tell in a few microseconds that it is still the same."""

    def __init__(self, cell: Cell[Any]) -> None:
        modules = list(cell.modules())
        changing = any(
            isinstance(value, list | dict | set) and name not in _MODULE
            for module in modules
            for name, value in vars(module).items()
        )
        self._key = identity(cell, weights(cell)) if changing else None  # what they hold counts, not who they are
        kinds = dict.fromkeys(
            base for module in modules for base in type(module).__mro__ if not base.__module__.startswith(_FIXED)
        )
        owners = [
            owner
            for module in modules
            for owner in (vars(module), module._parameters, module._buffers, module._modules)
        ]
        self._owners: list[Mapping[str, Any]] = [*owners, *(vars(kind) for kind in kinds)]
        self._values = self._now()

    def _now(self) -> list[object]:
        return [*chain.from_iterable([owner.values() for owner in self._owners])]

    def same(self, cell: Cell[Any]) -> bool:
        """Whether the same objects stand in the same places: weights, numbers, modules, what stands in classes."""
        now = self._now()
        same = len(now) == len(self._values) and all(map(is_, now, self._values))
        return same and (self._key is None or self._key[0] == identity(cell, weights(cell))[0])


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
