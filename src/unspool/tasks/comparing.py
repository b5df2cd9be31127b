"""Train several networks on the same data with an equal budget, each from several seeds."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

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
from unspool.tasks.catalog import TASKS, task_entry
from unspool.tasks.comparison import Comparison, Run
from unspool.tasks.entry import TaskEntry, one_of
from unspool.training.progress import Progress, Reporter, report_to

if TYPE_CHECKING:
    from unspool.tasks.task import Task
    from unspool.training.callbacks import Callback

__all__ = ["compare"]

Networks = Sequence[Any] | Mapping[str, Any]
"""Names or cell classes; or by name, each a name, a cell class or a dictionary of settings."""

_FAILS_ALONE = (TrainingError, CellError, BackendError, DecodingError)
"""What may go wrong with one network; anything else would go wrong with the next too."""
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
    """Train several networks on the same data with an equal budget, each from several seeds, and score them.

    Each sees the same data, split and number of updates; all other settings are alike too, and none stops early unless
    `patience` says so. A seed decides the starting weights, the order of the data, dropout and, without validation
    data, what is held out: networks are compared seed by seed. A training that fails (its loss is no number, its cell
    breaks) is counted, and the others go on.

    Args:
        task: A task's class, or its name as on the command line: `Classifier`, or `"classify"`.
        data: Training data, as `fit` takes them.
        networks: Cells by name or class, `my_cell.py:MyCell(rate=0.9)` too, and names of networks (`transformer`; `bag`
            for a classifier); or a dictionary of names, each with a cell, a network or a dictionary of settings. The
            usual ones of the task if omitted.
        seeds: How many seeds, from the setting `seed` on; or the seeds themselves.
        valid: Data that choose the best weights; a share of the training data (`valid_fraction`) if omitted.
        test: Data that are scored once, at the very end; scores are on the validation data if omitted.
        baselines: Whether simple methods are scored too, with the first seed.
        reporter: Hears how each training goes; a bar or lines on stderr if omitted.
        callbacks: As in `fit`, for each training.
        on_run: Called after each run with the comparison so far, for instance to write it to a file.
        settings: Settings of all networks at once; the task's defaults, without `patience`, if omitted.
        values: Single settings of all networks, by name, as `epochs=5`, `minutes=2`, `hidden=64`.

    Returns:
        Every run, with means, intervals and differences; a table when printed.

    Raises:
        UsageError: If there is no such task or network, or nothing to compare.
        SettingError: If there is no such setting, or it can't have that value.
        DataError: If the data can't be used.
        Interrupted: On ctrl-C; `on_run` has what was finished.
        TrainingError: If every run failed, the error of the first; CellError, BackendError and DecodingError too.
    """
    entry, kind = _task(task)
    equal: Any = make(entry.settings, values, base=settings or make(entry.settings, {"training.patience": None}))
    fit = {"valid": _reusable(valid), "test": _reusable(test), "reporter": reporter, "callbacks": callbacks}
    plan = _Plan(entry, kind, equal, _networks(entry, networks, values), _seeds(seeds, equal.training.seed))
    plan.check()
    return plan.run(tuple(map(_reusable, data)), fit, baselines=baselines, on_run=on_run)


@dataclass
class _Plan:
    """The trainings of a comparison."""

    entry: TaskEntry
    kind: type[Task[Any, Any]]
    settings: Settings
    networks: Mapping[str, Mapping[str, Any]]
    """For each name in the table the arguments of the task, beside the settings that all have."""
    seeds: tuple[int, ...]

    def task(self, network: str, seed: int) -> Task[Any, Any]:
        """The task that is trained for a network and a seed."""
        return self.kind(self.settings, **{**self.networks[network], "training.seed": seed})

    def check(self) -> None:
        """Refuse a network that can't be made, before the first is trained."""
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
        metric, higher = self.task(next(iter(self.networks)), self.seeds[0]).metric
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
    """Remembers how fast a training was."""

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
    """The comparison with the runs so far, the last of a task."""
    record = task.record
    if record is None or runs[-1].failure is not None:
        return replace(comparison, runs=tuple(runs))
    scored_on = "test" if "test" in record.metrics else "valid"
    return replace(
        comparison, runs=tuple(runs), scored_on=scored_on, baselines=comparison.baselines or record.baselines
    )


def _task(task: str | type[Task[Any, Any]]) -> tuple[TaskEntry, type[Task[Any, Any]]]:
    """What the catalog knows of a task, and its class."""
    from unspool.tasks.classes import task_class

    if isinstance(task, str):
        entry = task_entry(task)
        return entry, task_class(entry.name)
    if not (inspect.isclass(task) and getattr(task, "name", None) in TASKS):
        raise UsageError(f"{task!r} is no task: expected a class, as Classifier, or one of {', '.join(TASKS)}")
    return TASKS[task.name], task


def _seeds(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    """The seeds of a comparison, each once."""
    if isinstance(seeds, int):
        if not 1 <= seeds <= _MOST_SEEDS:
            raise SettingError(f"{option('seeds', seeds)}: expected between 1 and {_MOST_SEEDS:,}")
        return tuple(range(first, first + seeds))
    several = tuple(dict.fromkeys(seeds))
    if not several or not all(isinstance(seed, int) for seed in several):
        raise SettingError(f"seeds = {seeds!r}: expected a number of seeds, or a list of whole numbers")
    return several


def _networks(entry: TaskEntry, networks: Networks | None, values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The arguments of the task for each network, by its name in the table."""
    if isinstance(networks, Mapping):
        chosen = {str(name): _arguments(entry, network)[1] for name, network in networks.items()}
    else:
        for name in ("cell", "network.cell", "cell_options"):
            if name in values:
                raise UsageError(f"{name} is what networks differ in: pass networks=[...], cells by name or class")
        several = [networks] if isinstance(networks, str) else networks
        chosen = dict(_arguments(entry, network) for network in (entry.usual_networks if several is None else several))
    if not chosen:
        usual = ",".join(entry.usual_networks)
        raise UsageError(f"{option('networks', None)} names nothing to compare; try {option('networks', usual)}")
    return chosen


def _arguments(entry: TaskEntry, network: Any) -> tuple[str, Mapping[str, Any]]:
    """A network's name in the table, and the arguments of the task that it stands for."""
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
    """The one spelling of a cell's name; a network that is neither a cell nor one of the task's is refused."""
    from unspool.cells import CELLS, cell_name, is_built_in

    if not is_built_in(network) and ":" not in network:
        elsewhere = [other.name for other in TASKS.values() if network in other.networks]
        known = [*entry.networks, *CELLS]
        if elsewhere:
            problem = f"the network {network!r} is one of the task {one_of(elsewhere)}, not of {entry.name}"
        else:
            problem = f"there is no cell {network!r}{nearest(network, known)}"
        raise UsageError(f"{problem}; choose among {', '.join(known)}, or name a cell of your own as my_file.py:MyCell")
    return cell_name(network)


def _reusable(data: Any) -> Any:
    """Data that can be read more than once: what an iterator gives as a list, inside a tuple too."""
    if type(data) is tuple:
        return tuple(map(_reusable, data))
    return list(data) if isinstance(data, Iterator) else data
