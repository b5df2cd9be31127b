"""Fitted state of a command parser: vocabulary, intents, slot tags, linear model, calibration and refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.commands import CommandSet
from unspool.data import IGNORED, Examples, Labelled, Labels, Sequences, SlotSpan, Utterance
from unspool.data.batches import with_targets
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs.text.fitted import FittedText
from unspool.reading import read_json
from unspool.tasks.command.data import UtteranceExamples
from unspool.tasks.command.masking import ValueMasks, delexicalize
from unspool.tasks.command.refusal import NEVER, Refusal
from unspool.tasks.command.settings import CommandSettings
from unspool.tasks.contracts import Fitted
from unspool.tasks.parts.calibration import (
    UNCALIBRATED,
    Calibration,
    fit_calibration,
    load_calibration,
    mean_nats,
    save_calibration,
)
from unspool.tasks.parts.ngram_classifier import NgramClassifier
from unspool.tasks.parts.priors import prior_offsets
from unspool.tasks.parts.spans import Span, bioes_labels, read_spans, write_tags
from unspool.tasks.parts.stored_commands import load_commands, save_commands
from unspool.writing import replace_file

__all__ = ["EncodedUtterances", "FittedCommands"]

_FILE = "intents.json"


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    several: bool
    none: bool
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    slots_as_words: bool = False
    offsets: list[float] = []


class EncodedUtterances(NamedTuple):
    """Encoded sentences: words with their slot tags, and intents."""

    words: Examples
    intents: NDArray[Any]
    """Intent ids, (sentences,), `IGNORED` where unknown; several: 0 and 1, (sentences, intents)."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each sentence, int64 (sentences,)."""
        return self.words.lengths

    def batch(self, indices: NDArray[np.int64]) -> Labelled:
        """Pad the sentences at some indices into one batch."""
        return with_targets(self.words.batch(indices), self.intents, indices)


@dataclass
class FittedCommands(Fitted):
    """Vocabulary, intents, slot tags, linear model, calibration and refusal of a command parser."""

    input: FittedText
    intents: Labels
    tags: Labels
    """BIOES tags of the slots; empty without slots."""
    several: bool
    """Whether a sentence may have any number of intents."""
    has_none: bool
    """Whether the network has one more output, for sentences out of scope."""
    calibration: Calibration = UNCALIBRATED
    refusal: Refusal = NEVER
    linear: NgramClassifier | None = None
    """Linear model over n-grams whose logits are added to those of the network."""
    commands: CommandSet | None = None
    """The commands that the sentences were made from; their slots have types. None for labelled data alone."""
    threshold: float = 0.5
    """Minimum probability of an intent, if a sentence may have several: the best on held-out sentences."""
    slots_as_words: bool = False
    """Whether the linear model reads the names of slots in place of their values; see `delexicalize`."""
    offsets: NDArray[np.float32] | None = None
    """Terms added to the calibrated logits, (outputs,), that favour rare intents; None: none."""

    @classmethod
    def learn(cls, examples: UtteranceExamples, settings: CommandSettings) -> Self:
        """Learn vocabulary, intents and slots; see `Fitted.learn`."""
        if settings.vocabulary.units not in ("word", "blank"):
            raise SettingError(f"units = {settings.vocabulary.units}: slots need one unit for each word: word or blank")
        utterances = examples.utterances
        intents = Labels.learn(name for each in utterances for name in each.intents)
        most = max(len(each.intents) for each in utterances)
        several = most > 1 if settings.several == "auto" else settings.several == "yes"
        if most > 1 and not several:
            place = next(each.where for each in utterances if len(each.intents) > 1)
            raise DataError("this sentence has several intents; expected one, or pass several = yes", place)
        has_none = not several and any(not each.intents for each in utterances)
        if len(intents) + has_none < 2 - several:
            raise DataError(
                f"the training data have {len(intents)} intent ({', '.join(intents)}); expected two or more"
            )
        slots = sorted({span.slot for each in utterances for span in each.slots})
        masks = ValueMasks.of(examples.commands)
        fitted = FittedText.learn(masks.texts(examples.texts), (), settings)
        tags = Labels(bioes_labels(slots) if slots else ())
        learned = cls(fitted, intents, tags, several, has_none, commands=examples.commands)
        if settings.ngrams:
            learned.linear = learned.learn_linear(utterances)
        return learned

    def learn_linear(self, utterances: Sequence[Utterance]) -> NgramClassifier:
        """Train a linear model that reads what `features` returns."""
        words = self.features([each.text for each in utterances], [each.slots for each in utterances])
        return NgramClassifier.learn(words, self.targets(utterances, none=len(self.intents)), self.outputs)

    def calibrate(
        self,
        train: Sequence[Utterance],
        network: NDArray[np.float32],
        held_out: Sequence[Utterance],
        slots: Sequence[Sequence[SlotSpan]],
    ) -> None:
        """Weigh the network and the linear model, and choose the words that the linear model reads.

        With slots, a second linear model reads their names in place of their values; of the two, the one with the lower
        loss on the held-out sentences remains. With one intent per sentence, rare intents get `offsets`.

        Args:
            train: Training sentences.
            network: Logits of the network for the held-out sentences, (sentences, outputs).
            held_out: Held-out sentences with their intents.
            slots: Slots of the held-out sentences by the network.
        """
        texts, none = [each.text for each in held_out], len(self.intents) if self.has_none else -1
        targets = self.targets(held_out, none=none)
        mask = np.ones(len(targets), np.bool_) if self.several else targets >= 0
        self.forget_slots_as_words(train)
        choices = []
        for as_words in (False, True) if self.linear is not None and len(self.tags) else (False,):
            reader = replace(self, slots_as_words=as_words)
            reader.linear = reader.learn_linear(train) if as_words else self.linear
            linear = reader.linear_logits(texts, slots)
            weights = fit_calibration(network[mask], None if linear is None else linear[mask], targets[mask])
            mixed = network * weights.network + (0 if linear is None else linear * weights.linear)
            choices.append((mean_nats(mixed[mask], targets[mask]), as_words, weights, reader.linear))
        _, self.slots_as_words, self.calibration, self.linear = min(choices, key=lambda choice: choice[0])
        if not self.several:
            self.offsets = prior_offsets(self.targets(train, none=-1), self.outputs)

    def forget_slots_as_words(self, train: Sequence[Utterance]) -> None:
        """Let the linear model read the words of the sentences again."""
        if self.slots_as_words:
            self.slots_as_words = False
            self.linear = self.learn_linear(train)

    def features(self, texts: Sequence[str], slots: Sequence[Sequence[SlotSpan]]) -> list[list[str]]:
        """Return the words that the linear model reads.

        Args:
            texts: The sentences.
            slots: The slots of each sentence, in order; used for labelled data with slots.
        """
        if self.slots_as_words:
            texts = [delexicalize(text, spans) for text, spans in zip(texts, slots, strict=True)]
        words: list[list[str]] = self.input.features(self.masks.texts(texts))
        return words

    @cached_property
    def masks(self) -> ValueMasks:
        """Masks of the values of the commands' kinds; none for labelled data alone."""
        return ValueMasks.of(self.commands)

    @cached_property
    def allowed_tags(self) -> NDArray[np.bool_] | None:
        """Tags that a sentence of each intent may have, (intents, tags): those of the command's slots, and `O`.

        None for labelled data alone.
        """
        if self.commands is None or not len(self.tags):
            return None
        rows = np.ones((len(self.intents), len(self.tags)), np.bool_)
        for row, intent in enumerate(self.intents):
            if intent in self.commands:
                slots = {slot.name for slot in self.commands[intent].slots}
                rows[row] = [all(span.type in slots for span in read_spans([tag])) for tag in self.tags]
        return rows

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots."""
        return tuple(dict.fromkeys(span.type for tag in self.tags for span in read_spans([tag])))

    @property
    def outputs(self) -> int:
        """Number of outputs of the network for intents."""
        return len(self.intents) + self.has_none

    def encode(self, utterances: Sequence[Utterance], *, unknown: str | None = None) -> EncodedUtterances:
        """Encode sentences with their intents and tags.

        Args:
            utterances: The sentences.
            unknown: Treatment of slots absent from training: None refuses them; `drop` leaves them out.

        Raises:
            DataError: If a sentence has no word, or a slot that is absent from the training data.
        """
        utterances = [self.masks.utterance(each) for each in utterances]
        words = self.input.encode([each.text for each in utterances], [each.where for each in utterances])
        if len(self.tags):
            tags = Sequences.of(self._tag_ids(each, drop=unknown == "drop") for each in utterances)
            words = replace(words, targets=tags)
        else:
            words = replace(words, targets=Sequences.of(np.zeros(length, np.int32) for length in words.lengths))
        none = len(self.intents) if self.has_none else IGNORED
        return EncodedUtterances(words, self.targets(utterances, none=none))

    def targets(self, utterances: Sequence[Utterance], *, none: int) -> NDArray[Any]:
        """Return intent ids, (sentences,), -1 for unknown ones; several: 0 and 1, (sentences, intents).

        Args:
            utterances: The sentences.
            none: Id of sentences out of scope, if a sentence has one intent.
        """
        if not self.several:
            ids = {name: place for place, name in enumerate(self.intents)}
            return np.array([ids.get(each.intents[0], IGNORED) if each.intents else none for each in utterances])
        targets = np.zeros((len(utterances), len(self.intents)), np.float32)
        for row, each in enumerate(utterances):
            targets[row, [self.intents.id(name) for name in each.intents if name in self.intents]] = 1
        return targets

    def _tag_ids(self, utterance: Utterance, *, drop: bool) -> NDArray[np.int32]:
        offsets = self.input.vocabulary.encode_with_offsets(utterance.text).offsets
        if self.has_none and not utterance.intents and not utterance.slots:
            return np.full(len(offsets), IGNORED, np.int32)  # out of scope: the tagger learns from commands alone
        spans: list[Span] = []
        for span in utterance.slots:
            if drop and f"S-{span.slot}" not in self.tags:
                continue
            places = [place for place, (start, end) in enumerate(offsets) if start < span.end and end > span.start]
            if places and not (spans and spans[-1].end > places[0]):
                spans.append(Span(places[0], places[-1] + 1, span.slot))
        return self.tags.ids(write_tags(spans, len(offsets), "BIOES"), utterance.where)

    def spans(self, text: str, tags: Sequence[str]) -> list[SlotSpan]:
        """Convert BIOES tags of the words of a text to spans of characters."""
        masked = self.masks.mask(text)
        offsets = self.input.vocabulary.encode_with_offsets(masked.text).offsets
        return [
            SlotSpan(span.type, *masked.old(offsets[span.start][0], offsets[span.end - 1][1]))
            for span in read_spans(tags)
        ]

    def positions(self, text: str) -> tuple[str, ...]:
        """Return what each word of the network stands for: a word of the text, or a value."""
        masked = self.masks.mask(text)
        offsets = self.input.vocabulary.encode_with_offsets(masked.text).offsets
        places = [masked.old(start, end) for start, end in offsets]
        return tuple(text[start:end] for start, end in places)

    def linear_logits(self, texts: Sequence[str], slots: Sequence[Sequence[SlotSpan]]) -> NDArray[np.float32] | None:
        """Return the logits of the linear model, (texts, outputs); None without one. See `features`."""
        if self.linear is None:
            return None
        logits: NDArray[np.float32] = self.linear.logits(self.features(texts, slots)).numpy()
        return logits

    def restart(self, train: Any, held_out: Any) -> Self:
        """Reset calibration and refusal to their values before training."""
        self.forget_slots_as_words(train.utterances)
        self.calibration, self.refusal, self.threshold, self.offsets = UNCALIBRATED, NEVER, 0.5, None
        return self

    def refuse_strangers(self, examples: UtteranceExamples) -> None:
        """See `Fitted.refuse_strangers`."""
        self.intents.refuse_strangers(chain.from_iterable(each.intents for each in examples.utterances), "intent")

    def score_notes(self, examples: UtteranceExamples) -> list[str]:
        """Return notes on intents and slots absent from the training data."""
        slots = Labels(self.slots)
        intents = chain.from_iterable(each.intents for each in examples.utterances)
        return [
            *self.intents.note_strangers(intents, "intents"),
            *slots.note_strangers((span.slot for each in examples.utterances for span in each.slots), "slots"),
        ]

    def usable(self, examples: UtteranceExamples, *, skip_bad: bool) -> tuple[UtteranceExamples, int]:
        """See `Fitted.usable`."""
        slots = Labels(self.slots)
        usable = [
            all(name in self.intents for name in each.intents) and all(span.slot in slots for span in each.slots)
            for each in examples.utterances
        ]
        if not all(usable) and not skip_bad:
            strange = examples.utterances[usable.index(False)]
            self.intents.ids(strange.intents, strange.where)
            slots.ids([span.slot for span in strange.slots], strange.where)
        return (examples, 0) if all(usable) else (examples.take(np.flatnonzero(usable)), usable.count(False))

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.input.save(folder)
        self.intents.save(folder)
        self.tags.save(folder, "slots")
        offsets = [] if self.offsets is None else [float(each) for each in self.offsets]
        kind = _Kind(self.several, self.has_none, self.threshold, self.slots_as_words, offsets)
        replace_file(folder / _FILE, msgspec.json.encode(kind) + b"\n")
        save_calibration(self.calibration, folder)
        self.refusal.save(folder)
        if self.linear is not None:
            self.linear.save(folder)
        if self.commands is not None:
            save_commands(self.commands, folder)

    @classmethod
    def load(cls, folder: Path, settings: CommandSettings) -> Self:
        """See `Fitted.load`."""
        intents, kind = Labels.load(folder), read_json(folder / _FILE, _Kind, "the kind of intents")
        several, has_none = kind.several, kind.none
        linear = NgramClassifier.load(folder, len(intents) + has_none, several=several)
        if kind.offsets and (len(kind.offsets) != len(intents) + has_none or not np.isfinite(kind.offsets).all()):
            raise ModelFolderError(f"{folder / _FILE} is damaged: its offsets do not fit {len(intents)} intents")
        return cls(
            FittedText.load(folder, settings),
            intents,
            Labels.load(folder, "slots"),
            several,
            has_none,
            load_calibration(folder),
            Refusal.load(folder),
            linear,
            _commands_of(folder, intents),
            kind.threshold,
            kind.slots_as_words,
            np.array(kind.offsets, np.float32) if kind.offsets else None,
        )


def _commands_of(folder: Path, intents: Labels) -> CommandSet | None:
    """Read the commands of a model folder; None if the model learned from labelled data alone."""
    commands = load_commands(folder)
    if commands is not None and (strange := [name for name in commands.names if name not in intents]):
        raise ModelFolderError(f"{folder} is damaged: the command {strange[0]!r} is no intent of the model")
    return commands
