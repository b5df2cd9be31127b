"""Fingerprint of a cell: the cache key of its graphs, and the detector of changes to all that its step reads."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.engine.compiler.frontend.reads import ABSENT, Reads

__all__ = ["CellFingerprint", "weights"]

Part = tuple[str, Hashable]
"""A name, and what it stands for."""

_FIXED = ("torch.", "builtins", "typing", "abc")
"""Modules whose classes nobody changes."""
_MODULE = frozenset(vars(nn.Module())) - {"training"}


def weights(cell: Cell[Any]) -> dict[str, Tensor]:
    """Return the tensors that a cell owns, parameters, buffers and plain attributes, by path."""
    return {path: owner[name] for path, owner, name in _places(cell)}


def _places(cell: Cell[Any]) -> list[tuple[str, dict[str, Any], str]]:
    return [
        (f"{path}.{name}", owner, name)
        for path, module in cell.named_modules()
        for owner in (module._parameters, module._buffers, vars(module))
        for name, value in owner.items()
        if isinstance(value, Tensor)
    ]


class CellFingerprint:
    """What a cell's step depends on, besides the numbers in its weights.

    Numbers, texts, arrays and containers of them count by value, other objects by identity: attributes of the cell and
    its modules, and all that `Reads` lists. Of weights, shape and type count.

    A fingerprint holds no reference to its cell, so it may be the value of a weak dictionary of cells.

    Args:
        cell: The cell, as it is now.
    """

    def __init__(self, cell: Cell[Any]) -> None:
        modules = list(cell.modules())
        self._reads = Reads(cell)
        self.places = _places(cell)
        """Where the cell's tensors are kept: path, dict, and the name in it."""
        self.objects: list[object] = []
        """Objects whose ids stand in the key; whoever keeps the key holds them, so that the ids stay their own."""
        self.key = self._key(cell, self.objects)
        """Two cells share it only if their steps do the same."""
        attributes = [value for module in modules for name, value in vars(module).items() if name not in _MODULE]
        values = chain(attributes, (value for _, value in self._reads.values()))
        self._mutable = any(map(_is_mutable, values))  # then the same objects may hold other values
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

    def weights(self) -> dict[str, Tensor]:
        """Return the cell's tensors of this moment, by path."""
        return {path: owner[name] for path, owner, name in self.places}

    def matches(self, cell: Cell[Any]) -> bool:
        """Return whether nothing has changed since, in a few microseconds.

        Args:
            cell: The cell that the fingerprint was made of.
        """
        now = self._now()
        if len(now) != len(self._values) or not all(map(is_, now, self._values)):
            return False
        for mapping, name, value in self._reads.entries:
            if mapping.get(name, ABSENT) is not value:
                return False
        for _, read, value in self._reads.others:
            if read() is not value:
                return False
        return not self._mutable or self.key == self._key(cell, [])

    def difference(self, later: CellFingerprint) -> str | None:
        """Return the name of something that differs in a later fingerprint of the same cell; None if nothing does."""
        if self.key == later.key:
            return None
        values = dict(self.key)
        return next((name for name, key in later.key if values.get(name) != key), "its own attributes")

    def _now(self) -> list[object]:
        return [*chain.from_iterable([owner.values() for owner in self._owners])]

    def _key(self, cell: Cell[Any], objects: list[object]) -> tuple[Part, ...]:
        parts: list[Part] = []
        for path, module in cell.named_modules():
            parts.append((path, (type(module), type(module).forward if module is not cell else type(cell).step)))
            parts += _constants(type(module))
            for name, value in vars(module).items():
                if name not in _MODULE and not isinstance(value, Tensor):
                    parts.append((".".join(filter(None, ["self", path, name])), _value_key(value, objects)))
        parts += [(name, _value_key(value, objects)) for name, value in self._reads.values()]
        parts += [(f"self{name}", (tuple(tensor.shape), tensor.dtype)) for name, tensor in weights(cell).items()]
        return tuple(parts)


def _constants(kind: type) -> list[Part]:
    """Numbers and texts that stand in a class, which a person may set from outside."""
    return [
        (f"{base.__name__}.{name}", value)
        for base in kind.__mro__
        if not base.__module__.startswith("torch.")
        for name, value in vars(base).items()
        if isinstance(value, bool | int | float | str) and not name.startswith("__")
    ]


def _value_key(value: Any, objects: list[object]) -> Hashable:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return type(value), value
    if isinstance(value, tuple | list | set | frozenset):
        return type(value), tuple(_value_key(part, objects) for part in value)
    if isinstance(value, dict):
        return dict, tuple((_value_key(name, objects), _value_key(part, objects)) for name, part in value.items())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return np.ndarray, value.dtype.str, value.shape, value.tobytes()
    objects.append(value)
    return id(value)


def _is_mutable(value: object) -> bool:
    """Return whether a value that counts by its contents may have other contents later."""
    if isinstance(value, tuple | frozenset):
        return any(map(_is_mutable, value))
    return isinstance(value, list | dict | set | np.ndarray)
