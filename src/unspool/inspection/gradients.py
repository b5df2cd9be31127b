"""Gradients through time: norms of the loss gradients with respect to earlier states and inputs, and their decay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError, UsageError
from unspool.inspection.retention import is_backward
from unspool.inspection.trace import visible
from unspool.settings import nearest

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderResult

    from unspool.inspection.columns import Columns

__all__ = ["Decay", "Gradients", "Norms", "StepJacobians"]

Norms = NDArray[np.float64]
INPUT = "input / x"
STATE = "state"


class Decay(NamedTuple):
    """Decay of a gradient norm with the distance between the loss and the state.

    The slope is the least-squares slope of the mean log norm against the distance; each distance counts by its number
    of pairs. Norms of exactly zero have no logarithm and are left out.
    """

    slope: float
    """Change of the log norm per step, in nats; NaN if there are fewer than two distances."""
    distances: NDArray[np.int64]
    """Distances in steps, increasing from 0."""
    means: Norms
    """Mean log norm at each distance, in nats."""
    pairs: NDArray[np.int64]
    """Number of pairs of loss and state at each distance."""
    zeros: int
    """Number of pairs with a norm of exactly zero."""

    @property
    def half_life(self) -> float:
        """Steps in which the norm halves; infinite without decay, NaN if the slope is NaN."""
        if math.isnan(self.slope):
            return math.nan
        return math.log(0.5) / self.slope if self.slope < 0 else math.inf

    @property
    def factor(self) -> float:
        """Factor of the norm per step back: below 1 the gradient vanishes, above 1 it explodes."""
        return math.exp(self.slope)

    def record(self) -> dict[str, Any]:
        """Return all values as plain JSON values; a non-finite number becomes None."""
        return {
            "slope": _number(self.slope),
            "half_life": _number(self.half_life),
            "distances": self.distances.tolist(),
            "mean_log_norms": self.means.tolist(),
            "pairs": self.pairs.tolist(),
            "zeros": self.zeros,
        }


class StepJacobians(NamedTuple):
    """Largest singular values of the Jacobians of one cell's steps."""

    values: Norms
    """Largest singular value of d s_t / d s_{t-1} at each step, (steps,), in token order."""
    method: str
    """`exact`: from the whole Jacobian; `power iteration`: an estimate from below."""


@dataclass(frozen=True, eq=False, repr=False)
class Gradients:
    r"""Norms of the gradients of each loss with respect to each earlier state and input.

    .. math::
        \left\| \frac{\partial L_t}{\partial h_s} \right\|_2

    Sources: Hochreiter 1991, "Untersuchungen zu dynamischen neuronalen Netzen"; Bengio, Simard and Frasconi 1994,
    doi:10.1109/72.279181; Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063.

    Args:
        tokens: Token that the network read at each step, in reading order; an empty text for a start symbol.
        losses: Name of each loss, such as the unit that the network predicts.
        norms: Named arrays, (losses, steps), stored as read-only float64 copies. A name is the place, ` / `, and the
            part of the state: `layer 1 / h`. `layer 1 / state` is the whole state of a cell with several parts;
            `input / x` is the embedded input.
        values: Value of each loss, (losses,).
        at: Step of each loss, from 0. None: every loss depends on the last state (a classifier, a translator).
        jacobians: Largest singular values of each cell's step Jacobians, by place.
        truncation: Length of truncated backpropagation, in steps, to which views compare the gradients.
        model: One line that describes the network.
        notes: Remarks for the reader.

    Raises:
        ShapeError: If an array does not have one row per loss and one column per step.
        UsageError: If there is no step, no loss or no array.
    """

    tokens: tuple[str, ...]
    losses: tuple[str, ...]
    norms: Mapping[str, Norms]
    values: Norms
    at: tuple[int, ...] | None = None
    jacobians: Mapping[str, StepJacobians] = field(default_factory=dict)
    truncation: int | None = None
    model: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.losses), len(self.tokens))
        if not all(shape) or not self.norms:
            raise UsageError(f"gradients need a loss, a step and an array; there are {shape} and {len(self.norms)}")
        for name, array in {**self.norms, "values": self.values[:, None]}.items():
            if array.shape != (shape if name != "values" else (shape[0], 1)):
                raise ShapeError(
                    f"{name!r} has shape {array.shape}; {shape[0]} losses and {shape[1]} steps need {shape}"
                )
        if self.at is not None and len(self.at) != shape[0]:
            raise ShapeError(f"`at` has {len(self.at)} steps for {shape[0]} losses")
        if self.truncation is not None and self.truncation < 1:
            raise UsageError(f"truncation = {self.truncation}: expected at least 1 step")
        frozen = {name: _frozen(array) for name, array in self.norms.items()}
        object.__setattr__(self, "norms", MappingProxyType(frozen))
        object.__setattr__(self, "values", _frozen(self.values))
        object.__setattr__(self, "jacobians", MappingProxyType(dict(self.jacobians)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all arrays: places in order, the embedded input last."""
        return tuple(self.norms)

    @property
    def places(self) -> tuple[str, ...]:
        """Places of the states, in order: `layer 1 forward`, `layer 1 backward`, ..."""
        return tuple(dict.fromkeys(name.rpartition(" / ")[0] for name in self.norms if name != INPUT))

    def state_of(self, place: str) -> str:
        """Return the name of the array of the whole state of a place.

        Raises:
            UsageError: If there is no such place.
        """
        names = [name for name in self.norms if name.rpartition(" / ")[0] == place and name != INPUT]
        if not names:
            raise UsageError(f"there is no place {place!r}{nearest(place, self.places)}; choose {_listed(self.places)}")
        whole = f"{place} / {STATE}"
        return whole if whole in names else names[0]

    @property
    def main(self) -> str:
        """Name of the array that views draw first: the whole state of the first layer."""
        return self.state_of(self.places[0]) if self.places else self.names[0]

    def array(self, name: str) -> Norms:
        """Return one array, (losses, steps).

        Raises:
            UsageError: If there is no array of that name; the message suggests the nearest.
        """
        if name not in self.norms:
            raise UsageError(
                f"there are no gradients {name!r}{nearest(name, self.norms)}; choose {_listed(self.norms)}"
            )
        return self.norms[name]

    def distances(self, name: str) -> NDArray[np.int64]:
        """Return the distance from each state to each loss along the direction of the layer, in steps.

        Args:
            name: Name of an array. A backward layer reaches later tokens, so its distances count the other way.

        Returns:
            (losses, steps), negative where the state comes after the loss in the layer's own order.
        """
        self.array(name)
        steps, backward = np.arange(len(self.tokens)), is_backward(name)
        last = 0 if backward else len(steps) - 1
        at = np.full(len(self.losses), last) if self.at is None else np.asarray(self.at)
        difference = at[:, None] - steps[None, :]
        return -difference if backward else difference

    def decay(self, name: str | None = None) -> Decay:
        """Return the decay of an array's norms with the distance; of `main` if no name is passed.

        Raises:
            UsageError: If there is no array of that name.
        """
        name = self.main if name is None else name
        norms, distances = self.array(name), self.distances(name)
        reached = distances >= 0
        positive = reached & (norms > 0) & np.isfinite(norms)
        kinds, index, pairs = np.unique(distances[positive], return_inverse=True, return_counts=True)
        sums = np.bincount(index, weights=np.log(norms[positive]), minlength=len(kinds))
        means = sums / np.maximum(pairs, 1)
        zeros = int((norms[reached] == 0).sum())
        return Decay(_slope(kinds, means, pairs), kinds.astype(np.int64), means, pairs.astype(np.int64), zeros)

    def share_beyond(self, length: int, name: str | None = None) -> float:
        """Return the share of all norms at distances of `length` steps or more, between 0 and 1.

        Truncated backpropagation over `length` steps ignores this share. Without any gradient the share is NaN.

        Raises:
            UsageError: If there is no array of that name.
        """
        name = self.main if name is None else name
        norms, distances = self.array(name), self.distances(name)
        total = float(norms[distances >= 0].sum())
        return float(norms[distances >= max(0, length)].sum()) / total if total else math.nan

    def reach(self, share: float = 0.9, name: str | None = None) -> int:
        """Return the number of steps within which this share of all norms lies; 0 without any gradient."""
        name = self.main if name is None else name
        norms, distances = self.array(name), self.distances(name)
        reached = distances >= 0
        by_distance = np.bincount(distances[reached], weights=norms[reached])
        total = by_distance.sum()
        return int(np.searchsorted(np.cumsum(by_distance), share * total)) + 1 if total else 0

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON values: arrays as lists of rows, decay of each array."""
        return {
            "format": "unspool gradients",
            "version": 1,
            "model": self.model,
            "tokens": list(self.tokens),
            "losses": list(self.losses),
            "values": _numbers(self.values),
            "at": None if self.at is None else list(self.at),
            "norms": {name: [_numbers(row) for row in array] for name, array in self.norms.items()},
            "decay": {name: self.decay(name).record() for name in self.norms},
            "jacobians": {
                place: {"largest_singular_values": _numbers(steps.values), "method": steps.method}
                for place, steps in self.jacobians.items()
            },
            "truncation": self.truncation,
            "share_beyond_truncation": {}
            if self.truncation is None
            else {name: _number(self.share_beyond(self.truncation, name)) for name in self.norms},
            "notes": list(self.notes),
        }

    def sentences(self, name: str | None = None) -> list[str]:
        """Describe the decay of an array in words: half-life, reach, truncation, Jacobians."""
        name = self.main if name is None else name
        lines = [_decay_in_words(self.decay(name))]
        if reach := self.reach(name=name):
            lines.append(f"90 % of the gradient lies within {_steps(reach)} of the loss.")
        if self.truncation is not None and not math.isnan(beyond := self.share_beyond(self.truncation, name)):
            lines.append(
                f"{100 * beyond:.2g} % of it lies {_steps(self.truncation)} or more back, where truncated training "
                f"cuts it off."
            )
        if (steps := self.jacobians.get(name.rpartition(" / ")[0])) is not None:
            low, high = float(steps.values.min()), float(steps.values.max())
            typical = float(np.median(steps.values))
            lines.append(
                f"Largest singular value of a step's Jacobian: median {typical:.3g}, from {low:.3g} to {high:.3g} "
                f"({steps.method})."
            )
        return lines

    def show(self, console: Console | None = None, *, array: str | None = None) -> None:
        """Display the picture in a notebook, or print the heat map and the decay; see `show_gradients`."""
        from unspool.inspection.gradient_views import show_gradients
        from unspool.inspection.notebook import show_result

        name = self.main if array is None else array
        self.array(name)
        show_result(self, console, lambda console: show_gradients(self, console, array=array), lambda: self._html(name))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file .json, .npz, .csv, .svg or .html; see `write_gradients`."""
        from unspool.inspection.gradient_files import write_gradients

        return write_gradients(self, path, overwrite=overwrite)

    def to_columns(self) -> Columns:
        """Return columns for a data frame with one row per array, loss and step; losses and steps count from 0."""
        from unspool.inspection.columns import gradient_columns

        return gradient_columns(self, self.norms)

    def _repr_html_(self) -> str:
        return self._html(self.main)

    def _html(self, name: str) -> str:
        from unspool.inspection.gradient_picture import gradient_picture
        from unspool.inspection.notebook import pictured

        return pictured(gradient_picture({"": self}, {"": name}), repr(self))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from unspool.inspection.gradient_views import GradientMap

        yield from GradientMap(self, self.main).__rich_console__(console, options)

    def __repr__(self) -> str:
        text = " ".join(map(visible, self.tokens))
        lines = [f"Gradients over {len(self.tokens)} steps: {text if len(text) <= 60 else text[:59] + '…'}"]
        lines += [f"  model: {self.model}"] * bool(self.model)
        lines.append(f"  losses: {len(self.losses)}, mean {float(self.values.mean()):.4g}")
        for name in self.norms:
            decay = self.decay(name)
            lines.append(f"  {name}: slope {decay.slope:.4g} per step, half-life {decay.half_life:.4g} steps")
        lines += [f"  {line}" for line in _jacobian_lines(self.jacobians)]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _jacobian_lines(jacobians: Mapping[str, StepJacobians]) -> Iterator[str]:
    for place, steps in jacobians.items():
        yield f"{place}: largest singular value {float(np.median(steps.values)):.4g} at the median ({steps.method})"


def _decay_in_words(decay: Decay) -> str:
    if math.isnan(decay.slope):
        return "There is no decay to measure: the gradient is zero, or reaches a single step."
    percent = 100 * (decay.factor - 1)
    if abs(percent) < 0.05:
        return f"The gradient keeps its size over the steps (slope {decay.slope:.3g} per step)."
    if decay.slope < 0:
        return (
            f"The gradient shrinks by {-percent:.3g} % per step back: it halves every {decay.half_life:.3g} steps "
            f"(slope {decay.slope:.3g})."
        )
    doubling = math.log(2) / decay.slope
    return f"The gradient grows by {percent:.3g} % per step back: it doubles every {doubling:.3g} steps."


def _slope(distances: NDArray[Any], means: Norms, weights: NDArray[Any]) -> float:
    """Return the weighted least-squares slope; NaN for fewer than two distances."""
    if len(distances) < 2:
        return math.nan
    x, total = distances.astype(np.float64), weights.sum()
    x_mean, y_mean = (weights * x).sum() / total, (weights * means).sum() / total
    return float((weights * (x - x_mean) * (means - y_mean)).sum() / (weights * (x - x_mean) ** 2).sum())


def _frozen(array: Any) -> Norms:
    result = np.array(array, dtype=np.float64, order="C")
    result.flags.writeable = False
    return result


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: Norms) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"
