"""Comparison of gradients through time: several networks, or one before and after a cure, on one scale."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from unspool.errors import UsageError
from unspool.inspection.columns import Columns, gradient_columns
from unspool.inspection.gradient_files import write_comparison
from unspool.inspection.gradient_picture import gradient_picture
from unspool.inspection.gradient_views import GradientMap, GradientTable, log_scale
from unspool.inspection.gradients import Gradients
from unspool.inspection.notebook import pictured, show_result
from unspool.inspection.paint import Brush
from unspool.inspection.trace import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["GradientComparison", "compare_gradients"]


@dataclass(frozen=True, eq=False, repr=False)
class GradientComparison:
    """Gradients of several networks by name, drawn on one scale. Make it with `compare_gradients`."""

    gradients: Mapping[str, Gradients]
    arrays: Mapping[str, str]
    """Name of the array of each network that is compared: its first layer's whole state, unless chosen."""

    @property
    def half_lives(self) -> dict[str, float]:
        """Half-life of each network's gradient, in steps."""
        return {name: each.decay(self.arrays[name]).half_life for name, each in self.gradients.items()}

    @property
    def slopes(self) -> dict[str, float]:
        """Change of each network's mean log norm per step back, in nats."""
        return {name: each.decay(self.arrays[name]).slope for name, each in self.gradients.items()}

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the common colour scale, as log10 norms."""
        return log_scale(*(each.array(self.arrays[name]) for name, each in self.gradients.items()))

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON values: the record of each network, and the compared arrays."""
        return {
            "format": "unspool gradient comparison",
            "version": 1,
            "arrays": dict(self.arrays),
            "scale": list(self.ends),
            "networks": {name: each.record() for name, each in self.gradients.items()},
        }

    def show(self, console: Console | None = None) -> None:
        """Display the picture in a notebook, or print the decays and the heat map of each network on one scale."""
        show_result(self, console, lambda console: console.print(self))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file .json, .csv, .svg or .html; see `write_comparison`."""
        return write_comparison(self.record(), self.picture(), path, overwrite=overwrite)

    def picture(self) -> str:
        """Return the comparison as an SVG picture: decay curves in one plot, and the heat maps on one scale."""
        return gradient_picture(self.gradients, self.arrays)

    def to_columns(self) -> Columns:
        """Return columns for a data frame with one row per network, loss and step of the compared arrays."""
        parts = {name: gradient_columns(each, [self.arrays[name]]) for name, each in self.gradients.items()}
        names = [np.full(len(part["norm"]), name, dtype=object) for name, part in parts.items()]
        titles = next(iter(parts.values()))
        joined = {title: np.concatenate([part[title] for part in parts.values()]) for title in titles}
        return {"network": np.concatenate(names), **joined}

    def _repr_html_(self) -> str:
        return pictured(self.picture(), repr(self))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield GradientTable(self.gradients, self.arrays)
        for name, each in self.gradients.items():
            yield Text()
            yield Text(Brush.of(console).plain(visible(name)), style="bold")
            yield GradientMap(each, self.arrays[name], self.ends)

    def __repr__(self) -> str:
        lines = [f"Gradients of {len(self.gradients)} networks"]
        for name, each in self.gradients.items():
            decay = each.decay(self.arrays[name])
            lines.append(f"  {name}: slope {decay.slope:.4g} per step, half-life {decay.half_life:.4g} steps")
        return "\n".join(lines)


def compare_gradients(
    gradients: Mapping[str, Gradients] | Iterable[Gradients], *, array: str | None = None
) -> GradientComparison:
    """Compare gradients of several networks, or of one network before and after a change, on one scale.

    Args:
        gradients: Results by name; or a list, whose names are the networks' descriptions, numbered where equal.
        array: Name of the array to compare, such as `layer 1 / c`; the whole state of the first layer if omitted.

    Raises:
        UsageError: If there is no result, one has no such array, or something else than results came.
    """
    results = dict(gradients) if isinstance(gradients, Mapping) else _named(list(gradients))
    if not results:
        raise UsageError("a comparison needs at least one result of `gradients`, and there is none")
    for name, each in results.items():
        if not isinstance(each, Gradients):
            raise UsageError(f"{name}: {type(each).__name__} came; expected a result of `gradients`")
        if array is not None:
            each.array(array)
    arrays = {str(name): each.main if array is None else array for name, each in results.items()}
    return GradientComparison(
        MappingProxyType({str(name): each for name, each in results.items()}), MappingProxyType(arrays)
    )


def _named(results: list[Gradients]) -> dict[str, Gradients]:
    names = [getattr(each, "model", "") or "network" for each in results]
    return {
        name if names.count(name) == 1 else f"{name} ({number})": each
        for number, (name, each) in enumerate(zip(names, results, strict=True), start=1)
    }
