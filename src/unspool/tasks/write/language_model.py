"""`LanguageModel`, the task of language modelling: next-unit prediction and text generation."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    END,
    IGNORED,
    UNKNOWN,
    DataSource,
    RowsInMemory,
    TokenFile,
    Tokens,
    Windows,
    are_files,
    find_files,
    token_array,
)
from unspool.errors import DataError, UsageError, option
from unspool.inputs.encoders import recurrent_stack, transformer_options
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits, read_edits
from unspool.inspection.fork import Outcomes
from unspool.layers import (
    AdaptiveSoftmax,
    CausalTransformer,
    FullSoftmax,
    Recurrent,
    TokenEmbedding,
    TransformerEncoder,
    WordDropout,
    initialize,
)
from unspool.models import LanguageModel as Network
from unspool.models.kneser_ney import KneserNey
from unspool.settings import Settings
from unspool.tasks.disagreements import Disagreements
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.metrics import language_model_scores
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike
from unspool.tasks.trainable import device_of
from unspool.tasks.write.category_losses import compare_losses
from unspool.tasks.write.corpus import Corpus
from unspool.tasks.write.data import text_of
from unspool.tasks.write.edited_steps import refuse_past_the_context
from unspool.tasks.write.fitted import FittedLanguageModel
from unspool.tasks.write.generative import Generative
from unspool.tasks.write.mixture import Mixture
from unspool.tasks.write.plan import RULES
from unspool.tasks.write.settings import LanguageModelSettings

if TYPE_CHECKING:
    from unspool.tasks.write.keywords import LanguageModelKeywords

__all__ = ["LanguageModel", "Reading"]

_IN_MEMORY = 50_000_000  # characters; the ids of longer texts go to a memory-mapped file
_SCORED = 5_000_000  # maximum evaluation tokens of the n-gram baseline
_COUNTED = 20_000_000  # maximum training tokens counted for the initial bias of the output layer
_COUNTED_NGRAMS = 5_000_000
_SAMPLE = 120  # characters generated for the log of each validation
_QUICK = 1_000_000  # maximum validation tokens during training


class Reading(NamedTuple):
    """Prediction of a language model for one text."""

    text: str
    units: list[str]
    nats: list[float]
    """Negative log-likelihood of each unit given the previous units, in nats."""
    next: dict[str, float]
    """Probabilities of the most probable next units, most probable first."""

    @property
    def perplexity(self) -> float:
        """Perplexity per unit."""
        return language_model_scores(sum(self.nats), len(self.nats))["perplexity"]

    def __repr__(self) -> str:
        return f"<Reading with perplexity {self.perplexity:.4g}: {brief(self.text)}>"

    def line(self) -> str:
        """Format perplexity and text, separated by a tab."""
        return f"{self.perplexity:.4g}\t{self.text}"

    def record(self) -> dict[str, Any]:
        """Return all fields and the perplexity."""
        return {**self._asdict(), "perplexity": self.perplexity}


class LanguageModel(Generative):
    """Language model: predicts the next unit of a text, and generates text from a prompt.

    Example:
        >>> from unspool import LanguageModel
        >>> model = LanguageModel(units="character", epochs=5).fit("novel.txt")  # doctest: +SKIP
        >>> print(model.generate("It was a ", length=200, temperature=0.7, seed=1))  # doctest: +SKIP
    """

    name: ClassVar[str] = "write"
    settings_type: ClassVar[type[Settings]] = LanguageModelSettings
    fitted_type: ClassVar[type[FittedLanguageModel]] = FittedLanguageModel
    _rules = RULES
    summary: ClassVar[str] = "Predicts the next unit of a text."
    _first_step: ClassVar[int] = 1  # the start symbol

    def __init__(self, settings: LanguageModelSettings | None = None, **values: Unpack[LanguageModelKeywords]) -> None:
        super().__init__(settings, **values)
        self._encoded: WeakKeyDictionary[Corpus, NDArray[Any]] = WeakKeyDictionary()

    @property
    def metric(self) -> tuple[str, bool]:
        return ("nats" if self.settings.vocabulary.units == "character" else "perplexity"), False

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return ("text",)

    def _data_source(self, data: DataLike, labels: Iterable[Any] | None = None, *, part: str = "") -> DataSource:
        """Return paths or rows as in other tasks; a string with a line break is a text."""
        if labels is not None:
            raise UsageError("a language model learns from texts alone, and labels came; pass the texts only")
        if not isinstance(data, str):
            return super()._data_source(data, part=part)
        if not are_files(data):
            return super()._data_source([data], part=part)
        try:
            find_files(data)
        except DataError as error:
            message = error.message.removeprefix(f"{error.where}: ")
            raise DataError(f"{message}; a text of one line goes in a list, as fit([text])", error.where) from None
        return data

    def _read(self, source: DataSource) -> Corpus:
        if isinstance(source, RowsInMemory):
            return Corpus.of_texts(map(text_of, source.reader()), whole_lines=self._whole_lines)
        listed = (str(source),) if isinstance(source, str | os.PathLike) else tuple(map(str, source))
        return Corpus.of(listed, whole_lines=self._whole_lines)

    def _learn(self, examples: Corpus) -> None:
        self._encoded.clear()
        super()._learn(examples)

    def _tokens(self, corpus: Corpus) -> NDArray[Any]:
        """Return the ids of a text, (tokens,). Training caches them in memory, or in a mapped file for long texts."""
        if self._scratch is None:
            return token_array(corpus.pieces(), self.vocabulary)
        if corpus not in self._encoded:
            if len(corpus) <= _IN_MEMORY:
                tokens: NDArray[Any] = token_array(corpus.pieces(), self.vocabulary)
            else:
                text = hashlib.sha256(("\0".join(corpus.paths) or corpus.text).encode()).hexdigest()[:12]
                file = self._scratch / f"tokens-{text}-{corpus.begin}-{corpus.end}.npy"
                if not os.path.lexists(file):
                    self._scratch.mkdir(parents=True, exist_ok=True)
                    TokenFile.write(file, corpus.pieces(), self.vocabulary)
                # After a resume the file exists. Its name holds the hash of the data, and its write is atomic.
                tokens = TokenFile(file, len(self.vocabulary)).tokens
            self._encoded[corpus] = tokens
        return self._encoded[corpus]

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        network, size = self.settings.network, len(self.vocabulary)
        dropout = None
        if network.word_dropout:
            dropout = WordDropout(network.word_dropout, unknown=UNKNOWN)
        embedding = TokenEmbedding(size, network.embedding, word_dropout=dropout)
        decoder = self._decoder()
        softmax: FullSoftmax | AdaptiveSoftmax
        if network.output == "adaptive":
            softmax = AdaptiveSoftmax(decoder.output_size, size)
        else:
            softmax = FullSoftmax(
                decoder.output_size, size, tied=embedding.table.get_parameter("weight") if network.tied else None
            )
        model = Network(
            embedding,
            decoder,
            softmax,
            dropout=network.dropout,
            variational=network.variational,
            activation_penalty=network.activation_penalty,
            slowness_penalty=network.slowness_penalty,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    def _decoder(self) -> Recurrent | CausalTransformer:
        network = self.settings.network
        if network.network == "recurrent":
            return recurrent_stack(network, self._cell, network.embedding, bidirectional=False)
        stack = TransformerEncoder(network.hidden, causal=True, **transformer_options(network))
        return CausalTransformer(network.embedding, stack, self.settings.training.steps)

    def _source(self, examples: Corpus) -> Windows:
        training = self.settings.training
        return Windows(self._tokens(examples), batch_size=training.batch_size, steps=training.steps)

    def _stack(self) -> Recurrent | None:
        decoder = self.model.decoder
        return decoder if isinstance(decoder, Recurrent) else None

    def _start(self, examples: Corpus) -> None:
        softmax = self.model.softmax
        if isinstance(softmax, FullSoftmax):
            softmax.start_from(np.bincount(self._tokens(examples)[:_COUNTED], minlength=len(self.vocabulary)))

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: Corpus) -> dict[str, float]:
        """Score the first million units quickly, in up to 16 parallel columns, each from the initial state."""
        whole = self._tokens(examples)
        tokens = whole[:_QUICK]
        characters = len(examples) if len(tokens) == len(whole) else None
        return self._read_through(model, tokens, characters, columns=max(1, min(16, len(tokens) // 2000)))

    def _samples(self, model: nn.Module, examples: Corpus) -> list[dict[str, str]]:
        """Generate a short text from the start symbol; the same random numbers each time."""
        steps: Any = model
        length = _SAMPLE if self._by_character else _SAMPLE // 4
        text = self.continuation(length=length, seed=self.settings.training.seed)
        return [{"output": "".join(self._pieces(steps, text))}]

    def _final_score(self, model: nn.Module, examples: Corpus) -> dict[str, float]:
        """Score the whole text as one stream with carried state; above 2 million units, as several streams."""
        tokens, mixture = self._tokens(examples), self.fitted.mixture
        columns = max(1, len(tokens) // 1_000_000)
        if mixture is None:
            return self._read_through(model, tokens, len(examples), columns=columns)
        nats = mixture.nats(self._nats_of_tokens(model, tokens, columns), tokens)
        count = len(tokens)
        return language_model_scores(float(nats.sum()), count, count if self._by_character else len(examples))

    def _finish(self, splits: Splits[Corpus], score: Callable[[], None]) -> list[str]:
        """Mix the network with an n-gram model, then compute the final scores."""
        notes = []
        if self.settings.mix and splits.valid is None:
            notes = ["not mixed with n-grams: the share needs validation data"]
        elif self.settings.mix and splits.valid is not None:
            tokens = self._tokens(splits.valid.examples)[:_QUICK]
            network = self._nats_of_tokens(self.model, tokens, max(1, min(16, len(tokens) // 2000)))
            mixture = Mixture.fit(self._count_ngrams(splits.train.examples), network, tokens)
            self.fitted.mixture = mixture
            notes = [
                f"mixed with a Kneser-Ney {mixture.ngrams.order}-gram, {1 - mixture.share:.2f} of the probability: "
                f"nats {network.mean():.4g} before, {mixture.nats(network, tokens).mean():.4g} after"
            ]
        score()
        return notes

    def _improvements(self) -> list[str]:
        return [] if self.settings.mix else [f"a mixture of the network and n-grams ({option('mix')})"]

    @torch.no_grad()
    def _nats_of_tokens(self, model: nn.Module, tokens: NDArray[Any], columns: int) -> NDArray[np.float64]:
        """Return the negative log-likelihood of every token under the network alone, in nats, (tokens,)."""
        device, state = device_of(model), None
        parts: list[list[NDArray[np.float64]]] = []
        for window in Windows(tokens, batch_size=columns, steps=self._steps(columns)).epoch(0):
            batch = window.to(device)
            scores, state = model(batch.inputs, state)
            nats = -scores.gather(2, batch.targets.clamp(min=0).unsqueeze(2))[:, :, 0]
            nats = nats.masked_fill(batch.targets == IGNORED, math.nan).double().cpu().numpy()
            parts.append(list(nats.T))
        whole: NDArray[np.float64] = np.concatenate([np.concatenate(column) for column in zip(*parts, strict=True)])
        scored: NDArray[np.float64] = whole[~np.isnan(whole)]
        return scored

    @torch.no_grad()
    def _read_through(
        self, model: nn.Module, tokens: NDArray[Any], characters: int | None, columns: int
    ) -> dict[str, float]:
        device, nats, count, state = device_of(model), 0.0, 0, None
        for window in Windows(tokens, batch_size=columns, steps=self._steps(columns)).epoch(0):
            result = model.loss(window.to(device), state)  # type: ignore[operator]
            nats, count, state = nats + float(result.total), count + result.count, result.carry
        return language_model_scores(nats, count, count if self._by_character else characters)

    def _steps(self, columns: int) -> int:
        """Return the length of a window for scoring; for a Transformer its context."""
        if self.settings.network.network == "transformer":
            return int(self.settings.training.steps)
        return max(16, 512 // columns)

    @property
    def _by_character(self) -> bool:
        return bool(self.settings.vocabulary.units == "character")

    def _baselines(self, train: Corpus, held_out: Corpus) -> dict[str, dict[str, float]]:
        model = self._count_ngrams(train)
        ids = _first(self._arrays(held_out), _SCORED)
        characters = len(ids) if self._by_character else None
        scores = language_model_scores(float(model.nats(ids).sum()), len(ids), characters)
        return {f"Kneser-Ney {model.order}-gram": scores}

    def _count_ngrams(self, corpus: Corpus) -> KneserNey:
        """Count the n-grams of the first five million tokens of a text."""
        tokens, order = _first(self._arrays(corpus), _COUNTED_NGRAMS), 5 if self._whole_lines else 6
        return KneserNey.learn(tokens, len(self.vocabulary), order=order, max_tokens=_COUNTED_NGRAMS)

    def _arrays(self, corpus: Corpus) -> Iterator[NDArray[Any]]:
        return (self.vocabulary.encode_stream(piece) for piece in corpus.pieces())

    # ---- use ---------------------------------------------------------------------------------------------------

    def _ids(self, text: str, where: str) -> list[int]:
        ids = self.vocabulary.encode(text)
        if not ids:
            raise DataError("there is no unit in this text; expected at least one", where)
        return ids

    @overload
    def predict(self, texts: str) -> Reading: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Reading]: ...
    def predict(self, texts: str | Iterable[str]) -> Reading | list[Reading]:
        """Score each unit of one text, or of several texts, and predict the next unit.

        Raises:
            DataError: If a text contains no unit.
            UsageError: If the model has not been trained.
        """
        return self._for_each(
            texts, lambda listed: [self._reading(text, f"text {number}") for number, text in enumerate(listed, 1)]
        )

    def _reading(self, text: str, where: str) -> Reading:
        ids, scores = self._read_units(text, where)
        nats = -scores[:-1].gather(1, ids[1:].unsqueeze(1))[:, 0]
        likely = scores[-1].exp().topk(min(8, len(self.vocabulary)))
        check_output(torch.cat([likely.values.double(), nats.double().mean(0, keepdim=True).exp()]), where)
        following = {self.vocabulary.unit(int(i)): float(p) for p, i in zip(likely.values, likely.indices, strict=True)}
        return Reading(text, self._units(text), nats.tolist(), following)

    @torch.no_grad()
    def _read_units(self, text: str, where: str) -> tuple[Tensor, Tensor]:
        """Return the ids of a text after the start symbol, (units + 1,), and log-probabilities of the next unit.

        The log-probabilities after each of the ids are in nats, (units + 1, vocabulary).
        """
        ids = torch.tensor([END, *self._ids(text, where)], device=device_of(self.model))
        scores = self.model(ids.unsqueeze(1))[0][:, 0]
        if self.fitted.mixture is not None:
            before = ids.tolist()
            reach = self.fitted.mixture.ngrams.order
            histories = [before[max(0, end - reach) : end] for end in range(1, len(before) + 1)]
            scores = self.fitted.mixture.log_probabilities(scores, histories)
        return ids, scores

    def _outcomes(self, text: str) -> Outcomes:
        """Return the distribution of the next unit after each unit."""
        scores = self._read_units(text, "text")[1][1:].cpu()
        return Outcomes(scores.exp().double().numpy(), scores.double().numpy(), self.vocabulary.unit)

    @torch.no_grad()
    def likelier(self, prefix: list[int], one: int, other: int) -> bool:
        """Whether one unit is more probable than another after a prefix of ids."""
        self._need_model()
        ids = torch.tensor(prefix, device=device_of(self.model)).unsqueeze(1)
        outputs, _ = self.model.states(ids, None)
        scores = self.model.softmax.log_probabilities(outputs[-1])[0]
        if self.fitted.mixture is not None:
            scores = self.fitted.mixture.log_probabilities(scores.unsqueeze(0), [prefix])[0]
        return bool(scores[one] > scores[other])

    def unit_losses(self, data: DataLike) -> tuple[list[str], NDArray[np.float64]]:
        """Return the units of a text, and the negative log-likelihood of each, in nats.

        The text is read as one stream from the start, with its state carried along. A unit is empty at the end of a
        line, and `<unk>` if it is not in the vocabulary.

        Args:
            data: Files, folders or globs; or texts in memory.

        Raises:
            DataError: If the data can't be used.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        self.model.eval()
        return self._unit_losses(self._read(self._data_source(data)))

    def _unit_losses(self, corpus: Corpus) -> tuple[list[str], NDArray[np.float64]]:
        tokens = self._tokens(corpus)
        nats = self._nats_of_tokens(self.model, tokens, max(1, len(tokens) // 1_000_000))
        if self.fitted.mixture is not None:
            nats = self.fitted.mixture.nats(nats, tokens)
        names = {id: self._unit_text(id) for id in np.unique(tokens).tolist()}
        return [names[id] for id in tokens.tolist()], nats

    def _unit_text(self, id: int) -> str:
        if id == END:
            return ""
        return self.vocabulary.unit(id) if id == UNKNOWN else self.vocabulary.decode([id])

    def _compare_on(self, other: LanguageModel, examples: Corpus, names: tuple[str, str]) -> Disagreements:
        (units, nats), (theirs, others) = self._unit_losses(examples), other._unit_losses(examples)
        if len(units) != len(theirs) or self.settings.vocabulary.units != other.settings.vocabulary.units:
            kinds = [task.settings.vocabulary.units for task in (self, other)]
            raise UsageError(
                f"the models cut this text into different units ({len(units):,} of kind {kinds[0]}, {len(theirs):,} of "
                f"kind {kinds[1]}); compare their bits per character with evaluate"
            )
        shared = ["<unk>" if "<unk>" in pair else pair[0] for pair in zip(units, theirs, strict=True)]
        blank = " " if self._whole_lines else ""
        return compare_losses(shared, (nats, others), names, lambda part: blank.join(unit or "\n" for unit in part))

    def _output_row(self, choice: str) -> Tensor | None:
        id, softmax = self.vocabulary.id(choice), self.model.softmax
        if id is None:
            raise UsageError(f"there is no unit {choice!r} in the vocabulary")
        if not isinstance(softmax, FullSoftmax) or softmax.project is not None:
            return None
        return softmax.weight[id]

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Read one text and return the recorded intermediate values, and the surprisal of each unit in nats.

        Args:
            text: The text.
            edits: Changes of gates, states, attention and units during the run.

        Raises:
            DataError: If the text contains no unit.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        if edits:
            plan = read_edits(edits)
            refuse_past_the_context(self.model.decoder, plan, 1 + len(self._units(text)))
            return self._edited_trace(text, plan)
        with self._plain_loop():
            reading = self._reading(text, "text")
        ids = torch.tensor([END, *self._ids(text, "text")], device=device_of(self.model)).unsqueeze(1)
        decoder = self.model.decoder
        attention = AttentionRecording(decoder, reading.units, [self.vocabulary.unit(END)])
        for piece in torch.split(ids, decoder.context if isinstance(decoder, CausalTransformer) else len(ids)):
            with attention.watch():
                _, arrays, notes = self._recorded(partial(self.model.states, piece, None))
        arrays = {name: array[1:] for name, array in arrays.items()}  # without the start symbol
        prediction = {"surprise": reading.nats, "probabilities": reading.next}
        maps = attention.maps() | self._memory_maps(arrays, reading.units)
        return Trace(tuple(reading.units), arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return -log p of each unit; the state after each unit predicts the next one."""
        self._one_text(text, "gradients")
        self._no_target(target, "a language model scores the text itself")
        model, units = self.model, self._units(text)
        targets = torch.tensor(self._ids(text, "text"), device=device_of(model))
        ids = torch.cat([targets.new_tensor([END]), targets[:-1]]).unsqueeze(1)
        with torch.no_grad():
            inputs = model.embedding(Tokens(ids, torch.tensor([len(ids)], device=ids.device)))

        def losses(copies: Tensor, rows: Tensor) -> Tensor:
            states = model.decoder(copies, None, None)[0]
            scores = model.softmax.log_probabilities(states[rows, torch.arange(len(rows), device=rows.device)])
            nats: Tensor = -scores.gather(1, targets[rows].unsqueeze(1))[:, 0]
            return nats

        length = self.settings.training.steps
        return TextLosses(
            inputs, losses, ["", *units[:-1]], units, range(len(units)), length if length < len(units) else None
        )


def _first(arrays: Iterable[NDArray[Any]], count: int) -> NDArray[Any]:
    """Return the first tokens of a stream as one array."""
    parts: list[NDArray[Any]] = []
    for array in arrays:
        parts.append(array[:count])
        count -= len(parts[-1])
        if count <= 0:
            break
    return np.concatenate(parts)
