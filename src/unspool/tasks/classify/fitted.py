"""Fitted state of a classifier: input, labels, linear model and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Labels
from unspool.errors import DataError
from unspool.inputs.contract import FittedInput
from unspool.inputs.fitting import learn_input, load_input
from unspool.inputs.series.fitted import FittedSeries
from unspool.tasks.classify.data import LabelledExamples
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.contracts import Fitted
from unspool.tasks.parts.calibration import UNCALIBRATED, Calibration, load_calibration, save_calibration
from unspool.tasks.parts.ngram_classifier import NgramClassifier
from unspool.tasks.parts.random_convolutions import RandomConvolutions
from unspool.tasks.parts.thresholds import load_thresholds, save_thresholds

__all__ = ["FittedClassifier"]


@dataclass
class FittedClassifier(Fitted):
    """Fitted input, labels, linear model and calibration of a classifier."""

    input: FittedInput[Any]
    labels: Labels
    several: bool
    """Whether an example may have any number of labels."""
    calibration: Calibration = UNCALIBRATED
    """Weights of the logits before softmax or sigmoid."""
    linear: NgramClassifier | RandomConvolutions | None = None
    """Linear model over n-grams (texts) or random convolutions (series), whose logits are added to the network's."""
    thresholds: NDArray[np.float64] | None = None
    """Minimum probability of each label, chosen on validation data, (labels,); None: not chosen."""

    @classmethod
    def learn(cls, examples: LabelledExamples, settings: ClassifierSettings) -> Self:
        """Learn the input and the labels; see `Fitted.learn`."""
        fitted = learn_input(examples.input, examples.values, examples.columns, settings)
        labels = Labels.learn(name for names in examples.labels for name in names)
        if len(labels) < 2 - settings.several:
            raise DataError(f"the training data have {len(labels)} label ({', '.join(labels)}); expected two or more")
        learned = cls(fitted, labels, settings.several)
        if settings.ngrams and fitted.has_words:
            words: Any = fitted.features(examples.values)
            learned.linear = NgramClassifier.learn(words, learned.targets(examples), len(labels))
        if settings.random_convolutions and isinstance(fitted, FittedSeries) and not settings.several:
            steps = learned.steps(examples.values)
            learned.linear = RandomConvolutions.learn(steps, learned.targets(examples), len(labels))
        return learned

    def targets(self, examples: LabelledExamples) -> NDArray[Any]:
        """Return label ids, (examples,), -1 for labels absent from training; several: 0 and 1, (examples, labels)."""
        if not self.several:
            return np.array([self.labels.id(names[0]) if names[0] in self.labels else -1 for names in examples.labels])
        targets = np.zeros((len(examples.labels), len(self.labels)), np.float32)
        for row, names in enumerate(examples.labels):
            targets[row, [self.labels.id(name) for name in names if name in self.labels]] = 1
        return targets

    def balanced_weights(self) -> Tensor:
        """Return class weights inverse to label frequency, (labels,)."""
        counts = torch.tensor(self.labels.counts, dtype=torch.float32, device="cpu").clamp(min=1)
        return counts.sum() / (len(counts) * counts)

    def restart(self, train: Any, held_out: Any) -> Self:
        """Reset the calibration and the thresholds to their values before training."""
        self.calibration, self.thresholds = UNCALIBRATED, None
        return self

    def linear_logits(self, values: Sequence[Any]) -> NDArray[np.float32] | None:
        """Return the logits of the linear model, (values, labels); None without one."""
        if self.linear is None:
            return None
        if isinstance(self.linear, RandomConvolutions):
            logits = self.linear.logits(self.steps(values))
        else:
            words: Any = self.input.features(values)
            logits = self.linear.logits(words)
        numbers: NDArray[np.float32] = logits.numpy()
        return numbers

    def steps(self, series: Sequence[Any]) -> Sequence[NDArray[np.float32]]:
        """Return series as the network reads them, (steps, channels) each: standardised, missing values masked."""
        features: Sequence[NDArray[np.float32]] = self.input.encode(series, [""] * len(series)).features
        return features

    def refuse_strangers(self, examples: LabelledExamples) -> None:
        """See `Fitted.refuse_strangers`."""
        self.labels.refuse_strangers(chain.from_iterable(examples.labels))

    def score_notes(self, examples: LabelledExamples) -> list[str]:
        """Return notes on labels absent from the training data, and on the inputs."""
        strangers = self.labels.note_strangers(chain.from_iterable(examples.labels), "labels")
        return [*strangers, *self.input.notes(examples.values)]

    def refuse_files(self) -> None:
        """See `Fitted.refuse_files`."""
        self.input.refuse_files()

    def usable(self, examples: LabelledExamples, *, skip_bad: bool) -> tuple[LabelledExamples, int]:
        """See `Fitted.usable`."""
        usable = [all(name in self.labels for name in names) for names in examples.labels]
        if not all(usable) and not skip_bad:
            place = usable.index(False)
            self.labels.ids(examples.labels[place], examples.where[place])
        return (examples, 0) if all(usable) else (examples.take(np.flatnonzero(usable)), usable.count(False))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.input.save(folder)
        self.labels.save(folder)
        save_calibration(self.calibration, folder)
        save_thresholds(self.thresholds, folder)
        if self.linear is not None:
            self.linear.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: ClassifierSettings) -> Self:
        """See `Fitted.load`."""
        fitted = load_input(folder, settings)
        labels = Labels.load(folder)
        linear: NgramClassifier | RandomConvolutions | None
        if isinstance(fitted, FittedSeries):
            linear = RandomConvolutions.load(folder, fitted.input_size, len(labels))
        else:
            linear = NgramClassifier.load(folder, len(labels), several=settings.several)
        thresholds = load_thresholds(folder, len(labels))
        return cls(fitted, labels, settings.several, load_calibration(folder), linear, thresholds)
