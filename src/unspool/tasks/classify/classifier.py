"""Many to one: a text in, its label out, or its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    Bucketed,
    DataSource,
    Examples,
    Labelled,
    LabelledText,
    Labels,
    Reader,
    RowsInMemory,
    Sample,
    Sequences,
    Spelling,
    Tokens,
    Vocabulary,
    evaluation_batches,
    label_rows,
    read_labelled,
    refuse_empty,
    split,
)
from unspool.errors import DataError
from unspool.inspection import Trace
from unspool.layers import Readout, Recurrent, initialize
from unspool.models import ClassifierModel
from unspool.settings import Settings
from unspool.tasks.classify.calibration import FEWEST, fit_temperature, load_temperature, save_temperature
from unspool.tasks.classify.ngram_baseline import NgramClassifier
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.parts.encoders import reading_stack, token_embedding
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.majority_baseline import MajorityClass
from unspool.tasks.parts.metrics import classification_scores, expected_calibration_error, multilabel_scores
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.vocabularies import bucketed, learned_vocabulary
from unspool.tasks.task import DataLike, Task, batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.classify.keywords import ClassifierKeywords

__all__ = ["Classification", "Classifier", "TextExamples"]

Text = str | list[str]


@dataclass(frozen=True)
class TextExamples:
    """Texts with their labels."""

    texts: list[Text]
    labels: list[tuple[str, ...]]
    where: list[str]

    def take(self, places: NDArray[np.int64]) -> TextExamples:
        """The examples at some places."""
        return TextExamples(*([column[i] for i in places] for column in (self.texts, self.labels, self.where)))


class Classification(NamedTuple):
    """What a classifier says of one text."""

    text: str
    labels: tuple[str, ...]
    """The label; with several allowed, any number of them, likeliest first."""
    probabilities: dict[str, float]
    """Of every label, likeliest first."""

    @property
    def label(self) -> str:
        """The likeliest label."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """Of the likeliest label."""
        return self.probabilities[self.label]

    def __repr__(self) -> str:
        said = ", ".join(f"{label!r} ({self.probabilities[label]:.3f})" for label in self.labels)
        return f"<Classification {said or 'without label'}: {brief(self.text)}>"

    def line(self) -> str:
        """Labels, their probabilities and the text, with tabs between."""
        shares = ",".join(f"{self.probabilities[label]:.3f}" for label in self.labels)
        return f"{','.join(self.labels)}\t{shares}\t{self.text}"

    def record(self) -> dict[str, Any]:
        """Text, labels, and the probabilities of all labels."""
        return {**self._asdict(), "labels": list(self.labels)}


class Classifier(Task[TextExamples]):
    """Reads a text and says its label, or its labels.

    Example:
        >>> from unspool import Classifier
        >>> model = Classifier(cell="gru", hidden=64, epochs=5)  # doctest: +SKIP
        >>> model.fit("reviews.tsv").predict(["a joy from end to end"])[0].label  # doctest: +SKIP
        'positive'
    """

    name: ClassVar[str] = "classify"
    _reads_words: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = ClassifierSettings
    summary: ClassVar[str] = "Reads a text and says its label."

    def __init__(self, settings: ClassifierSettings | None = None, **values: Unpack[ClassifierKeywords]) -> None:
        super().__init__(settings, **values)
        self.vocabulary: Vocabulary | None = None
        self.labels = Labels(())
        self.spelling: Spelling | None = None
        self.temperature = 1.0
        """What scores are divided by before they become probabilities."""

    @property
    def classes_(self) -> tuple[str, ...]:
        """The labels it can say, the most frequent in training first; empty before training."""
        return self.labels.names

    @property
    def metric(self) -> tuple[str, bool]:
        return ("micro_f1" if self.settings.several else "accuracy"), True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.text or "text", self.settings.data.label or "label"

    def _texts(self, source: DataSource) -> Reader[LabelledText]:
        data = self.settings.data
        separator = data.separator if self.settings.several else None
        if isinstance(source, RowsInMemory):
            rows = source.reader(skip_bad=data.skip_bad)
            return label_rows(rows, text=data.text, label=data.label, separator=separator)
        return read_labelled(
            source,
            format=data.format,
            header=data.header,
            delimiter=data.delimiter,
            text=data.text,
            label=data.label,
            separator=separator,
            columns=self._columns_of("text", "label"),
            skip_bad=data.skip_bad,
        )

    def _read(self, source: DataSource) -> TextExamples:
        texts = self._texts(source)
        examples = TextExamples([], [], [])
        for each in texts:
            examples.texts.append(each.text)
            examples.labels.append(each.labels)
            examples.where.append(each.where)
        self._remember(texts)
        return examples

    def _samples(self, examples: TextExamples) -> Iterator[Sample]:
        for text, labels, where in zip(examples.texts, examples.labels, examples.where, strict=True):
            yield Sample(where, (text if isinstance(text, str) else " ".join(text),), labels)

    def _divide(self, examples: TextExamples, fraction: float) -> tuple[TextExamples, TextExamples]:
        kept, held = split(len(examples.texts), fraction, self.settings.training.seed)
        return examples.take(kept), examples.take(held)

    def _size(self, examples: TextExamples) -> dict[str, int]:
        return {"examples": len(examples.texts)}

    def _check_labels(self, examples: TextExamples) -> None:
        self.labels.refuse_strangers(chain.from_iterable(examples.labels))

    def score_notes(self, data: DataLike) -> list[str]:
        """What a person should know beside the scores of files: labels that can't be said."""
        return self.labels.note_strangers(chain.from_iterable(self._read(self._data_source(data)).labels), "labels")

    def _go_back(self, train: TextExamples, held_out: TextExamples | None) -> None:
        self.temperature = 1.0

    def _check_held_out(self, examples: TextExamples) -> TextExamples:
        known = [all(name in self.labels for name in names) for names in examples.labels]
        if all(known):
            return examples
        if not self.settings.data.skip_bad:
            place = known.index(False)
            self.labels.ids(examples.labels[place], examples.where[place])
        self._skipped += known.count(False)
        return examples.take(np.flatnonzero(known))

    # ---- vocabulary, network, batches --------------------------------------------------------------------------

    def _learn(self, examples: TextExamples) -> None:
        self.vocabulary = learned_vocabulary(examples.texts, self.settings.vocabulary)
        self.labels = Labels.learn(name for names in examples.labels for name in names)
        if len(self.labels) < 2 - self.settings.several:
            raise DataError(
                f"the training data have {len(self.labels)} label ({', '.join(self.labels)}); expected two or more"
            )
        if self.settings.network.characters != "none":
            self.spelling = Spelling.learn(self._words(text) for text in examples.texts)

    def _words(self, text: Text) -> list[str]:
        assert self.vocabulary is not None
        return text if isinstance(text, list) else self.vocabulary.encode_with_offsets(text).units

    def _encode_texts(self, texts: list[Text], where: list[str]) -> Examples:
        assert self.vocabulary is not None
        if self.vocabulary.units in ("word", "blank"):
            ids = (
                self.vocabulary.encode_words(text) if isinstance(text, list) else self.vocabulary.encode(text)
                for text in texts
            )
            tokens = Sequences.of(ids)
        else:
            tokens = self.vocabulary.encode_batch(" ".join(t) if isinstance(t, list) else t for t in texts)
        refuse_empty(tokens, where)
        if self.spelling is None:
            return Examples(tokens)
        forms, spellings = self.spelling.spell(self._words(text) for text in texts)
        return Examples(tokens, None, forms, spellings)

    def _encode(self, examples: TextExamples) -> Examples:
        encoded = self._encode_texts(examples.texts, examples.where)
        return replace(encoded, targets=self._targets(examples))

    def _targets(self, examples: TextExamples) -> NDArray[Any]:
        """Label numbers, (examples,), -1 where a label was never seen; several: 0 and 1, (examples, labels)."""
        if not self.settings.several:
            return np.array([self.labels.id(names[0]) if names[0] in self.labels else -1 for names in examples.labels])
        targets = np.zeros((len(examples.labels), len(self.labels)), np.float32)
        for row, names in enumerate(examples.labels):
            targets[row, [self.labels.id(name) for name in names if name in self.labels]] = 1
        return targets

    def _build(self) -> nn.Module:
        assert self.vocabulary is not None
        settings = self.settings
        network = settings.network
        embedding = token_embedding(network, self.vocabulary, self.spelling)
        encoder = None
        if network.network != "bag":
            encoder = reading_stack(network, network.network, self._cell, embedding.output_size)
        size = embedding.output_size if encoder is None else encoder.output_size
        directions = encoder.directions if isinstance(encoder, Recurrent) else 1
        model = ClassifierModel(
            embedding,
            encoder,
            Readout("mean" if encoder is None else network.pooling, size, directions),
            len(self.labels),
            several=settings.several,
            dropout=network.dropout,
            variational=network.variational,
            class_weights=self._class_weights(),
            label_smoothing=settings.label_smoothing,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _class_weights(self) -> Tensor | None:
        if self.settings.class_weights == "none":
            return None
        counts = torch.tensor(self.labels.counts, dtype=torch.float32, device="cpu").clamp(min=1)
        return counts.sum() / (len(counts) * counts)

    def _summary(self) -> str:
        return "averaged bag of embeddings" if self.settings.network.network == "bag" else super()._summary()

    def _source(self, examples: TextExamples) -> Bucketed[Tokens | Labelled]:
        return bucketed(self._encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: TextExamples) -> dict[str, float]:
        encoded = self._encode(examples)
        return self._scores(examples, encoded, self._probabilities(model, encoded))

    def _final_score(self, model: nn.Module, examples: TextExamples) -> dict[str, float]:
        encoded = self._encode(examples)
        probabilities = self._probabilities(model, encoded)
        scores = self._scores(examples, encoded, probabilities)
        return {**scores, "calibration_error": self._calibration_error(encoded, probabilities)}

    def _scores(
        self, examples: TextExamples, encoded: Examples, probabilities: NDArray[np.float32]
    ) -> dict[str, float]:
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if self.settings.several:
            strange = [any(name not in self.labels for name in names) for names in examples.labels]
            gold = np.column_stack([targets, np.array(strange, np.float32)])  # a label never seen is never said
            said = np.column_stack([probabilities >= self.settings.threshold, np.zeros(len(gold), np.bool_)])
            return multilabel_scores(gold, said)
        known = targets >= 0
        nats = -np.log(np.maximum(probabilities[known, targets[known]], 1e-12))
        unseen = np.where(known, targets, len(self.labels))  # a label never seen is never said
        scores = classification_scores(unseen, probabilities.argmax(1), len(self.labels) + 1)
        return {**scores, **({"nats": float(nats.mean())} if known.any() else {})}

    def _calibration_error(self, encoded: Examples, probabilities: NDArray[np.float32]) -> float:
        """Of the likeliest labels; where there may be several, of each label's probability."""
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if self.settings.several:
            return expected_calibration_error(probabilities.ravel(), targets.ravel())
        return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == targets)

    def _calibrate(self, held_out: TextExamples) -> str | None:
        encoded = self._encode(held_out)
        targets = encoded.targets
        assert isinstance(targets, np.ndarray)
        if not self.settings.calibrate or len(encoded) < FEWEST:
            return None
        before = self._calibration_error(encoded, self._probabilities(self.model, encoded))
        self.temperature = fit_temperature(self._outputs(self.model, encoded, Tensor.float), targets)
        after = self._calibration_error(encoded, self._probabilities(self.model, encoded))
        return (
            f"calibrated on validation: probabilities at temperature {self.temperature:.3g}, "
            f"expected calibration error {before:.3f} before, {after:.3f} after"
        )

    def _probabilities(self, model: nn.Module, examples: Examples) -> NDArray[np.float32]:
        return self._outputs(model, examples, self._shares)

    def _shares(self, logits: Tensor) -> Tensor:
        """Probabilities of labels, calibrated, (examples, labels)."""
        logits = logits.float() / self.temperature
        return logits.sigmoid() if self.settings.several else logits.softmax(-1)

    @torch.no_grad()
    def _outputs(
        self, model: nn.Module, examples: Examples, of_logits: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        """A function of the network's scores of every label, (examples, labels)."""
        device = device_of(model)
        outputs = np.zeros((len(examples), len(self.labels)), np.float32)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            tokens = (batch.tokens if isinstance(batch, Labelled) else batch).to(device)
            assert isinstance(tokens, Tokens)
            outputs[places] = of_logits(model(tokens).logits).cpu().numpy()
        return outputs

    def _baselines(self, train: TextExamples, held_out: TextExamples) -> dict[str, dict[str, float]]:
        assert self.vocabulary is not None
        gold, right = self._targets(train), self._targets(held_out)
        if not self.settings.several:
            known = right >= 0
            held_out, right = held_out.take(np.flatnonzero(known)), right[known]
        words = [[word.lower() for word in self._words(text)] for text in train.texts]
        others = [[word.lower() for word in self._words(text)] for text in held_out.texts]
        found = {"linear n-grams": NgramClassifier.learn(words, gold, len(self.labels)).evaluate(others, right)}
        if not self.settings.several:
            found = {"majority class": MajorityClass.learn(gold, len(self.labels)).evaluate(right), **found}
        return found

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str) -> Classification: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[Text]) -> list[Classification]: ...
    def predict(self, texts: str | Iterable[Text]) -> Classification | list[Classification]:
        """Classify one text, or each of several.

        Args:
            texts: A text, or a list of texts; in a list, a text may also be the list of its words.

        Raises:
            DataError: If a text holds no token.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, self._classified)

    def _classified(self, texts: list[Text]) -> list[Classification]:
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        probabilities = self._probabilities(self.model, self._encode_texts(texts, where))
        for place, row in zip(where, probabilities, strict=True):
            check_output(torch.from_numpy(row), place)
        return [self._classification(text, row) for text, row in zip(texts, probabilities, strict=True)]

    def _classification(self, text: Text, row: NDArray[np.float32]) -> Classification:
        order = np.argsort(-row, kind="stable")
        shares = {self.labels.name(int(i)): float(row[i]) for i in order}
        if self.settings.several:
            said = tuple(name for name, share in shares.items() if share >= self.settings.threshold)
        else:
            said = (next(iter(shares)),)
        return Classification(text if isinstance(text, str) else " ".join(text), said, shares)

    def trace(self, text: Text) -> Trace:
        """Classify one text and return what the network recorded on the way.

        Raises:
            DataError: If the text holds no token.
            UsageError: If several texts came, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        assert self.vocabulary is not None
        examples = self._encode_texts([text], ["text"])
        tokens = examples.batch(np.array([0])).to(device_of(self.model))
        output, arrays, notes = self._recorded(lambda: self.model(tokens))
        if output.weights is not None:
            arrays["readout / weight"] = output.weights[:, 0].float().cpu().numpy()
        row = self._shares(output.logits)[0].cpu().numpy()
        said = self._classification(text, row)
        prediction = {"label": ", ".join(said.labels), "probabilities": said.probabilities}
        return Trace(tuple(self._words(text)), arrays, prediction, self._summary(), notes)

    # ---- folders -----------------------------------------------------------------------------------------------

    def _save_vocabularies(self, folder: Path) -> None:
        assert self.vocabulary is not None
        self.vocabulary.save(folder)
        self.labels.save(folder)
        save_temperature(self.temperature, folder)
        if self.spelling is not None:
            self.spelling.save(folder)

    def _load_vocabularies(self, folder: Path) -> None:
        self.vocabulary = Vocabulary.load(folder)
        self.labels = Labels.load(folder)
        self.temperature = load_temperature(folder)
        if self.settings.network.characters != "none":
            self.spelling = Spelling.load(folder)
