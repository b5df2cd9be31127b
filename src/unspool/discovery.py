"""Discovery of parts that describe themselves: folders with an `ENTRY`, in the order that the entries ask for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

__all__ = ["discover_entries"]


def discover_entries(package: str, module: str) -> Mapping[str, Any]:
    """Return the `ENTRY` of each folder of a package that has a certain module.

    Args:
        package: Name of an imported package, as `unspool.tasks`.
        module: Name of the module that holds `ENTRY`, an object with `name` and `order`.

    Returns:
        The entries by name, by ascending `order`, then by name.
    """
    folders = [each.name for each in iter_modules(import_module(package).__path__, f"{package}.") if each.ispkg]
    entries = [
        import_module(each.name).ENTRY
        for folder in folders
        for each in iter_modules(import_module(folder).__path__, f"{folder}.")
        if each.name == f"{folder}.{module}"
    ]
    return MappingProxyType({entry.name: entry for entry in sorted(entries, key=lambda each: (each.order, each.name))})
