"""`Transcriber`, the task of speech recognition: a sound in, its transcript out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    Bucketed,
    Captioned,
    DataSource,
    Paths,
    Reader,
    Sequences,
    Sound,
    Tokens,
    Transcribed,
    Unlabelled,
    evaluation_batches,
)
from unspool.decoding import Hypothesis
from unspool.decoding.ctc import CTCHypothesis, HearingSettings, align, forward_score, greedy, hear, prefix_beam_search
from unspool.decoding.settings import DecodingSettings
from unspool.errors import UsageError, counted
from unspool.inputs.audio.entry import read_sound_paths
from unspool.inspection import Map, Trace
from unspool.inspection.edits import Edits
from unspool.layers import initialize
from unspool.models import CTCModel, EncoderDecoder
from unspool.settings import Settings, nearest
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.editing import Parts
from unspool.tasks.parts.encoder_decoders import pair_perplexity
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.pair_editing import parts_of_pair
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.parts.representation import brief
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of
from unspool.tasks.transcribe.attention import build_attentive, heard_units, sounds_alone, write
from unspool.tasks.transcribe.data import SpokenExamples, open_data
from unspool.tasks.transcribe.encoded import EncodedSpeech
from unspool.tasks.transcribe.error_rates import Alignment, align_texts, characters_of, count_errors, words_of
from unspool.tasks.transcribe.fitted import BLANK, GAP, FittedTranscriber
from unspool.tasks.transcribe.hearing import Knowledge, compiled
from unspool.tasks.transcribe.settings import TranscriberSettings

if TYPE_CHECKING:
    from unspool.tasks.transcribe.keywords import TranscriberKeywords

__all__ = ["HeardUnit", "HeardWord", "Transcriber", "Transcription"]

_SAMPLES = 3  # transcripts in the log of each validation
_SHOWN = 0.01  # maximum over time from which the map of posteriors shows a unit
_CONFUSIONS = 5
_LONGEST = 1000  # characters that a decoder writes at most

GREEDY = DecodingSettings(search="greedy")
UNAIDED = Knowledge(HearingSettings())


class HeardUnit(NamedTuple):
    """A character of a transcript, with its time."""

    text: str
    begin: float
    """Seconds from the start of the sound."""
    end: float
    """Seconds from the start of the sound."""


class HeardWord(NamedTuple):
    """A word of a transcript, with its time."""

    word: str
    begin: float
    """Seconds from the start of the sound."""
    end: float
    """Seconds from the start of the sound."""


class Transcription(NamedTuple):
    """Prediction of a transcriber for one sound."""

    sound: str
    """File of the sound, or its name."""
    transcript: str
    """The words; empty if there are none, or if none of the grammar's sentences was heard."""
    score: float | None
    """Ranking score: log-probability, plus that of the language model, in nats; None if no sentence was heard."""
    others: list[tuple[str, float]]
    """The next best transcripts with their scores, if `decoding.best` is above 1."""
    words: list[HeardWord]
    characters: list[HeardUnit]
    margin: float | None = None
    """With a grammar: nats per step by which another output fits better; see `grammar_margin`. None without a grammar,
    or if the sound is too short for every sentence."""
    caution: str = ""
    """Warning about an unreliable transcript."""

    def __repr__(self) -> str:
        return f"<Transcription {brief(self.transcript)} of {self.sound}>"

    def line(self) -> str:
        """Format the transcript; with several, one line per transcript with its score."""
        if not self.others:
            return self.transcript
        rows = [(self.transcript, self.score), *self.others]
        return "".join(f"{text}\t{score:.4f}\n" for text, score in rows)

    def record(self) -> dict[str, Any]:
        """Return all fields; words and characters are dictionaries."""
        return {
            **self._asdict(),
            "others": [list(other) for other in self.others],
            "words": [word._asdict() for word in self.words],
            "characters": [unit._asdict() for unit in self.characters],
        }


class _Found(NamedTuple):
    """Best outputs of a search for one sound."""

    hypotheses: list[CTCHypothesis]
    margin: float | None = None


class Transcriber(Task[SpokenExamples, FittedTranscriber]):
    """Speech recogniser: writes the words of a sound, character by character.

    Example:
        >>> from unspool import Transcriber
        >>> model = Transcriber(epochs=40).fit("train.tsv", valid="dev.tsv")  # doctest: +SKIP
        >>> model.predict(["one.wav"])[0].transcript  # doctest: +SKIP
        'turn on the light'
    """

    name: ClassVar[str] = "transcribe"
    settings_type: ClassVar[type[Settings]] = TranscriberSettings
    fitted_type: ClassVar[type[FittedTranscriber]] = FittedTranscriber
    summary: ClassVar[str] = "Writes the words of a sound."

    def __init__(self, settings: TranscriberSettings | None = None, **values: Unpack[TranscriberKeywords]) -> None:
        super().__init__(settings, **values)
        self._scored: tuple[list[str], list[str]] | None = None
        """Places and transcripts of the sounds that were scored last."""

    @property
    def metric(self) -> tuple[str, bool]:
        return self.settings.choose_by, False

    @property
    def main_score(self) -> tuple[str, bool]:
        return "wer", False

    @property
    def score_titles(self) -> dict[str, str]:
        """Title of the word error rate with the search."""
        return {"wer": f"wer ({self._search_name()})"}

    def _search_name(self) -> str:
        decoding = self.settings.decoding
        return f"beam {decoding.beam}" if decoding.search == "beam" else "greedy"

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        data = self.settings.data
        return data.audio_column or "audio", data.transcript_column or "transcript"

    def _read(self, source: DataSource) -> SpokenExamples:
        reader = open_data(self.settings, source, self._read_as)
        examples = SpokenExamples.of(reader)
        self._remember(reader)
        return examples

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> Reader[Unlabelled]:
        """Open sounds without transcripts for reading: sound files, or lists and tables of their paths."""
        columns = () if self._read_as is None else self._read_as.columns_of("audio")
        return read_sound_paths(paths, format=format, columns=columns)

    def _checked_text(self, text: Any, where: str) -> Any:
        return self.fitted.input.value(text, where)

    def _is_one(self, texts: Any) -> bool:
        return self.fitted.input.is_one(texts)

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        network, fitted = self.settings.network, self.fitted
        encoder = fitted.input.encoder(network, self._cell)
        if fitted.attends:
            return build_attentive(network, self._cell, encoder, fitted.vocabulary)
        model = CTCModel(
            encoder.embedding,
            encoder.stack,
            len(fitted.texts),
            dropout=network.dropout,
            input_dropout=network.dropout if encoder.drops_inputs else 0.0,
            variational=network.variational,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _summary(self) -> str:
        layers, network = super()._summary(), self.settings.network
        kind = f"{network.attention} attention" if network.decoder == "attention" else "CTC"
        if self.settings.network.network == "convolutional":
            convolutions = self.settings.audio.convolutions
            count = counted(len(convolutions.all_dilations), "convolutions")
            return f"{kind}: {count} of {convolutions.channels}, then {layers}"
        return f"{kind}: {layers}"

    def _start(self, examples: SpokenExamples) -> None:
        if self.fitted.attends:
            counts = self.fitted.encode(examples).target_counts(len(self.fitted.vocabulary))
            self.model.softmax.start_from(counts)

    def _notes(self, train: SpokenExamples, held_out: SpokenExamples | None) -> list[str]:
        return self.fitted.input.notes(train.sounds)

    def _source(self, examples: SpokenExamples) -> Bucketed[Transcribed | Captioned]:
        return bucketed(self.fitted.encode(examples), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: SpokenExamples) -> dict[str, float]:
        encoded = self.fitted.encode(examples)
        found = self._search(model, encoded, GREEDY, UNAIDED)
        scores = self._error_rates(examples.transcripts, [self._best_text(each) for each in found])
        if self.settings.choose_by == "nats":
            scores["nats"] = self._nats(model, encoded)
        return {name: scores[name] for name in ("wer", "cer", "nats") if name in scores}

    def _final_score(self, model: nn.Module, examples: SpokenExamples) -> dict[str, float]:
        encoded = self.fitted.encode(examples)
        found = self._search(model, encoded, self.settings.decoding.replace(best=1), self._knowledge())
        texts = [self._best_text(each) for each in found]
        self._scored = list(examples.where), texts
        return {**self._error_rates(examples.transcripts, texts), "nats": self._nats(model, encoded)}

    def _error_rates(self, references: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
        """Return word and character error rates, the share of exact transcripts, and the word errors by kind."""
        references = [self.fitted.normal(text) for text in references]
        words = count_errors(list(map(words_of, references)), list(map(words_of, transcripts)))
        characters = count_errors(list(map(characters_of, references)), list(map(characters_of, transcripts)))
        exact = [words_of(one) == words_of(two) for one, two in zip(references, transcripts, strict=True)]
        return {
            "wer": words.rate,
            "cer": characters.rate,
            "exact": float(np.mean(exact)),
            "substitutions": words.substitutions / max(1, words.units),
            "deletions": words.deletions / max(1, words.units),
            "insertions": words.insertions / max(1, words.units),
        }

    @torch.no_grad()
    def _nats(self, model: nn.Module, encoded: EncodedSpeech) -> float:
        """Return -log p of the transcripts per character, in nats; CTC leaves out sounds too short for theirs."""
        if self.fitted.attends:
            assert isinstance(model, EncoderDecoder)
            return math.log(pair_perplexity(model, encoded, batched_tokens(self.settings)))
        assert isinstance(model, CTCModel)
        total, units = 0.0, 0
        for _, batch in evaluation_batches(encoded, batch_tokens=batched_tokens(self.settings)):
            assert isinstance(batch, Transcribed)
            losses = model.transcript_losses(batch.to(device_of(model)))
            total += float(losses.sum())
            units += int(batch.targets.lengths[(losses > 0).cpu()].sum())
        return total / max(1, units)

    def _samples(self, model: nn.Module, examples: SpokenExamples) -> list[dict[str, str]]:
        """Transcribe the first held-out sounds, greedily."""
        first = examples.take(np.arange(min(_SAMPLES, len(examples.sounds))))
        found = self._search(model, self.fitted.encode(first), GREEDY, UNAIDED)
        return [
            {"input": str(sound), "output": self._best_text(each), "right": right}
            for sound, each, right in zip(first.sounds, found, first.transcripts, strict=True)
        ]

    def _baselines(self, train: SpokenExamples, held_out: SpokenExamples) -> dict[str, dict[str, float]]:
        usual = Counter(map(self.fitted.normal, train.transcripts)).most_common(1)[0][0]
        scores = self._error_rates(held_out.transcripts, [usual] * len(held_out.transcripts))
        return {"most frequent transcript": {name: scores[name] for name in ("wer", "cer", "exact")}}

    def score_notes(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[str]:
        """Return what the search knew, unknown characters, and the most frequent confusions of words."""
        examples = self._read(self._data_source(data, labels))
        knowledge = self._knowledge().summary()
        notes = [f"searched with {knowledge}"] * bool(knowledge) + self.fitted.score_notes(examples)
        confusions: Counter[tuple[str | None, str | None]] = Counter()
        for alignment in self._alignments(examples):
            confusions.update(alignment.confusions())
        if confusions:
            shown = [_confusion(*pair, count) for pair, count in confusions.most_common(_CONFUSIONS)]
            notes.append(f"most frequent errors: {', '.join(shown)}")
        return notes

    def align(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[Alignment]:
        """Align the words of the transcripts with those of labelled sounds.

        Args:
            data: Files, folders or globs; or sounds in memory, in any form that `fit` takes.
            labels: Transcripts, one per sound, if `data` holds sounds alone.

        Returns:
            An alignment per sound; `show` formats it, `counts` counts the errors.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        return self._alignments(self._read(self._data_source(data, labels)))

    def _alignments(self, examples: SpokenExamples) -> list[Alignment]:
        if self._scored is None or self._scored[0] != examples.where:
            self._final_score(self.model, examples)
        assert self._scored is not None
        references = map(words_of, map(self.fitted.normal, examples.transcripts))
        return [align_texts(one, words_of(two)) for one, two in zip(references, self._scored[1], strict=True)]

    # ---- search ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _posteriors(self, model: nn.Module, encoded: Any) -> list[NDArray[np.float32]]:
        """Return log-probabilities of the units at each step of each sound, (steps, units)."""
        device = device_of(model)
        rows: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(encoded)
        for places, batch in evaluation_batches(encoded, batch_tokens=batched_tokens(self.settings)):
            frames = batch.inputs if isinstance(batch, Transcribed) else batch
            outputs = model(frames.to(device)).cpu().numpy()
            for column, (place, length) in enumerate(zip(places, frames.lengths.tolist(), strict=True)):
                rows[place] = outputs[:length, column]
        return rows

    def _knowledge(self) -> Knowledge:
        """Return the language model or grammar that the settings name."""
        return self.fitted.knowledge.under(self.settings.hearing)

    def _search(self, model: nn.Module, encoded: Any, decoding: DecodingSettings, knowledge: Knowledge) -> list[_Found]:
        """Return the best outputs of every sound."""
        if self.fitted.attends:
            return [_Found(heard_units(each, GAP)) for each in self._write(model, encoded, decoding)]
        posteriors = self._posteriors(model, encoded)
        if decoding.search == "greedy" and knowledge.grammar is None:
            return [_Found([_greedy(matrix)]) for matrix in posteriors]
        grammar = knowledge.spelled(self.fitted.unit_ids)
        widths = {"beam": decoding.beam, "best": decoding.best}
        if grammar is not None:
            heard = [hear(matrix, grammar, blank=BLANK, **widths) for matrix in posteriors]
            threshold = knowledge.settings.grammar_margin
            margins = [each.margin if each.hypotheses else None for each in heard]
            accepted = [each.hypotheses if each.accepted(threshold) else [] for each in heard]
            return [_Found(*each) for each in zip(accepted, margins, strict=True)]
        fusion = knowledge.fusion(self.fitted.texts)
        return [_Found(prefix_beam_search(matrix, fusion=fusion, blank=BLANK, **widths)) for matrix in posteriors]

    def _write(self, model: nn.Module, encoded: Any, decoding: DecodingSettings) -> list[list[Hypothesis]]:
        """Return the outputs of the decoder for every sound, best first."""
        return write(
            model,
            encoded,
            self.fitted.vocabulary,
            decoding,
            longest=_LONGEST,
            batch_tokens=batched_tokens(self.settings),
        )

    def _parts(self) -> Parts:
        return parts_of_pair(self.model) if self.fitted.attends else super()._parts()

    def _best_text(self, found: _Found) -> str:
        return self.fitted.text(found.hypotheses[0].ids) if found.hypotheses else ""

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str, *, grammar: Any = None) -> Transcription: ...
    @overload
    def predict(self, texts: Iterable[Any], *, grammar: Any = None) -> list[Transcription]: ...
    def predict(self, texts: Any, *, grammar: Any = None) -> Transcription | list[Transcription]:
        """Transcribe one sound, or each of several.

        Args:
            texts: A sound, or a list of sounds: paths, pairs of samples and sample rate in Hz, or bytes of WAV files.
            grammar: The only sentences that may be heard: the grammar of a `CommandSet`, a list of sentences, or nested
                tuples as for `unspool.decoding.ctc.compile_grammar`. By the settings if omitted.

        Returns:
            One prediction for one sound, or a list for several.

        Raises:
            DataError: If a sound can't be read, is silent or too long, or `grammar` is no grammar.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        if grammar is not None and self.fitted.attends:
            raise UsageError("a grammar needs decoder = ctc, and this model writes by attention")
        settings = self.settings.hearing
        knowledge = self._knowledge() if grammar is None else Knowledge(settings, grammar=compiled(grammar))
        return self._for_each(texts, lambda sounds: self._transcribed(sounds, knowledge))

    def _transcribed(self, sounds: list[Sound], knowledge: Knowledge) -> list[Transcription]:
        where = [f"sound {number}" for number in range(1, len(sounds) + 1)]
        encoded = self.fitted.input.encode(sounds, where)
        found = self._search(self.model, encoded, self.settings.decoding, knowledge)
        return [self._transcription(sound, each) for sound, each in zip(sounds, found, strict=True)]

    def _transcription(self, sound: Sound, found: _Found) -> Transcription:
        if not found.hypotheses:
            none = "none of the grammar's sentences was heard"
            return Transcription(str(sound), "", None, [], [], [], found.margin, none)
        best, *others = found.hypotheses
        characters = self._timed(best)
        return Transcription(
            sound=str(sound),
            transcript=self.fitted.text(best.ids),
            score=best.score,
            others=[(self.fitted.text(each.ids), each.score) for each in others],
            words=_words(characters),
            characters=characters,
            margin=found.margin,
            caution="" if best.ids else "no word was heard",
        )

    def _timed(self, hypothesis: CTCHypothesis) -> list[HeardUnit]:
        """Return the characters of an output with their times, of their most probable path."""
        step = self.fitted.input.reduction * self.fitted.input.hop
        texts = self.fitted.texts
        return [
            HeardUnit(texts[unit], round(begin * step, 4), round(end * step, 4))
            for unit, (begin, end) in zip(hypothesis.ids, hypothesis.spans, strict=True)
        ]

    def _questions(self, examples: SpokenExamples) -> Questions:
        return Questions(examples.sounds, list(map(self.fitted.normal, examples.transcripts)), examples.where)

    def _output_row(self, choice: str) -> Tensor | None:
        units = self.fitted.unit_ids
        if self.fitted.attends:
            return None
        if choice not in units:
            raise UsageError(f"there is no character {choice!r}{nearest(choice, list(units))}")
        row: Tensor = self.model.output.weight[units[choice]]
        return row

    def trace(self, text: Any, edits: Edits = ()) -> Trace:
        """Transcribe one sound and return the recorded intermediate values.

        The map `posterior` holds the probability of each character at each step; the row `<blank>` is that of no
        character. It leaves out characters that stay below 1 %.

        Args:
            text: The sound.
            edits: Changes of gates and states during the run.

        Raises:
            DataError: If the sound can't be read.
            UsageError: If `text` is not a single sound, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        if not self._is_one(text):
            raise UsageError("trace takes one sound; of several make a list: [model.trace(sound) for sound in sounds]")
        value = self.fitted.input.value(text, "sound")
        if self.fitted.attends:
            return self._trace_of_decoder(value)
        frames = self.fitted.input.encode([value], ["sound"]).batch(np.array([0])).to(device_of(self.model))
        output, arrays, notes = self._recorded(lambda: self.model(frames))
        check_output(output, "sound")
        posterior = output[:, 0].exp().cpu().numpy()
        positions = self.fitted.input.positions(value)
        arrays["output / probability"] = posterior
        names = ["<blank>", *("<space>" if text == " " else text for text in self.fitted.texts[1:])]
        shown = np.flatnonzero(posterior.max(0) >= _SHOWN).tolist()
        maps = {"posterior": Map(posterior[:, shown].T, tuple(names[unit] for unit in shown), positions)}
        maps |= self._memory_maps(arrays, positions)
        with self._plain_loop():
            result = self._transcribed([value], self._knowledge())[0]
        prediction = {"transcript": result.transcript}
        return Trace(positions, arrays, prediction, self._summary(), notes, maps)

    def _trace_of_decoder(self, value: Sound) -> Trace:
        """Return the trace of a network with attention, from one forward pass over the sound and its transcript."""
        fitted = self.fitted
        encoded = fitted.input.encode([value], ["sound"])
        hypothesis = self._write(self.model, encoded, self.settings.decoding.replace(best=1))[0][0]
        target = Tokens(*Sequences.of([np.array(hypothesis.ids, np.int64)]).pad(np.array([0])))
        source = sounds_alone(encoded.batch(np.array([0])))
        texts = fitted.texts
        shown = ["<space>" if texts[id - GAP] == " " else texts[id - GAP] for id in hypothesis.ids]
        return trace_of_pair(
            self.model,
            Captioned(source.inputs_once, target, source.index).to(device_of(self.model)),
            fitted.input.positions(value),
            shown + [""] * hypothesis.finished,
            prediction={"transcript": fitted.text([id - GAP for id in hypothesis.ids])},
            summary=self._summary(),
        )


def _greedy(matrix: NDArray[np.float32]) -> CTCHypothesis:
    ids, _ = greedy(matrix, blank=BLANK)
    score = forward_score(matrix, ids, blank=BLANK)
    return CTCHypothesis(ids, score, score, align(matrix, ids, blank=BLANK))


def _words(characters: Sequence[HeardUnit]) -> list[HeardWord]:
    """Return the words that characters spell, with their times."""
    words: list[HeardWord] = []
    inside = False
    for unit in characters:
        if unit.text == " ":
            inside = False
        elif inside:
            words[-1] = HeardWord(words[-1].word + unit.text, words[-1].begin, unit.end)
        else:
            words.append(HeardWord(unit.text, unit.begin, unit.end))
            inside = True
    return words


def _confusion(reference: str | None, transcript: str | None, count: int) -> str:
    """Format an error with its count."""
    times = f" ({count})" if count > 1 else ""
    if reference is None:
        return f"{transcript!r} inserted{times}"
    return f"{reference!r} left out{times}" if transcript is None else f"{reference!r} as {transcript!r}{times}"
