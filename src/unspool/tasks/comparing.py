"""`compare`: train several networks on the same data with an equal budget and several seeds, and score them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unspool.data.in_memory import reusable
from unspool.errors import (
    BackendError,
    CellError,
    DecodingError,
    Interrupted,
    SettingError,
    TrainingError,
    UnspoolError,
    UsageError,
    for_python,
    option,
)
from unspool.settings import Settings, make, nearest
from unspool.tasks.catalog import TASKS
from unspool.tasks.classes import resolve_task
from unspool.tasks.comparison import Comparison, Run
from unspool.tasks.entry import TaskEntry, one_of
from unspool.training.progress import Progress, Reporter, report_to

if TYPE_CHECKING:
    from unspool.tasks.task import Task
    from unspool.training.callbacks import Callback

__all__ = ["compare"]

Networks = Sequence[Any] | Mapping[str, Any]
"""Names or cell classes; or a mapping from titles to names, cell classes or dictionaries of settings."""

_FAILS_ALONE = (TrainingError, CellError, BackendError, DecodingError)
"""Errors specific to one network; other errors stop the comparison."""
_MOST_SEEDS = 1000


def compare(
    task: str | type[Task[Any, Any]],
    *data: Any,
    networks: Networks | None = None,
    seeds: int | Sequence[int] = 1,
    valid: Any = None,
    test: Any = None,
    baselines: bool = True,
    reporter: Reporter | None = None,
    callbacks: Sequence[Callback] = (),
    on_run: Callable[[Comparison], object] | None = None,
    settings: Settings | None = None,
    **values: Any,
) -> Comparison:
    """Train several networks on the same data with an equal budget and several seeds, and score them.

    All networks have the same data, split, number of updates and other settings. No training stops early unless
    `patience` is set. A seed determines the initial weights, the order of the data, dropout and, without validation
    data, the split; differences are paired by seed. The comparison counts failed trainings, such as those with an
    infinite loss, and continues with the others.

    Args:
        task: A task's class, or its name on the command line: `Classifier`, or `"classify"`.
        data: Training data, as in `fit`.
        networks: Cells by name or class, including `my_cell.py:MyCell(rate=0.9)`, and names of networks (`transformer`;
            `bag` for a classifier); or a dictionary from titles to cells, networks or dictionaries of settings. The
            usual networks of the task if omitted.
        seeds: Number of seeds, counted from the setting `seed`; or a list of seeds.
        valid: Validation data, which select the best weights; a share of the training data (`valid_fraction`) if
            omitted.
        test: Test data, scored once after training; if omitted, scores are on the validation data.
        baselines: Whether to score simple baselines too, with the first seed.
        reporter: Progress reporter of each training; a progress bar, or lines, on stderr if omitted.
        callbacks: Callbacks of each training, as in `fit`.
        on_run: Function that receives the comparison so far after each run, for instance to write it to a file.
        settings: All settings of all networks; the task's defaults, without `patience`, if omitted.
        values: Single settings of all networks by name: `epochs=5`, `minutes=2`, `hidden=64`.

    Returns:
        The comparison: all runs, means, intervals and differences; prints as a table.

    Raises:
        UsageError: If the task or a network does not exist, or `networks` is empty.
        SettingError: If a setting does not exist, or does not accept the value.
        DataError: If the data can't be used.
        Interrupted: On ctrl-C; `on_run` has received the completed runs.
        TrainingError: If every run failed, the error of the first run; CellError, BackendError and DecodingError too.
    """
    entry, kind = resolve_task(task)
    equal: Any = make(entry.settings, values, base=settings or entry.equal_settings())
    fit = {"valid": reusable(valid), "test": reusable(test), "reporter": reporter, "callbacks": callbacks}
    plan = _Plan(entry, kind, equal, _networks(entry, networks, values), _seeds(seeds, equal.training.seed))
    plan.check()
    return plan.run(tuple(map(reusable, data)), fit, baselines=baselines, on_run=on_run)


@dataclass
class _Plan:
    """The trainings of a comparison."""

    entry: TaskEntry
    kind: type[Task[Any, Any]]
    settings: Settings
    networks: Mapping[str, Mapping[str, Any]]
    """Task arguments of each network by its name in the table, in addition to the shared settings."""
    seeds: tuple[int, ...]

    def task(self, network: str, seed: int) -> Task[Any, Any]:
        """Create the task for a network and a seed."""
        return self.kind(self.settings, **{**self.networks[network], "training.seed": seed})

    def check(self) -> None:
        """Refuse networks that can't be built, before the first training."""
        for network in self.networks:
            self.task(network, self.seeds[0])._find_cell()

    def run(
        self,
        data: tuple[Any, ...],
        fit: Mapping[str, Any],
        *,
        baselines: bool,
        on_run: Callable[[Comparison], object] | None,
    ) -> Comparison:
        """Train all networks with the first seed, then with the next."""
        runs: list[Run] = []
        metric, higher = self.task(next(iter(self.networks)), self.seeds[0]).main_score
        comparison = Comparison(
            task=self.entry.name, scored_on="valid", metric=metric, higher_is_better=higher,
            networks=tuple(self.networks), seeds=self.seeds, runs=(),
        )  # fmt: skip
        first_error: UnspoolError | None = None
        for seed, network in itertools.product(self.seeds, self.networks):
            task, speed = self.task(network, seed), _Speed()
            wants_baselines = baselines and not comparison.baselines and seed == self.seeds[0]
            try:
                self._train(task, network, data, fit, speed, wants_baselines)
            except _FAILS_ALONE as error:
                first_error = first_error or error
                runs.append(Run(network, seed, {}, 0, 0, 0.0, 0.0, failure=for_python(error.message)))
            except Interrupted as error:
                count = f"{len(runs)} of {len(self.seeds) * len(self.networks)} runs were finished before"
                raise Interrupted(f"stopped while {self._label(network, seed)} was trained; {count}") from error
            else:
                runs.append(_run_of(network, seed, task, speed.tokens_per_second))
            comparison = _with(comparison, runs, task)
            if on_run is not None:
                on_run(comparison)
        if first_error is not None and len(comparison.failures) == len(runs):
            raise first_error
        return comparison

    def _train(
        self,
        task: Task[Any, Any],
        network: str,
        data: tuple[Any, ...],
        fit: Mapping[str, Any],
        speed: Reporter,
        simple: bool,
    ) -> None:
        reporter = fit["reporter"] or report_to()
        reporter.note(f"-- {self._label(network, task.settings.training.seed)} --")
        callbacks = [*fit["callbacks"], speed]
        task.fit(*data, **{**fit, "reporter": reporter, "callbacks": callbacks, "baselines": simple})

    def _label(self, network: str, seed: int) -> str:
        return network if len(self.seeds) == 1 else f"{network}, seed {seed}"


class _Speed(Reporter):
    """Records the training speed."""

    interval = 1.0
    tokens_per_second = math.nan

    def progress(self, progress: Progress) -> None:
        self.tokens_per_second = progress.tokens_per_second

    def validated(self, progress: Progress, metrics: dict[str, float], improved: bool) -> None:
        self.tokens_per_second = progress.tokens_per_second


def _run_of(network: str, seed: int, task: Task[Any, Any], speed: float) -> Run:
    record = task.record
    assert record is not None
    scores = record.metrics.get("test", record.metrics.get("valid", {}))
    facts = record.training
    return Run(network, seed, scores, record.network["weights"], facts["updates"], facts["seconds"], round(speed, 1))


def _with(comparison: Comparison, runs: Sequence[Run], task: Task[Any, Any]) -> Comparison:
    """Return the comparison with the runs so far; `task` belongs to the last run."""
    record = task.record
    if record is None or runs[-1].failure is not None:
        return replace(comparison, runs=tuple(runs))
    scored_on = "test" if "test" in record.metrics else "valid"
    return replace(
        comparison, runs=tuple(runs), scored_on=scored_on, baselines=comparison.baselines or record.baselines
    )


def _seeds(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    """Return the distinct seeds of a comparison."""
    if isinstance(seeds, int):
        if not 1 <= seeds <= _MOST_SEEDS:
            raise SettingError(f"{option('seeds', seeds)}: expected between 1 and {_MOST_SEEDS:,}")
        return tuple(range(first, first + seeds))
    several = tuple(dict.fromkeys(seeds))
    if not several or not all(isinstance(seed, int) for seed in several):
        raise SettingError(f"seeds = {seeds!r}: expected a number of seeds, or a list of whole numbers")
    return several


def _networks(entry: TaskEntry, networks: Networks | None, values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the task arguments of each network, by its name in the table."""
    if isinstance(networks, Mapping):
        arguments = {str(name): _arguments(entry, network)[1] for name, network in networks.items()}
    else:
        for name in ("cell", "network.cell", "cell_options"):
            if name in values:
                raise UsageError(f"{name} is what networks differ in: pass networks=[...], cells by name or class")
        several = [networks] if isinstance(networks, str) else networks
        several = entry.usual_networks if several is None else several
        arguments = dict(_arguments(entry, network) for network in several)
    if not arguments:
        usual = ",".join(entry.usual_networks)
        raise UsageError(f"{option('networks', None)} names nothing to compare; try {option('networks', usual)}")
    return arguments


def _arguments(entry: TaskEntry, network: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a network in the table, and its task arguments."""
    from unspool.cells import cell_name

    if isinstance(network, Mapping):
        return "", network
    if not isinstance(network, str):
        name = cell_name(network)
        return name, {**_without_cell(entry.network_settings(name)), "cell": network}
    if network in entry.networks:
        return network, entry.networks[network]
    name = _cell_name(entry, network)
    return name, entry.network_settings(name)


def _without_cell(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "network.cell"}


def _cell_name(entry: TaskEntry, network: str) -> str:
    """Return the canonical name of a cell; refuse names that are neither a cell nor a network of the task."""
    from unspool.cells import CELLS, cell_name, is_built_in

    if not is_built_in(network) and ":" not in network:
        elsewhere = [other.name for other in TASKS.values() if network in other.networks]
        names = [*entry.networks, *CELLS]
        if elsewhere:
            problem = f"the network {network!r} is one of the task {one_of(elsewhere)}, not of {entry.name}"
        else:
            problem = f"there is no cell {network!r}{nearest(network, names)}"
        raise UsageError(f"{problem}; choose among {', '.join(names)}, or name a cell of your own as my_file.py:MyCell")
    return cell_name(network)
