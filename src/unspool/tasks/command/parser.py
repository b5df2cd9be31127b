"""`CommandParser`, the task of command understanding: intents and slots of a sentence (many to one, and aligned)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.commands import CommandSet
from unspool.data import Bucketed, DataSource, Labelled, SlotSpan, Utterance, evaluation_batches
from unspool.errors import UsageError
from unspool.inspection import Trace
from unspool.inspection.attention import AttentionRecording
from unspool.inspection.edits import Edits
from unspool.inspection.fork import Outcomes
from unspool.layers import LinearChainCRF, Readout, initialize
from unspool.models import IntentSlotModel
from unspool.settings import Settings, nearest
from unspool.tasks.command.data import CommandsInMemory, UtteranceExamples, commands_of, open_data
from unspool.tasks.command.fitted import EncodedUtterances, FittedCommands
from unspool.tasks.command.intent_losses import intent_losses
from unspool.tasks.command.parse import Parse, SlotValue
from unspool.tasks.command.plan import RULES
from unspool.tasks.command.refusal import Refusal, scope_scores
from unspool.tasks.command.resolution import resolve
from unspool.tasks.command.scores import Predicted, best_threshold, command_scores
from unspool.tasks.command.settings import CommandSettings
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.calibration import FEWEST, UNCALIBRATED, Calibration, mean_nats
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.majority_baseline import MajorityClass
from unspool.tasks.parts.spans import bioes_constraints
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.command.keywords import CommandParserKeywords

__all__ = ["CommandParser", "Parse"]


_ILLEGAL = -1e4  # score of a tag of another command
_LEAST = 0.25
"""Minimum probability that a sentence is a command, for commands learned from templates: half of the training sentences
are out of scope, and of what people say to an assistant far fewer."""


class CommandParser(Task[UtteranceExamples, FittedCommands]):
    """Command parser: predicts the intents of a sentence and its slots, and refuses sentences out of scope.

    Example:
        >>> from unspool import CommandParser
        >>> model = CommandParser().fit("utterances.jsonl")  # doctest: +SKIP
        >>> model.predict("play some jazz in the kitchen").intent  # doctest: +SKIP
        'play_music'
    """

    name: ClassVar[str] = "command"
    _rules = RULES
    settings_type: ClassVar[type[Settings]] = CommandSettings
    fitted_type: ClassVar[type[FittedCommands]] = FittedCommands
    summary: ClassVar[str] = "Predicts the intent of a sentence and its slots."

    def __init__(self, settings: CommandSettings | None = None, **values: Unpack[CommandParserKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def classes_(self) -> tuple[str, ...]:
        """Intents of the model, the most frequent in training first; empty before training."""
        return () if self._fitted is None else self._fitted.intents.names

    @property
    def metric(self) -> tuple[str, bool]:
        if self._fitted is not None and len(self._fitted.tags):
            return "exact", True
        return "nats", False

    @property
    def main_score(self) -> tuple[str, bool]:
        return ("micro_f1" if self._fitted is not None and self._fitted.several else "accuracy"), True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        data = self.settings.data
        return data.text or "text", data.intent or "intent"

    def _read(self, source: DataSource) -> UtteranceExamples:
        commands = commands_of(source)
        reader = open_data(self.settings, source, self._read_as, commands=commands)
        examples = UtteranceExamples(list(reader), commands)
        self._remember(reader)
        return examples

    def _data_source(self, data: DataLike, labels: Iterable[Any] | None = None, *, part: str = "") -> DataSource:
        """Return commands as a data source; see `Task._data_source`."""
        if isinstance(data, CommandSet):
            return CommandsInMemory.of(data)
        if isinstance(data, list | tuple) and data and all(hasattr(each, "__command__") for each in data):
            return CommandsInMemory.of(CommandSet.of(data))
        return super()._data_source(data, labels, part=part)

    @property
    def commands(self) -> CommandSet | None:
        """The commands that the model was trained on; None for a model of labelled data.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.commands

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        settings, fitted = self.settings, self.fitted
        network = settings.network
        encoder = fitted.input.encoder(network, self._cell)
        model = IntentSlotModel(
            encoder.embedding,
            encoder.stack,
            Readout(encoder.pooling, encoder.size, encoder.directions),
            fitted.outputs,
            len(fitted.tags),
            several=fitted.several,
            crf=self._crf() if self._has_crf else None,
            dropout=network.dropout,
            variational=network.variational,
            label_smoothing=settings.label_smoothing,
            slot_weight=settings.slot_weight,
        )
        initialize(model, network.initialization, forget_bias=network.forget_bias)
        return model

    @property
    def _has_crf(self) -> bool:
        return len(self.fitted.tags) > 0 and self.settings.network.output in ("auto", "crf")

    def _crf(self) -> LinearChainCRF:
        legal = (torch.from_numpy(np.asarray(mask)) for mask in self._legal_tags())
        first, between, last = legal
        return LinearChainCRF(len(self.fitted.tags), allowed=between, allowed_first=first, allowed_last=last)

    def _legal_tags(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        legal = bioes_constraints(self.fitted.tags.names)
        return legal.starts, legal.transitions, legal.ends

    def _summary(self) -> str:
        fitted = self.fitted
        slots = f", {len(fitted.slots)} slots{' (CRF)' if self._has_crf else ''}" if len(fitted.tags) else ""
        return f"{super()._summary()}; {len(fitted.intents)} intents{slots}"

    def _source(self, examples: UtteranceExamples) -> Bucketed[Labelled]:
        return bucketed(self.fitted.encode(examples.utterances), self.settings.training)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: UtteranceExamples) -> dict[str, float]:
        utterances, fitted = examples.utterances, self.fitted
        network, tags = self._outputs(model, fitted.encode(utterances, unknown="drop"))
        slots = self._slots(examples.texts, tags)
        logits = self._mixed(network, examples.texts, slots)
        predicted = self._predictions(logits, slots)
        scores = command_scores(utterances, predicted, several=fitted.several)
        targets = fitted.targets(utterances, none=len(fitted.intents) if fitted.has_none else -1)
        mask = np.ones(len(targets), np.bool_) if fitted.several else targets >= 0
        return {**scores, **({"nats": mean_nats(logits[mask], targets[mask])} if mask.any() else {})}

    def _finish(self, splits: Splits[UtteranceExamples], score: Callable[[], None]) -> list[str]:
        """Calibrate the intents, and store the scores of held-out commands, then compute the final scores."""
        notes = self._calibrate(splits.train.examples, None if splits.valid is None else splits.valid.examples)
        score()
        return notes

    def _calibrate(self, train: UtteranceExamples, held_out: UtteranceExamples | None) -> list[str]:
        """Weigh the network and the linear model by held-out commands; set the scores for refusals."""
        fitted = self.fitted
        everything = [] if held_out is None else held_out.utterances
        inside = [each for each in everything if each.intents]
        if len(inside) < FEWEST or fitted.commands is not None:
            # Held-out sentences from the same templates are easier than what people say: they measure nothing.
            fitted.calibration = _mixture(fitted)
        else:
            texts = [each.text for each in everything]
            network, tags = self._outputs(self.model, fitted.encode(everything, unknown="drop"))
            slots = self._slots(texts, tags)
            fitted.calibrate(train.utterances, network, everything, slots)
            if fitted.several:
                shares = self._shares(self._mixed(network, texts, slots))
                fitted.threshold = best_threshold(shares, fitted.targets(everything, none=-1))
        if not inside or fitted.commands is not None:
            return []
        texts = [each.text for each in inside]
        network, tags = self._outputs(self.model, fitted.encode(inside, unknown="drop"))
        fitted.refusal = Refusal.of(self._scope(self._mixed(network, texts, self._slots(texts, tags))))
        calibration = fitted.calibration
        words = " and slots" if fitted.slots_as_words else ""
        mixed = "" if fitted.linear is None else f", linear n-grams{words} times {calibration.linear:.3g}"
        return [
            f"calibrated on {len(inside):,} held-out commands: network at temperature {calibration.temperature:.3g}"
            f"{mixed}; the least familiar {1 - self.settings.keep:.0%} would be refused"
        ]

    def _predictions(self, logits: NDArray[np.float32], slots: Sequence[list[SlotSpan]]) -> list[Predicted]:
        """Return intents and slots of sentences, with their scope scores."""
        scope = self._scope(logits)
        known = self._familiarity(scope) > self._threshold
        return [
            Predicted(self._intents_of(row), spans, float(score), bool(accepted))
            for row, spans, score, accepted in zip(self._shares(logits), slots, scope, known, strict=True)
        ]

    def _slots(self, texts: Sequence[str], tags: Sequence[Sequence[str]]) -> list[list[SlotSpan]]:
        return [self.fitted.spans(text, names) for text, names in zip(texts, tags, strict=True)]

    def _mixed(
        self, network: NDArray[np.float32], texts: Sequence[str], slots: Sequence[Sequence[SlotSpan]]
    ) -> NDArray[np.float32]:
        """Add the calibrated logits of the network and of the linear model, and the offsets of rare intents."""
        fitted, calibration = self.fitted, self.fitted.calibration
        linear = fitted.linear_logits(texts, slots) if calibration.linear else None
        logits = network * np.float32(calibration.network)
        logits = logits if linear is None else logits + np.float32(calibration.linear) * linear
        return logits if fitted.offsets is None else logits + fitted.offsets

    @property
    def _threshold(self) -> float:
        """Familiarity at which a sentence is refused."""
        return 1 - self.settings.keep if self.fitted.refusal.scores else _LEAST

    def _familiarity(self, scope: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the familiarity of sentences; see `Parse.familiarity`."""
        fitted = self.fitted
        if fitted.refusal.scores or not fitted.has_none:
            return fitted.refusal.familiarity(scope)
        return 1 / (1 + np.exp(-np.clip(scope, -500, 500)))

    def _scope(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        return scope_scores(logits, len(self.fitted.intents), several=self.fitted.several)

    def _shares(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert logits to the probabilities of the intents, (sentences, intents)."""
        values = torch.from_numpy(logits)
        shares: NDArray[np.float32] = (values.sigmoid() if self.fitted.several else values.softmax(-1)).numpy()
        return shares[:, : len(self.fitted.intents)]

    def _intents_of(self, shares: NDArray[np.float32]) -> tuple[str, ...]:
        """Return the predicted intents of one sentence, most probable first."""
        order = np.argsort(-shares, kind="stable")
        if self.fitted.several:
            threshold = self.settings.threshold
            order = order[shares[order] >= (self.fitted.threshold if threshold is None else threshold)]
        else:
            order = order[:1]
        return tuple(self.fitted.intents.name(int(place)) for place in order)

    @torch.no_grad()
    def _outputs(self, model: nn.Module, examples: EncodedUtterances) -> tuple[NDArray[np.float32], list[list[str]]]:
        """Return the logits of the intents, (sentences, outputs), and the tags of the words of each sentence."""
        assert isinstance(model, IntentSlotModel)
        device, fitted = device_of(model), self.fitted
        logits = np.zeros((len(examples), fitted.outputs), np.float32)
        tags: list[list[str]] = [[]] * len(examples)
        decoder = self._decoder(model)
        legal = fitted.allowed_tags
        allowed = None if legal is None else torch.from_numpy(legal).to(device)
        for places, batch in evaluation_batches(examples, batch_tokens=batched_tokens(self.settings)):
            tokens = batch.tokens.tokens.to(device)
            output = model(tokens)
            logits[places] = output.logits.float().cpu().numpy()
            if output.tags is None:
                continue
            scores = output.tags
            if allowed is not None:  # slots of the most probable command only
                intents = output.logits[:, : len(fitted.intents)].argmax(-1)
                scores = scores.masked_fill(~allowed[intents], _ILLEGAL)
            rows = decoder.decode(scores, tokens.lengths).T.tolist()
            for place, row, length in zip(places, rows, tokens.lengths.tolist(), strict=True):
                tags[place] = [fitted.tags.name(tag) for tag in row[:length]]
        return logits, tags

    def _decoder(self, model: IntentSlotModel) -> LinearChainCRF:
        """Return the CRF; for independent tags, one that only forbids illegal transitions."""
        if model.crf is not None or not len(self.fitted.tags):
            return model.crf  # type: ignore[return-value]
        decoder = self._crf().to(device_of(model))
        for weights in decoder.parameters():
            nn.init.zeros_(weights)
        return decoder

    def _baselines(self, train: UtteranceExamples, held_out: UtteranceExamples) -> dict[str, dict[str, float]]:
        fitted = self.fitted
        inside = [each for each in held_out.utterances if each.intents]
        if not inside:
            return {}
        gold, right = (fitted.targets(each, none=-1) for each in ([u for u in train.utterances if u.intents], inside))
        scores = {}
        if not fitted.several:
            majority = MajorityClass.learn(gold[gold >= 0], len(fitted.intents)).evaluate(right[right >= 0])
            scores["majority intent"] = {"accuracy": majority["accuracy"] * float((right >= 0).mean())}
        if fitted.linear is not None:
            linear = fitted.linear_logits([each.text for each in inside], [()] * len(inside))
            assert linear is not None
            shares = self._shares(linear)
            rows = [Predicted(self._intents_of(row), [], 0.0, True) for row in shares]
            kept = command_scores([each._replace(slots=()) for each in inside], rows, several=fitted.several)
            scores["linear n-grams"] = {name: kept[name] for name in ("accuracy", "micro_f1") if name in kept}
        return scores

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str) -> Parse: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Parse]: ...
    def predict(self, texts: str | Iterable[str]) -> Parse | list[Parse]:
        """Recognize intents and slots of one sentence, or of each of several. Relative times count from the present.

        Raises:
            DataError: If a sentence contains no word.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, self._parsed)

    def parse(self, text: str, *, now: datetime | None = None) -> Parse:
        """Recognize intents and slots of one sentence.

        Args:
            text: The sentence.
            now: The moment that relative times count from; the present if omitted.

        Raises:
            DataError: If the sentence contains no word.
            UsageError: If the model has not been trained.
        """
        self._need_model()
        self._one_text(text, "parse")
        return self._parsed([text], now)[0]

    def _parsed(self, texts: list[str], now: datetime | None = None) -> list[Parse]:
        utterances = [Utterance(f"text {number}", text, ()) for number, text in enumerate(texts, 1)]
        network, tags = self._outputs(self.model, self.fitted.encode(utterances))
        for each, row in zip(utterances, network, strict=True):
            check_output(torch.from_numpy(row), each.where)
        slots = self._slots(texts, tags)
        logits = self._mixed(network, texts, slots)
        shares, familiarity = self._shares(logits), self._familiarity(self._scope(logits))
        moment = now or datetime.now()
        return [
            self._parse(text, row, spans, float(share), moment)
            for text, row, spans, share in zip(texts, shares, slots, familiarity, strict=True)
        ]

    def _parse(
        self, text: str, shares: NDArray[np.float32], spans: list[SlotSpan], familiarity: float, now: datetime
    ) -> Parse:
        fitted, threshold = self.fitted, self._threshold
        order = np.argsort(-shares, kind="stable")
        probabilities = {fitted.intents.name(int(place)): float(shares[place]) for place in order}
        intents = self._intents_of(shares)
        known = familiarity > threshold and bool(intents)
        command = None
        slots = [SlotValue(span.slot, text[span.start : span.end], span.start, span.end) for span in spans]
        if known and fitted.commands is not None and intents[0] in fitted.commands:
            command = fitted.commands[intents[0]]
            arguments = resolve(command, text, spans, now)
            slots = [SlotValue(name, each.text, each.start, each.end, each.value) for name, each in arguments.items()]
            slots.sort(key=lambda slot: slot.start)
        return Parse(text, intents if known else (), slots, familiarity, known, threshold, probabilities, command)

    def introduction(self) -> str:
        """Return the commands, or the number of intents, in one sentence."""
        self._need_model()
        if self.fitted.commands is None:
            return f"{len(self.fitted.intents):,} intents, {len(self.fitted.slots):,} slots."
        return f"Commands: {', '.join(self.fitted.commands.names)}."

    def _questions(self, examples: UtteranceExamples) -> Questions:
        answers = [
            f"{', '.join(each.intents) or '-'} "
            + " ".join(f"{s.slot}={each.text[s.start : s.end]}" for s in each.slots)
            for each in examples.utterances
        ]
        return Questions(examples.texts, answers, examples.where)

    def _output_row(self, choice: str) -> Tensor | None:
        if choice not in self.fitted.intents:
            raise UsageError(f"there is no intent {choice!r}{nearest(choice, self.fitted.intents)}")
        row: Tensor = self.model.output.weight[self.fitted.intents.id(choice)]
        return row

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Parse one sentence and return the recorded intermediate values.

        Args:
            text: The sentence.
            edits: Changes of gates, states, attention and tokens during the run.

        Raises:
            DataError: If the sentence contains no word.
            UsageError: If `text` is not a single sentence, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        self._one_text(text)
        examples = self.fitted.encode([Utterance("text", text, ())])
        tokens = examples.batch(np.array([0])).tokens.tokens.to(device_of(self.model))
        words = self.fitted.positions(text)
        attention = AttentionRecording(self.model.encoder, words)
        with attention.watch():
            output, arrays, notes = self._recorded(lambda: self.model(tokens))
        if output.weights is not None:
            arrays["readout / weight"] = output.weights[:, 0].float().cpu().numpy()
        if output.tags is not None:
            arrays["output / score"] = output.tags[:, 0].float().cpu().numpy()
        with self._plain_loop():
            parse = self._parsed([text])[0]
        prediction = {
            "intent": ", ".join(parse.intents) or "refused",
            "slots": {slot.slot: slot.text for slot in parse.slots},
            "familiarity": parse.familiarity,
            "probabilities": parse.probabilities,
        }
        maps = attention.maps() | self._memory_maps(arrays, words)
        return Trace(words, arrays, prediction, self._summary(), (*notes, *attention.notes), maps)

    def _outcomes(self, text: str) -> Outcomes:
        """Return the distribution of the intents."""
        shares = self._parsed([text])[0].probabilities
        names = list(self.fitted.intents)
        row = np.array([[shares[name] for name in names]])
        with np.errstate(divide="ignore"):
            return Outcomes(row, np.log(row), names.__getitem__, independent=self.fitted.several)

    def _text_losses(self, text: Any, target: Any) -> TextLosses:
        """Return the loss of the intent, or of the intents, by the network alone."""
        self._one_text(text, "gradients")
        if target is None:
            probabilities = self._parsed([text])[0].probabilities
            names = list(self._intents_of(np.array([probabilities[name] for name in self.fitted.intents])))
        else:
            names = [target] if isinstance(target, str) else list(target)
        if not self.fitted.several and len(names) != 1:
            raise UsageError(f"target = {target!r}: expected one intent")
        return intent_losses(self.model, self.fitted, text, names)


def _mixture(fitted: FittedCommands) -> Calibration:
    """Return the weights of network and linear model without measurement: templates teach the linear model little."""
    if fitted.linear is None:
        return UNCALIBRATED
    return Calibration(1.0, 0.25) if fitted.commands is not None else Calibration(2.0, 0.5)
