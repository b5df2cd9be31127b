"""`Search`: the trials of a tuning in optuna's journal, its sampler of settings, and its successive halving."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unspool.errors import MissingExtraError, ModelFolderError
from unspool.tasks.space import Choice, Float, Int, LogFloat, Range
from unspool.tuning.lengths import REDUCTION, Lengths
from unspool.tuning.result import Training, Trial
from unspool.tuning.spaces import Space, combinations, in_range

if TYPE_CHECKING:
    import optuna

__all__ = ["JOURNAL", "Search", "need_optuna"]

JOURNAL = "trials.journal"
"""Name of optuna's journal in the folder of a tuning."""

_EXHAUSTIVE = 30  # combinations of a space that are tried one by one, without a sampler
_FEWEST = 15  # trials from which the importance of settings is estimated
_BETTER = 0.4  # share of the trials that count as the better ones
_STATES = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}


def need_optuna() -> None:
    """Check that optuna is installed.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise MissingExtraError("tuning", "optuna", "tune") from None


class Search:
    """Trials of a tuning.

    Optuna appends each change to a journal file and flushes it to disk, so a killed process loses nothing. One process
    writes; the lock of the folder excludes others.

    Args:
        folder: Folder of the tuning.
        space: Ranges of the tuned settings.
        default: Their default values.
        lengths: Lengths of training.
        higher_is_better: Direction of the score.
        seed: Seed of the choice of settings.

    Raises:
        ModelFolderError: If the journal is damaged.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        default: Mapping[str, Any],
        lengths: Lengths,
        *,
        higher_is_better: bool,
        seed: int,
    ) -> None:
        self._space, self._default, self._lengths, self._seed = space, default, lengths, seed
        self._path = folder / JOURNAL
        self._direction: Literal["maximize", "minimize"] = "maximize" if higher_is_better else "minimize"
        self._distributions = {name: _distribution(bounds) for name, bounds in space.items()}
        self._all = combinations(space, _EXHAUSTIVE)
        self._open: dict[int, optuna.Trial] = {}
        with _quiet():
            self._study = self._opened()
            for frozen in self._study.get_trials(deepcopy=False):
                if frozen.state.name == "RUNNING":
                    self._take_up(frozen)

    def _opened(self) -> optuna.Study:
        """Open the journal; drop a line that a killed process has not finished."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        if self._path.exists():
            content = self._path.read_bytes()
            if not content.endswith(b"\n"):
                with self._path.open("r+b") as file:
                    file.truncate(content.rfind(b"\n") + 1)
        lock: Any = _HeldLock()
        try:
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self._path), lock_obj=lock)),
                pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
                study_name="unspool",
                direction=self._direction,
                load_if_exists=True,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(f"{self._path} is damaged: {str(error)[:200]}") from None

    def _take_up(self, frozen: optuna.trial.FrozenTrial) -> None:
        """Open an unfinished trial again; one that was killed before its settings were written is dropped."""
        import optuna

        trial = optuna.Trial(self._study, frozen._trial_id)
        if "settings" in frozen.user_attrs:
            self._open[frozen.number] = trial
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    @property
    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [
            Trial(
                frozen.number,
                frozen.user_attrs["settings"],
                tuple(Training(*training) for training in frozen.user_attrs.get("trainings", ())),
                _STATES.get(frozen.state.name, "running"),  # type: ignore[arg-type]
                frozen.user_attrs.get("failure"),
            )
            for frozen in self._study.get_trials(deepcopy=False)
            if "settings" in frozen.user_attrs
        ]

    @property
    def running(self) -> list[Trial]:
        """The trials that have not ended."""
        return [trial for trial in self.trials if trial.number in self._open]

    def begin(self) -> Trial | None:
        """Begin a trial: first the default, then settings that the sampler chooses; None if all were tried."""
        import optuna

        trials = self.trials
        with _quiet():
            if not trials:
                inside = {name: self._default[name] for name in self._space if self._fits(name)}
                self._enqueue(inside)
                asked = self._study.ask({name: self._distributions[name] for name in inside})
                settings = dict(self._default)
            else:
                if self._all is not None:
                    tried = [trial.settings for trial in trials]
                    left = [each for each in self._all if each not in tried]
                    if not left:
                        return None
                    self._enqueue(random.Random(self._seed + len(trials)).choice(left))
                self._study.sampler = optuna.samplers.TPESampler(seed=(self._seed + len(trials)) % 2**32)
                asked = self._study.ask(self._distributions)
                settings = {name: asked.params[name] for name in self._space}
            asked.set_user_attr("settings", settings)
        self._open[asked.number] = asked
        return next(trial for trial in self.trials if trial.number == asked.number)

    def _enqueue(self, settings: dict[str, Any]) -> None:
        """Give the next trial its settings, unless a killed process has queued them already."""
        if not any(frozen.state.name == "WAITING" for frozen in self._study.get_trials(deepcopy=False)):
            self._study.enqueue_trial(settings)

    def _fits(self, name: str) -> bool:
        return in_range(self._default[name], self._space[name])

    def add(self, number: int, training: Training, *, full: bool) -> bool:
        """Add a training to a trial.

        Args:
            number: Number of the trial.
            training: The training.
            full: Whether the trial has its full length; it is then complete.

        Returns:
            Whether the trial goes on with a longer training. The default always does, another one if its score is in
            the best third of its rung.
        """
        trial = self._open[number]
        before = trial.user_attrs.get("trainings", [])
        with _quiet():
            trial.set_user_attr("trainings", [*before, list(training)])
            goes_on = True
            last = self._lengths.last
            for rung in range(training.rung, last + 1 if full else training.rung + 1):
                trial.report(training.score, REDUCTION**rung)
                if rung < last:
                    goes_on = not trial.should_prune()
        if full:
            self.complete(number, training.score)
        return not full and (goes_on or number == 0)

    def complete(self, number: int, score: float) -> None:
        """End a trial that has its full length."""
        self._end(number, "COMPLETE", score)

    def stop(self, number: int) -> None:
        """End a trial before its full length."""
        self._end(number, "PRUNED")

    def fail(self, number: int, failure: str) -> None:
        """End a trial that failed."""
        with _quiet():
            self._open[number].set_user_attr("failure", failure)
        self._end(number, "FAIL")

    def _end(self, number: int, state: str, score: float | None = None) -> None:
        import optuna

        with _quiet():
            self._study.tell(self._open.pop(number), score, state=optuna.trial.TrialState[state])

    def importance(self) -> dict[str, float]:
        """Estimate how much each setting decides whether a trial is among the better 40 %.

        The estimate is that of PED-ANOVA (Watanabe et al. 2023), over the scores of the shortest trainings.

        Returns:
            Shares by dotted name, largest first; empty with fewer than 15 trials besides the default.
        """
        import optuna

        done = [trial for trial in self.trials if trial.number and trial.trainings and trial.trainings[0].rung == 0]
        if len(done) < _FEWEST or len(self._space) < 2:
            return {}
        with _quiet():
            study = optuna.create_study(direction=self._direction)
            study.add_trials(
                optuna.create_trial(
                    params=dict(trial.settings), distributions=self._distributions, value=trial.trainings[0].score
                )
                for trial in done
            )
            try:
                evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_BETTER)
                shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
            except (ValueError, RuntimeError):  # all scores are equal
                return {}
        return {name: share for name, share in shares.items() if share == share}


class _HeldLock:
    """Lock of the journal; the lock of the folder is held already, and ends with its process."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages and warnings of optuna inside the context."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(bounds: Range) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match bounds:
        case Choice(values):
            return CategoricalDistribution(values)
        case Int(low, high, step):
            return IntDistribution(low, high, step=step)
        case LogFloat(low, high):
            return FloatDistribution(low, high, log=True)
        case Float(low, high):
            return FloatDistribution(low, high)
