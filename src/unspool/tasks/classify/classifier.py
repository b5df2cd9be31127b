"""`Classifier`, the task that predicts one label, or several, for a text or a vector (many to one)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    Bucketed,
    DataSource,
    Examples,
    Labelled,
    Labels,
    Layout,
    Paths,
    Reader,
    Tokens,
    Unlabelled,
    evaluation_batches,
    read_unlabelled,
)
from unspool.errors import UsageError, counted
from unspool.inputs import INPUTS
from unspool.inputs.audio.entry import read_sound_paths
from unspool.inputs.images.entry import read_image_paths
from unspool.inputs.text.fitted import Text
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits
from unspool.inspection.fork import Outcomes
from unspool.layers import Readout, initialize
from unspool.models import ClassifierModel
from unspool.settings import Settings, nearest
from unspool.tasks.classify.data import LabelledExamples, open_data
from unspool.tasks.classify.fitted import FittedClassifier
from unspool.tasks.classify.linear_baseline import linear_baseline
from unspool.tasks.classify.plan import IMAGE_RULES, RULES, SOUND_RULES
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.calibration import FEWEST, Calibration, fit_calibration
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.majority_baseline import MajorityClass
from unspool.tasks.parts.metrics import classification_scores, expected_calibration_error, multilabel_scores
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.running.planning import Rules
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import Task
from unspool.tasks.trainable import batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.classify.keywords import ClassifierKeywords

__all__ = ["Classification", "Classifier"]

_FILES = {"audio": ("sounds", read_sound_paths), "images": ("images", read_image_paths)}
"""Inputs that are files: their noun, and the reader of their paths."""


class Classification(NamedTuple):
    """Prediction of a classifier for one text."""

    text: str
    labels: tuple[str, ...]
    """The predicted label; in multi-label classification any number of labels, most probable first."""
    probabilities: dict[str, float]
    """Probability of each label, between 0 and 1, most probable first."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """Probability of the most probable label."""
        return self.probabilities[self.label]

    def __repr__(self) -> str:
        labels = ", ".join(f"{label!r} ({self.probabilities[label]:.3f})" for label in self.labels)
        return f"<Classification {labels or 'without label'}: {brief(self.text)}>"

    def line(self) -> str:
        """Format labels, probabilities and text, separated by tabs."""
        shares = ",".join(f"{self.probabilities[label]:.3f}" for label in self.labels)
        return f"{','.join(self.labels)}\t{shares}\t{self.text}"

    def record(self) -> dict[str, Any]:
        """Return text, labels, and the probabilities of all labels."""
        return {**self._asdict(), "labels": list(self.labels)}


class Classifier(Task[LabelledExamples, FittedClassifier]):
    """Classifier: predicts the label, or the labels, of a text or a row of numbers.

    Example:
        >>> from unspool import Classifier
        >>> model = Classifier(cell="gru", hidden=64, epochs=5)  # doctest: +SKIP
        >>> model.fit("reviews.tsv").predict(["a joy from end to end"])[0].label  # doctest: +SKIP
        'positive'
    """

    name: ClassVar[str] = "classify"
    _reads_words: ClassVar[bool] = True
    _rules = RULES
    settings_type: ClassVar[type[Settings]] = ClassifierSettings
    fitted_type: ClassVar[type[FittedClassifier]] = FittedClassifier
    summary: ClassVar[str] = "Predicts the label of a text."

    def __init__(self, settings: ClassifierSettings | None = None, **values: Unpack[ClassifierKeywords]) -> None:
        super().__init__(settings, **values)
        self._chooses_network = self.settings.network.network == "auto"

    def _training_rules(self) -> Rules | None:
        if self._read_as is not None and self._read_as.input == "images":
            return IMAGE_RULES
        return SOUND_RULES if self.settings.network.network == "convolutional" else self._rules

    @property
    def classes_(self) -> tuple[str, ...]:
        """Labels of the model, the most frequent in training first; empty before training."""
        return () if self._fitted is None else self._fitted.labels.names

    @property
    def labels(self) -> Labels:
        """Labels of the model, with their counts in training.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.labels

    @property
    def metric(self) -> tuple[str, bool]:
        return ("nats", False) if self.settings.choose_by == "nats" else self.main_score

    @property
    def main_score(self) -> tuple[str, bool]:
        return ("micro_f1" if self.settings.several else "accuracy"), True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.text or "text", self.settings.data.label or "label"

    def _read(self, source: DataSource) -> LabelledExamples:
        if self._fitted is not None and not self._fitted.input.reads_files and self._fitted.input.kind in _FILES:
            what = _FILES[self._fitted.input.kind][0]
            raise UsageError(f"the server reads no {what} from files of its own machine; score the model with evaluate")
        reader = open_data(self.settings, source, self._layout_before())
        examples = LabelledExamples.of(reader)
        self._remember(reader)
        if self._chooses_network and self._read_as is None:  # training data
            self.settings = self.settings.replace(**{"network.network": INPUTS[examples.input].network})
        return examples

    def _layout_before(self) -> Layout | None:
        """Return the layout of the training data; of a loaded model, with the columns that its input recorded."""
        before = self._read_as
        if before is None or before.input:
            return before
        kind = "text" if self._fitted is None else self._fitted.input.kind
        columns = () if self._fitted is None else self._fitted.input.columns
        return replace(before, input=kind, values=columns or tuple(before.columns_of(kind)))

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> Reader[Unlabelled]:
        """Open inputs without labels for reading; see `Task.read_inputs`."""
        if self.fitted.input.columns:
            return read_unlabelled(paths, format=format, columns=self.fitted.input.columns, whole_rows=True)
        if self.fitted.input.kind in _FILES:
            kind = self.fitted.input.kind
            columns = () if self._read_as is None else self._read_as.columns_of(kind)
            return _FILES[kind][1](paths, format=format, columns=columns)
        return super().read_inputs(paths, format=format)

    def _checked_text(self, text: Any, where: str) -> Any:
        return self.fitted.input.value(text, where)

    def _is_one(self, texts: Any) -> bool:
        return self.fitted.input.is_one(texts)

    # ---- network, batches --------------------------------------------------------------------------------------

    def _encode(self, examples: LabelledExamples) -> Examples:
        encoded: Examples = self.fitted.input.encode(examples.values, examples.where)
        return replace(encoded, targets=self.fitted.targets(examples))

    def _build(self) -> nn.Module:
        settings, fitted = self.settings, self.fitted
        network = settings.network
        encoder = fitted.input.encoder(network, self._cell)
        model = ClassifierModel(
            encoder.embedding,
            encoder.stack,
            Readout(encoder.pooling, encoder.size, encoder.directions),
            len(fitted.labels),
            several=settings.several,
            dropout=network.dropout,
            input_dropout=network.dropout if encoder.drops_inputs else 0.0,
            variational=network.variational,
            class_weights=fitted.balanced_weights() if settings.class_weights == "balanced" else None,
            label_smoothing=settings.label_smoothing,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _summary(self) -> str:
        network = self.settings.network
        if self.fitted.input.kind == "images":
            return f"{self._image_network()} over {self.fitted.input.summary()}"
        if network.network == "feedforward":
            layers = counted(network.layers, "layers")
            return f"feed-forward network over {self.fitted.input.summary()}, {layers} of {network.hidden}"
        if network.network == "convolutional":
            convolutions = self.settings.audio.convolutions
            count = counted(len(convolutions.all_dilations), "convolutions")
            return f"{count} of {convolutions.channels}, then {super()._summary()}"
        return "averaged bag of embeddings" if network.network == "bag" else super()._summary()

    def _image_network(self) -> str:
        network, image = self.settings.network, self.settings.image
        if network.network == "feedforward":
            return f"feed-forward network, {counted(network.layers, 'layers')} of {network.hidden},"
        if network.network == "convolutional":
            residual = image.residual
            stages = counted(len(residual.all_widths), "stages")
            return f"residual network, {stages} of {counted(residual.blocks, 'blocks')}, {residual.widths} channels,"
        step = f"patches of {image.patch} x {image.patch}" if network.network == "transformer" else image.scan
        return f"{super()._summary()} by {step}"

    def _source(self, examples: LabelledExamples) -> Bucketed[Tokens | Labelled]:
        return bucketed(self._encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: LabelledExamples) -> dict[str, float]:
        encoded = self._encode(examples)
        return self._scores(examples, encoded, self._probabilities(model, encoded, examples.values))

    def _final_score(self, model: nn.Module, examples: LabelledExamples) -> dict[str, float]:
        encoded = self._encode(examples)
        probabilities = self._probabilities(model, encoded, examples.values)
        scores = self._scores(examples, encoded, probabilities)
        return {**scores, "calibration_error": self._calibration_error(encoded, probabilities)}

    def _scores(
        self, examples: LabelledExamples, encoded: Examples, probabilities: NDArray[np.float32]
    ) -> dict[str, float]:
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if self.settings.several:
            strange = [any(name not in self.fitted.labels for name in names) for names in examples.labels]
            gold = np.column_stack([targets, np.array(strange, np.float32)])  # unknown labels are never predicted
            predicted = np.column_stack([probabilities >= self.settings.threshold, np.zeros(len(gold), np.bool_)])
            return {**multilabel_scores(gold, predicted), "nats": self._nats(probabilities, targets)}
        mask = targets >= 0
        gold = np.where(mask, targets, len(self.fitted.labels))  # unknown labels are never predicted
        scores = classification_scores(gold, probabilities.argmax(1), len(self.fitted.labels) + 1)
        return {**scores, **({"nats": self._nats(probabilities[mask], targets[mask])} if mask.any() else {})}

    def _nats(self, probabilities: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """Return the mean cross-entropy of the targets, in nats per example."""
        shares = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
        if self.settings.several:
            return float(-(targets * np.log(shares) + (1 - targets) * np.log1p(-shares)).sum(1).mean())
        return float(-np.log(shares[np.arange(len(shares)), targets]).mean())

    def _calibration_error(self, encoded: Examples, probabilities: NDArray[np.float32]) -> float:
        """Expected calibration error of the most probable labels; in multi-label classification, of all labels."""
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if self.settings.several:
            return expected_calibration_error(probabilities.ravel(), targets.ravel())
        return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == targets)

    def _notes(self, train: LabelledExamples, held_out: LabelledExamples | None) -> list[str]:
        values = [*train.values, *([] if held_out is None else held_out.values)]
        return self.fitted.input.notes(values)

    def _finish(self, splits: Splits[LabelledExamples], score: Callable[[], None]) -> list[str]:
        """Calibrate the probabilities, then compute the final scores."""
        notes = self._calibrate(None if splits.valid is None else splits.valid.examples)
        score()
        return notes

    def _calibrate(self, held_out: LabelledExamples | None) -> list[str]:
        """Weigh the network and the linear model by validation data; return a note with the errors before and after."""
        fitted, few = self.fitted, held_out is None or len(held_out.values) < FEWEST
        if held_out is None or few or not self.settings.calibrate:
            if fitted.linear is not None:
                fitted.calibration = Calibration(temperature=2.0, linear=0.5)
            return []
        encoded = self._encode(held_out)
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        network, linear = self._logits(self.model, encoded), fitted.linear_logits(held_out.values)
        before = self._calibration_error(encoded, self._shares(network, None))
        fitted.calibration = fit_calibration(network, linear, targets)
        after = self._calibration_error(encoded, self._shares(network, linear))
        mixed = "" if linear is None else f", linear n-grams times {fitted.calibration.linear:.3g}"
        return [
            f"calibrated on validation: network at temperature {fitted.calibration.temperature:.3g}{mixed}; "
            f"expected calibration error {before:.3f} before, {after:.3f} after"
        ]

    def _probabilities(self, model: nn.Module, encoded: Examples, values: Sequence[Any]) -> NDArray[np.float32]:
        """Return calibrated probabilities of encoded values, (examples, labels)."""
        linear = self.fitted.linear_logits(values) if self.fitted.calibration.linear else None
        return self._shares(self._logits(model, encoded), linear)

    def _shares(self, network: NDArray[np.float32], linear: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Convert the logits of the network and of the linear model to calibrated probabilities."""
        calibration = self.fitted.calibration
        logits = torch.from_numpy(network) * calibration.network
        if linear is not None:
            logits = logits + torch.from_numpy(linear) * calibration.linear
        shares: NDArray[np.float32] = (logits.sigmoid() if self.settings.several else logits.softmax(-1)).numpy()
        return shares

    @torch.no_grad()
    def _logits(self, model: nn.Module, examples: Examples) -> NDArray[np.float32]:
        """Return the network's logits, (examples, labels)."""
        device = device_of(model)
        outputs = np.zeros((len(examples), len(self.fitted.labels)), np.float32)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            tokens = (batch.tokens if isinstance(batch, Labelled) else batch).to(device)
            outputs[places] = model(tokens).logits.float().cpu().numpy()
        return outputs

    def _baselines(self, train: LabelledExamples, held_out: LabelledExamples) -> dict[str, dict[str, float]]:
        fitted = self.fitted
        gold, right = fitted.targets(train), fitted.targets(held_out)
        if not self.settings.several:
            mask = right >= 0
            held_out, right = held_out.take(np.flatnonzero(mask)), right[mask]
        features, others = fitted.input.features(train.values), fitted.input.features(held_out.values)
        classes, scores = len(fitted.labels), {}
        if not self.settings.several:
            scores["majority class"] = MajorityClass.learn(gold, classes).evaluate(right)
        name, kind = linear_baseline(features)
        linear = fitted.linear or kind.learn(features, gold, classes)
        return {**scores, name: linear.evaluate(others, right)}

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str) -> Classification: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[Text]) -> list[Classification]: ...
    def predict(self, texts: str | Iterable[Text]) -> Classification | list[Classification]:
        """Classify one text, or each of several.

        Args:
            texts: A text, or a list of texts; in a list, a text may also be a list of words.

        Returns:
            One prediction for one text, or a list for several.

        Raises:
            DataError: If a text contains no token.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, self._classified)

    def _classified(self, texts: list[Text]) -> list[Classification]:
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        probabilities = self._probabilities(self.model, self.fitted.input.encode(texts, where), texts)
        for place, row in zip(where, probabilities, strict=True):
            check_output(torch.from_numpy(row), place)
        return [self._classification(text, row) for text, row in zip(texts, probabilities, strict=True)]

    def _classification(self, value: Any, row: NDArray[np.float32]) -> Classification:
        order = np.argsort(-row, kind="stable")
        shares = {self.fitted.labels.name(int(i)): float(row[i]) for i in order}
        if self.settings.several:
            labels = tuple(name for name, share in shares.items() if share >= self.settings.threshold)
        else:
            labels = (next(iter(shares)),)
        return Classification(self.fitted.input.text(value), labels, shares)

    def _questions(self, examples: LabelledExamples) -> Questions:
        answers = [", ".join(sorted(labels)) for labels in examples.labels]
        return Questions(examples.values, answers, examples.where)

    def _output_row(self, choice: str) -> Tensor | None:
        if choice not in self.fitted.labels:
            raise UsageError(f"there is no label {choice!r}{nearest(choice, self.fitted.labels)}")
        row: Tensor = self.model.output.weight[self.fitted.labels.id(choice)]
        return row

    def trace(self, text: Text, edits: Edits = ()) -> Trace:
        """Classify one text and return the recorded intermediate values.

        Args:
            text: The text.
            edits: Changes of gates, states, attention and tokens during the run.

        Raises:
            DataError: If the text contains no token.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        if self.fitted.input.kind == "text":
            self._one_text(text)
        value = self.fitted.input.value(text, "text")
        examples = self.fitted.input.encode([value], ["text"])
        tokens = examples.batch(np.array([0])).to(device_of(self.model))
        positions = self.fitted.input.positions(value)
        attention = AttentionRecording(self.model.encoder, positions)
        with attention.watch():
            output, arrays, notes = self._recorded(lambda: self.model(tokens))
        if output.weights is not None:
            arrays["readout / weight"] = output.weights[:, 0].float().cpu().numpy()
        row = self._shares(output.logits.float().cpu().numpy(), self.fitted.linear_logits([value]))[0]
        result = self._classification(value, row)
        prediction = {"label": ", ".join(result.labels), "probabilities": result.probabilities}
        maps = attention.maps() | self._memory_maps(arrays, positions)
        return Trace(positions, arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    def _outcomes(self, text: Text) -> Outcomes:
        """Return the distribution of the labels."""
        shares = self._classified([self.fitted.input.value(text, "text")])[0].probabilities
        names = [self.fitted.labels.name(place) for place in range(len(self.fitted.labels))]
        row = np.array([[shares[name] for name in names]])
        with np.errstate(divide="ignore"):
            return Outcomes(row, np.log(row), names.__getitem__, independent=self.settings.several)

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return the loss of the label, or of the labels, by the network alone."""
        if self.fitted.input.kind == "text":
            self._one_text(text, "gradients")
        value, model, input_ = self.fitted.input.value(text, "text"), self.model, self.fitted.input
        tokens = input_.encode([value], ["text"]).batch(np.array([0])).to(device_of(model))
        names = self._target_labels(value if target is None else None, target)
        ids = torch.tensor(self.fitted.labels.ids(names).tolist(), dtype=torch.int64, device=device_of(model))
        with torch.no_grad():
            inputs = model.embedding(tokens).to(model.output.weight.dtype)
        right = torch.zeros(len(self.fitted.labels)).to(inputs).index_fill(0, ids, 1.0)

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            lengths = tokens.lengths.expand(len(rows))
            logits: Tensor = model.output(model.readout(model.encoder(copies, lengths).outputs, lengths)[0])
            if self.settings.several:
                loss = F.binary_cross_entropy_with_logits(logits, right.expand_as(logits), reduction="none")
                return loss.sum(-1)
            return -logits.log_softmax(-1)[:, int(ids[0])]

        return TextLosses(inputs, losses, input_.positions(value), [", ".join(names) or "no label"], None)

    def _target_labels(self, value: Any, target: Any) -> list[str]:
        """Return the labels that a loss scores: those passed, or the predicted ones."""
        if target is None:
            return list(self._classified([value])[0].labels)
        names = [target] if isinstance(target, str) else list(target)
        if not self.settings.several and len(names) != 1:
            raise UsageError(f"target = {target!r}: expected one label")
        if strange := [name for name in names if name not in self.fitted.labels]:
            choices = self.fitted.labels.names
            hint = nearest(strange[0], choices) or f"; the model has {', '.join(choices[:20])}"
            raise UsageError(f"there is no label {strange[0]!r}{hint}")
        return names
