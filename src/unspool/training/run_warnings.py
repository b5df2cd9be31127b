"""Warnings about a training run, each in a sentence with its cure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import option

if TYPE_CHECKING:
    from unspool.training.curves import Curve
    from unspool.training.run_log import RunLog

__all__ = ["RunWarning", "run_warnings"]

_RISING = 3  # validations since the best, before overfitting is reported
_FLAT, _FLAT_SHARE = 5, 1e-3  # validations whose scores differ by less than this share
_CLIPPED = 0.8  # share of clipped updates
_NO_RATE, _LONG = 1e-3, 0.1  # share of the largest learning rate, and of the run
_SLOWER = 0.5  # share of the usual speed
_LATE = 20  # usual intervals between log lines, before silence is reported
_LEAST = 20  # log lines, before speed and clipping are judged


class RunWarning(NamedTuple):
    """A warning about a run."""

    kind: str
    """`not finite`, `overfitting`, `flat`, `clipped`, `no learning rate`, `slower` or `silent`."""
    text: str
    """What the log shows, in one sentence."""
    cure: str
    """What to try."""
    update: int
    """The update at which it began."""


def run_warnings(run: RunLog) -> list[RunWarning]:
    """Return the warnings about a run, the most serious first."""
    checks = (_not_finite, _overfitting, _flat, _clipped, _no_rate, _slower, _silent)
    return [warning for check in checks for warning in check(run)]


def _not_finite(run: RunLog) -> Iterator[RunWarning]:
    for name, curve in run.curves.items():
        if (name == "training loss" or name.startswith("validation ")) and len(curve.not_finite):
            update, count = int(curve.not_finite[0]), len(curve.not_finite)
            where = f"update {update:,}" if count == 1 else f"{count:,} updates, first at {update:,}"
            cure = f"lower the learning rate ({option('learning_rate')}), or clip gradients ({option('clip', 1)})"
            yield RunWarning("not finite", f"the {name} is not finite at {where}", cure, update)


def _overfitting(run: RunLog) -> Iterator[RunWarning]:
    main, best, loss = run.main, run.best_update, run.curves.get("training loss")
    if main is None or best is None or loss is None:
        return
    since = int((main.updates > best).sum())
    before, now = _value_at(loss, best), loss.last
    if since >= _RISING and now < before:
        text = (
            f"the {main.name} has not improved in {since} validations since update {best:,}, "
            f"while the training loss fell from {before:.4g} to {now:.4g}: the network overfits"
        )
        cure = f"stop here and keep the best weights, add data, or raise dropout ({option('dropout', None)})"
        yield RunWarning("overfitting", text, cure, best)


def _flat(run: RunLog) -> Iterator[RunWarning]:
    main, loss = run.main, run.curves.get("training loss")
    if main is None or loss is None or len(main.values) < _FLAT:
        return
    newest, start = main.values[-_FLAT:], int(main.updates[-_FLAT])
    losses = loss.values[loss.updates >= start]
    if _spread(newest) < _FLAT_SHARE and len(losses) and _spread(losses[[0, -1]]) < 10 * _FLAT_SHARE:
        text = f"the {main.name} and the training loss have been flat over the last {_FLAT} validations"
        cure = (
            f"stop if the score is good enough; else try another learning rate ({option('learning_rate')}) "
            f"or a larger network"
        )
        yield RunWarning("flat", text, cure, start)


def _clipped(run: RunLog) -> Iterator[RunWarning]:
    clip = run.facts.clip
    shares = run.curves.get("share clipped")
    norms = run.curves.get("gradient norm")
    if clip is None or norms is None:
        return
    updates, clipped = norms.updates, (norms.values > clip).astype(np.float64)
    if shares is not None:
        clipped = np.where(np.isfinite(shares.values), shares.values, clipped)
    half = len(clipped) // 2
    share = float(clipped[half:].mean())
    if len(clipped) >= _LEAST and share > _CLIPPED:
        text = (
            f"the gradient norm exceeds clip = {clip:g} in {share:.0%} of the updates, so that clipping sets the step"
        )
        norm = float(np.nanmedian(norms.values[half:]))
        cure = f"raise clip towards the usual norm, {norm:.2g} ({option('clip')}), or lower the learning rate"
        yield RunWarning("clipped", text, cure, int(updates[half]))


def _no_rate(run: RunLog) -> Iterator[RunWarning]:
    rate = run.curves.get("learning rate")
    if rate is None:
        return
    low = rate.values <= _NO_RATE * np.nanmax(rate.values)
    start = len(low) - int(np.argmin(low[::-1])) if not low.all() else 0
    if start >= len(low):
        return
    first, last = int(rate.updates[start]), int(rate.updates[-1])
    if (last - first) > _LONG * last and last > 0:
        text = f"the learning rate has been near zero since update {first:,}, {(last - first) / last:.0%} of the run"
        cure = f"end the run here, or make the schedule as long as the run ({option('schedule')}, {option('epochs')})"
        yield RunWarning("no learning rate", text, cure, first)


def _slower(run: RunLog) -> Iterator[RunWarning]:
    speed = run.curves.get("speed")
    if speed is None or len(speed.values) < _LEAST:
        return
    newest = max(3, len(speed.values) // 20)
    usual, now = float(np.nanmedian(speed.values[:-newest])), float(np.nanmedian(speed.values[-newest:]))
    if now < _SLOWER * usual:
        text = f"training has slowed down from {usual:,.0f} to {now:,.0f} tokens per second"
        yield RunWarning("slower", text, "look for other processes on this machine", int(speed.updates[-newest]))


def _silent(run: RunLog) -> Iterator[RunWarning]:
    curve = run.curves.get("training loss")
    if curve is None or len(curve.updates) < _LEAST or run.state != "running":
        return
    seconds = run.newest("seconds")
    with suppress(OSError):
        silence = time.time() - run.path.stat().st_mtime
        usual = seconds / len(curve.updates)
        if silence > max(60.0, _LATE * usual):
            text = f"the log has had no line for {silence:,.0f} seconds; usually there is one every {usual:.2g}"
            cure = "wait for a long validation or the final scores, or look whether the process hangs"
            yield RunWarning("silent", text, cure, run.update)


def _value_at(curve: Curve, update: int) -> float:
    """Return the value of a curve at an update, or the last before; the first value if there is none."""
    place = max(0, int(np.searchsorted(curve.updates, update, side="right")) - 1)
    return float(curve.values[place])


def _spread(values: NDArray[np.float64]) -> float:
    """Return the range of values as a share of the largest magnitude; infinity if one is not finite."""
    if not np.isfinite(values).all():
        return float("inf")
    return float(np.ptp(values) / max(float(np.abs(values).max()), 1e-12))
