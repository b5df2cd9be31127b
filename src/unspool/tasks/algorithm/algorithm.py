"""`Algorithm`, the task of learning an algorithm from exercises: copy, recall, sort, reverse, adding, brackets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    Brackets,
    DataSource,
    Exercise,
    ExerciseKind,
    ExerciseSource,
    RowsInMemory,
    depths,
)
from unspool.errors import DataError, UsageError
from unspool.inputs.encoders import recurrent_stack
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.layers import initialize
from unspool.models import StepwiseModel
from unspool.settings import Settings
from unspool.tasks.algorithm.data import ALGORITHMS, Exercises, scored_lengths
from unspool.tasks.algorithm.fitted import FittedAlgorithm
from unspool.tasks.algorithm.scores import AnswerScores
from unspool.tasks.algorithm.settings import AlgorithmSettings
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import device_of

if TYPE_CHECKING:
    from unspool.tasks.algorithm.keywords import AlgorithmKeywords

__all__ = ["Algorithm", "Worked"]

_STEPS = 40_000  # batch size of inference, in time steps


class Worked(NamedTuple):
    """Prediction for one exercise."""

    text: str
    answer: str
    right: str
    """The correct answer."""

    def __repr__(self) -> str:
        right = "right" if self.answer == self.right else f"right: {brief(self.right)}"
        return f"<Worked {brief(self.answer)} ({right}) of {brief(self.text)}>"

    def line(self) -> str:
        """Format the answer; if it is wrong, also the correct answer."""
        return self.answer if self.answer == self.right else f"{self.answer}\t(right: {self.right})"

    def record(self) -> dict[str, Any]:
        """Return all fields."""
        return self._asdict()


class Algorithm(Task[Exercises, FittedAlgorithm]):
    """Learns an algorithm from generated exercises, and is tested on longer ones.

    Example:
        >>> from unspool import Algorithm
        >>> model = Algorithm(cell="ntm", epochs=2).fit("copy")  # doctest: +SKIP
        >>> model.predict(["10010110 01011101"])[0].answer  # doctest: +SKIP
        '10010110 01011101'
    """

    name: ClassVar[str] = "algorithm"
    settings_type: ClassVar[type[Settings]] = AlgorithmSettings
    fitted_type: ClassVar[type[FittedAlgorithm]] = FittedAlgorithm
    summary: ClassVar[str] = "Solves exercises of an algorithm."

    def __init__(self, settings: AlgorithmSettings | None = None, **values: Unpack[AlgorithmKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def kind(self) -> ExerciseKind:
        """Kind of exercises that the network learned.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.kind

    @property
    def metric(self) -> tuple[str, bool]:
        numbers = self._fitted is not None and self._fitted.kind.answers == "numbers"
        return ("squared_error" if numbers else "nats"), False

    # ---- exercises ---------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return ()

    def _data_source(self, data: DataLike, labels: Iterable[Any] | None = None, *, part: str = "") -> DataSource:
        """Return the name of an algorithm, and its files of code if any."""
        names = [data] if isinstance(data, str | Path) else list(data) if isinstance(data, Iterable) else []
        if labels is not None or not names or not all(isinstance(name, str | Path) for name in names):
            raise UsageError(
                f"the exercises of an algorithm are generated: name one of {', '.join(ALGORITHMS)}, as fit('copy')"
            )
        return names

    def _read(self, source: DataSource) -> Exercises:
        if isinstance(source, RowsInMemory):
            raise UsageError(
                "the exercises of an algorithm are generated, and examples in memory came; "
                "pass the name of an algorithm, as fit('copy')"
            )
        name, *files = [str(source)] if isinstance(source, str | os.PathLike) else [str(path) for path in source]
        return Exercises.of(name, files, self.settings.data)

    @property
    def test_lengths(self) -> list[int]:
        """Exercise lengths of the final scores; the maximum training length comes first."""
        return scored_lengths(self.settings.data)

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        network = self.settings.network
        stack = recurrent_stack(network, self._cell, self.kind.inputs, bidirectional=False)
        model = StepwiseModel(stack, self.kind.outputs, answers=self.kind.answers)
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _source(self, examples: Exercises) -> ExerciseSource:
        data, training = self.settings.data, self.settings.training
        return ExerciseSource(
            examples.kind,
            (data.min_length, data.max_length),
            examples=data.examples,
            batch_size=training.batch_size,
            seed=training.seed,
            growing=data.curriculum * training.epochs,
        )

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: Exercises) -> dict[str, float]:
        data = self.settings.data
        return self._scored(model, examples, (data.min_length, data.max_length)).figures()

    def _final_score(self, model: nn.Module, examples: Exercises) -> dict[str, float]:
        """Score as in validation, then at each test length."""
        scores = self._score(model, examples)
        for length in self.test_lengths:
            scored = self._scored(model, examples, (length, length))
            scores |= {f"{name} at {length}": value for name, value in scored.figures().items() if name != "nats"}
            if length == self.test_lengths[0]:
                scores |= scored.by_depth()
        return scores

    @torch.no_grad()
    def _scored(self, model: nn.Module, examples: Exercises, lengths: tuple[int, int]) -> AnswerScores:
        device = device_of(model)
        scores = AnswerScores(examples.kind.answers)
        for batch in self._held_out(examples, lengths):
            outputs = model(batch.inputs.to(device), batch.lengths).float().cpu()
            scores.add(batch, outputs, self._depths(examples.kind, batch))
        return scores

    def _held_out(self, examples: Exercises, lengths: tuple[int, int]) -> Any:
        data = self.settings.data
        most = max(1, _STEPS // (4 * lengths[1]))
        return ExerciseSource(
            examples.kind,
            lengths,
            examples=data.valid_examples,
            batch_size=min(16, most),
            seed=self.settings.training.seed,
            stream=examples.stream,
        ).epoch(0)

    def _depths(self, kind: ExerciseKind, batch: Exercise, *, counter: bool = False) -> NDArray[np.int64] | None:
        """Nesting depth of each character, or the plain bracket count, (time, batch); None for other exercises."""
        if not isinstance(kind, Brackets):
            return None
        columns = [replace(batch, inputs=batch.inputs[:, [b]]) for b in range(batch.inputs.shape[1])]
        count = depths if counter else kind.depths
        return np.stack([count("".join(kind.tokens(column))) for column in columns], axis=1)

    def _baselines(self, train: Exercises, held_out: Exercises) -> dict[str, dict[str, float]]:
        data = self.settings.data
        lengths = (data.min_length, data.max_length)
        mean = AnswerScores(held_out.kind.answers)
        batches = list(self._held_out(held_out, lengths))
        right = torch.cat([batch.targets[batch.counted] for batch in batches]).mean(0)
        answer = right if held_out.kind.answers == "numbers" else torch.logit(right.clamp(1e-6, 1 - 1e-6))
        for batch in batches:
            mean.add(batch, answer.expand_as(batch.targets), None)
        scores = {"always the mean": mean.figures()}
        if isinstance(held_out.kind, Brackets):
            counter = AnswerScores("bits")
            for batch in batches:
                open_ = torch.from_numpy(self._depths(held_out.kind, batch, counter=True) != 0)
                counter.add(batch, torch.where(open_, -20.0, 20.0).unsqueeze(-1), None)
            scores["a counter of brackets"] = {k: v for k, v in counter.figures().items() if k != "nats"}
        return scores

    # ---- use ---------------------------------------------------------------------------------------------------

    def _exercise(self, text: str, where: str) -> Exercise:
        try:
            return self.kind.read(text)
        except DataError as error:
            raise DataError(error.message.removeprefix("text: "), where) from None

    @overload
    def predict(self, texts: str) -> Worked: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Worked]: ...
    def predict(self, texts: str | Iterable[str]) -> Worked | list[Worked]:
        """Solve one exercise, or each of several, in the format of the algorithm.

        Raises:
            DataError: If a text has another format; the message shows the expected one.
            UsageError: If the model has not been trained.
        """
        return self._for_each(
            texts, lambda listed: [self._worked(text, f"text {number}") for number, text in enumerate(listed, 1)]
        )

    @torch.no_grad()
    def _worked(self, text: str, where: str) -> Worked:
        exercise = self._exercise(text, where)
        outputs = self.model(exercise.inputs.to(device_of(self.model)))
        check_output(outputs, where)
        return self._answered(text, exercise, outputs)

    def _answered(self, text: str, exercise: Exercise, outputs: Tensor) -> Worked:
        mask = exercise.counted[:, 0]
        answer, right = self._values(outputs)[mask], exercise.targets[mask, 0].numpy()
        return Worked(text, self.kind.show(answer), self.kind.show(right))

    def _values(self, outputs: Tensor) -> NDArray[np.float32]:
        """Convert the outputs for a single exercise, (time, 1, outputs), to probabilities of 1, or numbers."""
        outputs = outputs[:, 0].float().cpu()
        values: NDArray[np.float32] = (outputs.sigmoid() if self.kind.answers == "bits" else outputs).numpy()
        return values

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Solve one exercise and return the recorded values; for a Turing machine also a map of each head.

        The map of a head has one row per step and one column per memory slot.

        Args:
            text: The exercise.
            edits: Changes of gates and states, memory slots included, during the run.

        Raises:
            DataError: If the text has another format.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        if edits:
            return self._edited_trace(text, edits)
        exercise = self._exercise(text, "text")
        outputs, arrays, notes = self._recorded(lambda: self.model(exercise.inputs.to(device_of(self.model))))
        arrays["output / answer"] = self._values(outputs)
        arrays["output / right"] = exercise.targets[:, 0].numpy()
        result = self._answered(text, exercise, outputs)
        prediction = {"answer": result.answer, "right": result.right}
        tokens = tuple(self.kind.tokens(exercise))
        return Trace(tokens, arrays, prediction, self._summary(), notes, self._memory_maps(arrays, tokens))

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return the loss of each step that counts: cross-entropy of its bits, or squared error of its number."""
        self._one_text(text, "gradients")
        self._no_target(target, "an exercise has one right answer")
        exercise, model = self._exercise(text, "text"), self.model
        weight = next(model.parameters())
        steps = exercise.counted[:, 0].nonzero()[:, 0].to(weight.device)
        targets = exercise.targets[:, 0].to(weight)
        loss = F.binary_cross_entropy_with_logits if self.kind.answers == "bits" else F.mse_loss

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            outputs = model(copies)[steps[rows], torch.arange(len(rows), device=rows.device)]
            return loss(outputs, targets[steps[rows]], reduction="none").sum(-1)

        tokens, at = self.kind.tokens(exercise), steps.tolist()
        return TextLosses(exercise.inputs.to(weight), losses, tokens, [tokens[step] for step in at], at)

    def _summary(self) -> str:
        return f"{self.fitted.name} by {super()._summary()}"
