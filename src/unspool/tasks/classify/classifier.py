"""`Classifier`, the task that predicts one label, or several, for a text, an image, a sound or a vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, overload

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
from unspool.inputs.images.fitted import FittedImages
from unspool.inputs.joined.encoded import JoinedEmbedding
from unspool.inputs.series.reading import read_series
from unspool.inputs.text.fitted import Text
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits
from unspool.inspection.fork import Outcomes
from unspool.inspection.picture_maps import PictureMaps
from unspool.layers import Readout, Recurrent, initialize
from unspool.models import ClassifierModel
from unspool.settings import Settings, nearest
from unspool.ship.answers import Answer
from unspool.ship.sheet import Sheet
from unspool.tasks.classify.classification import Classification
from unspool.tasks.classify.confusion import Confusion, confusion_of, label_scores, worst_places
from unspool.tasks.classify.data import LabelledExamples, open_data
from unspool.tasks.classify.fitted import FittedClassifier
from unspool.tasks.classify.linear_baseline import baseline_scores
from unspool.tasks.classify.picture_maps import image_network, maps_of
from unspool.tasks.classify.plan import IMAGE_RULES, RULES, SERIES_RULES, SOUND_RULES
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.classify.sheet import classifier_sheet
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.calibration import FEWEST, Calibration, fit_calibration
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.metrics import (
    average_precisions,
    classification_scores,
    expected_calibration_error,
    label_nats,
    multilabel_scores,
)
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.parts.thresholds import choose_thresholds, threshold_note
from unspool.tasks.running.planning import Rules
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.classify.keywords import ClassifierKeywords

__all__ = ["Classification", "Classifier"]

_FILES = {"audio": ("sounds", read_sound_paths), "images": ("images", read_image_paths)}
"""Inputs that are files: their noun, and the reader of their paths."""


class Classifier(Task[LabelledExamples, FittedClassifier]):
    """Classifier: predicts the label, or the labels, of a text, an image, a sound or a row of numbers.

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
        if self._read_as is not None and self._read_as.input == "series":
            return SERIES_RULES
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
        if self.fitted.input.kind == "series":
            return read_series(paths, format=format, columns=self.fitted.input.columns)
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
        if self.fitted.input.kind == "joined":
            return f"an encoder for each of {self.fitted.input.summary()}, joined by one layer"
        if self.fitted.input.kind == "images":
            return f"{image_network(self.settings, super()._summary())} over {self.fitted.input.summary()}"
        if network.network == "feedforward":
            layers = counted(network.layers, "layers")
            return f"feed-forward network over {self.fitted.input.summary()}, {layers} of {network.hidden}"
        if network.network in ("fcn", "lstm-fcn"):
            convolutions = self.settings.audio.convolutions
            count = counted(len(convolutions.all_dilations), "convolutions")
            beside = f", beside {super()._summary()}" if network.network == "lstm-fcn" else ""
            return f"{count} of {convolutions.channels} over {self.fitted.input.summary()}{beside}"
        if network.network == "convolutional":
            convolutions = self.settings.audio.convolutions
            count = counted(len(convolutions.all_dilations), "convolutions")
            return f"{count} of {convolutions.channels}, then {super()._summary()}"
        return "averaged bag of embeddings" if network.network == "bag" else super()._summary()

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
            predicted = np.column_stack([probabilities >= self._thresholds(), np.zeros(len(gold), np.bool_)])
            confidences = np.column_stack([probabilities, np.zeros(len(gold), np.float32)])
            precisions = average_precisions(gold, confidences)
            return {**multilabel_scores(gold, predicted), **precisions, "nats": label_nats(probabilities, targets)}
        mask = targets >= 0
        gold = np.where(mask, targets, len(self.fitted.labels))  # unknown labels are never predicted
        scores = classification_scores(gold, probabilities.argmax(1), len(self.fitted.labels) + 1)
        return {**scores, **({"nats": label_nats(probabilities[mask], targets[mask])} if mask.any() else {})}

    def _thresholds(self) -> NDArray[np.float64]:
        """Return the minimum probability of each predicted label, (labels,)."""
        if self.settings.threshold is None and self.fitted.thresholds is not None:
            return self.fitted.thresholds
        return np.full(len(self.fitted.labels), 0.5 if self.settings.threshold is None else self.settings.threshold)

    def _calibration_error(self, encoded: Examples, probabilities: NDArray[np.float32]) -> float:
        """Expected calibration error of the most probable labels; in multi-label classification, of all labels."""
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if self.settings.several:
            return expected_calibration_error(probabilities.ravel(), targets.ravel())
        return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == targets)

    def score_labels(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Return precision, recall, F1 and support of each label, for data as in `evaluate`."""
        self._need_model()
        examples = self._read(self._data_source(data, labels))
        encoded = self._encode(examples)
        probabilities = self._probabilities(self.model, encoded, examples.values)
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        predicted = probabilities >= self._thresholds() if self.settings.several else probabilities.argmax(1)
        return label_scores(self.fitted.labels.names, targets, predicted)

    def confusion(self, data: DataLike, labels: Iterable[Any] | None = None, *, most: int = 3) -> Confusion:
        """Count the predictions of each label, and collect the most confident mistakes.

        Args:
            data: Labelled data, as in `evaluate`.
            labels: Targets, one per example, if `data` holds inputs alone.
            most: Mistakes of each pair of labels.

        Raises:
            DataError: If the data can't be used, or hold no label of the model.
            UsageError: If the model assigns several labels, or has not been trained.
        """
        self._need_model()
        if self.settings.several:
            raise UsageError("a confusion matrix needs one label for each example, and this model assigns several")
        examples = self._read(self._data_source(data, labels))
        self.fitted.refuse_strangers(examples)
        examples = examples.take(np.flatnonzero(self.fitted.targets(examples) >= 0))
        encoded = self._encode(examples)
        shares, gold = self._probabilities(self.model, encoded, examples.values), self.fitted.targets(examples)
        fitted = self.fitted.input
        pictures = None
        if isinstance(fitted, FittedImages) and not fitted.reads_features:
            mistakes = worst_places(gold, shares).tolist()
            pictures = {place: fitted.view(examples.values[place]) for place in mistakes}
        texts = [(where, fitted.text(value)) for where, value in zip(examples.where, examples.values, strict=True)]
        return confusion_of(self.fitted.labels.names, gold, shares, texts, pictures, most=most)

    def _notes(self, train: LabelledExamples, held_out: LabelledExamples | None) -> list[str]:
        values = [*train.values, *([] if held_out is None else held_out.values)]
        return self.fitted.input.notes(values)

    def _finish(self, splits: Splits[LabelledExamples], score: Callable[[], None]) -> list[str]:
        """Calibrate the probabilities, then compute the final scores."""
        held_out = None if splits.valid is None else splits.valid.examples
        notes = self._calibrate(held_out)
        notes += self._choose_thresholds(held_out)
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
        mixed = "" if fitted.linear is None else f", {fitted.linear.title} times {fitted.calibration.linear:.3g}"
        return [
            f"calibrated on validation: network at temperature {fitted.calibration.temperature:.3g}{mixed}; "
            f"expected calibration error {before:.3f} before, {after:.3f} after"
        ]

    def _choose_thresholds(self, held_out: LabelledExamples | None) -> list[str]:
        """Choose the threshold of each label by validation data; return a note with F1 before and after."""
        if not self.settings.several or self.settings.threshold is not None:
            return []
        if held_out is None or len(held_out.values) < FEWEST:
            return []
        encoded = self._encode(held_out)
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        shares = self._probabilities(self.model, encoded, held_out.values)
        self.fitted.thresholds = choose_thresholds(shares, targets)
        return [threshold_note(shares, targets, self.fitted.thresholds)]

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
        return baseline_scores(self.fitted, train, held_out, several=self.settings.several)

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

    def _classified(self, texts: list[Any]) -> list[Classification]:
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        probabilities = self._probabilities(self.model, self.fitted.input.encode(texts, where), texts)
        for place, row in zip(where, probabilities, strict=True):
            check_output(torch.from_numpy(row), place)
        return [self._classification(text, row) for text, row in zip(texts, probabilities, strict=True)]

    def _classification(self, value: Any, row: NDArray[np.float32]) -> Classification:
        order = np.argsort(-row, kind="stable")
        shares = {self.fitted.labels.name(int(i)): float(row[i]) for i in order}
        if self.settings.several:
            chosen = self._thresholds()
            labels = tuple(self.fitted.labels.name(int(i)) for i in order if row[i] >= chosen[i])
        else:
            labels = (next(iter(shares)),)
        return Classification(self.fitted.input.text(value), labels, shares)

    def sheet(self) -> Sheet:
        """Return the classifier as a closed list of operations; see `Task.sheet`."""
        self._need_model()
        return classifier_sheet(self.model, self.fitted, self._thresholds())

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        return [answer.probabilities for answer in self._classified(list(texts))]

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
        attention = AttentionRecording(self._viewed(), positions)
        with attention.watch():
            output, arrays, notes = self._recorded(lambda: self.model(tokens))
        if output.weights is not None:
            arrays["readout / weight"] = output.weights[:, 0].float().cpu().numpy()
        row = self._shares(output.logits.float().cpu().numpy(), self.fitted.linear_logits([value]))[0]
        result = self._classification(value, row)
        prediction = {"label": ", ".join(result.labels), "probabilities": result.probabilities}
        maps = attention.maps() | self._memory_maps(arrays, positions)
        return Trace(positions, arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    def picture_maps(self, image: Any, target: str | None = None) -> PictureMaps:
        """Return maps over a picture: where the score of a label depends on it, and what the network makes of it.

        Args:
            image: An image, as `predict` takes it.
            target: Label of the saliency map; the predicted labels, at most three, if omitted.

        Raises:
            DataError: If the image can't be read.
            UsageError: If the model does not read images, there is no such label, or it has not been trained.
        """
        self._need_model()
        fitted = self.fitted.input
        if not isinstance(fitted, FittedImages) or fitted.reads_features:
            raise UsageError(f"maps over a picture need a model that reads images; this one reads {fitted.kind}")
        value = fitted.value(image, "image")
        (result,) = self._classified([value])
        names = self._target_labels(value, target)[:3] or [result.label]
        labels = dict(zip(names, self.fitted.labels.ids(names).tolist(), strict=True))
        prediction = {"label": ", ".join(result.labels), "probabilities": result.probabilities}
        return maps_of(self.model, fitted, value, labels, prediction, self._summary())

    def _viewed(self) -> nn.Module | None:
        """Return the encoder whose steps views show; of several inputs, that of the first text."""
        embedding = self.model.embedding
        if isinstance(embedding, JoinedEmbedding):
            stack: nn.Module = embedding.stacks[self.fitted.input.shown]  # type: ignore[attr-defined]
            return stack
        encoder: nn.Module | None = self.model.encoder
        return encoder

    def _stack(self) -> Recurrent | None:
        viewed = self._viewed()
        return viewed if isinstance(viewed, Recurrent) else None

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
        if self.fitted.input.kind == "joined":
            raise UsageError("gradients through time take one input, and these rows have several; use trace")
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
