"""Many to many, aligned: words in, one tag for each out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
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
    Glued,
    Labelled,
    Labels,
    Reader,
    RowsInMemory,
    Sample,
    Sentence,
    Sequences,
    Spelling,
    Tokens,
    Vocabulary,
    WordSplits,
    evaluation_batches,
    read_sentences,
    refuse_empty,
    sentences_of_rows,
    split,
    tag_columns,
)
from unspool.errors import DataError, SettingError
from unspool.inspection import Trace
from unspool.layers import LinearChainCRF, initialize
from unspool.models import TaggerModel
from unspool.settings import Settings
from unspool.tasks.parts.encoders import reading_stack, token_embedding
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.metrics import accuracy
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.vocabularies import bucketed, learned_vocabulary
from unspool.tasks.tag.most_frequent_tag_baseline import MostFrequentTag
from unspool.tasks.tag.settings import TaggerSettings
from unspool.tasks.tag.spans import (
    Scheme,
    Span,
    SpanCounts,
    bioes_constraints,
    bioes_labels,
    convert,
    detect_scheme,
    looks_like_spans,
    read_spans,
    span_scores,
    write_tags,
)
from unspool.tasks.task import DataLike, Task, batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.tag.keywords import TaggerKeywords

__all__ = ["TaggedExamples", "Tagger", "Tagging"]


@dataclass(frozen=True)
class TaggedExamples:
    """Sentences with their tags, as the file has them."""

    words: list[list[str]]
    tags: list[list[str]]
    where: list[str]
    glued: dict[int, tuple[Glued, ...]] = field(default_factory=dict)
    """Of some sentences, by their place: where several words stand in the text without a blank between them."""

    def take(self, places: NDArray[np.int64]) -> TaggedExamples:
        """The sentences at some places."""
        words, tags, where = ([column[i] for i in places] for column in (self.words, self.tags, self.where))
        glued = {new: self.glued[old] for new, old in enumerate(places.tolist()) if old in self.glued}
        return TaggedExamples(words, tags, where, glued)  # type: ignore[arg-type]


class Tagging(NamedTuple):
    """What a tagger says of one sentence."""

    words: list[str]
    tags: list[str]
    probabilities: list[float]
    """Of each tag."""
    spans: list[Span]
    """Where tags mark spans: first word, word after the last, type."""
    parted: dict[str, list[str]] | None = None
    """Units of the text that were read as several words, as in the training data; None if there are none."""

    def __repr__(self) -> str:
        pairs = zip(self.words, self.tags, strict=True)
        return f"<Tagging {brief(' '.join(f'{word}/{tag}' for word, tag in pairs))}>"

    def line(self) -> str:
        """A line for each word, with its tag after a tab, and a blank one at the end."""
        return "".join(f"{word}\t{tag}\n" for word, tag in zip(self.words, self.tags, strict=True))

    def record(self) -> dict[str, Any]:
        """Words, tags, probabilities, and spans by name."""
        return {**self._asdict(), "spans": [span._asdict() for span in self.spans]}


class Tagger(Task[TaggedExamples]):
    """Gives every word of a sentence a tag.

    Example:
        >>> from unspool import Tagger
        >>> model = Tagger(cell="lstm", hidden=256).fit("train.conllu", valid="dev.conllu")  # doctest: +SKIP
        >>> model.predict(["Time flies ."])[0].tags  # doctest: +SKIP
        ['NOUN', 'VERB', 'PUNCT']
    """

    name: ClassVar[str] = "tag"
    _reads_words: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = TaggerSettings
    summary: ClassVar[str] = "Gives every word of a sentence a tag."

    def __init__(self, settings: TaggerSettings | None = None, **values: Unpack[TaggerKeywords]) -> None:
        super().__init__(settings, **values)
        self.vocabulary: Vocabulary | None = None
        self.labels = Labels(())
        self.spelling: Spelling | None = None
        self.scheme: Scheme | None = None
        """How the data write spans; None where tags are no spans."""
        self.word_splits = WordSplits()
        """What raw text writes as one word and the training data as several."""

    @property
    def classes_(self) -> tuple[str, ...]:
        """The tags it can say, as the training data write them; empty before training."""
        if self.scheme is None:
            return self.labels.names
        types = dict.fromkeys(span.type for label in self.labels for span in read_spans([label]))
        spans = [[Span(0, 3, name), Span(3, 6, name), Span(6, 7, name), Span(8, 9, name)] for name in types]
        tags = (tag for each in spans for tag in write_tags(each, 10, self.scheme))
        return tuple(dict.fromkeys(["O", *tags]))

    @property
    def metric(self) -> tuple[str, bool]:
        return ("f1" if self.scheme else "accuracy"), True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.words or "tokens", self.settings.data.tags or "tags"

    def _sentences(self, source: DataSource) -> Reader[Sentence]:
        data = self.settings.data
        if isinstance(source, RowsInMemory):
            return sentences_of_rows(source.reader(skip_bad=data.skip_bad), lists=self._columns_in_memory())
        return read_sentences(source, format=data.format, skip_bad=data.skip_bad)

    def _read(self, source: DataSource) -> TaggedExamples:
        data, sentences = self.settings.data, self._sentences(source)
        examples = TaggedExamples([], [], [])
        for sentence in sentences:
            words, tags = tag_columns(list(sentence.columns), data.words, data.tags, sentence.where)
            examples.words.append(sentence.columns[words])
            examples.tags.append(sentence.columns[tags])
            if sentence.glued and words == "form":
                examples.glued[len(examples.where)] = sentence.glued
            examples.where.append(sentence.where)
            sentences.layout.columns |= {"words": words, "tags": tags}
        self._remember(sentences)
        return examples

    def _samples(self, examples: TaggedExamples) -> Iterator[Sample]:
        for words, tags, where in zip(examples.words, examples.tags, examples.where, strict=True):
            yield Sample(where, (" ".join(words),), tuple(tags))

    def _divide(self, examples: TaggedExamples, fraction: float) -> tuple[TaggedExamples, TaggedExamples]:
        kept, held = split(len(examples.words), fraction, self.settings.training.seed)
        return examples.take(kept), examples.take(held)

    def _size(self, examples: TaggedExamples) -> dict[str, int]:
        return {"sentences": len(examples.words), "words": sum(map(len, examples.words))}

    def _check_labels(self, examples: TaggedExamples) -> None:
        if not self.scheme:
            self.labels.refuse_strangers(chain.from_iterable(examples.tags), "tag")
            return
        types = Labels(sorted({span.type for names in self.labels for span in read_spans([names])}))
        types.refuse_strangers((span.type for tags in examples.tags for span in read_spans(tags)), "span type")

    def score_notes(self, data: DataLike) -> list[str]:
        """What a person should know beside the scores of files: tags that can't be said."""
        tags = chain.from_iterable(map(self._inner, self._read(self._data_source(data)).tags))
        return self.labels.note_strangers(tags, "tags")

    def _check_held_out(self, examples: TaggedExamples) -> TaggedExamples:
        known = [all(tag in self.labels for tag in self._inner(tags)) for tags in examples.tags]
        if all(known):
            return examples
        if not self.settings.data.skip_bad:
            place = known.index(False)
            self.labels.ids(self._inner(examples.tags[place]), examples.where[place])
        self._skipped += known.count(False)
        return examples.take(np.flatnonzero(known))

    def _inner(self, tags: list[str]) -> list[str]:
        """The file's tags as the network learns them: spans always as BIOES."""
        return convert(tags, "BIOES") if self.scheme else tags

    # ---- vocabulary, network, batches --------------------------------------------------------------------------

    def _learn(self, examples: TaggedExamples) -> None:
        vocabulary = self.settings.vocabulary
        if vocabulary.units not in ("word", "blank"):
            raise SettingError(f"units = {vocabulary.units}: a tagger needs one unit for each word: word or blank")
        self.vocabulary = learned_vocabulary(examples.words, vocabulary)
        with_glued = ((words, examples.glued.get(place, ())) for place, words in enumerate(examples.words))
        self.word_splits = (
            WordSplits.learn(with_glued, lambda text: self._spans(text)) if examples.glued else WordSplits()
        )
        tags = {tag for sentence in examples.tags for tag in sentence}
        spans = self.settings.spans
        self.scheme = (
            detect_scheme(examples.tags) if spans == "yes" or (spans == "auto" and looks_like_spans(tags)) else None
        )
        if self.scheme:
            self.labels = Labels(bioes_labels(span.type for tags in examples.tags for span in read_spans(tags)))
        else:
            self.labels = Labels.learn(tag for sentence in examples.tags for tag in sentence)
        if len(self.labels) < 2:
            raise DataError(f"the training data have one tag only ({', '.join(self.labels)}); expected two or more")
        if self.settings.network.characters != "none":
            self.spelling = Spelling.learn(examples.words)

    def _encode_words(self, sentences: list[list[str]], where: list[str]) -> Examples:
        assert self.vocabulary is not None
        tokens = Sequences.of(self.vocabulary.encode_words(words) for words in sentences)
        refuse_empty(tokens, where)
        if self.spelling is None:
            return Examples(tokens)
        forms, spellings = self.spelling.spell(sentences)
        return Examples(tokens, None, forms, spellings)

    def _encode(self, examples: TaggedExamples) -> Examples:
        encoded = self._encode_words(examples.words, examples.where)
        return replace(encoded, targets=Sequences.of(self.labels.ids(self._inner(tags)) for tags in examples.tags))

    @property
    def _has_crf(self) -> bool:
        output = self.settings.network.output
        return output == "crf" or (output == "auto" and self.scheme is not None)

    def _build(self) -> nn.Module:
        assert self.vocabulary is not None
        network = self.settings.network
        embedding = token_embedding(network, self.vocabulary, self.spelling)
        encoder = reading_stack(network, network.network, self._cell, embedding.output_size)
        model = TaggerModel(
            embedding,
            encoder,
            len(self.labels),
            crf=self._crf() if self._has_crf else None,
            dropout=network.dropout,
            variational=network.variational,
            label_smoothing=self.settings.label_smoothing,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _crf(self) -> LinearChainCRF:
        if self.scheme is None:
            return LinearChainCRF(len(self.labels))
        legal = bioes_constraints(self.labels.names)
        return LinearChainCRF(
            len(self.labels),
            allowed=_mask(legal.transitions),
            allowed_first=_mask(legal.starts),
            allowed_last=_mask(legal.ends),
        )

    def _summary(self) -> str:
        return super()._summary() + (", CRF" if self._has_crf else "")

    def _data_notes(self) -> list[str]:
        splits = self.word_splits
        if not splits.seen:
            return []
        how = f"raw text is parted the same way: {splits.examples()}" if len(splits) else "raw text is not"
        return [f"the training data part {splits.seen:,} forms that text writes as one word; {how}"]

    def _source(self, examples: TaggedExamples) -> Bucketed[Tokens | Labelled]:
        return bucketed(self._encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: TaggedExamples) -> dict[str, float]:
        encoded = self._encode_words(examples.words, examples.where)
        predicted = [self._outer(tags) for tags in self._decode(model, encoded)]
        found = {}
        if self.scheme:
            found = span_scores(examples.tags, predicted)
        gold = np.array([tag for tags in examples.tags for tag in self._outer(self._inner(tags))])
        said = np.array([tag for tags in predicted for tag in tags])
        return {**found, "accuracy": accuracy(gold, said)}

    @torch.no_grad()
    def _decode(self, model: nn.Module, examples: Examples) -> list[list[str]]:
        """The best tags of every sentence, as the network knows them."""
        assert isinstance(model, TaggerModel)
        device = device_of(model)
        found: list[list[str]] = [[]] * len(examples)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            tokens = (batch.tokens if isinstance(batch, Labelled) else batch).to(device)
            tags = model.decode(tokens).T.tolist()
            for place, row, length in zip(places, tags, tokens.lengths.tolist(), strict=True):
                found[place] = [self.labels.name(tag) for tag in row[:length]]
        return found

    def _outer(self, tags: list[str]) -> list[str]:
        """The network's tags as the file writes them."""
        return write_tags(read_spans(tags), len(tags), self.scheme) if self.scheme else tags

    def _baselines(self, train: TaggedExamples, held_out: TaggedExamples) -> dict[str, dict[str, float]]:
        pairs = list(zip(held_out.words, held_out.tags, strict=True))
        baseline = MostFrequentTag.learn(zip(train.words, train.tags, strict=True))
        return {"most frequent tag": baseline.evaluate(pairs)}

    def score_types(self, data: DataLike, labels: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each type of span; the data as `evaluate` takes them, nothing without spans."""
        self._need_model()
        if not self.scheme:
            return {}
        examples = self._read(self._data_source(data, labels))
        counts = SpanCounts()
        predicted = self._decode(self.model, self._encode_words(examples.words, examples.where))
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
            texts: A sentence, or a list of sentences; in a list, a sentence may also be the list of its words.

        Raises:
            DataError: If a sentence has no word.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, self._tagged)

    def _tagged(self, texts: list[str | list[str]]) -> list[Tagging]:
        sentences = [self._split(text) for text in texts]
        where = [f"text {number}" for number in range(1, len(texts) + 1)]
        encoded = self._encode_words(sentences, where)
        tags = self._decode(self.model, encoded)
        shares = self._tag_probabilities(encoded, tags)
        for place, row in zip(where, shares, strict=True):
            check_output(torch.tensor(row), place)
        parted = [self._parted(text) for text in texts]
        return [self._tagging(*parts) for parts in zip(sentences, tags, shares, parted, strict=True)]

    def _tagging(
        self, words: list[str], tags: list[str], shares: list[float], parted: dict[str, list[str]] | None
    ) -> Tagging:
        return Tagging(words, self._outer(tags), shares, read_spans(tags) if self.scheme else [], parted)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        assert self.vocabulary is not None
        return self.vocabulary.encode_with_offsets(text).offsets

    def _split(self, text: str | list[str]) -> list[str]:
        """The words of a text, parted as in the training data."""
        if isinstance(text, list):
            return text
        return [word for begin, end in self._spans(text) for word in self.word_splits.split(text[begin:end])]

    def _parted(self, text: str | list[str]) -> dict[str, list[str]] | None:
        if isinstance(text, list) or not len(self.word_splits):
            return None
        units = dict.fromkeys(text[begin:end] for begin, end in self._spans(text))
        several = {unit: words for unit in units if len(words := self.word_splits.split(unit)) > 1}
        return {unit: list(words) for unit, words in several.items()} or None

    @torch.no_grad()
    def _tag_probabilities(self, examples: Examples, tags: list[list[str]]) -> list[list[float]]:
        device = device_of(self.model)
        found: list[list[float]] = [[]] * len(examples)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            shares = self.model.probabilities(batch.to(device)).cpu().numpy()
            for column, place in enumerate(places):
                ids = self.labels.ids(tags[place])
                found[place] = [float(shares[step, column, tag]) for step, tag in enumerate(ids)]
        return found

    def trace(self, text: str | list[str]) -> Trace:
        """Tag one sentence, a text or the list of its words, and return what the network recorded on the way.

        Raises:
            DataError: If the sentence has no word.
            UsageError: If several sentences came, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        words = self._split(text)
        examples = self._encode_words([words], ["text"])
        tokens = examples.batch(np.array([0])).to(device_of(self.model))
        scores, arrays, notes = self._recorded(lambda: self.model(tokens))
        arrays["output / score"] = scores[:, 0].float().cpu().numpy()
        said = self._tagged([words])[0]
        prediction = {"tags": said.tags, "tag_probabilities": said.probabilities}
        return Trace(tuple(words), arrays, prediction, self._summary(), notes)

    # ---- folders -----------------------------------------------------------------------------------------------

    def _save_vocabularies(self, folder: Path) -> None:
        assert self.vocabulary is not None
        self.vocabulary.save(folder)
        self.labels.save(folder)
        if self.spelling is not None:
            self.spelling.save(folder)
        Labels([self.scheme] if self.scheme else []).save(folder, "scheme")
        if self.word_splits.seen:
            self.word_splits.save(folder)

    def _load_vocabularies(self, folder: Path) -> None:
        self.vocabulary = Vocabulary.load(folder)
        self.labels = Labels.load(folder)
        scheme = Labels.load(folder, "scheme").names
        self.scheme = scheme[0] if scheme else None  # type: ignore[assignment]
        self.word_splits = WordSplits.load(folder)
        if self.settings.network.characters != "none":
            self.spelling = Spelling.load(folder)


def _mask(allowed: NDArray[np.bool_]) -> Tensor:
    return torch.tensor(allowed.tolist(), dtype=torch.bool)
