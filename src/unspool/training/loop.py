"""Training loop: updates, validation, logging, checkpoints, early stopping and resuming."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from unspool.errors import Interrupted, SettingError, TrainingError, UsageError, counted, wording
from unspool.settings import nearest
from unspool.training import schedules
from unspool.training.averaging import triggers
from unspool.training.clock import Clock
from unspool.training.devices import choose_device
from unspool.training.distributed import join
from unspool.training.estimate import Estimate
from unspool.training.folder_lock import lock_folder
from unspool.training.heap import Trimmer
from unspool.training.interrupts import Interrupts, StopNow
from unspool.training.keeping import Keeper
from unspool.training.log import Log
from unspool.training.pace import Pace, read_course
from unspool.training.progress import Progress, Reporter, clock
from unspool.training.random_state import RandomState, runs_other_code
from unspool.training.sampling import Sample, Sampler
from unspool.training.settings import TrainingSettings
from unspool.training.state import RunState
from unspool.training.threads import num_threads
from unspool.training.updates import Batch, BatchSource, Updater
from unspool.training.watch import NotFinite, UpdateLoss, Watch

__all__ = ["Batch", "BatchSource", "FitResult", "Stopped", "Validate", "fit"]

Stopped = Literal["done", "patience", "minutes", "reporter"]
Validate = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of a run. The model holds the best weights, or the last ones without validation."""

    best: dict[str, float] = field(default_factory=dict)
    """Metrics of the best weights, at their validation."""
    best_epoch: float | None = None
    """Epochs at that validation, or None without validation."""
    epoch: float
    """Epochs of the run, with a fraction."""
    updates: int
    seconds: float
    """Elapsed time, earlier sessions included."""
    loss: float | None
    """Mean training loss per target up to the last log line, in nats."""
    stopped: Stopped
    course: str | None = None
    """Course of a training with a time limit, for the setting `course`."""


def fit(
    model: nn.Module,
    source: BatchSource,
    settings: TrainingSettings,
    *,
    folder: Path,
    validate: Validate | None = None,
    sample: Sample | None = None,
    metric: str = "",
    higher_is_better: bool = True,
    resume: bool = False,
    allow: Collection[str] = (),
    reporter: Reporter | None = None,
    resume_with: str | None = "fit(..., resume=True)",
    use_with: str | None = None,
    shorten: Sequence[str] = (),
) -> FitResult:
    """Train a model. A run that is killed and resumed ends with the same weights, on a CPU bit by bit.

    The loss is the sum of the batches' totals over the sum of their counts, over accumulated batches and over all
    processes that `torchrun` started.

    Args:
        model: A module with `loss(batch, carry) -> Loss`. It is moved to the settings' device.
        source: The training batches. Within an epoch, the carry of each batch is passed to the next.
        settings: Length, optimizer, schedule and so on.
        folder: The model folder; checkpoints and log go into its folder `training`.
        validate: Scores the model, in evaluation mode and with averaged weights if there are any. Rank 0 calls it,
            without gradients. Its random numbers do not change the training.
        sample: Returns samples of the model's output for the log, under the conditions of `validate`. Rank 0 calls it
            after a validation, as long as samples take at most a hundredth of the time.
        metric: The score that decides which weights are best.
        higher_is_better: Whether larger values of that score are better.
        resume: Whether to resume from the newest checkpoint in `folder`, if there is one.
        allow: Names of settings that may differ from those of the resumed run.
        reporter: Receives progress, and may end the run (`Reporter.stop`). None: silent.
        resume_with: Command or call that resumes the run, for messages; None for a temporary folder.
        use_with: Command or call that uses the best weights of an interrupted run, for messages; None if none does.
        shorten: Ways to shorten a long run besides its length and its validations, each in a few words.

    Raises:
        Interrupted: On SIGINT (ctrl-C), SIGTERM or SIGHUP, after the current update and a checkpoint.
        TrainingError: If the loss, the gradient or the weights are no longer finite, or the source is empty.
        MachineError: If the disk is full; the newest checkpoint is intact.
        SettingError: If the run can't be resumed with these settings.
        UsageError: If `folder` holds a run and `resume` is not set, or another training writes into it.
    """
    _refuse(source, settings, validate)
    world = join("cuda" if choose_device(settings.device).type == "cuda" else "cpu")
    device = choose_device(settings.device, local_rank=world.local_rank)
    random = RandomState(device, lends=runs_other_code(model, source, validate))
    random.seed(settings.seed, rank=world.rank)
    updater = Updater(model.to(device), source, settings, world, device, random)
    run = _Run(updater, Keeper(folder / "training", updater, metric), validate, metric, higher_is_better)
    run.reporter = reporter if reporter is not None and world.first else Reporter()
    run.resume_with, run.use_with, run.shorten, run.sampler = resume_with, use_with, shorten, Sampler(sample)
    lock = lock_folder(folder) if world.first else nullcontext()
    with lock, num_threads(settings.threads):
        return run.train(resume, frozenset(allow))


def _refuse(source: BatchSource, settings: TrainingSettings, validate: Validate | None) -> None:
    if len(source) == 0:
        raise TrainingError("there is nothing to train on: the training data has no batch")
    needs = {
        "patience": settings.patience is not None,
        "schedule": settings.schedule in ("plateau", "anneal"),
        "average": settings.average == "asgd",
    }
    for name, needed in needs.items():
        if needed and validate is None:
            value = getattr(settings, name)
            raise SettingError(f"{name} = {value} needs validation data: pass some, or leave {name} at its default")


class _Run:
    """One run: decides when to update, log, validate, save and stop."""

    reporter: Reporter
    resume_with: str | None
    use_with: str | None
    shorten: Sequence[str] = ()
    sampler = Sampler(None)
    log: Log | None = None

    def __init__(
        self, updater: Updater, keeper: Keeper, validate: Validate | None, metric: str, higher_is_better: bool
    ) -> None:
        self.updater, self.keeper, self.settings = updater, keeper, updater.settings
        self.validate, self.metric, self.higher_is_better = validate, metric, higher_is_better
        self.world, self.device = updater.world, updater.device
        self.state, self.watch = RunState(longest_warmup=schedules.LONGEST_WARMUP), Watch(updater.world)
        self.heap = Trimmer()
        self.updates = self.settings.epochs * updater.per_epoch
        self.course = read_course(self.settings.course) if self.settings.course is not None else None
        self.log_every = min(100, max(1, updater.per_epoch // 10))
        self.read_every = 1 if self.device.type == "cpu" and self.world.size == 1 else self.log_every
        self.saved: int | None = None
        self.saved_at = 0.0
        self.norm: float | None = None
        self.last_validation = 0.0
        """Expected seconds of the validation at the end."""
        self.ended_by_reporter = False

    def train(self, resume: bool, allow: frozenset[str]) -> FitResult:
        """Open the folder, run all updates, and load the best weights into the model."""
        resumed = self._open(resume, allow)
        knots = self.state.knots if self.course is None else self.course
        self.pace = Pace(self.updates, knots, timed=self.settings.minutes is not None)
        self.updater.model.train()
        with ExitStack() as stack:
            self.interrupts = stack.enter_context(Interrupts(insist=self.world.size == 1, talk=self.reporter.talks))
            self._open_log(stack)
            self.clock = Clock(self.state.seconds)
            validates = self.validate is not None
            self.estimate = Estimate(self.clock, self.settings, self.updater.per_epoch, validates=validates)
            self.saved_at = self.state.seconds
            ending = ""
            stack.callback(lambda: self.reporter.finished(ending))
            self.reporter.take_stop()  # of an earlier training
            self.reporter.started(self._opening(resumed), self._progress())
            try:
                stopped = self._loop()
            except KeyboardInterrupt:
                raise self._interrupted("stopped at once") from None
            except NotFinite as fault:
                self._log_not_finite(fault.loss)
                raise self._not_finite(fault.loss) from None
            result = self._result(stopped)
            ending = self._closing(result)
        return result

    def _loop(self) -> Stopped:
        while True:
            if self._validation_due():
                self._validate()
            if stopped := self._over():
                break
            if self._update():
                self._save()
                raise self._interrupted("stopped")
            if self.state.seconds - self.saved_at >= 60 * self.settings.checkpoint_minutes:
                self._save()
        if self.validate is not None and self.state.validated != self.state.update:
            self._validate()
        if self.saved != self.state.update:
            self._save()
        return stopped

    def _over(self) -> Stopped | None:
        if self.state.update >= self.updates:
            return "done"
        if self.settings.patience is not None and self.state.waiting >= self.settings.patience:
            return "patience"
        if self.course is not None:
            over = self.pace.ends(self.state.update)
        else:
            over = self._seconds_to_train() <= 0
        if over:
            return "minutes"
        return "reporter" if self.ended_by_reporter else None

    def _update(self) -> bool:
        """Make one update; return whether a signal has requested a stop in any process."""
        state = self.state
        with self.updater.random.used():
            sums = self.updater.gradients(state.update, self.pace.at(state.update))
        elapsed = self.clock.seconds() if self.world.first else 0.0
        count, stop, seconds, end = self.world.sum(
            [float(sums.count), float(self.interrupts.requested), elapsed, float(self.reporter.take_stop())]
        )
        self.ended_by_reporter |= end > 0
        if count:
            progress, progress_after = self.pace.at(state.update), self.pace.at(state.update + 1)
            rate = schedules.learning_rate(
                self.settings, state.update, progress, state.factor, longest_warmup=state.longest_warmup
            )
            norm = self.updater.step(int(count), rate, progress_after)
            self.watch.add(state.update + 1, int(count), sums.total, norm)
        state.update, state.seconds = state.update + 1, seconds
        self.clock.count(sums.tokens)
        self.estimate.updated(state.update)
        self._keep_pace()
        if state.update % self.read_every == 0:
            self._read()
        if state.update % self.log_every == 0:
            self._log_training()
        self.heap.maybe()
        if self.clock.report_due(self.reporter.interval):
            self.reporter.progress(self._progress())
        self._tell_estimate()
        return stop > 0

    def _keep_pace(self) -> None:
        """Under a time limit, adapt the schedule to the measured speed, so that both end together."""
        if self.course is not None or self.settings.minutes is None:
            return
        seconds, left = self.world.share(
            [self.estimate.seconds_per_update(self.state.update), self._seconds_to_train()]
        )
        self.pace.revise(self.state.update, seconds, left)

    def _seconds_to_train(self) -> float:
        """Return the seconds until the time limit, without the last validation."""
        if self.settings.minutes is None:
            return math.inf
        return 60 * self.settings.minutes - self.state.seconds - self.last_validation

    # Logging

    def _read(self) -> None:
        for each in self.watch.read():
            self.state.window_total += each.total
            self.state.window_count += each.count
            self.state.lap_total += each.total
            self.state.lap_count += each.count
            self._count_norm(each.norm)

    def _count_norm(self, norm: float | None) -> None:
        state, self.norm, clip = self.state, norm, self.settings.clip
        if norm is None or clip is None:
            return
        state.window_updates += 1
        state.window_clipped += norm > clip
        state.window_norm = max(state.window_norm, norm)

    def _log_training(self) -> None:
        self._read()
        state = self.state
        if state.window_count:
            state.loss = state.window_total / state.window_count
        state.window_total, state.window_count = 0.0, 0
        values = {
            "epoch": round(state.update / self.updater.per_epoch, 4),
            "loss": state.loss,
            "gradient_norm": self.norm,
            "learning_rate": self.updater.learning_rate,
            "tokens_per_second": round(self.clock.lap_speed(), 1),
            "seconds": round(state.seconds, 3),
        }
        if state.window_updates:
            values["largest_gradient_norm"] = state.window_norm
            values["clipped"] = round(state.window_clipped / state.window_updates, 4)
        state.window_norm, state.window_clipped, state.window_updates = 0.0, 0, 0
        if self.log is not None:
            self.log.write("train", state.update, values)

    def _log_not_finite(self, loss: UpdateLoss) -> None:
        """Log the update that ends the run; a resumed run cuts this line off."""
        if self.log is not None:
            epoch = round(loss.update / self.updater.per_epoch, 4)
            values = {"epoch": epoch, "loss": loss.total / loss.count, "gradient_norm": loss.norm}
            self.log.write("train", loss.update, values)

    # Validation

    def _validation_due(self) -> bool:
        if self.validate is None or self.state.validated == self.state.update:
            return False
        every = self.settings.validate_every * self.updater.per_epoch
        return int(self.state.update / every + 1e-9) > int(self.state.validated / every + 1e-9)

    def _validate(self) -> None:
        """Score the weights, averaged if there is an average; save them if they are the best; write a checkpoint."""
        self._check_finite()
        state = self.state
        try:
            with self.clock.validation(), self.updater.average.applied():
                metrics = self._scores()
                samples = self._samples()
                improved = self._note(metrics)
                if improved:
                    self.keeper.save_best(state)
        except StopNow:
            self._save()
            raise self._interrupted("stopped") from None
        state.factor, state.flat = schedules.cut(self.settings, state.factor, state.flat)
        if triggers(state.history, self.settings.trigger, higher_is_better=self.higher_is_better):
            self.updater.average.triggered = True
        self._tell_validation(metrics, improved, samples)
        state.lap_total, state.lap_count = 0.0, 0
        self._save()

    def _note(self, metrics: dict[str, float]) -> bool:
        """Record a validation; return whether it is the best so far."""
        state, value = self.state, metrics[self.metric]
        best = state.best.get(self.metric, -math.inf if self.higher_is_better else math.inf)
        improved = value > best if self.higher_is_better else value < best  # False for NaN
        state.validated = state.update
        state.history.append(value)
        state.waiting, state.flat = (0, 0) if improved else (state.waiting + 1, state.flat + 1)
        if improved:
            state.best, state.best_update = metrics, state.update
        return improved

    def _scores(self) -> dict[str, float]:
        """Compute all metrics on rank 0 and broadcast them; ctrl-C takes effect at once."""
        assert self.validate is not None
        scores: dict[str, float] = {}
        if self.world.first:
            with self._evaluating() as model:
                scores = {name: float(value) for name, value in self.validate(model).items()}
        scores = self.world.share(scores)
        if self.metric not in scores:
            have = ", ".join(scores)
            raise UsageError(f"validation has no score {self.metric!r}{nearest(self.metric, scores)}; it has {have}")
        return dict(scores)

    def _samples(self) -> list[dict[str, str]]:
        """Return samples of the model's output, unless they would take too much time of the training."""
        if not self.world.first or not self.sampler.due(self.clock.session()):
            return []
        with self._evaluating() as model:
            return self.sampler.take(model)

    @contextmanager
    def _evaluating(self) -> Iterator[nn.Module]:
        """Provide the model in evaluation mode, without an effect on random numbers; ctrl-C takes effect at once."""
        model, random = self.updater.model, self.updater.random
        model.eval()
        try:
            with random.unchanged(), random.used(), self.interrupts.at_once(), torch.no_grad():
                yield model
        finally:
            model.train()

    def _tell_validation(
        self, metrics: dict[str, float], improved: bool, samples: Sequence[Mapping[str, str]] = ()
    ) -> None:
        state = self.state
        loss = state.lap_total / state.lap_count if state.lap_count else None
        times = [self.clock.seconds(), self.clock.seconds_per_validation()] if self.world.first else [0.0, 0.0]
        state.seconds, self.last_validation = self.world.sum(times)
        if self.log is not None:
            epoch = round(state.update / self.updater.per_epoch, 4)
            values: dict[str, Any] = {"epoch": epoch, "loss": loss, **metrics}
            values |= {"best": improved, "seconds": round(state.seconds, 3)}
            if samples:
                values["samples"] = list(samples)
            self.log.write("validation", state.update, values)
        self.reporter.validated(self._progress(loss), metrics, improved)
        self.ended_by_reporter |= self.world.sum([float(self.reporter.take_stop())])[0] > 0
        self._tell_estimate()

    def _tell_estimate(self) -> None:
        """Report the remaining time after the first seconds, and again if the first validation changes it."""
        if (news := self.estimate.news(self.state, self.shorten)) is not None:
            self.reporter.note(news)

    # Checkpoints

    def _open(self, resume: bool, allow: frozenset[str]) -> bool:
        """Load the run in the folder, if any; return whether there is one."""
        exists = self.keeper.exists()
        if exists and not resume:
            raise UsageError(
                f"{self.keeper.folder} holds a run already: go on with it ({self.resume_with}),"
                " or train into another folder"
            )
        if exists:
            self.state = self.keeper.load(self.settings, allow)
            self.saved = self.state.update
        self.world.wait()  # no process writes before all have read
        return exists

    def _open_log(self, stack: ExitStack) -> None:
        if self.world.first:
            self.keeper.sweep()
            position, update = self.state.log_bytes, self.state.update
            self.log = Log(self.keeper.folder, position=position, update=update, tensorboard=self.settings.tensorboard)
            stack.callback(self.log.close)

    def _save(self) -> None:
        self._check_finite()
        with self.clock.pause():
            average = self.updater.average
            self.state.averaged, self.state.triggered = average.updates, average.triggered
            self.state.log_bytes = self.log.position() if self.log is not None else 0
            self.keeper.save(self.state)
        self.saved, self.saved_at = self.state.update, self.state.seconds

    def _check_finite(self) -> None:
        """Check losses, gradient norms and weights before a checkpoint overwrites the one before."""
        self._read()
        if not self.updater.weights_are_finite():
            raise self._stop(f"the weights are no longer finite after update {self.state.update}")

    def _result(self, stopped: Stopped) -> FitResult:
        state, per_epoch = self.state, self.updater.per_epoch
        if state.best:
            self.keeper.load_best(state)
        else:
            self.updater.average.apply()
        self.updater.model.eval()
        return FitResult(
            best=state.best,
            best_epoch=state.best_update / per_epoch if state.best else None,
            epoch=state.update / per_epoch,
            updates=state.update,
            seconds=state.seconds,
            loss=state.loss,
            stopped=stopped,
            course=self.settings.course or self.pace.course(state.update),
        )

    # Messages

    def _progress(self, loss: float | None = None) -> Progress:
        state, newest = self.state, self.state.history[-1] if self.state.history else None
        if loss is None:
            loss = state.window_total / state.window_count if state.window_count else state.loss
        return Progress(
            epoch=state.update / self.updater.per_epoch,
            epochs=self.settings.epochs,
            update=state.update,
            updates=self.updates,
            loss=loss,
            metric=self.metric,
            value=newest,
            best=state.best.get(self.metric),
            learning_rate=self.updater.learning_rate,
            tokens_per_second=self.clock.speed(),
            seconds=state.seconds,
            seconds_left=self.estimate.seconds_left(state),
        )

    def _opening(self, resumed: bool) -> str:
        weights = sum(parameter.numel() for parameter in self.updater.model.parameters())
        where = f"{self.device}" + (f", {self.world.size} processes" if self.world.size > 1 else "")
        start = f"going on after update {self.state.update}" if resumed else "training"
        length = f"{counted(self.updates, 'updates')} of {counted(self.settings.epochs, 'epochs')}"
        return f"{start}: {counted(weights, 'weights')}, {length}, on {where}"

    def _closing(self, result: FitResult) -> str:
        whys = {"done": "done", "patience": "no more improvement", "minutes": "time is up", "reporter": "stopped"}
        why = whys[result.stopped]
        best = ""
        if result.best_epoch is not None:
            best = f"; best {self.metric} {result.best[self.metric]:.5g}, after epoch {result.best_epoch:.4g}"
        return f"{why} after {counted(result.epoch, 'epochs')}, {clock(result.seconds)}{best}"

    def _interrupted(self, how: str) -> Interrupted:
        if self.resume_with is None:
            return Interrupted(f"{how}; nothing is kept, since no folder was named (out)")
        if self.saved is None:
            return Interrupted(f"{how} before the first checkpoint; start again with: {self.resume_with}")
        saved = f"all is saved up to update {self.saved} (epoch {self._epoch(self.saved)} of {self.settings.epochs})"
        if self.use_with is not None and self.state.best:
            best = f"{self.metric} {self.state.best[self.metric]:.4g}"
            saved = f"{saved}; use the best weights so far ({best}) with: {self.use_with}"
        return Interrupted(f"{how}; {saved}; go on with: {self.resume_with}")

    def _not_finite(self, loss: UpdateLoss) -> TrainingError:
        mean = loss.total / loss.count
        what = f"the loss became {mean}" if not math.isfinite(mean) else f"the gradient's norm became {loss.norm}"
        position = (loss.update - 1) % self.updater.per_epoch + 1
        where = f"batch {position} of {self.updater.per_epoch}"
        return self._stop(f"{what} at update {loss.update} (epoch {self._epoch(loss.update)}, {where})")

    def _stop(self, what: str) -> TrainingError:
        state, settings = self.state, self.settings
        last = state.window_total / state.window_count if state.window_count else state.loss
        good = "" if last is None else f"; the mean loss before was {last:.4g}"
        clip = "clip = 1 (now off)" if settings.clip is None else f"a lower clip (now {settings.clip:g})"
        ways = f"try a lower learning_rate (now {settings.learning_rate:g}) or {clip}"
        if self.saved is None:
            return TrainingError(f"{what}{good}; no checkpoint was written yet: {ways} and start again")
        if self.resume_with is None:
            return TrainingError(f"{what}{good}; {ways} and start again")
        rate = float(f"{settings.learning_rate / 3:.2g}")
        lower = wording(
            f"--allow learning_rate --learning-rate {rate:g}", f'allow=["learning_rate"], learning_rate={rate:g}'
        )
        way = f"{ways}, allowed as a change ({lower}), from the checkpoint at update {self.saved}, {self.keeper.path}"
        return TrainingError(f"{what}{good}; {way}, with: {self.resume_with}")

    def _epoch(self, update: int) -> int:
        return max(0, update - 1) // self.updater.per_epoch + 1
