"""`Translator`, the task of sequence-to-sequence learning: a text in, another text out."""

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
from unspool.errors import SettingError, UsageError
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.models import EncoderDecoder
from unspool.settings import Settings
from unspool.ship.answers import Answer
from unspool.ship.sheet import Sheet
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.editing import Parts
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder, most_written, never_written, pair_perplexity
from unspool.tasks.parts.pair_editing import PrefixSteps, is_edited, parts_of_pair
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of
from unspool.tasks.translate.data import PairExamples, open_data
from unspool.tasks.translate.fitted import FittedTranslator
from unspool.tasks.translate.plan import RULES
from unspool.tasks.translate.scores import by_length, corpus_bleu, grouped, signature, translation_scores
from unspool.tasks.translate.settings import TranslatorSettings
from unspool.tasks.translate.sheet import translator_sheet

if TYPE_CHECKING:
    from unspool.tasks.translate.keywords import TranslatorKeywords

__all__ = ["Translation", "Translator"]

_SAMPLES = 3  # translations in the log of each validation
_LONGEST = 512  # maximum source length in units; longer sources are truncated


class Translation(NamedTuple):
    """Prediction of a translator for one text."""

    text: str
    translation: str
    score: float
    """Ranking score: log-probability in nats, divided by the length penalty."""
    others: list[tuple[str, float]]
    """The next best outputs with their scores, if `decoding.best` is above 1."""
    source_units: list[str]
    target_units: list[str]
    """Units of the output; an empty string marks its end."""
    attention: list[list[float]] | None
    """Attention weights, one row per target unit and one column per source unit; None without attention."""
    caution: str = ""
    """Warning about an unreliable output: the source is longer than in training, or has no unit of the vocabulary."""

    def __repr__(self) -> str:
        return f"<Translation {brief(self.translation)} of {brief(self.text)}>"

    def line(self) -> str:
        """Format the translation; with several outputs, one line per output with its score."""
        if not self.others:
            return self.translation
        rows = [(self.translation, self.score), *self.others]
        return "".join(f"{text}\t{score:.4f}\n" for text, score in rows)

    def record(self) -> dict[str, Any]:
        """Return all fields."""
        return {**self._asdict(), "others": [list(other) for other in self.others]}


class Translator(Task[PairExamples, FittedTranslator]):
    """Sequence-to-sequence model: reads a text and writes another, such as a translation, summary or spelling.

    Example:
        >>> from unspool import Translator
        >>> model = Translator(network="additive", epochs=10).fit("pairs.tsv")  # doctest: +SKIP
        >>> model.predict(["Where is the station?"])[0].translation  # doctest: +SKIP
        'Où est la gare ?'
    """

    name: ClassVar[str] = "translate"
    settings_type: ClassVar[type[Settings]] = TranslatorSettings
    fitted_type: ClassVar[type[FittedTranslator]] = FittedTranslator
    _rules = RULES
    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("source", ("source", "src", "question", "input", "text", "1"))
    summary: ClassVar[str] = "Reads a text and writes another."

    def __init__(self, settings: TranslatorSettings | None = None, **values: Unpack[TranslatorKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def source_vocabulary(self) -> Vocabulary:
        """Vocabulary of the sources.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.source

    @property
    def target_vocabulary(self) -> Vocabulary:
        """Vocabulary of the targets.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.target

    _validation_titles = MappingProxyType({"bleu": "greedy bleu"})

    @property
    def score_titles(self) -> dict[str, str]:
        """Title of BLEU with the decoding method."""
        decoding = self.settings.decoding
        return {"bleu": f"bleu (beam {decoding.beam})" if decoding.search == "beam" else f"bleu ({decoding.search})"}

    @property
    def metric(self) -> tuple[str, bool]:
        choose = self.settings.choose_by
        return choose, choose == "bleu"

    @property
    def main_score(self) -> tuple[str, bool]:
        return "bleu", True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.source or "source", self.settings.data.target or "target"

    def _read(self, source: DataSource) -> PairExamples:
        reader = open_data(self.settings, source, self._read_as)
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

    def _start(self, examples: PairExamples) -> None:
        self.model.softmax.start_from(self.fitted.encode(examples).target_counts(len(self.target_vocabulary)))

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: PairExamples) -> dict[str, float]:
        scores = {"perplexity": self._perplexity(model, examples)}
        if self.settings.choose_by == "bleu":
            sources, references = self._grouped(examples)
            outputs = self._outputs(model, sources, DecodingSettings(search="greedy"))
            scores["bleu"] = corpus_bleu(outputs, references, self.settings.tokenization)
        return scores

    def _samples(self, model: nn.Module, examples: PairExamples) -> list[dict[str, str]]:
        """Translate the first held-out sources, greedily."""
        sources, references = examples.sources[:_SAMPLES], examples.targets[:_SAMPLES]
        outputs = self._outputs(model, sources, DecodingSettings(search="greedy"))
        return [
            {"input": source, "output": output, "right": reference}
            for source, output, reference in zip(sources, outputs, references, strict=True)
        ]

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
        """Return sacreBLEU's signature for the scores of `evaluate`."""
        _, references = self._grouped(self._read(self._data_source(data, labels)))
        return [f"BLEU as {signature(references, self.settings.tokenization)}"]

    def _perplexity(self, model: nn.Module, examples: PairExamples) -> float:
        assert isinstance(model, EncoderDecoder)
        return pair_perplexity(model, self.fitted.encode(examples), batched_tokens(self.settings))

    def _outputs(self, model: nn.Module, texts: Sequence[str], decoding: DecodingSettings) -> list[str]:
        generator = torch.Generator(device_of(model)).manual_seed(self.settings.training.seed)  # reproducible scores
        outputs = self._write(model, self._read_texts(texts), decoding, generator=generator)
        return [self._text(best[0], text) for best, text in zip(outputs, texts, strict=True)]

    def _read_texts(self, texts: Sequence[str]) -> Sequences:
        """Encode and truncate the sources."""
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
        """Decode the outputs of every source, best first."""
        assert isinstance(model, EncoderDecoder)
        model_device, outputs = device_of(model), [[]] * len(sources)  # type: ignore[var-annotated]
        forced = max(map(len, prefixes), default=0) if prefixes is not None else 0
        budget = max(1024, batched_tokens(self.settings) // (2 * max(1, decoding.beam)))
        for places, batch in evaluation_batches(Examples(sources), batch_tokens=budget):
            assert isinstance(batch, Tokens)
            tokens = batch.to(model_device)
            steps = PrefixSteps(model) if is_edited(model) else model
            hypotheses = decode(
                steps,
                self._started(steps, tokens),
                settings=decoding,
                max_lengths=self._limits(tokens.lengths, forced),
                forbidden=self._forbidden(model_device),
                prefix=None if prefixes is None else [prefixes[place] for place in places],
                source_lengths=tokens.lengths,
                generator=generator,
            )
            for place, best in zip(places, hypotheses, strict=True):
                outputs[place] = best
        return outputs

    def _parts(self) -> Parts:
        return parts_of_pair(self.model)

    def _limits(self, lengths: Tensor, forced: int) -> Tensor:
        """Return the maximum output lengths for some source lengths, by the length ratio in training."""
        limits = (lengths * self.fitted.lengths.ratio + 10).long() + forced
        return limits.clamp(max=most_written(self.settings.network))

    @torch.no_grad()
    def _started(self, model: EncoderDecoder | PrefixSteps, tokens: Tokens) -> Any:
        return model.start(tokens)

    def _forbidden(self, device: torch.device) -> Tensor:
        return never_written(self.target_vocabulary, device, unknown=self.settings.copy_unknown)

    def _text(self, hypothesis: Hypothesis, source: str) -> str:
        """Convert an output to text; with `copy_unknown`, replace unknown words by attended source words."""
        if not self.settings.copy_unknown or hypothesis.attention is None or UNKNOWN not in hypothesis.ids:
            return self.target_vocabulary.decode(hypothesis.ids)
        words = self.source_vocabulary.encode_with_offsets(source).units
        attended = hypothesis.attention.argmax(1)
        pieces = [
            words[min(int(attended[step]), len(words) - 1)] if id == UNKNOWN else self.target_vocabulary.unit(id)
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
            texts: A text or a list of texts.
            decoding: Decoding settings; those of the model if omitted.
            begin: Forced prefix of each output.
            seed: Random seed for sampling.

        Returns:
            One prediction for one text, or a list for several.

        Raises:
            DataError: If a text contains no unit.
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
        outputs = self._write(self.model, sources, decoding or self.settings.decoding, prefixes, generator)
        return [self._translation(text, best) for text, best in zip(texts, outputs, strict=True)]

    def sheet(self) -> Sheet:
        """Return the translator as a closed list of operations; see `Task.sheet`."""
        self._need_model()
        if self.settings.copy_unknown:
            raise UsageError("a translator that copies unknown words (copy_unknown = true) can't be exported")
        return translator_sheet(self.model, self.fitted, _LONGEST)

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        """Return the greedy translations."""
        return list(self._outputs(self.model, list(texts), DecodingSettings(search="greedy")))

    def stream(
        self, text: str, *, decoding: DecodingSettings | None = None, begin: str = "", seed: int | None = None
    ) -> Iterator[str]:
        """Translate one text and yield the translation piece by piece.

        The joined pieces equal the translation of `predict` with the same settings. Beam search has no partial result:
        if the settings of the model specify beam search, `stream` decodes greedily, as in `predict(text,
        decoding=DecodingSettings(search="greedy"))`. Decoding is lazy: closing the iterator, or leaving a `for` loop,
        stops it.

        Args:
            text: The source text.
            decoding: Decoding settings: greedy or sample, one output. Those of the model if omitted.
            begin: Forced prefix of the output; the iterator yields it too.
            seed: Random seed for sampling.

        Returns:
            An iterator of pieces of text, each at least one character.

        Raises:
            DataError: If the text contains no unit.
            SettingError: If `decoding` specifies beam search or several outputs, or the model copies unknown words.
            UsageError: If the model has not been trained.
        """
        self._one_text(text, "stream")
        self._need_model()
        if self.settings.copy_unknown:
            raise SettingError(
                "a translator that copies unknown words (copy_unknown = true) needs the whole output, and can't "
                "stream it: call predict"
            )
        settings = stream_settings(decoding, self.settings.decoding)
        tokens = Tokens(*self._read_texts([text]).pad(np.array([0]))).to(device_of(self.model))
        prefix = self.target_vocabulary.encode(begin) if begin else []
        steps = stream(
            self.model,
            self._started(self.model, tokens),
            settings=settings,
            max_length=int(self._limits(tokens.lengths, len(prefix))),
            forbidden=self._forbidden(tokens.ids.device),
            prefix=prefix,
            generator=None if seed is None else torch.Generator(tokens.ids.device).manual_seed(seed),
        )
        return text_pieces(self.target_vocabulary.decode, (unit for unit, _ in steps), complete=True)

    def _translation(self, text: str, hypotheses: list[Hypothesis]) -> Translation:
        best, *others = hypotheses
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
        """Return a warning if the encoded source differs from all training data; empty otherwise."""
        if all(id == UNKNOWN for id in source):
            return "nothing in it is in the model's vocabulary: the output is a guess"
        if len(source) <= self.fitted.lengths.longest_source:
            return ""
        limit = f", of which {_LONGEST:,} are read" if len(source) > _LONGEST else ""
        return (
            f"{len(source):,} units{limit}; the longest source in training had {self.fitted.lengths.longest_source:,}"
        )

    @staticmethod
    def _shown(vocabulary: Vocabulary, id: int) -> str:
        """Format a unit for people."""
        return vocabulary.decode([id]) or vocabulary.unit(id)

    def _questions(self, examples: PairExamples) -> Questions:
        return Questions(examples.sources, examples.targets, examples.where)

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Translate one text and return the recorded values of encoder and decoder, with attention maps.

        The values come from one forward pass over the source and the whole output (see `trace_of_pair`). `written`
        holds those of the decoder, at each output unit and the end.

        Args:
            text: The text.
            edits: Changes of gates, states, attention and units. The decoder searches for its output with them.

        Raises:
            DataError: If the text contains no unit.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        if edits:
            return self._edited_trace(text, edits)
        sources = Sequences.of(ids[:_LONGEST] for ids in self.fitted.encode_sources([text], ["text"]))
        hypotheses = self._write(self.model, sources, self.settings.decoding)[0]
        result = self._translation(text, hypotheses)
        batch = PairedExamples(sources, Sequences.of([np.array(hypotheses[0].ids, np.int64)])).batch(np.array([0]))
        return trace_of_pair(
            self.model,
            batch.to(device_of(self.model)),
            result.source_units,
            result.target_units,
            prediction={"translation": result.translation},
            summary=self._summary(),
        )

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return -log p of each unit of the output and of its end, if complete, as functions of the embedded source."""
        self._one_text(text, "gradients")
        model = self.model
        sources = Sequences.of(ids[:_LONGEST] for ids in self.fitted.encode_sources([text], ["text"]))
        if target is None:
            best = self._write(model, sources, self.settings.decoding)[0][0]
            ids, ends = list(best.ids), best.finished
        else:
            ids, ends = self.target_vocabulary.encode(target), True
        pair = PairedExamples(sources, Sequences.of([np.array(ids, np.int64)])).batch(np.array([0]))
        pair = pair.to(device_of(model))
        with torch.no_grad():
            inputs = model.source(pair.source)

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            batch = Paired(*(_repeated(side, len(rows)) for side in (pair.source, pair.target)))
            scores: Tensor = model(batch, copies).log_probabilities
            return -scores[rows, torch.arange(len(rows), device=rows.device)]

        units = self.source_vocabulary.encode_with_offsets(text).units[:_LONGEST]
        names = [self.target_vocabulary.unit(id) for id in ids]
        return TextLosses(inputs, losses, units, [*names, ""] if ends else names, None)


def _repeated(tokens: Tokens, times: int) -> Tokens:
    """Return a batch of copies of one sequence; the copies need no characters."""
    return Tokens(tokens.ids.expand(-1, times), tokens.lengths.expand(times))
