"""Cache key and change detector of cells: weights by name, and all else that a step may read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.compiler.frontend.reads import Reads

__all__ = ["CellSnapshot", "changed_part", "fingerprint", "places", "weights"]

Part = tuple[str, Hashable]
"""A name, and what it stands for."""

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


def fingerprint(cell: Cell[Any], owned: dict[str, Tensor]) -> tuple[tuple[Part, ...], list[object]]:
    """Return a key that two cells share only if their steps do the same, and the objects whose ids stand in the key.

    Numbers, texts, arrays and containers of them count by value, other objects by identity: attributes of the cell and
    its modules, and all that `Reads` finds.

    Args:
        cell: The cell.
        owned: The cell's `weights`.
    """
    return _fingerprint(cell, owned, Reads(cell))


def _fingerprint(cell: Cell[Any], owned: dict[str, Tensor], reads: Reads) -> tuple[tuple[Part, ...], list[object]]:
    objects: list[object] = []
    parts: list[Part] = []
    for path, module in cell.named_modules():
        parts.append((path, (type(module), type(module).forward if module is not cell else type(cell).step)))
        parts += _constants(type(module))
        for name, value in vars(module).items():
            if name not in _MODULE and not isinstance(value, Tensor):
                parts.append((".".join(filter(None, ["self", path, name])), _key(value, objects)))
    parts += [(name, _key(value, objects)) for name, value in reads.values()]
    parts += [(f"self{name}", (tuple(tensor.shape), tensor.dtype)) for name, tensor in owned.items()]
    return tuple(parts), objects


class CellSnapshot:
    """Snapshot of a cell: detects in a few microseconds whether the cell or anything its step reads has changed."""

    def __init__(self, cell: Cell[Any]) -> None:
        modules = list(cell.modules())
        own = [value for module in modules for name, value in vars(module).items() if name not in _MODULE]
        self._reads = Reads(cell)
        changing = any(map(_may_change, [*own, *(value for _, value in self._reads.values())]))
        # what a container holds counts, not which container it is
        self._key = _fingerprint(cell, weights(cell), self._reads)[0] if changing else None
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
        """Whether the same objects stand in the same places: weights, numbers, modules, and all that the step reads."""
        now = self._now()
        same = len(now) == len(self._values) and all(map(is_, now, self._values)) and self._reads.same()
        return same and (self._key is None or self._key == _fingerprint(cell, weights(cell), self._reads)[0])


def changed_part(before: Sequence[Part], after: Sequence[Part]) -> str | None:
    """Return the name of something that differs between two keys of one cell; None if they are equal."""
    if before == after:
        return None
    values = dict(before)
    return next((name for name, key in after if values.get(name) != key), "its own attributes")


def _constants(kind: type) -> list[Part]:
    """Numbers and texts that stand in a class, which a person may set from outside."""
    return [
        (f"{base.__name__}.{name}", value)
        for base in kind.__mro__
        if not base.__module__.startswith("torch.")
        for name, value in vars(base).items()
        if isinstance(value, bool | int | float | str) and not name.startswith("__")
    ]


def _key(value: Any, objects: list[object]) -> Hashable:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return type(value), value
    if isinstance(value, tuple | list | set | frozenset):
        return type(value), tuple(_key(part, objects) for part in value)
    if isinstance(value, dict):
        return dict, tuple((_key(name, objects), _key(part, objects)) for name, part in value.items())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return np.ndarray, value.dtype.str, value.shape, value.tobytes()
    objects.append(value)
    return id(value)


def _may_change(value: object) -> bool:
    """Whether a value that counts by what it holds may hold something else later."""
    if isinstance(value, tuple | frozenset):
        return any(map(_may_change, value))
    return isinstance(value, list | dict | set | np.ndarray)
