"""Generator of an assistant: writes answers of its own, and chooses among the stored answers to a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from unspool.data import PairedExamples, Tokens, evaluation_batches
from unspool.decoding import DecodingSettings, decode, stream, stream_settings, text_pieces
from unspool.models import EncoderDecoder
from unspool.tasks.answer.fitted import FittedAssistant
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.parts.encoder_decoders import most_written, never_written
from unspool.tasks.trainable import batched_tokens, device_of

__all__ = ["AnswerGenerator"]

_MEASURED = 500  # stored questions whose answers say how long one may be


class AnswerGenerator:
    """The generator of an assistant in use.

    Args:
        model: The encoder–decoder.
        fitted: Vocabulary and stored answers.
        settings: Settings of the assistant.
    """

    def __init__(self, model: EncoderDecoder, fitted: FittedAssistant, settings: AssistantSettings) -> None:
        self._model, self._fitted, self._settings = model, fitted, settings

    @torch.no_grad()
    def choose(self, question: str, answers: Sequence[str]) -> str:
        """Return the answer with the highest mean log-probability per unit."""
        scores, encoded = np.zeros(len(answers)), self._fitted.units.encode_batch(answers)
        pairs = PairedExamples(self._fitted.encode([question] * len(answers)), encoded)
        for places, batch in evaluation_batches(pairs, batch_tokens=batched_tokens(self._settings)):
            totals = self._model(batch.to(device_of(self._model))).log_probabilities.sum(0)
            scores[places] = totals.cpu().numpy() / (pairs.target.lengths[places] + 1)
        return answers[int(np.argmax(scores))]

    def write(self, question: str) -> str:
        """Write a new answer."""
        tokens, state = self._start(question)
        best = decode(
            self._model,
            state,
            settings=self._settings.decoding.replace(best=1),
            max_lengths=torch.tensor([self._longest()]),
            forbidden=never_written(self._fitted.units, tokens.ids.device),
            source_lengths=tokens.lengths,
        )
        return self._fitted.units.decode(best[0][0].ids)

    def stream(self, question: str, decoding: DecodingSettings | None, seed: int | None) -> Iterator[str]:
        """Write a new answer, and yield it piece by piece; see `Assistant.stream`."""
        settings = stream_settings(decoding, self._settings.decoding)
        tokens, state = self._start(question)
        steps = stream(
            self._model,
            state,
            settings=settings,
            max_length=self._longest(),
            forbidden=never_written(self._fitted.units, tokens.ids.device),
            generator=None if seed is None else torch.Generator(tokens.ids.device).manual_seed(seed),
        )
        return text_pieces(self._fitted.units.decode, (unit for unit, _ in steps), complete=True)

    @torch.no_grad()
    def _start(self, question: str) -> tuple[Tokens, Any]:
        """Return the encoded question, and the first state of the decoder."""
        tokens = Tokens(*self._fitted.encode([question]).pad(np.array([0]))).to(device_of(self._model))
        return tokens, self._model.start(tokens)

    def _longest(self) -> int:
        """Return the most units of an answer, from the lengths of the stored ones."""
        answers = chain.from_iterable(each.answers for each in self._fitted.questions[:_MEASURED])
        longest = 2 * max(len(ids) for ids in self._fitted.units.encode_batch(list(answers))) + 10
        return min(longest, most_written(self._settings.network))
