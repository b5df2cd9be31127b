"""Many to many, free length: a text in, another text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
from torch import Tensor, nn

from unspool.data import (
    UNKNOWN,
    Bucketed,
    DataSource,
    Examples,
    Paired,
    PairedExamples,
    Sequences,
    Tokens,
    Vocabulary,
    evaluation_batches,
)
from unspool.decoding import DecodingSettings, Hypothesis, decode, stream, stream_settings, text_pieces
from unspool.decoding.sampling import seeded
from unspool.errors import SettingError
from unspool.inspection import Trace
from unspool.models import EncoderDecoder
from unspool.settings import Settings
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder, most_written, never_written, pair_perplexity
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.parts.representation import brief
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of
from unspool.tasks.translate.data import PairExamples, open_data
from unspool.tasks.translate.fitted import FittedTranslator
from unspool.tasks.translate.scores import by_length, corpus_bleu, grouped, signature, translation_scores
from unspool.tasks.translate.settings import TranslatorSettings

if TYPE_CHECKING:
    from unspool.tasks.translate.keywords import TranslatorKeywords

__all__ = ["Translation", "Translator"]

_LONGEST = 512  # units of a source that are read; what comes after is left out


class Translation(NamedTuple):
    """What a translator makes of one text."""

    text: str
    translation: str
    score: float
    """What outputs are ordered by: log-probability in nats, over the length penalty."""
    others: list[tuple[str, float]]
    """The next best outputs with their scores, where more than one was asked for."""
    source_units: list[str]
    target_units: list[str]
    """The output in units, and its end."""
    attention: list[list[float]] | None
    """Where each of them looked, a weight for each source unit; None where the network has no attention."""
    caution: str = ""
    """Why the output may be worth little: a source longer than any seen in training, or without a known unit."""

    def __repr__(self) -> str:
        return f"<Translation {brief(self.translation)} of {brief(self.text)}>"

    def line(self) -> str:
        """The translation, and below it the next best ones with their scores, where they were asked for."""
        if not self.others:
            return self.translation
        rows = [(self.translation, self.score), *self.others]
        return "".join(f"{text}\t{score:.4f}\n" for text, score in rows)

    def record(self) -> dict[str, Any]:
        """All fields."""
        return {**self._asdict(), "others": [list(other) for other in self.others]}


class Translator(Task[PairExamples, FittedTranslator]):
    """Reads a text and writes another: a translation, a summary, an answer, a spelling.

    Example:
        >>> from unspool import Translator
        >>> model = Translator(network="additive", epochs=10).fit("pairs.tsv")  # doctest: +SKIP
        >>> model.predict(["Where is the station?"])[0].translation  # doctest: +SKIP
        'Où est la gare ?'
    """

    name: ClassVar[str] = "translate"
    settings_type: ClassVar[type[Settings]] = TranslatorSettings
    fitted_type: ClassVar[type[FittedTranslator]] = FittedTranslator
    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("source", ("source", "src", "question", "input", "text", "1"))
    summary: ClassVar[str] = "Reads a text and writes another."

    def __init__(self, settings: TranslatorSettings | None = None, **values: Unpack[TranslatorKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def source_vocabulary(self) -> Vocabulary:
        """Units of the sources.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.source

    @property
    def target_vocabulary(self) -> Vocabulary:
        """Units of the targets.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.target

    _validation_titles = MappingProxyType({"bleu": "greedy bleu"})

    @property
    def score_titles(self) -> dict[str, str]:
        """BLEU under the name of the search that wrote the outputs."""
        decoding = self.settings.decoding
        return {"bleu": f"bleu (beam {decoding.beam})" if decoding.search == "beam" else f"bleu ({decoding.search})"}

    @property
    def metric(self) -> tuple[str, bool]:
        choose = self.settings.choose_by
        return choose, choose == "bleu"

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.source or "source", self.settings.data.target or "target"

    def _read(self, source: DataSource) -> PairExamples:
        reader = open_data(self.settings, source, self._columns_of("source", "target"))
        examples = PairExamples.of(reader)
        self._remember(reader)
        return examples

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        settings = self.settings
        return build_encoder_decoder(
            settings.network,
            self._cell,
            self.source_vocabulary,
            self.target_vocabulary,
            label_smoothing=settings.label_smoothing,
            coverage_penalty=settings.coverage,
            sampling=(settings.sampling_start, settings.sampling_end),
        )

    def _summary(self) -> str:
        network = self.settings.network
        layers = "layer" if network.layers == 1 else "layers"
        if network.network == "transformer":
            return f"transformer, {network.layers} + {network.layers} {layers} of {network.hidden}"
        if network.network == "window":
            return (
                f"window of {network.window} and {network.window} units, {network.layers} {layers} of {network.hidden}"
            )
        return f"{network.network} encoder–decoder of {super()._summary()}"

    def _source(self, examples: PairExamples) -> Bucketed[Paired]:
        return bucketed(self.fitted.encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: PairExamples) -> dict[str, float]:
        found = {"perplexity": self._perplexity(model, examples)}
        if self.settings.choose_by == "bleu":
            sources, references = self._grouped(examples)
            outputs = self._outputs(model, sources, DecodingSettings(search="greedy"))
            found["bleu"] = corpus_bleu(outputs, references, self.settings.tokenization)
        return found

    def _final_score(self, model: nn.Module, examples: PairExamples) -> dict[str, float]:
        sources, references = self._grouped(examples)
        outputs = self._outputs(model, sources, self.settings.decoding.replace(best=1))
        tokenization = self.settings.tokenization
        return {
            **translation_scores(outputs, references, tokenization),
            "perplexity": self._perplexity(model, examples),
            **by_length(sources, outputs, references, tokenization),
        }

    def _grouped(self, examples: PairExamples) -> tuple[list[str], list[list[str]]]:
        return grouped(examples.sources, examples.targets, together=self.settings.references == "grouped")

    def score_notes(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[str]:
        """How the scores of data, as `evaluate` takes them, are counted: sacreBLEU's signature."""
        _, references = self._grouped(self._read(self._data_source(data, labels)))
        return [f"BLEU as {signature(references, self.settings.tokenization)}"]

    def _perplexity(self, model: nn.Module, examples: PairExamples) -> float:
        assert isinstance(model, EncoderDecoder)
        return pair_perplexity(model, self.fitted.encode(examples), batched_tokens(self.settings))

    def _outputs(self, model: nn.Module, texts: Sequence[str], decoding: DecodingSettings) -> list[str]:
        chance = torch.Generator(device_of(model)).manual_seed(self.settings.training.seed)  # scores are repeatable
        written = self._write(model, self._read_texts(texts), decoding, generator=chance)
        return [self._text(best[0], text) for best, text in zip(written, texts, strict=True)]

    def _read_texts(self, texts: Sequence[str]) -> Sequences:
        """The units of texts that are to be translated, as far as they are read."""
        sources = self.fitted.encode_sources(texts, [f"text {number}" for number in range(1, len(texts) + 1)])
        return Sequences.of(ids[:_LONGEST] for ids in sources)

    def _write(
        self,
        model: nn.Module,
        sources: Sequences,
        decoding: DecodingSettings,
        prefixes: Sequence[Sequence[int]] | None = None,
        generator: torch.Generator | None = None,
    ) -> list[list[Hypothesis]]:
        """The outputs for every source, best first."""
        assert isinstance(model, EncoderDecoder)
        model_device, found = device_of(model), [[]] * len(sources)  # type: ignore[var-annotated]
        forced = max(map(len, prefixes), default=0) if prefixes is not None else 0
        budget = max(1024, batched_tokens(self.settings) // (2 * max(1, decoding.beam)))
        for places, batch in evaluation_batches(Examples(sources), batch_tokens=budget):
            assert isinstance(batch, Tokens)
            tokens = batch.to(model_device)
            written = decode(
                model,
                self._started(model, tokens),
                settings=decoding,
                max_lengths=self._limits(tokens.lengths, forced),
                forbidden=self._forbidden(model_device),
                prefix=None if prefixes is None else [prefixes[place] for place in places],
                source_lengths=tokens.lengths,
                generator=generator,
            )
            for place, best in zip(places, written, strict=True):
                found[place] = best
        return found

    def _limits(self, lengths: Tensor, forced: int) -> Tensor:
        """How long the outputs for sources of some lengths may be, by what was seen in training."""
        limits = (lengths * self.fitted.lengths.ratio + 10).long() + forced
        return limits.clamp(max=most_written(self.settings.network))

    @torch.no_grad()
    def _started(self, model: EncoderDecoder, tokens: Tokens) -> Any:
        return model.start(tokens)

    def _forbidden(self, device: torch.device) -> Tensor:
        return never_written(self.target_vocabulary, device, unknown=self.settings.copy_unknown)

    def _text(self, hypothesis: Hypothesis, source: str) -> str:
        """The output as text; unknown words from the source, if so set."""
        if not self.settings.copy_unknown or hypothesis.attention is None or UNKNOWN not in hypothesis.ids:
            return self.target_vocabulary.decode(hypothesis.ids)
        words = self.source_vocabulary.encode_with_offsets(source).units
        looked = hypothesis.attention.argmax(1)
        pieces = [
            words[min(int(looked[step]), len(words) - 1)] if id == UNKNOWN else self.target_vocabulary.unit(id)
            for step, id in enumerate(hypothesis.ids)
        ]
        return (" " if self.target_vocabulary.units in ("word", "blank") else "").join(pieces)

    def _baselines(self, train: PairExamples, held_out: PairExamples) -> dict[str, dict[str, float]]:
        sources, references = self._grouped(held_out)
        tokenization = self.settings.tokenization
        return {"copy of the source": {"bleu": corpus_bleu(sources, references, tokenization)}}

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(  # type: ignore[overload-overlap] # one str is one text
        self, texts: str, *, decoding: DecodingSettings | None = None, begin: str = "", seed: int | None = None
    ) -> Translation: ...
    @overload
    def predict(
        self,
        texts: Iterable[str],
        *,
        decoding: DecodingSettings | None = None,
        begin: str = "",
        seed: int | None = None,
    ) -> list[Translation]: ...
    def predict(
        self,
        texts: str | Iterable[str],
        *,
        decoding: DecodingSettings | None = None,
        begin: str = "",
        seed: int | None = None,
    ) -> Translation | list[Translation]:
        """Translate one text, or each of several.

        Args:
            texts: What to translate: a text or a list of texts.
            decoding: How to write; the model's own settings if omitted.
            begin: What each output is forced to begin with.
            seed: Start of chance, where outputs are drawn.

        Raises:
            DataError: If a text holds no unit.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, lambda listed: self._translated(listed, decoding, begin, seed))

    def _translated(
        self, texts: list[str], decoding: DecodingSettings | None, begin: str, seed: int | None
    ) -> list[Translation]:
        sources = self._read_texts(texts)
        prefixes = [self.target_vocabulary.encode(begin)] * len(texts) if begin else None
        generator = None
        if seed is not None:
            generator = seeded(seed, device_of(self.model))
        written = self._write(self.model, sources, decoding or self.settings.decoding, prefixes, generator)
        return [self._translation(text, best) for text, best in zip(texts, written, strict=True)]

    def stream(
        self, text: str, *, decoding: DecodingSettings | None = None, begin: str = "", seed: int | None = None
    ) -> Iterator[str]:
        """Translate one text, piece by piece as the translation is written.

        The pieces joined are the translation that `predict` gives with the same settings. A beam is decided at its end
        only: where the model's own settings say beam, the greedy search writes instead, as in `predict(text,
        decoding=DecodingSettings(search="greedy"))`. A unit is computed when its piece is asked for: closing the
        iterator, or leaving a `for` loop, ends the work.

        Args:
            text: What to translate.
            decoding: How to write: greedy or sample, and one output. The model's own settings if omitted.
            begin: What the output is forced to begin with; it is yielded too.
            seed: Start of chance, where the output is drawn.

        Returns:
            An iterator of pieces of text, each at least one character.

        Raises:
            DataError: If the text holds no unit.
            SettingError: If `decoding` says beam or several outputs, or the model copies unknown words.
            UsageError: If the model has not been trained.
        """
        self._one_text(text, "stream")
        self._need_model()
        if self.settings.copy_unknown:
            raise SettingError(
                "a translator that copies unknown words (copy_unknown = true) looks at the whole output, and writes it "
                "in one piece: call predict"
            )
        settings = stream_settings(decoding, self.settings.decoding)
        tokens = Tokens(*self._read_texts([text]).pad(np.array([0]))).to(device_of(self.model))
        prefix = self.target_vocabulary.encode(begin) if begin else []
        written = stream(
            self.model,
            self._started(self.model, tokens),
            settings=settings,
            max_length=int(self._limits(tokens.lengths, len(prefix))),
            forbidden=self._forbidden(tokens.ids.device),
            prefix=prefix,
            generator=None if seed is None else torch.Generator(tokens.ids.device).manual_seed(seed),
        )
        return text_pieces(self.target_vocabulary.decode, (unit for unit, _ in written), complete=True)

    def _translation(self, text: str, written: list[Hypothesis]) -> Translation:
        best, *others = written
        attention = None if best.attention is None else np.round(best.attention.astype(np.float64), 4).tolist()
        units = [self._shown(self.target_vocabulary, id) for id in best.ids] + [""] * best.finished
        return Translation(
            text=text,
            translation=self._text(best, text),
            score=best.score,
            others=[(self._text(each, text), each.score) for each in others],
            source_units=self.source_vocabulary.encode_with_offsets(text).units[:_LONGEST],
            target_units=units,
            attention=attention,
            caution=self._caution(self.source_vocabulary.encode(text)),
        )

    def _caution(self, source: Sequence[int]) -> str:
        """Why a source, in units, is unlike all that the model learned from."""
        if all(id == UNKNOWN for id in source):
            return "nothing in it is in the model's vocabulary: the output is a guess"
        if len(source) <= self.fitted.lengths.longest_source:
            return ""
        read = f", of which {_LONGEST:,} are read" if len(source) > _LONGEST else ""
        return f"{len(source):,} units{read}; the longest source in training had {self.fitted.lengths.longest_source:,}"

    @staticmethod
    def _shown(vocabulary: Vocabulary, id: int) -> str:
        """A unit as a person reads it."""
        return vocabulary.decode([id]) or vocabulary.unit(id)

    def trace(self, text: str) -> Trace:
        """Translate one text and return what encoder and decoder recorded, and where each unit written looked.

        The numbers are of one pass over the source and the whole output (see `trace_of_pair`); the decoder's are in
        `written`, at each of its units and its end.

        Raises:
            DataError: If the text holds no unit.
            UsageError: If several texts came, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        sources = Sequences.of(ids[:_LONGEST] for ids in self.fitted.encode_sources([text], ["text"]))
        written = self._write(self.model, sources, self.settings.decoding)[0]
        said = self._translation(text, written)
        batch = PairedExamples(sources, Sequences.of([np.array(written[0].ids, np.int64)])).batch(np.array([0]))
        return trace_of_pair(
            self.model,
            batch.to(device_of(self.model)),
            said.source_units,
            said.target_units,
            prediction={"translation": said.translation},
            summary=self._summary(),
        )
