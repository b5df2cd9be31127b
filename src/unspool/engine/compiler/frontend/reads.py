"""What a cell's step reads beyond its tensors: globals, closures, class attributes, values in objects and modules."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unspool.cells import Cell

__all__ = ["ABSENT", "Reads"]

_LIBRARIES = frozenset(sys.stdlib_module_names) | {"torch", "numpy", "unspool"}
"""Packages whose globals and classes nobody changes."""
ABSENT = object()
"""The value of a name that leads nowhere."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), Tensor, nn.Module, np.ndarray, np.generic, torch.dtype)
"""Values without functions or attributes that a step's result depends on, or that the fingerprint covers elsewhere."""


class Reads:
    """The values that a step may read, found by the names in its code and in the code of all that it calls.

    A name counts wherever it may lead: a global `SCALE`, `config.SCALE` in a module, `self.SCALE` in a class. The list
    may hold more than the step reads; a superfluous value costs a comparison.

    Args:
        cell: The cell.
    """

    def __init__(self, cell: Cell[Any]) -> None:
        self.entries: list[tuple[Mapping[str, object], str, object]] = []
        """Values in globals, modules, classes and objects: the mapping, the name in it, and the value."""
        self.others: list[tuple[str, Callable[[], object], object]] = []
        """Values in closures, slots and default arguments: a name, a function that reads the value, and the value."""
        self._visited: dict[tuple[int, int], tuple[object, object]] = {}
        for module in cell.modules():
            name = "step" if module is cell else "forward"
            function = vars(module).get(name, getattr(type(module), name, None))
            self._function(function, module)
        del self._visited

    def values(self) -> Iterator[tuple[str, object]]:
        """Yield every value with its name."""
        yield from ((name, value) for _, name, value in self.entries)
        yield from ((name, value) for name, _, value in self.others)

    def _function(self, function: object, owner: object) -> None:
        """Follow a function, or its wrapper, called on `owner`."""
        if isinstance(function, staticmethod | classmethod | MethodType):
            function = function.__func__
        elif isinstance(function, property):
            function = function.fget
        elif isinstance(function, functools.cached_property):
            function = function.func
        if not isinstance(function, FunctionType) or not self._is_new(function, owner):
            return
        top = _top(function.__module__)
        if top in _LIBRARIES and top != "unspool":
            return
        names = _names(function.__code__)
        self._attributes(owner, names)
        if top == "unspool":  # its globals never change; it may call methods of a person's class
            return
        for name in names & function.__globals__.keys():
            self._entry(function.__globals__, name, names, owner)
        for name, box in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._other(name, functools.partial(_content, box), names, owner)
        for name in ("__defaults__", "__kwdefaults__"):
            label = f"{function.__qualname__}.{name}"
            self._other(label, functools.partial(getattr, function, name), names, owner)

    def _attributes(self, owner: object, names: set[str]) -> None:
        """Follow the names that are attributes of an object: its own, then those of its classes."""
        own = getattr(owner, "__dict__", {})
        for name in names & own.keys():
            if not isinstance(owner, nn.Module):  # what a module holds itself counts by value already
                self.entries.append((own, name, own[name]))
            self._follow(own[name], names, owner)
        for base in type(owner).__mro__:
            if _top(base.__module__) in _LIBRARIES and not issubclass(base, Cell):
                continue
            for name in names & vars(base).keys():
                value = vars(base)[name]
                if isinstance(value, MemberDescriptorType):
                    self._other(name, functools.partial(getattr, owner, name, ABSENT), names, owner)
                else:
                    self._entry(vars(base), name, names, owner)

    def _entry(self, mapping: Mapping[str, object], name: str, names: set[str], owner: object) -> None:
        self.entries.append((mapping, name, mapping[name]))
        self._follow(mapping[name], names, owner)

    def _other(self, name: str, read: Callable[[], object], names: set[str], owner: object) -> None:
        value = read()
        self.others.append((name, read, value))
        self._follow(value, names, owner)

    def _follow(self, value: object, names: set[str], owner: object) -> None:
        """Follow a value to the functions it holds, and to the names that are its attributes."""
        if isinstance(value, _PLAIN):
            return
        if isinstance(value, FunctionType | staticmethod | classmethod | MethodType | property):
            self._function(value, getattr(value, "__self__", owner))
        elif isinstance(value, functools.cached_property):
            self._function(value, owner)
        elif not self._is_new(value, names):
            return
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._follow(part, names, owner)
        elif isinstance(value, dict | list | tuple | set | frozenset):
            for part in value.values() if isinstance(value, dict) else value:
                self._follow(part, names, owner)
        elif isinstance(value, ModuleType):
            if _top(value.__name__) not in _LIBRARIES:
                for name in names & vars(value).keys():
                    self._entry(vars(value), name, names, owner)
        elif isinstance(value, type):
            for base in value.__mro__:
                if _top(base.__module__) not in _LIBRARIES:
                    for name in names & vars(base).keys():
                        self._entry(vars(base), name, names, owner)
        else:
            self._attributes(value, names)

    def _is_new(self, value: object, reader: object) -> bool:
        """Return whether a reader meets a value for the first time; both are held, so that their ids stay their own.

        Args:
            value: A function, or an object that holds values.
            reader: The owner that a function is called on, or the names of a function that reads an object: another
                function may read other attributes of the same object.
        """
        key = id(value), id(reader)
        if key in self._visited:
            return False
        self._visited[key] = value, reader
        return True


def _names(code: CodeType) -> set[str]:
    """Return the names of globals and attributes in a function and in the functions written inside it."""
    names = {"__call__", *code.co_names}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _content(box: CellType) -> object:
    try:
        return box.cell_contents
    except ValueError:  # not assigned yet
        return ABSENT
