"""`Tagger`, the task of sequence labelling: one tag per word (aligned many to many)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    Paths,
    Reader,
    Tokens,
    Unlabelled,
    evaluation_batches,
    read_unlabelled,
)
from unspool.errors import UsageError
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits
from unspool.inspection.fork import Outcomes
from unspool.layers import LinearChainCRF, initialize
from unspool.models import TaggerModel
from unspool.settings import Settings, nearest
from unspool.ship.answers import Answer
from unspool.ship.sheet import Sheet
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.metrics import accuracy
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.spans import (
    Span,
    SpanCounts,
    bioes_constraints,
    read_spans,
    span_scores,
    write_tags,
)
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.tag.data import TaggedExamples, column_names, open_data
from unspool.tasks.tag.fitted import FittedTagger
from unspool.tasks.tag.most_frequent_tag_baseline import MostFrequentTag
from unspool.tasks.tag.plan import RULES
from unspool.tasks.tag.settings import TaggerSettings
from unspool.tasks.tag.sheet import tagger_sheet
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.tag.keywords import TaggerKeywords

__all__ = ["Tagger", "Tagging"]

_IMPOSSIBLE = -1e9  # a score that leaves no probability, yet stays finite in float32


class Tagging(NamedTuple):
    """Prediction of a tagger for one sentence."""

    words: list[str]
    tags: list[str]
    probabilities: list[float]
    """Probability of each tag, between 0 and 1."""
    spans: list[Span]
    """Predicted spans; empty if tags don't mark spans."""
    parted: dict[str, list[str]] | None = None
    """Multiword tokens of the text with their words, split as in the training data; None if there are none."""

    def __repr__(self) -> str:
        pairs = zip(self.words, self.tags, strict=True)
        return f"<Tagging {brief(' '.join(f'{word}/{tag}' for word, tag in pairs))}>"

    def line(self) -> str:
        """Format one line per word, with its tag after a tab, and a blank line at the end."""
        return "".join(f"{word}\t{tag}\n" for word, tag in zip(self.words, self.tags, strict=True))

    def record(self) -> dict[str, Any]:
        """Return words, tags, probabilities and spans; each span is a dictionary."""
        return {**self._asdict(), "spans": [span._asdict() for span in self.spans]}


class Tagger(Task[TaggedExamples, FittedTagger]):
    """Tagger: predicts one tag for each word of a sentence.

    Example:
        >>> from unspool import Tagger
        >>> model = Tagger(cell="lstm", hidden=256).fit("train.conllu", valid="dev.conllu")  # doctest: +SKIP
        >>> model.predict(["Time flies ."])[0].tags  # doctest: +SKIP
        ['NOUN', 'VERB', 'PUNCT']
    """

    name: ClassVar[str] = "tag"
    _reads_words: ClassVar[bool] = True
    _rules = RULES
    settings_type: ClassVar[type[Settings]] = TaggerSettings
    fitted_type: ClassVar[type[FittedTagger]] = FittedTagger
    summary: ClassVar[str] = "Predicts a tag for each word of a sentence."

    def __init__(self, settings: TaggerSettings | None = None, **values: Unpack[TaggerKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def classes_(self) -> tuple[str, ...]:
        """Tags of the model in the scheme of the training data; empty before training."""
        if self._fitted is None:
            return ()
        labels, scheme = self._fitted.labels, self._fitted.scheme
        if scheme is None:
            return labels.names
        types = dict.fromkeys(span.type for label in labels for span in read_spans([label]))
        spans = [[Span(0, 3, name), Span(3, 6, name), Span(6, 7, name), Span(8, 9, name)] for name in types]
        tags = (tag for each in spans for tag in write_tags(each, 10, scheme))
        return tuple(dict.fromkeys(["O", *tags]))

    @property
    def metric(self) -> tuple[str, bool]:
        return ("f1" if self._fitted is not None and self._fitted.scheme else "accuracy"), True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return column_names(self.settings.data)

    def _read(self, source: DataSource) -> TaggedExamples:
        reader = open_data(self.settings, source)
        examples = TaggedExamples.of(reader)
        self._remember(reader)
        return examples

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> Reader[Unlabelled]:
        """Open files of sentences: one per line, in columns of words, or in rows; see `Task.read_inputs`."""
        usual = ("tokens", "words", "text", "sentence")
        return read_unlabelled(paths, format=format, usual=usual, kinds=("lines", "sentences", "rows"))

    # ---- network, batches --------------------------------------------------------------------------------------

    @property
    def _has_crf(self) -> bool:
        output = self.settings.network.output
        return output == "crf" or (output == "auto" and self.fitted.scheme is not None)

    def _build(self) -> nn.Module:
        network, fitted = self.settings.network, self.fitted
        encoder = fitted.input.encoder(network, self._cell)
        model = TaggerModel(
            encoder.embedding,
            encoder.stack,
            len(fitted.labels),
            crf=self._crf() if self._has_crf else None,
            dropout=network.dropout,
            variational=network.variational,
            label_smoothing=self.settings.label_smoothing,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _crf(self) -> LinearChainCRF:
        labels = self.fitted.labels
        if self.fitted.scheme is None:
            return LinearChainCRF(len(labels))
        legal = bioes_constraints(labels.names)
        return LinearChainCRF(
            len(labels),
            allowed=_mask(legal.transitions),
            allowed_first=_mask(legal.starts),
            allowed_last=_mask(legal.ends),
        )

    def _summary(self) -> str:
        return super()._summary() + (", CRF" if self._has_crf else "")

    def _notes(self, train: TaggedExamples, held_out: TaggedExamples | None) -> list[str]:
        splits = self.fitted.word_splits
        if not splits.seen:
            return []
        how = f"raw text is split the same way: {splits.examples()}" if len(splits) else "raw text is not split"
        return [f"the training data split {splits.seen:,} multiword tokens; {how}"]

    def _source(self, examples: TaggedExamples) -> Bucketed[Tokens | Labelled]:
        return bucketed(self.fitted.encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: TaggedExamples) -> dict[str, float]:
        encoded = self.fitted.input.encode_sentences(examples.words, examples.where)
        predicted = [self.fitted.outer(tags) for tags in self._decode(model, encoded)]
        scores = {}
        if self.fitted.scheme:
            scores = span_scores(examples.tags, predicted)
        gold = np.array([tag for tags in examples.tags for tag in self.fitted.outer(self.fitted.inner(tags))])
        answers = np.array([tag for tags in predicted for tag in tags])
        return {**scores, "accuracy": accuracy(gold, answers)}

    @torch.no_grad()
    def _decode(self, model: nn.Module, examples: Examples) -> list[list[str]]:
        """Return the best labels of every sentence, in the scheme of the network."""
        assert isinstance(model, TaggerModel)
        device = device_of(model)
        labels: list[list[str]] = [[]] * len(examples)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            tokens = (batch.tokens if isinstance(batch, Labelled) else batch).to(device)
            tags = model.decode(tokens).T.tolist()
            for place, row, length in zip(places, tags, tokens.lengths.tolist(), strict=True):
                labels[place] = [self.fitted.labels.name(tag) for tag in row[:length]]
        return labels

    def _baselines(self, train: TaggedExamples, held_out: TaggedExamples) -> dict[str, dict[str, float]]:
        pairs = list(zip(held_out.words, held_out.tags, strict=True))
        baseline = MostFrequentTag.learn(zip(train.words, train.tags, strict=True))
        return {"most frequent tag": baseline.evaluate(pairs)}

    def score_types(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 of each span type, for data as in `evaluate`; empty without spans."""
        self._need_model()
        if not self.fitted.scheme:
            return {}
        examples = self._read(self._data_source(data, labels))
        counts = SpanCounts()
        predicted = self._decode(self.model, self.fitted.input.encode_sentences(examples.words, examples.where))
        for gold, tags in zip(examples.tags, predicted, strict=True):
            counts.add(read_spans(gold), read_spans(tags))
        return {name: scores._asdict() for name, scores in counts.by_type().items()}

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str) -> Tagging: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str | list[str]]) -> list[Tagging]: ...
    def predict(self, texts: str | Iterable[str | list[str]]) -> Tagging | list[Tagging]:
        """Tag one sentence, or each of several.

        Args:
            texts: A sentence, or a list of sentences; in a list, a sentence may also be a list of words.

        Returns:
            One prediction for one sentence, or a list for several.

        Raises:
            DataError: If a sentence has no word.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, self._tagged)

    def _tagged(self, texts: list[str | list[str]]) -> list[Tagging]:
        sentences = [self._split(text) for text in texts]
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        encoded = self.fitted.input.encode_sentences(sentences, where)
        tags = self._decode(self.model, encoded)
        shares = self._tag_probabilities(encoded, tags)
        for place, row in zip(where, shares, strict=True):
            check_output(torch.tensor(row), place)
        parted = [self._parted(text) for text in texts]
        return [self._tagging(*parts) for parts in zip(sentences, tags, shares, parted, strict=True)]

    def _tagging(
        self, words: list[str], tags: list[str], shares: list[float], parted: dict[str, list[str]] | None
    ) -> Tagging:
        return Tagging(words, self.fitted.outer(tags), shares, read_spans(tags) if self.fitted.scheme else [], parted)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        return self.fitted.input.vocabulary.encode_with_offsets(text).offsets

    def _split(self, text: str | list[str]) -> list[str]:
        """Split a text into words, as in the training data."""
        if isinstance(text, list):
            return text
        return [word for begin, end in self._spans(text) for word in self.fitted.word_splits.split(text[begin:end])]

    def _parted(self, text: str | list[str]) -> dict[str, list[str]] | None:
        if isinstance(text, list) or not len(self.fitted.word_splits):
            return None
        units = dict.fromkeys(text[begin:end] for begin, end in self._spans(text))
        several = {unit: words for unit in units if len(words := self.fitted.word_splits.split(unit)) > 1}
        return {unit: list(words) for unit, words in several.items()} or None

    @torch.no_grad()
    def _tag_probabilities(self, examples: Examples, tags: list[list[str]]) -> list[list[float]]:
        device = device_of(self.model)
        probabilities: list[list[float]] = [[]] * len(examples)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            shares = self.model.probabilities(batch.to(device)).cpu().numpy()
            for column, place in enumerate(places):
                ids = self.fitted.labels.ids(tags[place])
                probabilities[place] = [float(shares[step, column, tag]) for step, tag in enumerate(ids)]
        return probabilities

    def sheet(self) -> Sheet:
        """Return the tagger as a closed list of operations; see `Task.sheet`."""
        self._need_model()
        return tagger_sheet(self.model, self.fitted)

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        names = dict(zip(self.fitted.labels.names, self.sheet().back.names, strict=True))  # type: ignore[union-attr]
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        encoded = self.fitted.input.encode_sentences([self._split(text) for text in texts], where)
        return [[names[tag] for tag in tags] for tags in self._decode(self.model, encoded)]

    def _export_text(self, text: Any) -> Any:
        return self._split(text)

    def _questions(self, examples: TaggedExamples) -> Questions:
        return Questions(examples.words, [" ".join(tags) for tags in examples.tags], examples.where)

    def _output_row(self, choice: str) -> Tensor | None:
        if choice not in self.fitted.labels:
            raise UsageError(f"there is no tag {choice!r}{nearest(choice, self.fitted.labels)}")
        row: Tensor = self.model.output.weight[self.fitted.labels.id(choice)]
        return row

    def trace(self, text: str | list[str], edits: Edits = ()) -> Trace:
        """Tag one sentence, a text or a list of words, and return the recorded intermediate values.

        Args:
            text: The sentence.
            edits: Changes of gates, states, attention and tokens during the run.

        Raises:
            DataError: If the sentence has no word.
            UsageError: If `text` is not a single sentence, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        self._one_text(text)
        words = self._split(text)
        examples = self.fitted.input.encode_sentences([words], ["text"])
        tokens = examples.batch(np.array([0])).to(device_of(self.model))
        attention = AttentionRecording(self.model.encoder, words)
        with attention.watch():
            scores, arrays, notes = self._recorded(lambda: self.model(tokens))
        arrays["output / score"] = scores[:, 0].float().cpu().numpy()
        with self._plain_loop():
            result = self._tagged([words])[0]
        prediction = {"tags": result.tags, "tag_probabilities": result.probabilities}
        maps = attention.maps() | self._memory_maps(arrays, words)
        return Trace(tuple(words), arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    @torch.no_grad()
    def _outcomes(self, text: str | list[str]) -> Outcomes:
        """Return the distribution of the tags at each word."""
        examples = self.fitted.input.encode_sentences([self._split(text)], ["text"])
        shares = self.model.probabilities(examples.batch(np.array([0])).to(device_of(self.model)))[:, 0]
        shares = shares.double().cpu()
        return Outcomes(shares.numpy(), shares.log().numpy(), self.fitted.labels.name)

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return -log p of each tag; with a conditional random field, of its marginal probability."""
        self._one_text(text, "gradients")
        words, model = self._split(text), self.model
        examples = self.fitted.input.encode_sentences([words], ["text"])
        tokens: Any = examples.batch(np.array([0])).to(device_of(model))
        labels = self._decode(model, examples)[0] if target is None else self._inner(list(target), len(words))
        targets = torch.tensor(self.fitted.labels.ids(labels).tolist(), dtype=torch.int64, device=device_of(model))
        with torch.no_grad():
            inputs = model.embedding(tokens)

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            lengths = tokens.lengths.expand(len(rows))
            scores, columns = model.output(model.encoder(copies, lengths).outputs), torch.arange(len(rows))
            columns = columns.to(scores.device)
            if model.crf is None:
                chosen: Tensor = scores[rows, columns].log_softmax(-1).gather(1, targets[rows].unsqueeze(1))
                return -chosen[:, 0]
            others = torch.ones_like(scores, dtype=torch.bool)
            others[rows, columns, targets[rows]] = False
            others &= (torch.arange(len(scores), device=scores.device)[:, None] == rows).unsqueeze(-1)
            limited = model.crf.log_partition(scores.masked_fill(others, _IMPOSSIBLE), lengths)
            difference: Tensor = model.crf.log_partition(scores, lengths) - limited
            return difference

        names = [f"{word}/{tag}" for word, tag in zip(words, self.fitted.outer(labels), strict=True)]
        return TextLosses(inputs, losses, words, names, range(len(words)))

    def _inner(self, tags: list[str], count: int) -> list[str]:
        """Convert tags to the labels of the network."""
        if len(tags) != count or not all(isinstance(tag, str) for tag in tags):
            raise UsageError(f"target has {len(tags)} tags; expected a list of one tag for each of {count} words")
        labels: list[str] = self.fitted.inner(tags)
        if strange := [label for label in labels if label not in self.fitted.labels]:
            raise UsageError(f"there is no tag {strange[0]!r}; the model has {', '.join(self.classes_)}")
        return labels


def _mask(allowed: NDArray[np.bool_]) -> Tensor:
    return torch.tensor(allowed.tolist(), dtype=torch.bool)
